/** What a report leaves out, or dates otherwise than its rows do: else it could be hidden in an audit that is whole. Pure. */
import type { AuditRow } from "../../components/audit/record";
import type { AsideRows } from "./model";

/** A record waits for its row while the audit is busy, and clocks differ a little. */
const CLOCKS_APART_MS = 300_000;
/** More names than these are counted. */
const NAMED = 5;

/** @param rows Those that can be read, in their order. */
export function asideIn(rows: readonly AuditRow[], stack: string): AsideRows {
  const others = rows.filter((row) => !isOf(stack, row));
  const stacks = [...new Set(others.map(({ record }) => record.stack))];
  const isLate = (from: string, to: string) => Date.parse(to) - Date.parse(from) > CLOCKS_APART_MS;
  const otherClock = rows.filter(
    (row) => isOf(stack, row) && (isLate(row.at, row.record.time) || isLate(row.record.time, row.at)),
  );
  const setBack = rows.filter(({ at }, index) => isLate(at, rows[index - 1]?.at ?? at));
  return {
    ...(others.length > 0 && { others: { rows: others.length, stacks } }),
    ...(otherClock[0] && { otherClock: { rows: otherClock.length, first: otherClock[0].seq } }),
    ...(setBack[0] && { setBack: { rows: setBack.length, first: setBack[0].seq } }),
  };
}

/** Old states do not say their stack. */
export function isOf(stack: string, { record }: AuditRow): boolean {
  return record.stack === stack || record.stack === "";
}

/** Sentences, each with a space before it. */
export function asideText({ others, otherClock, setBack }: AsideRows): string {
  const parts: string[] = [];
  if (others) {
    const [{ rows, stacks }, shown] = [others, others.stacks.slice(0, NAMED)];
    const more = stacks.length > shown.length ? ` and ${stacks.length - shown.length} more` : "";
    const name = stacks.length === 1 ? "another stack name" : "other stack names";
    const are = rows === 1 ? "1 row is" : `${rows} rows are`;
    parts.push(`${are} of ${name} (${shown.join(", ")}${more}) and not in this report.`);
  }
  if (otherClock)
    parts.push(
      `${rowsWere(otherClock)} written by a clock that differed by more than 5 minutes from the one that dated its row, which is shown.`,
    );
  if (setBack)
    parts.push(
      `${rowsWere(setBack)} dated more than 5 minutes before the row that it follows: a clock was set, and what is dated too early may be left out here.`,
    );
  return parts.map((part) => ` ${part}`).join("");
}

function rowsWere({ rows, first }: { rows: number; first: number }): string {
  return rows === 1 ? `Row ${first} was` : `Each of ${rows} rows, the first row ${first}, was`;
}
