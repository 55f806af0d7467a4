/**
 * Reads one mapping of untyped config field by field. Each reader returns the field's default where it is left out, and
 * where it is bad notes a problem and returns a value that later checks pass over: "" for text, `fallback` for numbers.
 */
import { parseDuration, formatDuration, DURATION_ALLOWED } from "./duration";
import type { Stamp } from "./model";
import { closest, listed, show, type Problem } from "./problem";
import type { Secret } from "./raw-config";
import { parseStamp, STAMP_ALLOWED } from "./stamp";
import { parseCallUrl } from "./url";

/** A rule for texts: the pattern that every good one matches, and the same in words. */
export interface TextRule {
  pattern: RegExp;
  allowed: string;
  fix?: string;
}

export const NAME: TextRule = {
  // The one name of these that every JavaScript object answers to: records by name would seem to hold it.
  pattern: /^(?!constructor$)[a-z][a-z0-9_-]{0,62}$/,
  allowed: "lower-case letters, digits, - and _, first a letter, at most 63; not constructor",
  fix: "rename it",
};

export class Fields {
  private readonly raw: ReadonlyMap<string, unknown>;

  /** Anything but a mapping is a problem itself, and reads as an empty one. */
  constructor(
    readonly where: string,
    raw: unknown,
    readonly problems: Problem[],
  ) {
    const good = isMapping(raw);
    this.raw = new Map(good ? Object.entries(raw) : []);
    if (good) return;
    // A text in the place of a mapping may be a secret.
    const value = typeof raw === "string" ? "a text (not shown)" : show(raw);
    this.refuse("", { what: "is no mapping", value, fix: "write it as `key: value` lines" });
  }

  get keys(): string[] {
    return [...this.raw.keys()];
  }

  get(key: string): unknown {
    return this.raw.get(key);
  }

  has(key: string): boolean {
    return this.raw.has(key);
  }

  /** Notes a problem with a field, or with the whole mapping where `key` is "". */
  refuse(key: string, problem: Omit<Problem, "where">): void {
    this.problems.push({ where: this.path(key), ...problem });
  }

  path(key: string): string {
    if (key === "") return this.where;
    return this.where.endsWith(":") || key.startsWith("[") ? `${this.where}${key}` : `${this.where}.${key}`;
  }

  /** Refuses every key that is not known; the value is not shown, it may be a misplaced secret. */
  onlyKnown(known: readonly string[], explain?: (key: string) => Omit<Problem, "where"> | undefined): void {
    for (const key of this.keys.filter((name) => !known.includes(name))) {
      const guess = closest(key, known);
      const fix = guess === undefined ? "remove it" : `write \`${guess}\` if that is meant, else remove it`;
      this.refuse(segment(key), explain?.(key) ?? { what: "is no setting here", allowed: listed(known), fix });
    }
  }

  text(key: string, rule: TextRule, standard?: string): string {
    const value = this.raw.get(key);
    if (value === undefined && standard !== undefined) return standard;
    if (value === undefined || value === null) return this.missing(key, rule.allowed);
    if (typeof value === "string" && rule.pattern.test(value)) return value;
    const quote = typeof value === "number" ? "quote it, unquoted it is a number" : undefined;
    const what = typeof value === "string" ? "is not allowed" : "is no text";
    this.refuse(key, {
      what,
      value: show(value),
      allowed: rule.allowed,
      fix: quote ?? rule.fix ?? "write an allowed one",
    });
    return "";
  }

  oneOf<T extends string>(key: string, allowed: readonly T[], standard?: T): T | undefined {
    const value = this.raw.get(key);
    if (value === undefined && standard !== undefined) return standard;
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    if (value === undefined || value === null) return void this.missing(key, listed(allowed, "or"));
    const guess = typeof value === "string" ? closest(value, allowed) : undefined;
    const fix = guess === undefined ? "write one of these" : `write \`${guess}\` if that is meant`;
    this.refuse(key, { what: "is not known", value: show(value), allowed: listed(allowed, "or"), fix });
    return undefined;
  }

  flag(key: string, standard: boolean): boolean {
    const value = this.raw.get(key);
    if (value === undefined) return standard;
    if (typeof value === "boolean") return value;
    const fix = "write true or false, without quotes";
    this.refuse(key, { what: "is neither true nor false", value: show(value), allowed: "true or false", fix });
    return standard;
  }

  /** `why` says where a limit comes from. */
  integer(key: string, min: number, max: number, standard: number, why = ""): number {
    const value = this.raw.get(key);
    if (value === undefined) return standard;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    const what = typeof value === "number" ? "is out of range" : "is no number";
    const fix = typeof value === "string" ? "write it without quotes" : "write a number in that range";
    this.refuse(key, { what, value: show(value), allowed: `a whole number from ${min} to ${max}${why}`, fix });
    return standard;
  }

  /** Milliseconds. */
  duration(key: string, min: number, max: number, standard: number): number {
    const value = this.raw.get(key);
    if (value === undefined) return standard;
    const ms = parseDuration(value);
    if (ms !== undefined && ms >= min && ms <= max) return ms;
    const range = `from ${formatDuration(min)} to ${formatDuration(max)}`;
    const what = ms === undefined ? "is no duration" : "is out of range";
    const fix =
      typeof value === "number" ? `add the unit, such as ${show(`${value}s`)}` : "write a duration in that range";
    this.refuse(key, { what, value: show(value), allowed: `${DURATION_ALLOWED}; ${range}`, fix });
    return standard;
  }

  /** A list's items with their paths; empty where it is left out or no list. */
  list(key: string, of: string): { value: unknown; key: string }[] {
    const value = this.raw.get(key);
    if (value === undefined) return [];
    if (Array.isArray(value)) return value.map((item: unknown, index) => ({ value: item, key: `${key}[${index}]` }));
    this.refuse(key, { what: "is no list", value: show(value), allowed: `a list of ${of}`, fix: "write it in [ ]" });
    return [];
  }

  /** A list of texts that keep one rule; a bad one is left out of the result. */
  texts(key: string, of: string, rule: TextRule): string[] {
    return this.list(key, of).flatMap((item) => {
      if (typeof item.value === "string" && rule.pattern.test(item.value)) return [item.value];
      const what = typeof item.value === "string" ? "is not allowed" : "is no text";
      const fix = rule.fix ?? "write an allowed one";
      this.refuse(item.key, { what, value: show(item.value), allowed: rule.allowed, fix });
      return [];
    });
  }

  /** Stamps in their normal form, without the bad and the repeated ones, which are problems. */
  stamps(items: { value: unknown; key: string }[]): Stamp[] {
    const stamps: Stamp[] = [];
    for (const item of items) {
      const stamp = parseStamp(item.value);
      if (stamp === undefined) {
        const fix = "write the day of the rotation, in quotes";
        this.refuse(item.key, { what: "is no stamp", value: show(item.value), allowed: STAMP_ALLOWED, fix });
      } else if (stamps.includes(stamp)) {
        const fix = `remove it, or write the next counter, such as "${stamp.slice(0, 10)}.2"`;
        const what = "stands in the list already";
        this.refuse(item.key, { what, value: show(stamp), allowed: "each stamp once", fix });
      } else stamps.push(stamp);
    }
    return stamps;
  }

  /** The vendor's address, or one on loopback: anything else would be sent the token. */
  apiUrl(vendor: { name: string; url: string; local: string }): string {
    const raw = this.raw.get("apiUrl");
    if (raw === undefined) return vendor.url;
    const parsed = parseCallUrl(raw);
    const base = "url" in parsed && parsed.url.search === "" ? parsed.url.href.replace(/\/+$/, "") : undefined;
    if (base !== undefined && (base === vendor.url || ("loopback" in parsed && parsed.loopback))) return base;
    const found =
      "url" in parsed ? { problem: `is neither ${vendor.name}'s nor on loopback`, value: parsed.url.host } : parsed;
    const problem: Omit<Problem, "where"> = {
      what: base === undefined && "url" in parsed ? "carries a query" : found.problem,
      allowed: `${vendor.url}, or an address on loopback such as ${vendor.local}`,
      fix: "remove it: it is only for the local cloud",
    };
    if (found.value !== undefined) problem.value = show(found.value);
    this.refuse("apiUrl", problem);
    return vendor.url;
  }

  private missing(key: string, allowed: string): "" {
    this.refuse(key, { what: "is missing", allowed, fix: "add it" });
    return "";
  }
}

/** A token among the plain settings: whoever can read the file has had it. */
export function tokenInPlainText(secret: Secret): Omit<Problem, "where"> {
  return {
    what: "does not belong here in plain text",
    allowed: `the secret ${secret}`,
    fix: `remove it, revoke that token and run \`pulumi config set --secret ${secret}\``,
  };
}

/** The same of a webhook's address. */
export function webhookInPlainText(): Omit<Problem, "where"> {
  return {
    what: "does not belong here in plain text: who has a webhook's address can post to it",
    allowed: "the secret alertWebhook",
    fix: "remove it, and run `pulumi config set --secret alertWebhook`",
  };
}

export interface Entry {
  name: string;
  where: string;
  value: unknown;
}

/** The named entries of a mapping; a badly named one is a problem and still read. */
export function entries(where: string, raw: unknown, problems: Problem[], rule: TextRule = NAME): Entry[] {
  if (!isSet(raw)) return [];
  const fields = new Fields(where, raw, problems);
  return fields.keys.map((name) => {
    const path = fields.path(segment(name));
    if (!rule.pattern.test(name)) {
      const what = "has a name that is not allowed";
      problems.push({ where: path, what, value: show(name), allowed: rule.allowed, fix: rule.fix ?? "rename it" });
    }
    return { name, where: path, value: fields.get(name) };
  });
}

/** An empty mapping is the default that Pulumi.yaml's schema gives to what is left out. */
export function isSet(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  return typeof value !== "object" || Array.isArray(value) || Object.keys(value).length > 0;
}

/** A key as part of a path; an odd one is quoted and cut. */
export function segment(key: string): string {
  return /^[\w-]{1,80}$/.test(key) ? key : `[${show(key)}]`;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
