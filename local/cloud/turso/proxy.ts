/**
 * The address of one database: a port of its own, from where HTTP and WebSockets go to the database's namespace of the
 * libSQL server. It ends the WebSockets when the keys change, as Turso says of itself and the open server does not do,
 * and judges fine-grained tokens.
 *
 * What a fine-grained token is answered that lacks a privilege is not documented: 403 for the whole pipeline, as the
 * open server answers a read-only token that writes, is a guess. Such a token is taken over `POST /v2/pipeline` and
 * `/v3/pipeline` only, where its statements can be read; a WebSocket that begins with one is closed.
 */
import * as http from "node:http";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import { close, listen } from "../faults";
import { firstFrame, frameOf, helloToken } from "./hello";
import { refusedPipeline, type Rule } from "./permissions";
import { namespaceHeader } from "./sqld";

export interface Proxy {
  /** `127.0.0.1:PORT`. */
  hostname: string;
  /** Ends every WebSocket. */
  drop(): void;
  stop(): Promise<void>;
}

export interface ProxyOptions {
  namespace: string;
  sqldPort: number;
  /** Connections to the server. */
  agent: http.Agent;
  /** The permissions of a token that has some. */
  rulesOf: (token: string) => Rule[] | undefined;
  /** The token as the server is to see it. */
  forServer: (token: string) => string;
}

export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { sqldPort: port, agent } = options;
  const own = { host: "localhost", "x-namespace-bin": namespaceHeader(options.namespace) };
  const sockets = new Set<Duplex>();

  /** Sends the request on; `body` in place of its own. */
  const ask = (
    request: http.IncomingMessage,
    response: http.ServerResponse,
    body: string | undefined,
    answered: (answer: http.IncomingMessage) => void,
  ): void => {
    const { method, url: path } = request;
    const headers: http.OutgoingHttpHeaders = { ...request.headers, ...own };
    const [token, known] = [bearer(request), options.forServer(bearer(request))];
    if (known !== token) headers.authorization = `Bearer ${known}`;
    delete headers.connection;
    delete headers["keep-alive"];
    if (body !== undefined) {
      delete headers["transfer-encoding"];
      headers["content-length"] = Buffer.byteLength(body);
    }
    const upstream = http.request({ host: "127.0.0.1", port, agent, method, path, headers }, answered);
    upstream.on("error", () => {
      if (response.headersSent) response.destroy();
      else refuse(response, 502, "no answer from the libSQL server");
    });
    response.once("close", () => {
      if (!response.writableFinished) upstream.destroy();
    });
    if (body === undefined) request.pipe(upstream);
    else upstream.end(body);
  };

  const handOn =
    (response: http.ServerResponse) =>
    (answer: http.IncomingMessage): void => {
      const headers = { ...answer.headers };
      delete headers.connection;
      delete headers["keep-alive"];
      response.writeHead(answer.statusCode ?? 502, headers);
      answer.on("error", () => response.destroy());
      answer.pipe(response);
    };

  const judge = async (request: http.IncomingMessage, response: http.ServerResponse, rules: Rule[]): Promise<void> => {
    const body = await readText(request);
    const readable = /^\/v[23]\/pipeline$/.test(request.url ?? "");
    const refused = readable ? refusedPipeline(rules, body) : "a privilege for this way of asking";
    if (refused === undefined) {
      ask(request, response, body, handOn(response));
      return;
    }
    // A dead token is told so first: an empty pipeline asks for nothing but whether it works.
    request.url = "/v2/pipeline";
    ask(request, response, '{"requests":[]}', (answer) => {
      if (answer.statusCode !== 200) {
        handOn(response)(answer);
        return;
      }
      answer.resume();
      refuse(response, 403, `Authorization forbidden: Current session doesn't have ${refused}`);
    });
  };

  const server = http.createServer((request, response) => {
    const rules = options.rulesOf(bearer(request));
    // The server takes the namespace of such a path from itself, and its key from the header.
    if (request.url?.startsWith("/dev/")) refuse(response, 404, "not found");
    else if (rules) judge(request, response, rules).catch(() => response.destroy());
    else ask(request, response, undefined, handOn(response));
  });
  // Clients reuse connections at will; a close by the proxy would look like a fault.
  server.keepAliveTimeout = 0;
  server.on("upgrade", (request, client: Duplex, head: Buffer) => {
    const upstream = net.connect(port, "127.0.0.1");
    const pair = [client, upstream];
    for (const socket of pair) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        sockets.delete(socket);
        for (const other of pair) other.destroy();
      });
    }
    upstream.write(handshake(request.url ?? "/", { ...request.headers, ...own }));
    upstream.pipe(client);
    let begun = head;
    const begin = (chunk: Buffer): void => {
      begun = Buffer.concat([begun, chunk]);
      const first = firstFrame(begun);
      if (!first) return;
      client.off("data", begin);
      const token = helloToken(first.message);
      if (options.rulesOf(token)) {
        client.destroy();
        return;
      }
      const known = options.forServer(token);
      if (known !== token)
        begun = Buffer.concat([frameOf(first.message.replace(token, known)), begun.subarray(first.length)]);
      upstream.write(begun);
      client.pipe(upstream);
    };
    client.on("data", begin);
    begin(Buffer.alloc(0));
  });

  const hostname = `127.0.0.1:${await listen(server)}`;
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    hostname,
    drop,
    async stop() {
      drop();
      await close(server);
    },
  };
}

function bearer(request: http.IncomingMessage): string {
  return /^bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
}

function handshake(url: string, headers: http.OutgoingHttpHeaders): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
  return `GET ${url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

function refuse(response: http.ServerResponse, status: number, error: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error }));
}

async function readText(request: http.IncomingMessage): Promise<string> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) text += chunk as string;
  return text;
}
