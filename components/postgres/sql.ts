import { setTimeout as pause } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import type { PostgresServer } from "../rotation/model";

/** Why Postgres refused, decided once, here, from the SQLSTATE (https://www.postgresql.org/docs/18/errcodes-appendix.html). */
export type PostgresFault =
  /** 28P01: unknown login or wrong password, which Postgres does not tell apart. */
  | "password"
  /** 28000: the login may not log in. */
  | "blocked"
  /** 42501: a privilege is missing. */
  | "privilege"
  /** 42704, 3D000, 42P01: no such role, database or object. */
  | "missing"
  /** 2BP01: other objects depend on it. */
  | "in-use"
  /** No connection, or it broke: the effect is unknown. */
  | "unreachable"
  /** Refused for now: too many connections, starting up, concurrent change. */
  | "busy"
  | "other";

/** A refusal in words that hold no credential: Postgres's own primary message, its SQLSTATE, and which login met it. */
export class PostgresError extends Error {
  constructor(
    readonly fault: PostgresFault,
    message: string,
    readonly sqlstate?: string,
  ) {
    super(message);
  }
}

const faults: Record<string, PostgresFault> = {
  "28P01": "password",
  "28000": "blocked",
  "42501": "privilege",
  "42704": "missing",
  "3D000": "missing",
  "42P01": "missing",
  "2BP01": "in-use",
  "53300": "busy",
  "57P03": "busy",
  "40001": "busy",
  "40P01": "busy",
  XX000: "busy", // "tuple concurrently updated": two grants on one object at once
  "57P01": "unreachable",
};

function classify(error: unknown, who: string): PostgresError {
  if (error instanceof PostgresError) return error;
  if (error instanceof DatabaseError) {
    return new PostgresError(
      faults[error.code ?? ""] ?? "other",
      `${who}: ${error.message} (SQLSTATE ${error.code})`,
      error.code,
    );
  }
  const reason = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
  return new PostgresError("unreachable", `${who}: no connection (${reason})`);
}

/** A login to try: the server's address with somebody's name and password. */
export interface Login {
  user: string;
  password: string;
  database: string;
}

/** In milliseconds. */
export interface Limits {
  /** How long the server may take to let the login in. */
  connectMs?: number;
  /** After which the server gives up a statement. */
  statementMs?: number;
  /** For connecting and all of the work, whatever the server does. */
  wholeMs?: number;
}

/** How long the server may take to close a connection that was done with. */
const CLOSE_MS = 1000;

/**
 * Runs `use` on one connection as `login` and closes it. TLS is verified unless the server is declared with `disable`,
 * which config allows on loopback alone. Connecting is bounded, each statement to 30 s, and closing.
 *
 * @throws PostgresError, always.
 */
export async function connected<T>(
  server: PostgresServer,
  login: Login,
  use: (client: Client) => Promise<T>,
  { connectMs = 10_000, statementMs = 30_000, wholeMs }: Limits = {},
): Promise<T> {
  const who = `postgres ${server.host}:${server.port}, database ${login.database}, login ${login.user}`;
  const client = new Client({
    host: server.host,
    port: server.port,
    ...login,
    ssl: server.sslmode === "disable" ? false : { rejectUnauthorized: true, host: server.host },
    application_name: "rollover",
    connectionTimeoutMillis: connectMs,
    statement_timeout: statementMs,
    query_timeout: statementMs + 5000,
  });
  // A connection that breaks while idle also fails the next query, which is where it is reported.
  client.on("error", () => undefined);
  const breaks = (ms: number) =>
    setTimeout(() => client.connection.stream.destroy(new Error(`no answer within ${Math.ceil(ms / 1000)} s`)), ms);
  const deadline = wholeMs === undefined ? undefined : breaks(wholeMs);
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    throw classify(error, who);
  } finally {
    clearTimeout(deadline);
    await close(client);
  }
}

/** pg waits for the server to close too, however long. */
async function close(client: Client): Promise<void> {
  const late = setTimeout(() => client.connection.stream.destroy(), CLOSE_MS);
  await client.end().catch(() => undefined);
  clearTimeout(late);
}

/**
 * Like `connected`, but again, at most five times over some seconds, where the server was busy or the connection broke.
 * Only for work that begins by looking at what is there, since a broken connection does not tell what took effect.
 */
export async function connectedRetrying<T>(
  server: PostgresServer,
  login: Login,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connected(server, login, use);
    } catch (error) {
      const again = error instanceof PostgresError && (error.fault === "unreachable" || error.fault === "busy");
      if (!again || attempt === 5) throw error;
      await pause(100 * 2 ** attempt);
    }
  }
}

/** Runs `work` in a transaction: committed if it returns, rolled back if it throws. */
export async function transaction<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query("BEGIN");
  try {
    const result = await work();
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}
