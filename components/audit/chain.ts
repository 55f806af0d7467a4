/** The chain over the rows of an audit: each row's hash covers the row before it. The table computes the same in SQL. */
import { createHash } from "node:crypto";
import type { AuditRecord, AuditRow } from "./record";
import { emptyRecord } from "./shape";

/** What the first row follows. */
export const BEGINNING = "0".repeat(64);

/** @param record The record's exact JSON text. */
export function hashOf(previous: string, seq: number, at: string, record: string): string {
  return createHash("sha256").update([previous, seq, at, record].join("\n")).digest("hex");
}

export interface Break {
  /** The number that the broken row has to have. */
  seq: number;
  why: string;
  /** It is no record, and the chain is whole around it: nothing else was changed or is missing there. */
  stray?: true;
}

/** `head`: the last row's hash, 64 zeroes of no row. `more`: the breaks after the first. */
export type Chain = { head: string } & ({ ok: true } | ({ ok: false; more: Break[] } & Break));

/**
 * Looks for rows that are not what was written, or not where they were written, and goes on behind each. What is missing at the
 * end, and a rewrite of every row, cannot be seen in the rows: compare `head` with one that was noted elsewhere.
 *
 * @param rows All of them, in the order they were read.
 */
export function verifyChain(rows: readonly AuditRow[]): Chain {
  const breaks: Break[] = [];
  let last: Place = { seq: 0, hash: BEGINNING };
  let torn: AuditRow[] = [];
  for (const row of rows) {
    if (isTorn(row)) {
      torn.push(row);
      continue;
    }
    breaks.push(...tornBreaks(torn, last, row), ...breaksAt(row, last, torn.length));
    [last, torn] = [row, []];
  }
  breaks.push(...tornBreaks(torn, last, undefined));
  const { hash: head } = last;
  const [first, ...more] = breaks;
  return first ? { ok: false, ...first, more, head } : { ok: true, head };
}

/** The last row that has a place in the chain. */
type Place = Pick<AuditRow, "seq" | "hash">;

/** @param next The row behind them. The writer of a file goes on from the last row before a torn line. */
function tornBreaks(torn: readonly AuditRow[], last: Place, next: AuditRow | undefined): Break[] {
  const isAround = !next || (next.seq === last.seq + 1 && next.previous === last.hash);
  const why = !next
    ? "a write was torn by a crash at the end, or the last row was changed, which only a head that was noted shows"
    : isAround
      ? "a write was torn by a crash, and no row is missing there"
      : "a row was changed there";
  return torn.map(({ record }, at) => ({
    ...{ seq: last.seq + at + 1, why: `${record.error}: ${why}` },
    ...(isAround && { stray: true }),
  }));
}

function breaksAt(row: AuditRow, last: Place, torn: number): Break[] {
  const seq = last.seq + torn + 1;
  const why = problemOf(row, last, seq);
  if (why !== undefined) return [{ seq, why }];
  return isReadable(row) ? [] : [{ seq, why: row.record.error, stray: true }];
}

function problemOf(row: AuditRow, last: Place, seq: number): string | undefined {
  // Lines before it that are no rows now were rows once, or are not counted.
  const follows = row.seq === last.seq + 1;
  if (!follows && !(row.seq > last.seq && row.seq <= seq))
    return `row ${row.seq} stands where row ${seq} belongs: rows were taken out, added or moved`;
  if (follows && row.previous !== last.hash)
    return `row ${row.seq} does not follow the row before it: one of the two was replaced, or rows between them were taken out`;
  if (row.hash !== hashOf(row.previous, row.seq, row.at, row.text ?? JSON.stringify(row.record)))
    return `row ${row.seq} is not what was written: its hash does not belong to its text`;
  return undefined;
}

/** Stands for a line that holds no row. It has no place in the chain. */
export function tornLine(line: number): AuditRow {
  return { seq: line, at: "", record: noRecord(`line ${line} holds no row`), previous: "", hash: "" };
}

/** Of a row whose record is none of ours: `why` says so to whoever verifies. */
export function noRecord(why: string): AuditRecord {
  return { ...emptyRecord, error: why };
}

function isTorn({ at }: AuditRow): boolean {
  return at === "";
}

/** Whether it holds a record. */
export function isReadable({ record }: AuditRow): boolean {
  return record.time !== "";
}
