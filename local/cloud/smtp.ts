/**
 * A real mail server on 127.0.0.1 that keeps what it is given and fails on demand. It offers STARTTLS where it is given a
 * certificate; without one it takes a password in plain text, as a relay on loopback may. It delivers nothing anywhere.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { SMTPServer } from "smtp-server";

export interface Mail {
  from: string;
  to: string[];
  /** Names in lower case. A header that stands twice has both, joined by a line end. */
  headers: Record<string, string>;
  text: string;
  /** As it came over the wire. */
  source: string;
  /** Whether the session was encrypted by then. */
  tls: boolean;
  user: string;
  /** Milliseconds since 1970. */
  at: number;
}

export interface Certificate {
  key: string;
  cert: string;
  /** The certificate's file, for NODE_EXTRA_CA_CERTS. */
  file: string;
}

/**
 * `refuse`: no message is taken. `refuse-some`: recipients `ops@…` are refused. `hang`: no greeting. `hang-late`: no answer to
 * the message. `cut`: the connection is reset. `cut-once`: the next one alone.
 */
export type Mood = "accept" | "refuse" | "refuse-some" | "hang" | "hang-late" | "cut" | "cut-once";

export interface MailServer {
  port: number;
  mails: Mail[];
  /** Every password that a client showed. */
  shown: string[];
  /** How many connections there were. */
  connections: () => number;
  mood(mood: Mood): void;
  stop(): Promise<void>;
}

/** What the server says of a refusal; no part of it may reach a text of ours. */
export const SERVERS_WORD = "server-word-marker";

/** @param port To come back where one has been. @default a free one */
export async function startMailServer(
  options: { user?: string; password?: string; certificate?: Certificate; port?: number } = {},
): Promise<MailServer> {
  const { user, password, certificate } = options;
  const [mails, shown, sockets]: [Mail[], string[], Set<net.Socket>] = [[], [], new Set()];
  let mood: Mood = "accept";
  let connections = 0;
  const refusal = (code: number) => Object.assign(new Error(SERVERS_WORD), { responseCode: code });

  const server = new SMTPServer({
    ...(certificate ? { key: certificate.key, cert: certificate.cert } : { allowInsecureAuth: true }),
    disabledCommands: [...(certificate ? [] : ["STARTTLS"]), ...(user === undefined ? ["AUTH"] : [])],
    authOptional: user === undefined,
    disableReverseLookup: true,
    logger: false,
    onConnect(_session, done) {
      if (mood !== "hang") done();
    },
    onAuth(given, _session, done) {
      shown.push(given.password ?? "");
      if (given.username === user && given.password === password) done(null, { user: given.username });
      else done(refusal(535));
    },
    onRcptTo({ address }, _session, done) {
      done(mood === "refuse-some" && address.startsWith("ops@") ? refusal(550) : null);
    },
    onData(stream, { envelope, secure, user: who }, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        if (mood === "hang-late") return;
        if (mood === "refuse") {
          done(refusal(554));
          return;
        }
        const from = envelope.mailFrom === false ? "" : envelope.mailFrom.address;
        const to = envelope.rcptTo.map(({ address }) => address);
        const source = Buffer.concat(chunks).toString("utf8");
        mails.push({ from, to, ...parse(source), source, tls: secure, user: String(who ?? ""), at: Date.now() });
        done();
      });
    },
  });
  // A client that hangs up in the middle is no news.
  server.on("error", () => undefined);
  server.server.on("connection", (socket: net.Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    if (mood === "cut" || mood === "cut-once") socket.resetAndDestroy();
    if (mood === "cut-once") mood = "accept";
  });
  const listening = server.listen(options.port ?? 0, "127.0.0.1");
  await once(listening, "listening");
  return {
    port: (listening.address() as net.AddressInfo).port,
    mails,
    shown,
    connections: () => connections,
    mood: (next) => (mood = next),
    async stop() {
      if (!listening.listening) return;
      const closed = once(listening, "close");
      for (const socket of sockets) socket.destroy();
      server.close();
      await closed;
    },
  };
}

/** A certificate of its own for 127.0.0.1, good for two days. */
export function makeCertificate(dir: string): Certificate {
  const [key, file] = [path.join(dir, "smtp-key.pem"), path.join(dir, "smtp-cert.pem")];
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", [...request, ...names, "-keyout", key, "-out", file], { stdio: "ignore" });
  return { key: fs.readFileSync(key, "utf8"), cert: fs.readFileSync(file, "utf8"), file };
}

/** Headers unfolded, and the one plain part decoded. */
function parse(source: string): Pick<Mail, "headers" | "text"> {
  const end = source.indexOf("\r\n\r\n");
  const headers: Record<string, string> = {};
  for (const line of source
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, " ")
    .split("\r\n")) {
    const name = line.slice(0, line.indexOf(":")).toLowerCase();
    const value = line.slice(line.indexOf(":") + 1).trim();
    headers[name] = name in headers ? `${headers[name] ?? ""}\n${value}` : value;
  }
  const body = source.slice(end + 4).replaceAll("\r\n", "\n");
  const encoding = headers["content-transfer-encoding"]?.toLowerCase();
  if (encoding === "base64") return { headers, text: Buffer.from(body, "base64").toString("utf8").trim() };
  if (encoding !== "quoted-printable") return { headers, text: body.trim() };
  const bytes = body
    .replace(/=\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return { headers, text: Buffer.from(bytes, "latin1").toString("utf8").trim() };
}
