/** `--verify`: is the audit what was written? */
import { BEGINNING } from "../../components/audit/chain";
import { type Break, verifyChain } from "../../components/audit/read";
import type { AuditRow } from "../../components/audit/record";

/** Of what is broken otherwise than at a row, `seq` is undefined. */
export type Problem = Pick<Break, "why" | "stray"> & { seq?: number };

/**
 * `head`: the last row's hash, of a broken audit too: what comes later is held against it. `more`: problems after the first.
 * `known`: what is no record and stands before the head that was noted, so that it is no problem any more.
 */
export type Verified = { rows: number; head: string; known: Break[] } & (
  { ok: true } | ({ ok: false; more: Problem[] } & Problem)
);

/**
 * @param noted A head that was noted before, elsewhere: the chain alone cannot show that rows at its end are missing, or that
 *   all of it was written anew.
 * @param credentials How many the stack has in state, of which an audit without a row should know.
 */
export function verify(rows: readonly AuditRow[], noted: string | undefined, credentials = 0): Verified {
  const { head, ...chain } = verifyChain(rows);
  const breaks = breaksOf(chain);
  const notedAt = rows.findIndex(({ hash }) => hash === noted);
  // The breaks up to there are the first ones of all.
  const before = breaksOf(verifyChain(rows.slice(0, notedAt + 1))).length;
  const isKnown = ({ stray }: Break, at: number) => stray === true && at < before;
  const problems: Problem[] = breaks.filter((one, at) => !isKnown(one, at));
  // Of an audit that was empty when its head was noted, that is what the first row follows.
  if (noted !== undefined && noted !== BEGINNING && notedAt === -1)
    problems.push({
      why: "the head that was noted is not in it: rows were cut off at its end, all of it was written anew, or it is another audit",
    });
  if (rows.length === 0 && noted === undefined && credentials > 0)
    problems.push({
      why: `it holds no row, and the stack has ${credentials} ${credentials === 1 ? "credential" : "credentials"}: its rows were taken out, it is another audit, or no update has written to it yet; then --head ${BEGINNING} says that this is known`,
    });
  const [first, ...more] = problems;
  const found = { rows: rows.length, head, known: breaks.filter(isKnown) };
  return first ? { ok: false, ...found, ...first, more } : { ok: true, ...found };
}

function breaksOf(chain: { ok: true } | ({ ok: false; more: Break[] } & Break)): Break[] {
  if (chain.ok) return [];
  const { seq, why, stray, more } = chain;
  return [{ seq, why, ...(stray && { stray }) }, ...more];
}

export function verifiedText(found: Verified): string {
  const known = found.known.map(({ seq, why }) => `Known since that head was noted, at row ${seq}: ${why}`);
  const lines = found.ok ? [`The audit is whole: ${found.rows} rows, head ${found.head}`] : problemLines(found);
  return [...lines, ...known, ""].join("\n");
}

function problemLines({ rows, head, seq, why, stray, more }: Verified & { ok: false }): string[] {
  const others = more.map((one) => (one.seq === undefined ? `And ${one.why}` : `And at row ${one.seq}: ${one.why}`));
  if (stray && more.every((one) => one.stray))
    return [
      `The chain of the audit is whole, and not all in it is its own: ${rows} rows, head ${head}`,
      `At row ${seq}: ${why}`,
      ...others,
      "Find out how that came there, and note the head elsewhere: with it as --head this counts as known.",
    ];
  const first =
    seq === undefined
      ? `The audit is broken: ${why} (${rows} rows)`
      : `The audit is broken at row ${seq} of ${rows}: ${why}`;
  return [first, ...others, ...(rows > 0 ? [`The hash of its last row is ${head}`] : [])];
}
