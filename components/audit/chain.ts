/** The chain over the rows of an audit: each row's hash covers the row before it. The table computes the same in SQL. */
import { createHash } from "node:crypto";
import type { AuditRecord, AuditRow } from "./record";

/** What the first row follows. */
export const BEGINNING = "0".repeat(64);

/** @param record The record's exact JSON text. */
export function hashOf(previous: string, seq: number, at: string, record: string): string {
  return createHash("sha256").update([previous, seq, at, record].join("\n")).digest("hex");
}

export type Chain = { ok: true; head: string } | { ok: false; seq: number; why: string };

/**
 * Looks for the first row that is not what was written, or not where it was written. What is missing at the end, and a
 * rewrite of every row, cannot be seen in the rows: compare `head` with one that was noted elsewhere.
 *
 * @param rows All of them, in the order they were read.
 * @returns `head`: the last row's hash, 64 zeroes of no row. `seq`: the number that the broken row has to have.
 */
export function verifyChain(rows: readonly AuditRow[]): Chain {
  let previous = BEGINNING;
  for (const [at, row] of rows.entries()) {
    const seq = at + 1;
    const why = problemOf(row, seq, previous);
    if (why !== undefined) return { ok: false, seq, why };
    previous = row.hash;
  }
  return { ok: true, head: previous };
}

function problemOf(row: AuditRow, seq: number, previous: string): string | undefined {
  if (!isReadable(row)) return row.record.error;
  if (row.seq !== seq) return `row ${row.seq} stands where row ${seq} belongs: rows were taken out, added or moved`;
  if (row.previous !== previous)
    return `row ${seq} does not follow the row before it: one of the two was replaced, or rows between them were taken out`;
  if (row.hash !== hashOf(row.previous, row.seq, row.at, JSON.stringify(row.record)))
    return `row ${seq} is not what was written: its hash does not belong to its text`;
  return undefined;
}

/** What stands for a row that cannot be read. Without a hash, so that no chain holds it. */
export function unreadable(seq: number, why: string): AuditRow {
  const record: AuditRecord = {
    ...{ time: "", stack: "", credential: "", step: "complete", result: "failed", from: [], to: [], consumer: "" },
    ...{ attested: false, proven: false, expires: "", error: why, actor: "", reason: "", ticket: "", commit: "" },
    update: "",
  };
  return { seq, at: "", record, previous: "", hash: "" };
}

export function isReadable({ hash }: AuditRow): boolean {
  return hash !== "";
}
