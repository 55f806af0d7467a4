/** Why something rolls: what the stack file says otherwise than it did at the merge base, with the reason that stands beside it. */
import { execFile } from "node:child_process";
import * as path from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import { parseExpiration } from "../../components/rotation/expiration";
import { parseStamp } from "../../components/rotation/stamp";
import { isMapping, mapping, Refusal } from "../stack-file/text";
import { configIn, fileIn } from "./settings";

export interface Why {
  /** What the stack file is compared with: the first 12 digits of a commit. */
  base?: string;
  /** Why it cannot be told; then there are no edits. */
  unknown?: string;
  edits: Edit[];
}

export interface Edit {
  /**
   * A credential; `group/NAME` or `database/NAME` of Turso; else a part of the config, such as `workers.rounds-api` or
   * `rollover:policy`; `stack file: NAME` for what stands beside `config`.
   */
  name: string;
  change: "added" | "removed" | "changed";
  /** Lists of stamps that differ, as they are written: `generations: ["2026-11-20"]`. */
  from: string[];
  to: string[];
  reason?: string;
  ticket?: string;
  /** Names of other settings that changed, not their values: those may be anything. Empty unless `change` is "changed". */
  settings: string[];
}

type Entry = Record<string, unknown>;

const STAMPS = ["generations", "generation", "retired", "restore", "invalidated", "incident"];
const WHY = ["reason", "ticket"];

/** In the order of the file. An empty text is a file that was not there. Throws Refusal where one is no YAML. */
export function editsOf(before: string, now: string): Edit[] {
  const [old, next] = [entriesIn(before), entriesIn(now)];
  return [...new Set([...next.keys(), ...old.keys()])].flatMap((id) => {
    const [was, is] = [old.get(id)?.entry, next.get(id)?.entry];
    const name = (next.get(id) ?? old.get(id))?.name ?? "";
    if (isDeepStrictEqual(was, is)) return [];
    const differ = [...new Set([...Object.keys(was ?? {}), ...Object.keys(is ?? {})])].filter(
      (key) => !isDeepStrictEqual(was?.[key], is?.[key]),
    );
    const change = was === undefined ? "added" : is === undefined ? "removed" : "changed";
    const written = (entry: Entry = {}) =>
      STAMPS.filter((key) => differ.includes(key) && entry[key] !== undefined).map(
        (key) => `${key}: ${stampsOf(entry[key])}`,
      );
    const settings = differ.filter((key) => ![...STAMPS, ...WHY, ""].includes(key));
    return [
      {
        ...{ name, change, from: written(was), to: written(is), ...whyIn(is) },
        settings: change === "changed" ? settings : [],
      },
    ];
  });
}

interface Named {
  name: string;
  entry: Entry;
}

/** By where it stands: two parts may have one name. Those that are lists, texts or encrypted are one setting, named "". */
function entriesIn(text: string): Map<string, Named> {
  const whole = (value: unknown): Entry => (isMapping(value) && !("secure" in value) ? value : { "": value });
  const found = new Map<string, Named>();
  const add = (name: string, value: unknown, ...at: string[]) => {
    found.set(JSON.stringify(at), { name, entry: whole(value) });
  };
  const each = (value: unknown, prefix: string, ...at: string[]) => {
    for (const [name, entry] of Object.entries(whole(value)))
      add(name === "" ? at.join(".") : `${prefix}${name}`, entry, ...at, name);
  };
  for (const [key, value] of Object.entries(fileIn(text)))
    if (key !== "config") add(`stack file: ${key}`, value, "", key);
  for (const [key, value] of Object.entries(configIn(text))) {
    const part = key.replace(/^rollover:/, "");
    if (part === "credentials") each(value, "", key);
    else if (part === "workers" || part === "rateLimits") each(value, `${part}.`, key);
    else if (part === "turso" && isMapping(value)) {
      const { groups = {}, databases = {}, ...rest } = value;
      each(groups, "group/", key, "groups");
      each(databases, "database/", key, "databases");
      add(key, rest, key);
    } else add(key, value, key);
  }
  return found;
}

/** Only what has the form of a stamp: a list in a pull request may hold anything. */
function stampsOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(stampsOf).join(", ")}]`;
  if (isMapping(value)) {
    const { readOnly } = value;
    return typeof readOnly === "string" && parseExpiration(readOnly) !== undefined ? `{ readOnly: ${readOnly} }` : "{}";
  }
  const stamp = parseStamp(value);
  return stamp === undefined ? "(no stamp)" : `"${stamp}"`;
}

function whyIn(entry: Entry = {}): Pick<Edit, "reason" | "ticket"> {
  const [reason, ticket] = [entry["reason"] ?? mapping(entry["incident"])["reason"], entry["ticket"]];
  return {
    ...(typeof reason === "string" ? { reason: reason.slice(0, 500) } : {}),
    ...(typeof ticket === "string" ? { ticket: ticket.slice(0, 100) } : {}),
  };
}

/** The branches that a pull request may be meant for; the first that is there counts. */
const BRANCHES = ["origin/HEAD", "origin/main", "main", "master"];

/**
 * Compares the stack file with what it was at `base`, or else at the merge base of HEAD and the default branch. Where HEAD is that
 * commit itself, an edit that is not committed yet is what shows. Never throws: that it cannot be told is told.
 */
export async function readWhy(file: string, now: string, base: string | undefined): Promise<Why> {
  const git = gitIn(path.dirname(file));
  const name = path.basename(file);
  try {
    if ((await git("rev-parse", "--is-inside-work-tree")) === undefined)
      return { unknown: "the stack file is in no git repository that can be read", edits: [] };
    const commit = base === undefined ? await mergeBase(git) : await commitOf(git, base);
    if (commit === undefined) return { unknown: unknownRef(base), edits: [] };
    const before = (await isThere(git, commit, name)) ? await git("cat-file", "blob", `${commit}:./${name}`) : "";
    if (before === undefined) return { unknown: "git cannot read the stack file of that commit", edits: [] };
    return { base: commit.slice(0, 12), edits: editsOf(before, now) };
  } catch (error) {
    if (error instanceof Refusal) return { unknown: error.message, edits: [] };
    throw error;
  }
}

function unknownRef(base: string | undefined): string {
  return base === undefined
    ? "git knows no default branch; name what to compare with by `--base`"
    : "git knows no commit by the name given as `--base`; in a shallow clone, fetch it first";
}

type Git = (...args: string[]) => Promise<string | undefined>;

/** What git prints; undefined where it fails, is not there or takes longer than 10 s. */
function gitIn(cwd: string): Git {
  const env = { ...process.env, GIT_OPTIONAL_LOCKS: "0", GIT_TERMINAL_PROMPT: "0" };
  return async (...args) => {
    const options = { cwd, env, timeout: 10_000, maxBuffer: 8 << 20 };
    const done = await promisify(execFile)("git", args, options).catch(() => undefined);
    return done?.stdout;
  };
}

async function mergeBase(git: Git): Promise<string | undefined> {
  for (const branch of BRANCHES) {
    const commit = await commitOf(git, branch);
    if (commit !== undefined) return (await git("merge-base", "HEAD", commit))?.trim();
  }
  return undefined;
}

async function commitOf(git: Git, ref: string): Promise<string | undefined> {
  if (ref.startsWith("-")) return undefined; // git would take it for an option
  return (await git("rev-parse", "--verify", "--quiet", `${ref}^{commit}`))?.trim();
}

async function isThere(git: Git, commit: string, name: string): Promise<boolean> {
  const listed = await git("ls-tree", "-z", "--name-only", commit, "--", name);
  return listed !== undefined && listed.replace(/\0$/, "") === name;
}
