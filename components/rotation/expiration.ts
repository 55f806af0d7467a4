/**
 * How long a Turso token works, as Turso's API takes it: whole numbers with units from weeks to seconds, the largest first,
 * each unit once, `2w1d30m`. https://docs.turso.tech/api-reference/databases/create-token
 */

const UNITS = [
  ["w", 604_800_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
] as const;
const EXPIRATION = new RegExp(`^(?=\\d)${UNITS.map(([unit]) => `(?:(\\d{1,9})${unit})?`).join("")}$`);

/** A longer one is `never` in all but name. */
export const LONGEST_EXPIRATION_DAYS = 3650;
export const EXPIRATION_ALLOWED = "whole numbers with units, the largest first: 7d, 2w1d, 12h30m";

/** Milliseconds, or undefined where the text is none, is zero or is longer than ten years. `never` is no such text. */
export function parseExpiration(value: unknown): number | undefined {
  const match = typeof value === "string" ? EXPIRATION.exec(value) : null;
  if (match === null) return undefined;
  const ms = UNITS.reduce((sum, [, size], index) => sum + Number(match[index + 1] ?? 0) * size, 0);
  return ms > 0 && ms <= LONGEST_EXPIRATION_DAYS * 86_400_000 ? ms : undefined;
}
