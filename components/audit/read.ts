/** Reads an audit back, for the report and for whoever verifies it. */
import { z } from "zod";
import type { Audit } from "../rotation/model";
import { noRecord, tornLine } from "./chain";
import { readLines } from "./file";
import type { AuditRow } from "./record";
import { isRecord, parsedText, type Row, rowOfLine } from "./shape";
import { readTable } from "./table";

export { type Break, type Chain, isReadable, verifyChain } from "./chain";

/**
 * Every row, oldest first. One whose record is none of ours keeps its place in the chain, with an empty record, whose `error`
 * says so; a line that holds no row stands there without a hash too. `verifyChain` names both.
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
    return (lines ?? []).map((line, at) => {
      const row = rowOfLine(line);
      return row ? rowOf(row, JSON.stringify(row.record)) : tornLine(at + 1);
    });
  }
  const { PGUSER: user = "", PGPASSWORD: password = "" } = env;
  if (user === "" || password === "") {
    throw new Error(
      "the audit's table needs a login that may read: set PGUSER and PGPASSWORD to one that was granted rollover_audit_reader (docs/audit.md)",
    );
  }
  const rows = await readTable(audit.server, { user, password, database: audit.server.database });
  return rows.map((row) => rowOf({ ...row, seq: Number(row.seq), record: parsedText(row.record) }, row.record));
}

const moment = z.iso.datetime();

/** @param text Of its record, which the hash is of. */
function rowOf({ record, ...row }: Row, text: string): AuditRow {
  const isOurs = isRecord(record) && moment.safeParse(row.at).success;
  return { ...row, record: isOurs ? record : noRecord(notOurs(row.seq)), text };
}

function notOurs(seq: number): string {
  return `row ${seq} holds no record of Rollover's, or one of a newer Rollover: it was added in its turn, by somebody who may add`;
}
