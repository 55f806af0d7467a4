/** `--verify`: is the audit what was written? */
import { BEGINNING } from "../../components/audit/chain";
import { verifyChain } from "../../components/audit/read";
import type { AuditRow } from "../../components/audit/record";

export type Verified =
  { ok: true; rows: number; head: string } | { ok: false; rows: number; seq?: number; why: string };

/**
 * @param noted A head that was noted before, elsewhere: the chain alone cannot show that rows at its end are missing, or that
 *   all of it was written anew.
 */
export function verify(rows: readonly AuditRow[], noted: string | undefined): Verified {
  const chain = verifyChain(rows);
  const count = rows.length;
  if (!chain.ok) return { ok: false, rows: count, seq: chain.seq, why: chain.why };
  // Of an audit that was empty when its head was noted, that is what the first row follows.
  const known = [BEGINNING, ...rows.map(({ hash }) => hash)];
  if (noted === undefined || known.includes(noted)) return { ok: true, rows: count, head: chain.head };
  const why = `the chain is whole, and the head that was noted is not in it: rows were cut off at its end, all of it was written anew, or it is another audit`;
  return { ok: false, rows: count, why };
}

export function verifiedText(found: Verified): string {
  if (found.ok) return `The audit is whole: ${found.rows} rows, head ${found.head}\n`;
  if (found.seq === undefined) return `The audit is broken: ${found.why} (${found.rows} rows)\n`;
  return `The audit is broken at row ${found.seq} of ${found.rows}: ${found.why}\n`;
}
