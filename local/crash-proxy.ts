/**
 * A TCP proxy before Postgres that stops at each statement of Rollover which changes something: before the server gets
 * it, and again before its answer goes back. Other clients' traffic passes as it is.
 */
import { once } from "node:events";
import * as net from "node:net";

/** Where a call stands: nothing of it is done yet, or it is done and nobody has heard. */
export type Phase = "before" | "after";

/** Is told of a call and its phase, and awaited; "drop" cuts the connection there and then. */
export type Gate = (label: string, phase: Phase) => Promise<"pass" | "drop">;

export interface PostgresProxy {
  port: number;
  stop(): Promise<void>;
}

/** `application_name` of the connections of components/postgres/sql.ts, in their first message. */
const OURS = "\0application_name\0rollover\0";
/** Statements that change something, or make a change lasting. BEGIN and ROLLBACK do neither. */
const MUTATING =
  /^\s*(CREATE|ALTER|DROP|GRANT|REVOKE|COMMENT|REASSIGN|COMMIT|INSERT|UPDATE|DELETE|SELECT pg_terminate_backend)\b/;

export async function startPostgresProxy(target: { host: string; port: number }, gate: Gate): Promise<PostgresProxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect({ ...target, noDelay: true });
    client.setNoDelay(true);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A cut connection is what this proxy is for. Whichever side ends, the other does.
      socket.on("error", () => socket.destroy());
      socket.once("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    relay(client, upstream, gate);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as net.AddressInfo).port,
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function relay(client: net.Socket, upstream: net.Socket, gate: Gate): void {
  client.once("data", (startup: Buffer) => {
    upstream.write(startup);
    if (startup.includes(OURS)) inspect(client, upstream, gate);
    else client.pipe(upstream).pipe(client);
  });
}

/** Message by message, in order, so that one that is held holds all that follow. */
function inspect(client: net.Socket, upstream: net.Socket, gate: Gate): void {
  /** The statement that the server works on, if it is one to stop at. */
  let running: string | undefined;
  const stop = async (label: string, phase: Phase): Promise<boolean> => {
    const dropped = (await gate(label, phase)) === "drop";
    if (dropped) client.destroy();
    return !dropped && !client.destroyed;
  };
  each(client, async ({ type, bytes }) => {
    const label = labelOf(type, bytes);
    if (label !== undefined) {
      if (!(await stop(label, "before"))) return;
      running = label;
    }
    upstream.write(bytes);
  });
  each(upstream, async ({ type, bytes }) => {
    // Z, ready for the next query, ends an answer: what it reports is done.
    if (type === "Z" && running !== undefined) {
      const label = running;
      running = undefined;
      if (!(await stop(label, "after"))) return;
    }
    client.write(bytes);
  });
}

interface Message {
  type: string;
  bytes: Buffer;
}

/** Messages after the first: https://www.postgresql.org/docs/18/protocol-overview.html#PROTOCOL-MESSAGE-CONCEPTS */
function each(socket: net.Socket, handle: (message: Message) => Promise<void>): void {
  let rest: Buffer = Buffer.alloc(0);
  let tail = Promise.resolve();
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5 && rest.length >= 1 + rest.readInt32BE(1)) {
      const end = 1 + rest.readInt32BE(1);
      const message = { type: String.fromCharCode(rest[0] ?? 0), bytes: rest.subarray(0, end) };
      rest = rest.subarray(end);
      tail = tail.then(() => handle(message));
    }
  });
}

/** The first words of a statement that changes something: `CREATE ROLE`, `ALTER ROLE NOLOGIN`; no name, no value. */
function labelOf(type: string, bytes: Buffer): string | undefined {
  // Q has the text at once, P (parse) after the name of the prepared statement.
  const texts = bytes.subarray(5).toString("utf8").split("\0");
  const text = (type === "Q" ? texts[0] : type === "P" ? texts[1] : undefined) ?? "";
  const verb = MUTATING.exec(text)?.[1];
  if (verb === undefined) return undefined;
  if (/\bNOLOGIN\b/.test(text)) return "ALTER ROLE NOLOGIN";
  if (/\bSET role\b/.test(text)) return "ALTER ROLE SET role";
  return verb.replace("SELECT ", "");
}
