/** The audit as a table of Postgres, made by rollover_audit.sql. */
import { setTimeout as pause } from "node:timers/promises";
import { connected, type Login, PostgresError, type PostgresFault } from "../postgres/sql";
import type { PostgresServer } from "../rotation/model";
import type { AuditRecord } from "./record";

/** A row as it stands in the table. */
export interface TableRow {
  /** Digits. */
  seq: string;
  /** `2026-11-20T09:30:00.123456Z` */
  at: string;
  /** The exact text that was hashed. */
  record: string;
  previous: string;
  hash: string;
}

/** Updates wait for this: a server that does not let a login in within it is not tried a second time. */
const CONNECT_MS = 3000;
/** Less than the whole: the server itself gives up, and adds no row that nobody waits for any more. */
const STATEMENT_MS = 3000;
/** For all attempts. */
const WHOLE_MS = 5000;

/**
 * Adds the records, all of them or none, in their order. Tried again where the server is busy or not reached; after a connection
 * that broke at the commit nobody knows whether they are there, so they may stand there twice. Ends within 6 s.
 *
 * @throws PostgresError, with what to do.
 */
export async function insertRecords(
  server: PostgresServer,
  password: string,
  records: readonly AuditRecord[],
  attempts: number,
): Promise<void> {
  const login = { user: server.username, password, database: server.database };
  const texts = records.map((record) => JSON.stringify(record));
  const sql =
    "INSERT INTO public.rollover_audit (record) SELECT text FROM unnest($1::text[]) WITH ORDINALITY AS given (text, at) ORDER BY at";
  const begun = performance.now();
  for (let attempt = 1; ; attempt++) {
    const wholeMs = WHOLE_MS - (performance.now() - begun);
    const limits = { connectMs: CONNECT_MS, statementMs: STATEMENT_MS, wholeMs };
    try {
      await connected(server, login, (client) => client.query(sql, [texts]), limits);
      return;
    } catch (error) {
      if (!(error instanceof PostgresError)) throw error;
      const again = error.fault === "unreachable" || error.fault === "busy";
      const isSlow = performance.now() - begun >= CONNECT_MS;
      if (!again || isSlow || attempt === attempts) throw advised(error, writing);
      await pause(200 * 2 ** attempt);
    }
  }
}

/** Every row, oldest first. @throws PostgresError, with what to do. */
export async function readTable(server: PostgresServer, login: Login): Promise<TableRow[]> {
  const sql = `SELECT seq::text AS seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, record, previous, hash
    FROM public.rollover_audit ORDER BY rollover_audit.seq`;
  try {
    const { rows } = await connected(server, login, (client) => client.query<TableRow>(sql));
    return rows;
  } catch (error) {
    throw error instanceof PostgresError ? advised(error, reading) : error;
  }
}

type Advice = Partial<Record<PostgresFault, string>>;
const missing = "run components/audit/rollover_audit.sql in the audit's database (docs/audit.md)";
const writing: Advice = {
  missing,
  password: "run `pulumi config set --secret auditPassword`",
  privilege: "grant rollover_audit_writer to this login (docs/audit.md)",
};
const reading: Advice = {
  missing,
  password: "give PGUSER and PGPASSWORD of a login that may read",
  privilege: "grant rollover_audit_reader to this login (docs/audit.md)",
};

function advised(error: PostgresError, advice: Advice): PostgresError {
  const fix = advice[error.fault] ?? "see that the audit's database answers";
  return new PostgresError(error.fault, `${error.message}; ${fix}`, error.sqlstate);
}
