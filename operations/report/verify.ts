/** `--verify`: is the audit what was written? */
import { BEGINNING } from "../../components/audit/chain";
import { type Break, verifyChain } from "../../components/audit/read";
import type { AuditRow } from "../../components/audit/record";

/** Of what is broken otherwise than at a row, `seq` is undefined. `more`: breaks after the first. */
export type Verified =
  { ok: true; rows: number; head: string } | { ok: false; rows: number; seq?: number; why: string; more: Break[] };

/**
 * @param noted A head that was noted before, elsewhere: the chain alone cannot show that rows at its end are missing, or that
 *   all of it was written anew.
 * @param credentials How many the stack has in state, of which an audit without a row should know.
 */
export function verify(rows: readonly AuditRow[], noted: string | undefined, credentials = 0): Verified {
  const chain = verifyChain(rows);
  const count = rows.length;
  if (!chain.ok) return { ok: false, rows: count, seq: chain.seq, why: chain.why, more: chain.more };
  const broken = (why: string): Verified => ({ ok: false, rows: count, why, more: [] });
  // Of an audit that was empty when its head was noted, that is what the first row follows.
  const known = [BEGINNING, ...rows.map(({ hash }) => hash)];
  if (noted !== undefined && !known.includes(noted))
    return broken(
      "the chain is whole, and the head that was noted is not in it: rows were cut off at its end, all of it was written anew, or it is another audit",
    );
  if (count === 0 && noted === undefined && credentials > 0)
    return broken(
      `it holds no row, and the stack has ${credentials} ${credentials === 1 ? "credential" : "credentials"}: its rows were taken out, it is another audit, or no update has written to it yet; then --head ${BEGINNING} says that this is known`,
    );
  return { ok: true, rows: count, head: chain.head };
}

export function verifiedText(found: Verified): string {
  if (found.ok) return `The audit is whole: ${found.rows} rows, head ${found.head}\n`;
  const { rows, seq, why, more } = found;
  if (seq === undefined) return `The audit is broken: ${why} (${rows} rows)\n`;
  const others = more.map((one) => `And at row ${one.seq}: ${one.why}\n`);
  return `The audit is broken at row ${seq} of ${rows}: ${why}\n${others.join("")}`;
}
