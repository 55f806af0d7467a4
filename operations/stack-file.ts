/**
 * Edits the stamps in a stack file's text. Only the stamps' own characters change: the file is parsed to know where they
 * stand, and everything around them, comments, order and quoting, is kept byte for byte.
 */
import { isMap, isScalar, isSeq, parseDocument, type Document, type Scalar, type YAMLSeq } from "yaml";
import { parseStack } from "../components/rotation/config";
import type { Stamp } from "../components/rotation/model";
import { closest, ConfigError, listed } from "../components/rotation/problem";
import { rawSettings, SECRETS } from "../components/rotation/raw-config";
import { nextStamp, parseStamp, stampParts } from "../components/rotation/stamp";
import { lineDiff } from "./line-diff";

export type Action = "rotate" | "retire" | "rollback";

export interface Edited {
  text: string;
  /** Unified diff without file names; empty where nothing changed. */
  diff: string;
  /** One line a name for people: what will happen. */
  notes: string[];
}

/** The edit is not possible or not allowed; nothing was changed. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

interface Splice {
  start: number;
  end: number;
  text: string;
}

interface Plan {
  splice: Splice[];
  /** What `generations` must be afterwards. */
  expected: Stamp[];
  note: string;
}

/**
 * One edit for all names, or none. Throws Refusal, or ConfigError where the edited file is not a valid config.
 *
 * @param today The day to rotate on: its next free stamp is added.
 * @param exact Add `today` itself, which may have a counter, and refuse where it is taken.
 */
export function editStackFile(
  text: string,
  names: readonly string[],
  action: Action,
  today: Stamp,
  exact = false,
): Edited {
  const document = parse(text);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new Refusal(`${repeated} is named twice; name it once`);
  const plans = names.map((name) => ({ name, ...planFor(document, text, name, action, today, exact) }));
  const edited = plans
    .flatMap((plan) => plan.splice)
    .sort((a, b) => b.start - a.start)
    .reduce((result, { start, end, text: put }) => result.slice(0, start) + put + result.slice(end), text);
  const after = parse(edited);
  for (const { name, expected } of plans) confirm(after, name, expected);
  checkModel(after);
  return { text: edited, diff: lineDiff(text, edited), notes: plans.map((plan) => plan.note) };
}

function parse(text: string): Document {
  const document = parseDocument(text, { merge: true });
  const [error] = document.errors;
  // The parser's message quotes the line, which may hold anything; its place is enough.
  if (error) throw new Refusal(`the stack file is no YAML: ${error.code} at line ${error.linePos?.[0].line ?? "?"}`);
  return document;
}

function planFor(document: Document, text: string, name: string, action: Action, today: Stamp, exact: boolean): Plan {
  const entry = entryOf(document, name);
  const single = entry.get("generation", true);
  const list: unknown = entry.get("generations", true);
  if (single !== undefined && list === undefined) return planSingle(name, single, action, today, exact);
  if (list === undefined) throw new Refusal(`${name} has neither generation nor generations; add one by hand`);
  if (isMap(list))
    throw new Refusal(`${name} keeps its stamps by key, which this command does not edit; edit it by hand`);
  if (!isSeq(list)) throw new Refusal(`${name}: generations is no list that can be edited; write it as a list`);
  const items = list.items.map((item) => scalar(item, name));
  const stamps = items.map((item) => stampOf(item, name));
  const [only] = items;
  if (action === "rotate" && only !== undefined && entry.get("inPlace") === true) {
    return planReplace(name, only, "a role altered in place has one password", today, exact);
  }
  if (action === "rotate") return planRotate(name, text, list, items, stamps, nextFor(name, stamps, today, exact));
  const [current, previous] = stamps;
  if (action === "retire") {
    if (stamps.length < 2) throw onlyStamp(name);
    const note = `${name}: ${stamps.at(-1) ?? ""} is withdrawn by the next update`;
    return { splice: [withoutLast(text, list, items)], expected: stamps.slice(0, -1), note };
  }
  if (current === undefined || previous === undefined) throw noPrevious(name);
  const note = `${name}: back to ${previous}, ${current} stays in the list`;
  return { splice: swapped(text, list, items), expected: [previous, current, ...stamps.slice(2)], note };
}

function planSingle(name: string, node: unknown, action: Action, today: Stamp, exact: boolean): Plan {
  if (action === "retire") throw onlyStamp(name);
  if (action === "rollback") throw noPrevious(name);
  const why = "`generation` keeps no previous one (write `generations` for an overlap)";
  return planReplace(name, scalar(node, name), why, today, exact);
}

function planReplace(name: string, item: Scalar, why: string, today: Stamp, exact: boolean): Plan {
  const old = stampOf(item, name);
  const stamp = nextFor(name, [old], today, exact);
  const note = `${name}: ${stamp} replaces ${old}, which breaks at once: ${why}`;
  return { splice: [{ ...rangeOf(item), text: `"${stamp}"` }], expected: [stamp], note };
}

function planRotate(name: string, text: string, list: YAMLSeq, items: Scalar[], stamps: Stamp[], stamp: Stamp): Plan {
  const [first] = items;
  const expected = [stamp, ...stamps];
  const [old] = stamps;
  const note =
    old === undefined
      ? `${name}: ${stamp} is the first`
      : `${name}: ${stamp} becomes current, ${old} stays in the list`;
  if (first === undefined) return { splice: [{ ...rangeOf(list), text: `["${stamp}"]` }], expected, note };
  const { start } = rangeOf(first);
  const line = lineStart(text, start);
  const before = text.slice(line, start);
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  if (list.flow !== true)
    return { splice: [{ start: line, end: line, text: `${before}"${stamp}"${eol}` }], expected, note };
  const separator = before.trim() === "" ? `,${eol}${before}` : ", ";
  return { splice: [{ start, end: start, text: `"${stamp}"${separator}` }], expected, note };
}

/** Takes out the last item: its line where it has one of its own, with that line's comment; else from the item before on. */
function withoutLast(text: string, list: YAMLSeq, items: Scalar[]): Splice {
  const [before, last] = items.slice(-2).map(rangeOf);
  if (before === undefined || last === undefined) throw new Error("a list of one has nothing to take out");
  if (list.flow !== true) return { start: lineStart(text, last.start), end: nextLine(text, last.end), text: "" };
  if (!text.slice(before.end, last.start).includes("\n")) return { start: before.end, end: last.end, text: "" };
  const rest = /^[ \t]*,?[ \t]*(#[^\n]*)?\r?\n/.exec(text.slice(last.end));
  if (rest) return { start: lineStart(text, last.start), end: last.end + rest[0].length, text: "" };
  return { ...last, text: "" };
}

/** The first two change places: whole lines in a block list, so that comments go with their stamps. */
function swapped(text: string, list: YAMLSeq, items: Scalar[]): Splice[] {
  const [a, b] = items.slice(0, 2).map((item) => {
    const range = rangeOf(item);
    const end = /^[^\r\n]*/.exec(text.slice(range.end))?.[0].length ?? 0;
    return list.flow === true ? range : { start: range.start, end: range.end + end };
  });
  if (a === undefined || b === undefined) throw new Error("a list of one has nothing to swap");
  return [
    { ...a, text: text.slice(b.start, b.end) },
    { ...b, text: text.slice(a.start, a.end) },
  ];
}

function nextFor(name: string, taken: Stamp[], today: Stamp, exact: boolean): Stamp {
  if (!exact) return nextStamp(stampParts(today).date, taken);
  if (!taken.includes(today)) return today;
  throw new Refusal(`${name}: ${today} stands in its list already; give another stamp, or none for the next free one`);
}

/** Reads back what the edit made: a form that the splices do not understand is refused, never written. */
function confirm(document: Document, name: string, expected: Stamp[]): void {
  const entry: unknown = entryOf(document, name).toJS(document);
  const { generation, generations } = entry as { generation?: unknown; generations?: unknown };
  const found: unknown[] = Array.isArray(generations) ? generations : [generation];
  if (found.length === expected.length && found.every((value, index) => parseStamp(value) === expected[index])) return;
  throw new Refusal(`${name}: its list is written in a form that this command cannot edit; edit it by hand`);
}

function entryOf(document: Document, name: string) {
  const credentials: unknown = document.getIn(["config", "rollover:credentials"], true);
  if (!isMap(credentials)) throw new Refusal("the stack file has no rollover:credentials; add them as README.md shows");
  if (credentials.has("secure"))
    throw new Refusal("rollover:credentials is stored encrypted; store it in plain text, it holds no secret");
  const entry: unknown = credentials.get(name, true);
  if (isMap(entry)) return entry;
  const known = credentials.items.flatMap(({ key }) => (isScalar(key) ? [String(key.value)] : []));
  const guess = closest(name, known);
  const hint = guess === undefined ? `known: ${listed(known)}` : `did you mean ${guess}?`;
  throw new Refusal(`${name} is no credential of this stack; ${hint}`);
}

function scalar(node: unknown, name: string): Scalar {
  if (isScalar(node) && node.range && node.anchor === undefined) return node;
  throw new Refusal(`${name}: a stamp is no plain text, but a list, a mapping, an anchor or an alias; edit it by hand`);
}

function stampOf(item: Scalar, name: string): Stamp {
  const stamp = parseStamp(item.value);
  if (stamp === undefined) throw new Refusal(`${name}: its list holds something that is no stamp; correct it first`);
  return stamp;
}

function rangeOf(node: { range?: [number, number, number] | null }): { start: number; end: number } {
  if (!node.range) throw new Error("a parsed node has no range");
  return { start: node.range[0], end: node.range[1] };
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

function nextLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end + 1;
}

function onlyStamp(name: string): Refusal {
  return new Refusal(`${name}: its only stamp cannot be retired; rotate first, or remove the credential's whole entry`);
}

function noPrevious(name: string): Refusal {
  return new Refusal(`${name}: there is no previous stamp to go back to; rotate instead`);
}

/** What the model refuses is refused here; values that are stored encrypted cannot be read, and are passed over. */
function checkModel(document: Document): void {
  const config: unknown = document.toJS();
  const all = (config as { config?: Record<string, unknown> }).config ?? {};
  const own = Object.entries(all).filter(([key]) => key.startsWith("rollover:"));
  const hidden: string[] = [];
  const plain = new Map(own.map(([key, value]) => [key.slice("rollover:".length), reveal(value, key, hidden)]));
  try {
    parseStack({ keys: [...plain.keys()], settings: rawSettings((key) => plain.get(key)), secrets: SECRETS });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const problems = error.problems.filter(({ where }) => !hidden.some((path) => where.startsWith(path)));
    if (problems.length > 0) throw new ConfigError(problems);
  }
}

/** The value with every `{ secure: ... }` replaced by a text; their paths go to `hidden`. */
function reveal(value: unknown, path: string, hidden: string[]): unknown {
  if (Array.isArray(value)) return value.map((item: unknown, index) => reveal(item, `${path}[${index}]`, hidden));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && entries[0]?.[0] === "secure") {
    hidden.push(path);
    return "hidden";
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, reveal(item, `${path}.${key}`, hidden)]));
}
