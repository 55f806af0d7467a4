/**
 * What is wrong with a stack's config, collected so that one preview names everything (G9). Texts carry a value only
 * where it cannot be a secret: never a password, a URL or an SQL text.
 */

export interface Problem {
  /** Config path, such as `rollover:credentials.rounds-db.generations[1]`. */
  where: string;
  /** What is wrong, a sentence without its subject: "is no stamp". */
  what: string;
  /** The value given, as `show` prints it; left out where it may be a secret. */
  value?: string;
  allowed?: string;
  /** What to do. */
  fix: string;
}

/** Every problem of one config, in one readable text. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(readonly problems: readonly Problem[]) {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super([`The stack's config has ${count}.`, ...problems.map(describe)].join("\n"));
  }
}

/** One problem in two to four lines. */
export function describe(problem: Problem): string {
  const value = problem.value === undefined ? "" : `: ${problem.value}`;
  const lines = [problem.where, `  ${problem.what}${value}`];
  if (problem.allowed !== undefined) lines.push(`  allowed: ${problem.allowed}`);
  lines.push(`  do: ${problem.fix}`);
  return lines.join("\n");
}

/** A value for a message: scalars as JSON, cut after 60 characters; of anything else only what it is. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return "a mapping";
  // A URL in a wrong place may carry a password.
  if (value.includes("://")) return "a URL (not shown)";
  const text = JSON.stringify(value.slice(0, 60));
  return value.length > 60 ? `${text} and ${value.length - 60} more characters` : text;
}

/** Names for a message: `a, b and c`. */
export function listed(names: readonly string[], joint = "and"): string {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} ${joint} ${names.slice(-1).join("")}`;
}

/** The candidate that was most likely meant: at most a third of the name's letters differ. */
export function closest(name: string, candidates: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(name.length / 3));
  if (name.length > 100) return undefined;
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter((entry) => entry.distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}

/** Levenshtein's edit distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
