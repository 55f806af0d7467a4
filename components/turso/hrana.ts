/**
 * One question to a database by one POST of its own (Hrana over HTTP,
 * https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md). No client library: the status is what decides, and one
 * batch that begins, rolls back and closes leaves nothing open, even where its answer is lost.
 */
import { setTimeout as pause } from "node:timers/promises";
import { send } from "../http";
import { fieldOf, isText } from "./answers";

/** How one statement ended. */
export type Outcome =
  | { kind: "done"; rows: string[][] }
  /** Refused for lack of a right. */
  | { kind: "denied" }
  /** `block_reads` or `block_writes` is set. */
  | { kind: "blocked" }
  /** Allowed, and stopped by a constraint of the table. */
  | { kind: "constraint" }
  | { kind: "no-table" }
  /** A code such as SQLITE_FULL; "unknown code" where it may be any text. */
  | { kind: "other"; code: string };

/** Outcomes in the statements' order, undefined for one that did not run; or the token refused; or nothing known. */
export type Reply =
  | { kind: "outcomes"; outcomes: (Outcome | undefined)[] }
  | { kind: "refused"; status: number }
  | { kind: "unknown"; reason: string };

const tries = 3;
/** Bad request, unauthorised, forbidden, and not found: sqld's answer to a token for another namespace. */
const refusals = [400, 401, 403, 404];

/**
 * Asks until there is an answer, at most three times; `rolledBack` puts a transaction around the statements that is never
 * committed, so asking twice does nothing twice. A busy database counts as no answer.
 */
export async function ask(
  url: string,
  jwt: string,
  statements: string[],
  { rolledBack = false, timeoutMs = 10_000 } = {},
): Promise<Reply> {
  for (let attempt = 1; ; attempt++) {
    const reply = await askOnce(url, jwt, batchOf(statements, rolledBack), timeoutMs);
    const busy = reply.kind === "outcomes" && reply.outcomes.some(isBusy);
    if (reply.kind !== "unknown" && !busy)
      return reply.kind === "outcomes" && rolledBack ? inside(reply, statements) : reply;
    if (attempt === tries) return busy ? { kind: "unknown", reason: "the database is busy" } : reply;
    await pause(250 * 2 ** attempt);
  }
}

/** A step runs only where the transaction was begun: nothing is ever written outside of one. */
function batchOf(statements: string[], rolledBack: boolean): unknown {
  const plain = statements.map((sql) => ({ stmt: { sql } }));
  const begun = { type: "ok", step: 0 };
  const steps = rolledBack
    ? [
        { stmt: { sql: "BEGIN" } },
        ...[...plain, { stmt: { sql: "ROLLBACK" } }].map((s) => ({ ...s, condition: begun })),
      ]
    : plain;
  return { requests: [{ type: "batch", batch: { steps } }, { type: "close" }] };
}

/** Without BEGIN and ROLLBACK; where BEGIN or the whole batch was refused, that is each statement's outcome. */
function inside({ outcomes }: { outcomes: (Outcome | undefined)[] }, statements: string[]): Reply {
  const [begin, ...rest] = outcomes;
  return { kind: "outcomes", outcomes: statements.map((_, index) => (begin?.kind === "done" ? rest[index] : begin)) };
}

async function askOnce(url: string, jwt: string, body: unknown, timeoutMs: number): Promise<Reply> {
  const response = await send({
    method: "POST",
    url: `${url}/v2/pipeline`,
    headers: { authorization: `Bearer ${jwt}`, "content-type": "application/json" },
    body,
    timeoutMs,
  });
  if ("lost" in response) return { kind: "unknown", reason: response.lost };
  const text = await response.text().catch(() => "");
  // A page comes from something in between, and says nothing about the token.
  const page = /^\s*</.test(text);
  if (refusals.includes(response.status) && !page) return { kind: "refused", status: response.status };
  const outcomes = response.ok ? outcomesFrom(text) : undefined;
  return outcomes
    ? { kind: "outcomes", outcomes }
    : {
        kind: "unknown",
        reason: `status ${response.status}${response.ok || page ? ", but not from the database" : ""}`,
      };
}

/** `{ results: [{ type: "ok", response: { result: { step_results, step_errors } } } | { type: "error", error }, ...] }` */
function outcomesFrom(text: string): (Outcome | undefined)[] | undefined {
  const results = fieldOf(parsed(text), "results");
  const first: unknown = Array.isArray(results) ? results[0] : undefined;
  if (fieldOf(first, "type") === "error") return [failure(fieldOf(first, "error"))];
  const result = fieldOf(fieldOf(first, "response"), "result");
  const [done, failed] = [fieldOf(result, "step_results"), fieldOf(result, "step_errors")];
  if (!Array.isArray(done) || !Array.isArray(failed)) return undefined;
  return done.map((step: unknown, index) => {
    const error: unknown = failed[index] ?? undefined;
    if (error !== undefined) return failure(error);
    return step === null ? undefined : { kind: "done", rows: rowsOf(step) };
  });
}

function failure(error: unknown): Outcome {
  const [code, message] = ["code", "message"].map((key) => {
    const text = fieldOf(error, key);
    return isText(text) ? text : "";
  }) as [string, string];
  if (code === "BLOCKED") return { kind: "blocked" };
  if (/CONSTRAINT/.test(code) || /constraint failed/i.test(message)) return { kind: "constraint" };
  if (/no such table/i.test(message)) return { kind: "no-table" };
  if (/AUTH|READONLY|FORBID|DENIED|PERM/i.test(code) || /authoriz|permission|forbidden|denied|readonly/i.test(message))
    return { kind: "denied" };
  return { kind: "other", code: /^[A-Z0-9_]{1,60}$/.test(code) ? code : "unknown code" };
}

function isBusy(outcome: Outcome | undefined): boolean {
  return outcome?.kind === "other" && /BUSY|LOCKED/.test(outcome.code);
}

/** Texts and whole numbers as text; all else as an empty one. */
function rowsOf(step: unknown): string[][] {
  const rows = fieldOf(step, "rows");
  return Array.isArray(rows) ? rows.map((row: unknown) => (Array.isArray(row) ? row.map(cellOf) : [])) : [];
}

function cellOf(cell: unknown): string {
  const value = fieldOf(cell, "value");
  return isText(value) ? value : "";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
