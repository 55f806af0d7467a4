/**
 * `only-stamps BASE HEAD`: whether a stack file differs from another in nothing but stamps. The preview workflow asks it
 * before it shows a pull request's config to the program that holds the stack's credentials: a changed address, check or
 * template could send them elsewhere. Exit code 0 only stamps, 1 something else (it says where), 2 wrong usage.
 */
import * as fs from "node:fs";
import { isMap, isNode, isScalar, parseDocument } from "yaml";
import { parseStamp } from "../components/rotation/stamp";

/**
 * Why HEAD differs in more than stamps, in one line; undefined where only stamps differ, or nothing does.
 *
 * Texts are compared, not values: Pulumi reads YAML by another parser than this one, and what both read alike today they may
 * not tomorrow. Outside the lists of stamps every byte must be the same; inside stands nothing but stamps and comments.
 */
export function otherChange(base: string, head: string): string | undefined {
  const [old, now] = [split(base), split(head)];
  if (typeof old === "string") return `the file of the base branch ${old}`;
  if (typeof now === "string") return `the file of the pull request ${now}`;
  const odd = now.lists.find((list) => !isListOfStamps(list.text) && !old.lists.some(({ text }) => text === list.text));
  if (odd) return `line ${odd.line} of the pull request's file holds something that is no stamp`;
  const at = now.rest.findIndex((text, index) => text !== old.rest[index]);
  if (at === -1 && now.rest.length === old.rest.length) return undefined;
  const before = now.lists[at - 1];
  return `something besides stamps differs${before ? ` after line ${before.line}` : ""}`;
}

interface Split {
  /** The values of `generations` and `generation`, in the order of the file. */
  lists: { text: string; line: number }[];
  /** What stands before, between and after them. */
  rest: string[];
}

function split(text: string): Split | string {
  const document = parseDocument(text, { uniqueKeys: true });
  if (document.errors.length > 0 || document.warnings.length > 0) return "is no plain YAML";
  const credentials = document.getIn(["config", "rollover:credentials"]);
  if (!isMap(credentials)) return "has no rollover:credentials";
  const ranges = credentials.items
    .flatMap(({ value }) => (isMap(value) ? value.items : []))
    .filter(({ key }) => isScalar(key) && /^generations?$/.test(String(key.value)))
    .flatMap(({ value }) => (isNode(value) && value.range ? [value.range] : []))
    .sort((a, b) => a[0] - b[0]);
  const edges = [0, ...ranges.flatMap(([start, end]) => [start, end]), text.length];
  const parts = edges.slice(1).map((end, index) => ({ text: text.slice(edges[index], end), start: edges[index] ?? 0 }));
  return {
    rest: parts.filter((_, index) => index % 2 === 0).map((part) => part.text),
    lists: parts
      .filter((_, index) => index % 2 === 1)
      .map((part) => ({ text: part.text, line: text.slice(0, part.start).split("\n").length })),
  };
}

/** A flow list, a block list or one stamp. ASCII alone: other parsers end a comment at a Unicode line separator too. */
function isListOfStamps(text: string): boolean {
  if (!/^(?:[\t\x20-\x7e]|\r?\n)*$/.test(text)) return false;
  const bare = text.replace(/(^|[ \t\n])#[^\n]*/g, "$1").trim();
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
