/** Reads an audit back, for the report and for whoever verifies it. */
import { z } from "zod";
import type { Audit } from "../rotation/model";
import { unreadable } from "./chain";
import { readLines } from "./file";
import type { AuditRecord, AuditRow } from "./record";
import { readTable } from "./table";

export { type Chain, isReadable, verifyChain } from "./chain";

const steps = [
  ...(["announce", "mint", "prove", "back up", "deliver", "withdraw", "retire"] as const),
  ...(["invalidate", "settings", "complete"] as const),
];
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const stamps = z.array(z.string());

const recordShape: z.ZodType<AuditRecord> = z.looseObject({
  ...{ time: z.iso.datetime(), stack: z.string(), credential: z.string() },
  ...{ step: z.enum(steps), result: z.enum(["begun", "done", "failed"]), from: stamps, to: stamps },
  ...{ consumer: z.string(), attested: z.boolean(), proven: z.boolean(), expires: z.string(), error: z.string() },
  ...{ actor: z.string(), reason: z.string(), ticket: z.string(), commit: z.string(), update: z.string() },
});
const rowShape: z.ZodType<AuditRow> = z.strictObject({
  ...{ seq: z.number().int().positive(), at: z.iso.datetime(), record: recordShape, previous: hash, hash },
});

/**
 * Every row, oldest first. One that cannot be read stands there without a hash and with an empty record, whose `error` says
 * which line or row it is; `verifyChain` names it.
 *
 * @param cwd The project's folder.
 * @param env Of a table: PGUSER and PGPASSWORD of a login that may read.
 * @throws Error, where the audit as a whole cannot be read.
 */
export async function readAudit(audit: Audit, cwd: string, env: NodeJS.ProcessEnv): Promise<AuditRow[]> {
  if (audit.file !== undefined) {
    const lines = await readLines(cwd, audit.file);
    return lines.map((line, at) => asWritten(parsed(line)) ?? unreadable(at + 1, notRead("line", String(at + 1))));
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
    // Its hash is of the text: written in another way, nobody can see whether it is the same.
    if (read && JSON.stringify(read.record) === row.record) return read;
    return unreadable(seq, notRead("row", row.seq));
  });
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
