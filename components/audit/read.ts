/** Reads an audit back, for the report and for whoever verifies it. */
import { z } from "zod";
import type { Audit } from "../rotation/model";
import { unreadable } from "./chain";
import { readLines } from "./file";
import type { AuditRow } from "./record";
import { recordShape } from "./shape";
import { readTable } from "./table";

export { type Break, type Chain, isReadable, verifyChain } from "./chain";

const hash = z.string().regex(/^[0-9a-f]{64}$/);

const rowShape: z.ZodType<AuditRow> = z.strictObject({
  ...{ seq: z.number().int().positive(), at: z.iso.datetime(), record: recordShape, previous: hash, hash },
});

/**
 * Every row, oldest first. One that cannot be read stands there without a hash and with an empty record, whose `error` says
 * which line or row it is; `verifyChain` names it.
 *
 * @param cwd The project's folder.
 * @param env Of a table: PGUSER and PGPASSWORD of a login that may read.
 * @param options `missing`: of a file that is not there. `throws`, where an audit that is gone must not look like an empty one.
 * @throws Error, where the audit as a whole cannot be read.
 */
export async function readAudit(
  audit: Audit,
  cwd: string,
  env: NodeJS.ProcessEnv,
  { missing = "empty" }: { missing?: "empty" | "throws" } = {},
): Promise<AuditRow[]> {
  if (audit.file !== undefined) {
    const lines = await readLines(cwd, audit.file);
    if (lines === undefined && missing === "throws")
      throw new Error(
        `there is no audit file ${audit.file}; see rollover:audit.file, and that this is the machine that writes it`,
      );
    return (lines ?? []).map((line, at) => lineOf(line) ?? unreadable(at + 1, notRead("line", String(at + 1))));
  }
  const { PGUSER: user = "", PGPASSWORD: password = "" } = env;
  if (user === "" || password === "") {
    throw new Error(
      "the audit's table needs a login that may read: set PGUSER and PGPASSWORD to one that was granted rollover_audit_reader (docs/audit.md)",
    );
  }
  const rows = await readTable(audit.server, { user, password, database: audit.server.database });
  return rows.map((row) => {
    const seq = Number(row.seq);
    const read = asWritten({ ...row, seq, record: parsed(row.record) });
    return read ? { ...read, text: row.record } : unreadable(seq, notRead("row", row.seq));
  });
}

/** Only as it was written: another text of the same values, or one key twice, is nothing that a writer here has put there. */
function lineOf(line: string): AuditRow | undefined {
  const row = asWritten(parsed(line));
  return row && JSON.stringify(row) === line ? row : undefined;
}

/** The row itself and not zod's copy, whose keys may stand in another order: the hash is of their text. */
function asWritten(value: unknown): AuditRow | undefined {
  return rowShape.safeParse(value).success ? (value as AuditRow) : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function notRead(what: string, at: string): string {
  return `${what} ${at} holds no audit record: it was changed, or torn by a crash`;
}
