/** What a process is told so that a given day is its today (local/today.cjs). */
import * as path from "node:path";

const DAY_MS = 86_400_000;
const PRELOAD = path.join(__dirname, "today.cjs");

/** On top of the environment of a process whose clock is a test's own; `day` is an ISO date, and begins and ends in UTC. */
export function asOf(day: string): NodeJS.ProcessEnv {
  const machines = Math.floor(Date.now() / DAY_MS) - shiftDays();
  const days = Date.parse(day) / DAY_MS - machines;
  if (!Number.isInteger(days)) throw new Error(`${day} is no day: write it as 2031-03-01`);
  return shiftedBy(days);
}

/** How many days this process's `Date` is ahead of the machine's clock. */
export function shiftDays(): number {
  return Number(process.env["TEST_SHIFT_DAYS"] ?? 0);
}

function shiftedBy(days: number): NodeJS.ProcessEnv {
  const { NODE_OPTIONS = "" } = process.env;
  const preload = `--require ${JSON.stringify(PRELOAD)}`;
  return {
    TEST_SHIFT_DAYS: String(days),
    NODE_OPTIONS: NODE_OPTIONS.includes(preload) ? NODE_OPTIONS : `${NODE_OPTIONS} ${preload}`.trim(),
  };
}
