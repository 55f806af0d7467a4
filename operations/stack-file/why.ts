/** `reason` and `ticket` of an entry: why it was edited last. They reach no vendor, only records and messages. */
import { isMap, isScalar, type Pair, type Scalar, type YAMLMap } from "yaml";
import { REASON, TICKET } from "../../components/rotation/operating";
import { ownLine, pairOf } from "./lists";
import {
  addPair,
  endOf,
  indentOf,
  lineStart,
  nextLine,
  parseEdited,
  plainOf,
  rangeOf,
  Refusal,
  spliced,
  type Splice,
} from "./text";
import { eolOf } from "./text";

export interface Why {
  reason?: string;
  ticket?: string;
}

const KEYS = ["reason", "ticket"] as const;

/** What is wrong with it, in one line and without repeating it; undefined where nothing is. */
export function whyProblem({ reason, ticket }: Why): string | undefined {
  if (reason !== undefined && !REASON.pattern.test(reason))
    return `--reason is no ${REASON.allowed.replace(/^a /, "")}`;
  if (ticket !== undefined && !TICKET.pattern.test(ticket))
    return `--ticket is not allowed; allowed: ${TICKET.allowed}`;
  const secret = KEYS.find((key) => looksSecret({ reason, ticket }[key] ?? ""));
  if (secret === undefined) return undefined;
  return `--${secret} holds what looks like a credential, and it is kept in git, in records and in messages; say it without`;
}

/** A URL with a password, which may hold a slash. */
export const WITH_PASSWORD = /:\/\/[^\s/@:]*:[^\s@]+@/;

const SECRETS = [
  WITH_PASSWORD,
  /\beyJ[\w-]{8,}\.[\w-]{8,}/, // a token of three parts
  /hooks\.slack\.com\/services\//i,
  /\bxox[a-z]-[\w-]{6,}/, // Slack
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/, // AWS
];

/**
 * One of these, or letters and digits in a length that no word has: with slashes, as in base64, only where capitals are among them, and
 * not in the path of a link.
 */
function looksSecret(text: string): boolean {
  if (SECRETS.some((secret) => secret.test(text))) return true;
  const runs = text.match(/[A-Za-z0-9+_=-]{32,}/g) ?? [];
  const isKey = (run: string) => /\d/.test(run) && /[A-Za-z]/.test(run) && !/^[0-9a-f]{40}$|^[0-9a-f-]{36}$/.test(run);
  const coded = text.replace(/\bhttps?:\/\/[^\s?#]*/gi, " ").match(/[A-Za-z0-9+/]{32,}/g) ?? [];
  return runs.some(isKey) || coded.some((run) => /\d/.test(run) && /[a-z]/.test(run) && /[A-Z]/.test(run));
}

/**
 * The text with exactly these two in the mapping at `path`, in the mapping's style: they belong to the last edit, so what is
 * not given goes. A new one stands behind the first of `behind` that is there.
 */
export function withWhy(text: string, path: readonly string[], behind: readonly string[], why: Why): string {
  return KEYS.reduce((edited, key) => {
    const others = key === "ticket" ? ["reason", ...behind] : behind;
    return withText(edited, path, key, why[key], others);
  }, text);
}

function withText(
  text: string,
  path: readonly string[],
  key: string,
  value: string | undefined,
  behind: readonly string[],
): string {
  const document = parseEdited(text);
  const map: unknown = document.getIn(path, true);
  const form = `${path.at(-1) ?? ""}: its ${key} is written in a form that this command cannot edit; edit it by hand`;
  if (!isMap(map)) {
    if (value === undefined) return text;
    throw new Refusal(form);
  }
  const pair = pairOf(map, key);
  const splice = value === undefined ? pair && without(text, map, pair) : put(text, map, key, pair, value, behind);
  if (splice === null) throw new Refusal(form);
  const edited = splice ? spliced(text, [splice]) : text;
  const after = parseEdited(edited);
  const entry: unknown = after.getIn(path, true);
  const found: unknown = isMap(entry) ? (plainOf(after, entry) as Record<string, unknown>)[key] : undefined;
  if (found !== value) throw new Refusal(form);
  return edited;
}

/** Null where it cannot be done. */
function put(
  text: string,
  map: YAMLMap,
  key: string,
  pair: Pair<Scalar> | undefined,
  value: string,
  behind: readonly string[],
): Splice | null {
  const written = quoted(value);
  if (pair) {
    if (!isScalar(pair.value) || pair.value.anchor !== undefined || pair.value.type?.startsWith("BLOCK")) return null;
    const { start, end } = rangeOf(pair.value);
    return { start, end, text: start === end ? ` ${written}` : written };
  }
  const before = behind.flatMap((name) => pairOf(map, name) ?? [])[0];
  if (!before) return addPair(text, map, key, written);
  const at = endOf(before.value);
  if (map.flow === true) return { start: at, end: at, text: `, ${key}: ${written}` };
  const line = nextLine(text, at - 1);
  return { start: line, end: line, text: `${indentOf(text, map)}${key}: ${written}${eolOf(text)}` };
}

/** Null where it shares its line with what cannot be told from it. */
function without(text: string, map: YAMLMap, pair: Pair<Scalar>): Splice | null {
  const { start } = rangeOf(pair.key);
  const end = pair.value ? endOf(pair.value) : rangeOf(pair.key).end;
  if (map.flow !== true) {
    const line = lineStart(text, start);
    return text.slice(line, start).trim() === "" ? { start: line, end: nextLine(text, end - 1), text: "" } : null;
  }
  const line = ownLine(text, { start, end });
  if (line) return line;
  const at = map.items.findIndex((item) => item === pair);
  const [before, next] = [map.items[at - 1], map.items[at + 1]];
  const from = before ? endOf(before.value ?? before.key) : start;
  const to = before || !next ? end : rangeOf(next.key as Scalar).start;
  return /[\n#]/.test(text.slice(from, start)) ? null : { start: from, end: to, text: "" };
}

/** One line that every YAML reader takes for the same text: what some end a line at, or do not show, is escaped. */
function quoted(value: string): string {
  return JSON.stringify(value).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => {
    return `\\U${(one.codePointAt(0) ?? 0).toString(16).padStart(8, "0")}`;
  });
}
