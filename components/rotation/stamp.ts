/**
 * Stamps: the names of generations. `2026-11-20` is the first of a day, `2026-11-20.2` the second, up to `.9999`
 * (four digits can never be taken for the eight of a date, so login names stay unambiguous).
 */
import type { Stamp } from "./model";

const STAMP = /^(\d{4}-\d{2}-\d{2})(?:\.([2-9]|[1-9]\d{1,3}))?$/;
/** An unquoted date in a stack file, as Pulumi hands it over, and ISO midnight as other YAML readers do. */
const MIDNIGHT = /^(\d{4}-\d{2}-\d{2})(?: 00:00:00 \+0000 UTC|T00:00:00(?:\.000)?Z)$/;

export const STAMP_ALLOWED = 'a real date with an optional counter from .2 to .9999: "2026-11-20", "2026-11-20.2"';

export interface StampParts {
  /** `2026-11-20`. */
  date: string;
  /** 1 where the stamp has no counter. */
  counter: number;
}

/** The stamp that a config value means, in its one normal form; undefined if it is none. */
export function parseStamp(value: unknown): Stamp | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : parseStamp(value.toISOString());
  if (typeof value !== "string") return undefined;
  const text = MIDNIGHT.exec(value)?.[1] ?? value;
  return split(text) === undefined ? undefined : text;
}

/** Date and counter. Throws on anything that `parseStamp` does not return. */
export function stampParts(stamp: Stamp): StampParts {
  const parts = split(stamp);
  if (parts === undefined) throw new Error(`"${stamp}" is no stamp; allowed: ${STAMP_ALLOWED}`);
  return parts;
}

/** Negative where `a` is older than `b`, 0 where they are the same. */
export function compareStamps(a: Stamp, b: Stamp): number {
  const [left, right] = [stampParts(a), stampParts(b)];
  if (left.date !== right.date) return left.date < right.date ? -1 : 1;
  return left.counter - right.counter;
}

/** The first free stamp of a day: the date itself, or one counter above the highest that is taken. */
export function nextStamp(date: string, taken: readonly Stamp[]): Stamp {
  const counters = taken
    .map(stampParts)
    .filter((parts) => parts.date === date)
    .map((parts) => parts.counter);
  const next = Math.max(0, ...counters) + 1;
  return next === 1 ? date : `${date}.${next}`;
}

function split(text: string): StampParts | undefined {
  const match = STAMP.exec(text);
  const date = match?.[1];
  if (date === undefined) return undefined;
  const day = new Date(`${date}T00:00:00Z`);
  // The round trip refuses what Date would roll over, such as 30 February.
  if (Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== date) return undefined;
  return { date, counter: Number(match?.[2] ?? 1) };
}
