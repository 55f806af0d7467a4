/** Durations as config writes them: a whole number and a unit, `90d`, `24h`, `5m`, `60s`, `500ms`. */

const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
const DURATION = /^(\d{1,16})(d|h|m|s|ms)$/;

export const DURATION_ALLOWED = "a whole number with a unit: 500ms, 60s, 5m, 24h, 90d";

/** Milliseconds, or undefined where the text is no duration. */
export function parseDuration(value: unknown): number | undefined {
  const match = typeof value === "string" ? DURATION.exec(value) : null;
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const ms = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** The shortest exact text: in the largest unit that divides it. Throws unless `ms` is a whole number, 0 or more. */
export function formatDuration(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms < 0) throw new Error(`${ms} is no whole number of milliseconds`);
  if (ms === 0) return "0s";
  const unit = Object.entries(UNITS).find(([, size]) => ms % size === 0);
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`;
}
