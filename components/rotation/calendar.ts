/** Days by number, so that they can be counted, and those among them on which nothing is edited. Days are UTC. */
import type { Freeze } from "./model";

const DAY_MS = 86_400_000;

/** Which days are open; freezes that touch or overlap are one. */
export class Calendar {
  private readonly frozen: { from: number; to: number }[];

  constructor(freezes: Freeze[]) {
    this.frozen = joined(freezes);
  }

  isFrozen(day: number): boolean {
    return this.frozen.some(({ from, to }) => from <= day && day <= to);
  }

  /** The day itself or the first open one after it. */
  openFrom(day: number): number {
    return (this.frozen.find(({ from, to }) => from <= day && day <= to)?.to ?? day - 1) + 1;
  }

  /** The day itself or the last open one before it. */
  openUntil(day: number): number {
    return (this.frozen.find(({ from, to }) => from <= day && day <= to)?.from ?? day + 1) - 1;
  }
}

/** Days of the freezes, sorted; those that touch or overlap are joined, and those with fewer open days between than `gap`. */
function joined(freezes: Freeze[], gap = 0): { from: number; to: number }[] {
  const sorted = freezes
    .map(({ from, to }) => ({ from: numberOf(from), to: numberOf(to) }))
    .sort((a, b) => a.from - b.from);
  const made: { from: number; to: number }[] = [];
  for (const one of sorted) {
    const last = made.at(-1);
    if (last && one.from <= last.to + Math.max(1, gap)) last.to = Math.max(last.to, one.to);
    else made.push({ ...one });
  }
  return made;
}

/**
 * The length in days of the longest one, with its first and its last day. Freezes with less than `gap` open days between them
 * count as one: nothing can be both begun and ended there.
 */
export function longestFreeze(freezes: Freeze[], gap: number): { days: number; from: string; to: string } | undefined {
  const [longest] = joined(freezes, gap).sort((a, b) => b.to - b.from - (a.to - a.from));
  return longest && { days: longest.to - longest.from + 1, from: dayOf(longest.from), to: dayOf(longest.to) };
}

export function numberOf(day: string): number {
  return Math.round(Date.parse(`${day}T00:00:00Z`) / DAY_MS);
}

export function dayOf(number: number): string {
  return new Date(number * DAY_MS).toISOString().slice(0, 10);
}

/** `days` after a day, or before it where they are negative. */
export function addDays(day: string, days: number): string {
  return dayOf(numberOf(day) + days);
}
