/**
 * `only-stamps BASE HEAD`: whether a stack file differs from another in nothing but stamps, and why they were edited. The preview workflow asks it
 * before it shows a pull request's config to the program that holds the stack's credentials: a changed address, check or
 * template could send them elsewhere. Exit code 0 only stamps, 1 something else (it says where), 2 wrong usage.
 */
import * as fs from "node:fs";
import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from "yaml";
import { parseStamp } from "../components/rotation/stamp";

/**
 * Why HEAD differs in more than stamps, in one line; undefined where only stamps differ, or nothing does.
 *
 * Texts are compared, not values: Pulumi reads YAML by another parser than this one, and what both read alike today they may
 * not tomorrow. Outside the lists of stamps every byte must be the same; inside stands nothing but stamps and comments.
 * `retired` and `invalidated` may come and go too, where they have lines of their own in a block mapping, and so may `reason` and
 * `ticket`, which reach records and messages alone, where they are one line of plain ASCII in double quotes. Anything else needs
 * approval: one of them in a flow mapping (`{ ... }`), an entry for a group that had none, `incident`, `holders`.
 */
export function otherChange(base: string, head: string): string | undefined {
  const [old, now] = [split(base), split(head)];
  if (typeof old === "string") return `the file of the base branch ${old}`;
  if (typeof now === "string") return `the file of the pull request ${now}`;
  const odd = now.lists.find((list) => !hasOnlyStamps(list) && !old.lists.some(({ text }) => text === list.text));
  if (odd) return `line ${odd.line} of the pull request's file holds something that is no stamp`;
  const at = now.rest.findIndex((text, index) => text !== old.rest[index]);
  if (at === -1 && now.rest.length === old.rest.length) return undefined;
  const before = now.lists[at - 1];
  return `something besides stamps differs${before ? ` after line ${before.line}` : ""}`;
}

interface Stamps {
  key: string;
  text: string;
  line: number;
}

interface Split {
  /** The values of `generations`, `generation`, `retired` and `invalidated` that are not left out, in the order of the file. */
  lists: Stamps[];
  /** What stands before, between and after them, without the lines that are left out. */
  rest: string[];
}

function split(text: string): Split | string {
  const document = parseDocument(text, { uniqueKeys: true });
  if (document.errors.length > 0 || document.warnings.length > 0) return "is no plain YAML";
  const credentials = document.getIn(["config", "rollover:credentials"]);
  if (!isMap(credentials)) return "has no rollover:credentials";
  const turso = ["groups", "databases"].map((kind) => document.getIn(["config", "rollover:turso", kind]));
  const found = [
    ...stampsIn(credentials, /^(?:generations?|retired|reason|ticket)$/, text),
    ...turso.flatMap((targets) => (isMap(targets) ? stampsIn(targets, /^(?:invalidated|reason|ticket)$/, text) : [])),
  ].sort((a, b) => a.start - b.start);
  const made: Split = { lists: [], rest: [] };
  let [open, from] = ["", 0];
  for (const { key, start, end, isLeftOut } of found) {
    open += text.slice(from, start);
    from = end;
    if (isLeftOut) continue;
    made.lists.push({ key, text: text.slice(start, end), line: text.slice(0, start).split("\n").length });
    made.rest.push(open);
    open = "";
  }
  made.rest.push(open + text.slice(from));
  return made;
}

interface Found {
  key: string;
  start: number;
  end: number;
  /** Whole lines with a key and stamps alone: the file reads the same without them. */
  isLeftOut: boolean;
}

function stampsIn(entries: YAMLMap, keys: RegExp, text: string): Found[] {
  return entries.items
    .flatMap(({ value }) => (isMap(value) ? value.items.map((pair) => ({ pair, flow: value.flow === true })) : []))
    .flatMap(({ pair, flow }): Found[] => {
      if (!isScalar(pair.key) || !pair.key.range || !keys.test(String(pair.key.value))) return [];
      if (!isNode(pair.value) || !pair.value.range) return [];
      const key = String(pair.key.value);
      const [start, end] = pair.value.range;
      if (key === "reason" || key === "ticket") {
        const line = flow ? undefined : textLine(text, pair.key.range[0], end);
        return line ? [{ key, ...line, isLeftOut: true }] : [];
      }
      const lines =
        flow || key.startsWith("generation") ? undefined : ownLines(text, key, pair.key.range[0], start, end);
      return [lines ? { key, ...lines, isLeftOut: true } : { key, start, end, isLeftOut: false }];
    });
}

/** The lines of a key and its stamps, where nothing else but a comment stands on them. */
function ownLines(text: string, key: string, at: number, start: number, end: number) {
  const first = text.lastIndexOf("\n", at - 1) + 1;
  const next = text[end - 1] === "\n" ? end : text.indexOf("\n", end) + 1;
  if (next === 0 || !hasOnlyStamps({ key, text: text.slice(start, end) })) return undefined;
  if (!/^ +(?:retired|invalidated):(?: |\r?\n +)$/.test(text.slice(first, start))) return undefined;
  if (!/^[\t ]*(?:#[\t\x20-\x7e]*)?(?:\r?\n)?$/.test(text.slice(end, next))) return undefined;
  return { start: first, end: next };
}

/**
 * The line of a reason or a ticket: nothing in the quotes that any YAML reader could take for an end, an escape or a line's end.
 */
function textLine(text: string, at: number, end: number) {
  const first = text.lastIndexOf("\n", at - 1) + 1;
  const next = text.indexOf("\n", at) + 1;
  const line = /^ +(?:reason|ticket): "[\x20\x21\x23-\x5b\x5d-\x7e]*"(?:[\t ]+#[\t\x20-\x7e]*)?[\t ]*\r?\n$/;
  return end < next && line.test(text.slice(first, next)) ? { start: first, end: next } : undefined;
}

/** A flow list, a block list or one stamp. ASCII alone: other parsers end a comment at a Unicode line separator too. */
function hasOnlyStamps({ key, text }: Pick<Stamps, "key" | "text">): boolean {
  if (!/^(?:[\t\x20-\x7e]|\r?\n)*$/.test(text)) return false;
  const bare = text.replace(/(^|[ \t\n])#[^\n]*/g, "$1").trim();
  if (key === "retired" && /^\[\s*\]$/.test(bare)) return true;
  const items = bare.startsWith("[")
    ? /^\[([^[\]]*?),?\s*\]$/.exec(bare)?.[1]?.split(",")
    : bare.startsWith("- ")
      ? bare.slice(2).split(/\n\s*- /)
      : [bare];
  return items?.every((item) => isStamp(item.trim())) ?? false;
}

function isStamp(item: string): boolean {
  const bare = /^(["']?)([\d.-]+)\1$/.exec(item)?.[2];
  return bare !== undefined && parseStamp(bare) === bare;
}

/** Returns the exit code. */
export function main(args: readonly string[]): number {
  const [base, head, ...more] = args;
  if (base === undefined || head === undefined || more.length > 0) {
    process.stderr.write("usage: only-stamps BASE HEAD (two stack files)\n");
    return 2;
  }
  const change = otherChange(fs.readFileSync(base, "utf8"), fs.readFileSync(head, "utf8"));
  if (change !== undefined) process.stdout.write(`${change}\n`);
  return change === undefined ? 0 : 1;
}

if (require.main === module) process.exitCode = main(process.argv.slice(2));
