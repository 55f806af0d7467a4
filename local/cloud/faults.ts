/**
 * Faults on demand and a log of calls, for any of the local cloud's HTTP servers: what a network and a vendor do on bad
 * days, set by tests. A fault is chosen by counting matching calls, so a test can put one on each call in turn.
 */
import { once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";

export interface Fault {
  /** Calls that count; all, if left out. */
  match?: { method?: string; path?: RegExp };
  /** The first matching call that fails, counted from 1. @default 1 */
  nth?: number;
  /** How many calls fail from there. @default 1 */
  times?: number;
  /**
   * `status`: refused with this answer, nothing applied. `late`: applied at once, answered after `ms`.
   * `reset-before`: connection reset, nothing applied. `reset-after`: applied, then reset. `hang`: nothing applied and
   * no answer until the client gives up.
   */
  kind: "status" | "late" | "reset-before" | "reset-after" | "hang";
  /** For `status`. @default 500 */
  status?: number;
  /** For `status`: the vendor's error code in the envelope. @default 10013 */
  code?: number;
  /** For `status`: seconds in the Retry-After header. */
  retryAfter?: number;
  /** For `late`. @default 1000 */
  ms?: number;
}

export interface Faults {
  /** Replaces all faults; counting begins anew. */
  set(faults: Fault[]): void;
  /** How often each fault of the last `set` struck, in its order. */
  fired(): number[];
  /** The fault that strikes this call; every fault counts the call. */
  next(method: string, path: string): Fault | undefined;
}

export function createFaults(): Faults {
  let list: { fault: Fault; seen: number; fired: number }[] = [];
  return {
    set(faults) {
      list = faults.map((fault) => ({ fault, seen: 0, fired: 0 }));
    },
    fired: () => list.map((entry) => entry.fired),
    next(method, path) {
      let chosen: Fault | undefined;
      for (const entry of list) {
        const { match, nth = 1, times = 1 } = entry.fault;
        if (match?.method !== undefined && match.method !== method) continue;
        if (match?.path?.test(path) === false) continue;
        entry.seen += 1;
        if (chosen || entry.seen < nth || entry.seen >= nth + times) continue;
        entry.fired += 1;
        chosen = entry.fault;
      }
      return chosen;
    },
  };
}

/** One call in the log: neither headers nor bodies. */
export interface Call {
  method: string;
  path: string;
  /** Milliseconds since 1970. */
  at: number;
  /** The answer's status, or the fault that took its place. */
  outcome: number | Fault["kind"] | "pending";
}

export interface CallEvent {
  /** `before`: nothing applied yet. `after`: applied, not yet answered. */
  phase: "before" | "after";
  method: string;
  path: string;
}

export interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

export interface Service {
  port: number;
  calls: Call[];
  faults: Faults;
  /** Called, and awaited, around each call that is not a GET. One at a time; `undefined` removes it. */
  onCall: (listener: ((event: CallEvent) => unknown) | undefined) => void;
  stop(): Promise<void>;
}

/** A JSON API on 127.0.0.1 with faults. `refusal` shapes an error as the vendor does. */
export async function startService(
  handle: (request: http.IncomingMessage, url: URL, body: string) => Promise<Answer>,
  refusal: (status: number, code: number) => unknown,
): Promise<Service> {
  const calls: Call[] = [];
  const faults = createFaults();
  let listener: ((event: CallEvent) => unknown) | undefined;

  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const method = request.method ?? "GET";
    const { pathname: path } = url;
    const call: Call = { method, path, at: Date.now(), outcome: "pending" };
    calls.push(call);
    const body = await readText(request);
    const tell = async (phase: CallEvent["phase"]): Promise<void> => {
      if (method !== "GET") await listener?.({ phase, method, path });
    };

    await tell("before");
    const fault = faults.next(method, path);
    if (fault) call.outcome = fault.kind;
    if (fault?.kind === "hang") return;
    if (fault?.kind === "reset-before") {
      reset(request);
      return;
    }
    if (fault?.kind === "status") {
      const { status = 500, code = 10013, retryAfter } = fault;
      const headers: Record<string, string> = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) };
      send(response, { status, body: refusal(status, code), headers });
      return;
    }
    const answer = await handle(request, url, body);
    await tell("after");
    if (fault?.kind === "reset-after") {
      reset(request);
      return;
    }
    if (fault?.kind === "late") await new Promise((resolve) => setTimeout(resolve, fault.ms ?? 1000));
    else call.outcome = answer.status;
    send(response, answer);
  };

  const server = http.createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent || response.destroyed) return;
      send(response, { status: 500, body: refusal(500, 10013) });
      // A request that its client dropped half-way is no news; anything else is a mistake in the stand-in.
      if (!request.destroyed) console.error("local cloud:", error);
    });
  });
  const port = await listen(server);
  return {
    port,
    calls,
    faults,
    onCall(next) {
      listener = next;
    },
    stop: () => close(server),
  };
}

/** Listens on a free port of 127.0.0.1. */
export async function listen(server: http.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}

/** Stops listening and cuts what is still connected. */
export async function close(server: http.Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

function send(response: http.ServerResponse, { status, body, headers }: Answer): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

function reset(request: http.IncomingMessage): void {
  request.socket.resetAndDestroy();
}

async function readText(request: http.IncomingMessage): Promise<string> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) text += chunk as string;
  return text;
}
