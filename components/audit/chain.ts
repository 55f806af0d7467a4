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
}

/** `head`: the last row's hash, 64 zeroes of no row. `more`: the breaks after the first. */
export type Chain = { ok: true; head: string } | ({ ok: false; more: Break[] } & Break);

/**
 * Looks for rows that are not what was written, or not where they were written, and goes on behind each. What is missing at the
 * end, and a rewrite of every row, cannot be seen in the rows: compare `head` with one that was noted elsewhere.
 *
 * @param rows All of them, in the order they were read.
 */
export function verifyChain(rows: readonly AuditRow[]): Chain {
  const breaks: Break[] = [];
  let last: Last = { seq: 0, hash: BEGINNING, lost: 0 };
  for (const row of rows) {
    const seq = last.seq + last.lost + 1;
    const why = isReadable(row) ? problemOf(row, last) : row.record.error;
    if (why !== undefined) breaks.push({ seq, why });
    last = isReadable(row) ? { seq: row.seq, hash: row.hash, lost: 0 } : { ...last, lost: last.lost + 1 };
  }
  const [first, ...more] = breaks;
  return first ? { ok: false, ...first, more } : { ok: true, head: last.hash };
}

/** The last row that could be read, and how many since could not. */
interface Last {
  seq: number;
  hash: string;
  lost: number;
}

function problemOf(row: AuditRow, last: Last): string | undefined {
  const seq = last.seq + last.lost + 1;
  // The writer of a file goes on from the last whole row behind a torn one; other rows that cannot be read had their numbers.
  const follows = row.seq === last.seq + 1;
  if (!follows && !(row.seq > last.seq && row.seq <= seq))
    return `row ${row.seq} stands where row ${seq} belongs: rows were taken out, added or moved`;
  if (follows && row.previous !== last.hash)
    return `row ${row.seq} does not follow the row before it: one of the two was replaced, or rows between them were taken out`;
  if (row.hash !== hashOf(row.previous, row.seq, row.at, row.text ?? JSON.stringify(row.record)))
    return `row ${row.seq} is not what was written: its hash does not belong to its text`;
  return undefined;
}

/** What stands for a row that cannot be read. Without a hash, so that no chain holds it. */
export function unreadable(seq: number, why: string): AuditRow {
  const record: AuditRecord = { ...emptyRecord, error: why };
  return { seq, at: "", record, previous: "", hash: "" };
}

export function isReadable({ hash }: AuditRow): boolean {
  return hash !== "";
}
