/**
 * When a credential is to be rolled, and when what it rolled away from is to be retired. Pure: the day is the caller's, and
 * the same day, stamps and policy give the same answer. Days are `2026-11-20`, in UTC.
 */
import { Calendar, dayOf, numberOf } from "./calendar";
import type { Credential, Freeze, Policy, Stamp } from "./model";
import { DAY_MS, maxAgeOf, STANDARD_POLICY } from "./policy";
import { stampParts } from "./stamp";

export type DueCredential = Pick<Credential, "name" | "kind" | "maxAgeMs" | "generations">;

export interface Due {
  /** Undefined where nothing limits its age; then so are `due` and `rollOn`. */
  maxAgeMs: number | undefined;
  /** Of the current generation. */
  ageDays: number;
  /** The last day on which its current generation is young enough. */
  due: string | undefined;
  /** The day on which `npm run rotate -- --due` rolls it: a day of its own before `due`, and in no freeze. */
  rollOn: string | undefined;
  /**
   * `overdue`: the current generation is too old, or a previous one is whose overlap is over, or a stamp is in the future where
   * anything is limited. A roll that came late mends it at once, though the one before is too old until its overlap ends.
   * `soon`: within `warnBefore` of `due`, or to be rolled.
   */
  status: "fine" | "soon" | "overdue" | "unlimited";
  /** Previous ones whose overlap is over: the last ones of its list. */
  stale: Stamp[];
  /** Live ones that are more than a day ahead (tomorrow's may be today's somewhere): nobody knows how old they are. */
  inFuture: Stamp[];
}

/** @param day `2026-11-20`. */
export function dueOf(credential: DueCredential, policy: Policy | undefined, day: string): Due {
  const { generations } = credential;
  const { freeze, overlapMs, warnBeforeMs } = policy ?? STANDARD_POLICY;
  const today = numberOf(day);
  const days = generations.map((stamp) => numberOf(stampParts(stamp).date));
  const maxAgeMs = maxAgeOf(credential, policy);
  const maxAge = maxAgeMs === undefined ? Infinity : Math.floor(maxAgeMs / DAY_MS);
  const calendar = new Calendar(freeze);
  const overlap = Math.ceil(overlapMs / DAY_MS);
  const warnBefore = Math.floor(warnBeforeMs / DAY_MS);
  const current = days[0] ?? today;
  const isAhead = (one: number) => one > today + 1;
  const ends = endsOf(days, { maxAge, overlap, isAhead }, calendar);
  // Only the last one of a list can be retired.
  const lastLive = ends.map((end) => end > today).lastIndexOf(true) + 1;
  const isJudged = policy !== undefined || maxAgeMs !== undefined;
  const found = {
    ...{ maxAgeMs, ageDays: today - current },
    stale: isJudged ? generations.slice(lastLive + 1) : [],
    inFuture: generations.filter((_, index) => isAhead(days[index] ?? today)),
  };
  const isUnknown = isJudged && found.inFuture.length > 0;
  if (maxAgeMs === undefined) {
    const status = isUnknown ? "overdue" : "unlimited";
    return { ...found, due: undefined, rollOn: undefined, status };
  }
  const due = current + maxAge;
  // The same whether the one before is retired by then or not: the day that is announced must be the day.
  const free = Math.max(calendar.openFrom(current + overlap), ...ends);
  const seed = hash(`${credential.name} ${generations[0] ?? ""}`);
  const rollOn = rollDay({ due, warnBefore, overlap, free, seed }, calendar);
  const isOverdue = isUnknown || days.some((one, at) => today - one > maxAge && (at === 0 || at > lastLive));
  const isSoon = today >= Math.min(due - warnBefore, rollOn);
  const status = isOverdue ? "overdue" : isSoon ? "soon" : "fine";
  return { ...found, due: dayOf(due), rollOn: dayOf(rollOn), status };
}

/** The freeze that a day is in. */
export function freezeOn(policy: Policy | undefined, day: string): Freeze | undefined {
  return policy?.freeze.find(({ from, to }) => from <= day && day <= to);
}

/**
 * For each previous generation the day on which it is to be retired: its overlap ends there, or the day after a freeze, but
 * before it is too old. Its overlap began with the one that came after it; after a rollback, with itself. A stamp of the future
 * began none: what came after that one did.
 */
function endsOf(days: number[], limits: Limits, calendar: Calendar): number[] {
  return days.slice(1).map((own, index) => {
    const known = days.slice(0, index + 1).filter((one) => !limits.isAhead(one));
    const next = known.at(-1) ?? days[index] ?? own;
    const began = limits.isAhead(own) ? next : Math.max(own, next);
    const end = calendar.openFrom(began + limits.overlap);
    const last = own + limits.maxAge;
    if (end <= last || last <= began) return end;
    const early = calendar.openUntil(last);
    return early > began ? early : end;
  });
}

interface Limits {
  maxAge: number;
  overlap: number;
  isAhead: (day: number) => boolean;
}

interface Window {
  due: number;
  warnBefore: number;
  overlap: number;
  /** It is rolled after this day: until then an overlap is open. */
  free: number;
  seed: number;
}

/**
 * A day in [due - warnBefore, due - overlap - 1] that the seed picks, so that the one before is retired before it is due and
 * not everything rolls at once. A `due` in a freeze counts as the day before it. Where the whole window is frozen: the last day
 * before it whose overlap ends in time, else the first day after it; where a credential is late already, the first day that is
 * open.
 */
function rollDay({ due, warnBefore, overlap, free, seed }: Window, calendar: Calendar): number {
  const end = calendar.openUntil(due);
  const good: number[] = [];
  for (let day = end - warnBefore; day < end - overlap; day++)
    if (day > free && !calendar.isFrozen(day)) good.push(day);
  const picked = good[seed % good.length];
  if (picked !== undefined) return picked;
  for (let day = end - warnBefore - 1; day > free; day--)
    if (!calendar.isFrozen(day) && calendar.openFrom(day + overlap) <= due) return day;
  return calendar.openFrom(Math.max(free + 1, end - warnBefore));
}

/** FNV-1a, 32 bits, and a last mix, since names of one stem differ in their last letter only. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  value = Math.imul(value ^ (value >>> 12), 0x297a2d39);
  return (value ^ (value >>> 15)) >>> 0;
}
