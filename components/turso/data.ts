/** What a token can do, found out by using it at the database's own address. */
import { randomBytes } from "node:crypto";
import type { TablePermissions } from "../rotation/model";
import { jwtClaims } from "./answers";
import { ask, type Outcome } from "./hrana";

export type ProofFault =
  /** The database refuses the token itself. */
  | "refused"
  /** The token may do less or more than it was minted for. */
  | "access"
  /** No answer, or one that tells nothing: nothing is known. */
  | "unavailable";

/** Why a token is not proven; neither the token nor what the database answered is in its text. */
export class TokenProofError extends Error {
  constructor(
    readonly fault: ProofFault,
    message: string,
  ) {
    super(message);
  }
}

export interface TokenAccess {
  authorization: "full-access" | "read-only";
  permissions: TablePermissions[];
  /** Not tried: it would need a right on another database. */
  attach?: string[];
}

/**
 * Whether the token is accepted. Refused are 400, 401, 403 and 404 (a token for another database); a database whose reads are
 * blocked has accepted the token all the same.
 */
export async function askToken(
  url: string,
  jwt: string,
  timeoutMs = 10_000,
): Promise<"works" | "refused" | { unknown: string }> {
  const reply = await ask(url, jwt, ["SELECT 1"], { timeoutMs });
  if (reply.kind === "unknown") return { unknown: reply.reason };
  return reply.kind === "refused" ? "refused" : "works";
}

/** When the token expires, in unix seconds; undefined: never. Throws on what is no JWT. */
export function expiryOf(jwt: string): number | undefined {
  const claims = jwtClaims(jwt);
  if (!claims) throw new Error("the token is no JWT; Turso's are");
  const { exp } = claims;
  if (exp === undefined) return undefined;
  if (typeof exp !== "number") throw new Error("the token's `exp` is no number of seconds");
  return exp;
}

/**
 * Uses the token as it is meant to be used, and tries what it must not do; every write is rolled back.
 *
 * full-access: makes a table, writes and reads it, and sees that nothing is left of it; with `writesBlocked` it is proven by
 * reading only. read-only: reads, and is refused a write. With permissions: every data action, on each table that they name
 * and on one that they do not name, is tried and must be allowed or refused as they say, and so must making a table; nothing
 * but reading with `writesBlocked`. Not tried: `schema_update` and `schema_delete`, which would need a table to lose, and ATTACH.
 */
export async function proveToken(
  url: string,
  jwt: string,
  access: TokenAccess,
  { writesBlocked, timeoutMs = 10_000 }: { writesBlocked: boolean; timeoutMs?: number },
): Promise<void> {
  const session: Session = { run: (...asked) => run(url, jwt, timeoutMs, ...asked), writesBlocked };
  const [schema] = await session.run(["SELECT count(*) FROM sqlite_schema"], false);
  need(schema, "the token cannot read");
  if (access.permissions.length > 0) await provePermissions(session, access);
  else if (writesBlocked && access.authorization === "full-access") return;
  else if (access.authorization === "full-access") await proveWrite(session);
  else refuse((await session.run([makeTable(proofTable())], true))[0], "a read-only token was not refused a write");
}

interface Session {
  /** Outcomes in the statements' order; undefined for one that did not run. */
  run: (statements: string[], rolledBack: boolean) => Promise<(Outcome | undefined)[]>;
  writesBlocked: boolean;
}

async function run(
  url: string,
  jwt: string,
  timeoutMs: number,
  statements: string[],
  rolledBack: boolean,
): Promise<(Outcome | undefined)[]> {
  const reply = await ask(url, jwt, statements, { rolledBack, timeoutMs });
  if (reply.kind === "outcomes") return reply.outcomes;
  if (reply.kind === "unknown")
    throw new TokenProofError("unavailable", `the token is not proven: ${reply.reason}; run the update again`);
  // A refusal answers for the token or for the statement alone: what needs no right tells which.
  const asked = await askToken(url, jwt, timeoutMs);
  if (asked === "works") return statements.map(() => ({ kind: "denied" }));
  if (asked === "refused")
    throw new TokenProofError("refused", `the database refuses the token (status ${reply.status})`);
  throw new TokenProofError("unavailable", `the token is not proven: ${asked.unknown}; run the update again`);
}

async function proveWrite({ run }: Session): Promise<void> {
  const table = proofTable();
  const steps = [makeTable(table), `INSERT INTO ${table} VALUES ('written')`, `SELECT x FROM ${table}`];
  const outcomes = await run(steps, true);
  need(outcomes[0], "the token cannot write");
  need(outcomes[1], "the token cannot write");
  const read = need(outcomes[2], "the token cannot read what it wrote");
  if (read[0]?.[0] !== "written") throw new TokenProofError("access", "the token cannot read what it wrote");
  if ((await objectsNamed(run, table)).length > 0)
    throw new TokenProofError("unavailable", `the database kept ${table}, which was rolled back; drop it`);
}

async function provePermissions(session: Session, access: TokenAccess): Promise<void> {
  const { run, writesBlocked } = session;
  const named = [...new Set(access.permissions.flatMap(({ tables }) => tables ?? []))];
  const tables = await Promise.all(named.map((name) => tableNamed(run, name)));
  const other = await unnamedTable(run, named);
  for (const table of other ? [...tables, other] : tables) {
    for (const [action, statement] of Object.entries(triesOf(table))) {
      const reads = action === "data_read";
      if (writesBlocked && !reads) continue;
      const [outcome] = await run([statement], !reads);
      if (grants(access, action, table.name)) need(outcome, `permission ${action} on ${table.name} is missing`);
      else refuse(outcome, `${action} on ${table.name} is allowed though it is not granted`);
    }
  }
  if (writesBlocked) return;
  const name = proofTable();
  const [outcome] = await run([makeTable(name)], true);
  if (grants(access, "schema_add", name)) need(outcome, "permission schema_add is missing");
  // Granted for named tables alone: whether that reaches a table that is yet to be made is not documented.
  else if (!access.permissions.some(({ actions }) => actions.includes("schema_add")))
    refuse(outcome, "schema_add is allowed though it is not granted");
}

/** Whether the permissions allow it; a read-only token has at most `data_read`. */
function grants({ authorization, permissions }: TokenAccess, action: string, table: string): boolean {
  if (authorization === "read-only" && action !== "data_read") return false;
  return permissions.some(
    ({ tables, actions }) => actions.some((one) => one === action) && (tables?.some(same(table)) ?? true),
  );
}

interface Table {
  name: string;
  /** A column that can be named without reading the table; undefined for a view, which can only be read. */
  column: string | undefined;
}

/** One statement for each action: needs only that right, and changes nothing once rolled back. */
function triesOf({ name, column }: Table): Record<string, string> {
  const table = quoted(name);
  const read = { data_read: `SELECT 1 FROM ${table} LIMIT 0` };
  if (column === undefined) return read;
  return {
    ...read,
    data_add: `INSERT INTO ${table} DEFAULT VALUES`,
    data_update: `UPDATE ${table} SET ${column} = 0 WHERE 0`,
    data_delete: `DELETE FROM ${table} WHERE 0`,
  };
}

async function tableNamed(run: Session["run"], name: string): Promise<Table> {
  const [row] = await objectsNamed(run, name);
  if (row) return tableOf(row);
  throw new TokenProofError("access", `permissions name the table ${name}, which the database has not`);
}

/** The first table, by name, that no permission names: nothing but what is granted for all tables may be done to it. */
async function unnamedTable(run: Session["run"], named: string[]): Promise<Table | undefined> {
  const sql = `SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'libsql\\_%' ESCAPE '\\' ORDER BY name`;
  const rows = need((await run([sql], false))[0], "the token cannot read");
  const row = rows.find(([name = ""]) => !named.some(same(name)));
  return row && tableOf(row);
}

async function objectsNamed(run: Session["run"], name: string): Promise<string[][]> {
  const sql = `SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = lower('${name.replaceAll("'", "''")}')`;
  return need((await run([sql], false))[0], "the token cannot read");
}

function tableOf([name = "", sql = ""]: string[]): Table {
  if (/^create\s+(temp(orary)?\s+)?view\b/i.test(sql)) return { name, column: undefined };
  // Only such a table has no `rowid`; it always names its columns, and its first one will do.
  if (!/\bwithout\s+rowid\b[^)]*$/i.test(sql)) return { name, column: "rowid" };
  const first = /\(\s*("(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[^\s,()]+)/.exec(sql);
  return { name, column: first?.[1] ?? "rowid" };
}

/** The statement must have been allowed; its rows. */
function need(outcome: Outcome | undefined, otherwise: string): string[][] {
  if (outcome?.kind === "done") return outcome.rows;
  if (outcome?.kind === "constraint") return [];
  const why = {
    denied: "it lacks the right",
    blocked: "the database blocks reads or writes; see its `settings`",
    "no-table": "there is no such table",
    other: `the database failed (${outcome?.kind === "other" ? outcome.code : ""})`,
    none: "the database did not run it",
  }[outcome?.kind ?? "none"];
  const fault = outcome?.kind === "denied" || outcome?.kind === "no-table" ? "access" : "unavailable";
  throw new TokenProofError(fault, `${otherwise}: ${why}`);
}

/** The statement must have been refused; a block refuses too. */
function refuse(outcome: Outcome | undefined, otherwise: string): void {
  if (outcome?.kind === "denied" || outcome?.kind === "blocked") return;
  if (outcome?.kind === "done" || outcome?.kind === "constraint") throw new TokenProofError("access", otherwise);
  const why = outcome?.kind === "other" ? ` (${outcome.code})` : "";
  throw new TokenProofError(
    "unavailable",
    `a statement that the token has no right to failed for another reason${why}; run the update again`,
  );
}

const proofTable = (): string => `rollover_proof_${randomBytes(8).toString("hex")}`;
const makeTable = (name: string): string => `CREATE TABLE ${name} (x)`;
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const same = (name: string) => (other: string) => other.toLowerCase() === name.toLowerCase();
