/**
 * `only-stamps BASE HEAD`: whether a stack file differs from another in nothing but stamps. The preview workflow asks it
 * before it shows a pull request's config to the program with the stack's credentials: a changed address, check or template
 * could send them elsewhere. Exit code 0 only stamps, 1 something else (its places are printed), 2 wrong usage.
 */
import * as fs from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { parseDocument } from "yaml";
import { parseStamp } from "../components/rotation/stamp";

/** Paths of what differs besides stamps, such as `config.rollover:workers.rounds-api.probe`; empty where only stamps do. */
export function otherChanges(base: string, head: string): string[] {
  const [old, now] = [read(base), read(head)];
  if (old === undefined) return ["the file of the base branch is no plain YAML mapping"];
  if (now === undefined) return ["the file of the pull request is no plain YAML mapping"];
  return compare(old, now, []);
}

/** Undefined for anything in which two parsers could see two things: errors, several documents, anchors, tags, repeated keys. */
function read(text: string): unknown {
  const document = parseDocument(text, { uniqueKeys: true, version: "1.2" });
  const unusual = /(^|[\s[{,:-])[&*!][^\s]/m.test(text.replace(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*/g, ""));
  if (document.errors.length > 0 || document.warnings.length > 0 || unusual) return undefined;
  const value: unknown = document.toJS();
  return isMapping(value) ? value : undefined;
}

function compare(old: unknown, now: unknown, path: string[]): string[] {
  if (isDeepStrictEqual(old, now) || (areStamps(path) && isStamps(old) && isStamps(now))) return [];
  if (!isMapping(old) || !isMapping(now)) return [path.join(".")];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((key) =>
    Object.hasOwn(old, key) && Object.hasOwn(now, key)
      ? compare(old[key], now[key], [...path, key])
      : [[...path, key].join(".")],
  );
}

/** `config.rollover:credentials.NAME.generations`, and nowhere else. */
function areStamps(path: string[]): boolean {
  const [config, key, , list, ...more] = path;
  const isList = list === "generations" || list === "generation";
  return config === "config" && key === "rollover:credentials" && isList && more.length === 0;
}

function isStamps(value: unknown): boolean {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.length > 0 && list.every((stamp) => parseStamp(stamp) !== undefined);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Returns the exit code. */
export function main(args: readonly string[]): number {
  const [base, head, ...more] = args;
  if (base === undefined || head === undefined || more.length > 0) {
    process.stderr.write("usage: only-stamps BASE HEAD (two stack files)\n");
    return 2;
  }
  const changes = otherChanges(fs.readFileSync(base, "utf8"), fs.readFileSync(head, "utf8"));
  for (const change of changes) process.stdout.write(`${change}\n`);
  return changes.length === 0 ? 0 : 1;
}

if (require.main === module) process.exitCode = main(process.argv.slice(2));
