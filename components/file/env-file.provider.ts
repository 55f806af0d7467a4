import { execFile } from "node:child_process";
import * as fs from "node:fs/promises";
import { constants } from "node:fs";
import * as path from "node:path";
import { promisify } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { isUnknown, sameInputs } from "../thin.provider";
import { edited, quoted, valuesIn } from "./env-lines";

export interface Inputs {
  /** Relative to the project's folder and inside it, without `.` and `..`. */
  file: string;
  /** Name to value; secret. */
  lines: Record<string, string>;
  /** JSON: by credential the stamps whose values the lines hold, current first; public, for the audit. States of before have none. */
  generations?: string;
}

export interface Outputs extends Inputs {
  /** There was no such file before: it goes with its last line. */
  made: boolean;
  /** What a refresh found other than written; empty when all is as it should be. */
  drift: string[];
}

interface Target {
  /** As config names it, for messages. */
  file: string;
  path: string;
  /**
   * Where the new text stands until it takes the file's place. It begins as `.env` does and ends as the file does, so that
   * what is in .gitignore for the one holds for the other.
   */
  temporary: string;
}

/**
 * CRUD of the lines of one env file; see components/file/env-file.ts.
 *
 * @param root The project's folder.
 */
export function envFile(root: string, warn: (line: string) => void): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  return {
    async check(_olds, news) {
      const failures = await admit(root, news.file).then(
        () => [],
        (error: unknown) => [{ property: "file", reason: error instanceof Error ? error.message : String(error) }],
      );
      return { inputs: news, failures: isUnknown(news.lines) ? failures : [...failures, ...checkLines(news)] };
    },

    diff(_id, olds, news) {
      const replaces = olds.file === news.file ? [] : ["file"];
      // Other generations are other lines; a state of before, which does not name them, is no change.
      const { file, lines } = news;
      return Promise.resolve({ changes: olds.drift.length > 0 || !sameInputs(olds, { file, lines }), replaces });
    },

    async create(news) {
      return { id: news.file, outs: await deliver(root, news, undefined, warn) };
    },

    update: async (_id, olds, news) => ({ outs: await deliver(root, news, olds, warn) }),

    async read(id, props) {
      if (!props) return {};
      const target = await locate(root, props.file);
      const there = target && (await readRegular(target));
      if (!target || !there) return {};
      const values = valuesIn(there.text);
      const drift = Object.entries(props.lines).flatMap(([name, value]) => {
        if (!values.has(name)) return [`${name} is missing`];
        return values.get(name) === value ? [] : [`${name} has another value`];
      });
      if (there.mode !== 0o600) drift.push(`its mode is ${there.mode.toString(8)}`);
      if (await fs.lstat(target.temporary).catch(absent)) drift.push("a killed run left its temporary file");
      return { id, props: { ...props, drift } };
    },

    async delete(_id, props) {
      const target = await locate(root, props.file);
      if (!target) return;
      await rewrite(target, (text) => {
        if (text === undefined) return undefined;
        warnOfForeign(text, props, {}, warn);
        const rest = edited(text, {}, props.lines);
        return props.made && rest.trim() === "" ? undefined : rest;
      });
    },
  };
}

function checkLines({ file, lines }: Inputs): pulumi.dynamic.CheckFailure[] {
  return Object.entries(lines).flatMap(([name, value]) => {
    const reasons = [
      ...(/^[A-Za-z_]\w*$/.test(name)
        ? []
        : [`${name} is no name of a variable: letters, digits and _ are, not beginning with a digit`]),
      ...(quoted(value) === undefined
        ? [
            `the value of ${name} for ${file} has control characters, or quotes or a backslash that a shell and dotenv loaders read differently; deliver one without them`,
          ]
        : []),
    ];
    // Not of `lines`: the engine prints the value of the property that it is told of, a secret one in clear.
    return reasons.map((reason) => ({ property: "file", reason }));
  });
}

async function deliver(
  root: string,
  news: Inputs,
  olds: Outputs | undefined,
  warn: (line: string) => void,
): Promise<Outputs> {
  const target = await admit(root, news.file);
  if ((await git(target, "check-ignore", "-q")).code === 1) {
    warn(`${news.file} gets secrets and git does not ignore it; add it to .gitignore`);
  }
  const existed = await rewrite(target, (text = "") => {
    if (olds) warnOfForeign(text, olds, news.lines, warn);
    return edited(text, news.lines, olds?.lines ?? {});
  });
  return { ...news, made: !existed || olds?.made === true, drift: [] };
}

/** A value that is not ours may be somebody's work; it may also be ours, of a run that was killed before it was recorded. */
function warnOfForeign(text: string, olds: Inputs, wanted: Record<string, string>, warn: (line: string) => void): void {
  const values = valuesIn(text);
  const foreign = Object.keys(olds.lines).filter(
    (name) => !Object.hasOwn(wanted, name) && values.has(name) && values.get(name) !== olds.lines[name],
  );
  if (foreign.length === 0) return;
  warn(
    `${foreign.join(", ")} in ${olds.file} no longer has the value that was written and is left there; take it out by hand if nothing uses it`,
  );
}

/**
 * Replaces the file's text in one step, mode 0600.
 *
 * @param change Gets undefined where there is no file, and gives it where none is to be left.
 * @returns Whether there was a file.
 */
async function rewrite(target: Target, change: (text: string | undefined) => string | undefined): Promise<boolean> {
  const { temporary } = target;
  const handle = await openTemporary(target);
  try {
    const there = await readRegular(target);
    const text = change(there?.text);
    if (text === undefined) {
      await fs.rm(target.path, { force: true });
    } else {
      await handle.chmod(0o600);
      await handle.writeFile(text, "latin1");
      await handle.sync();
      if (!(await isAt(handle, temporary)))
        throw new Error(`${target.file} is being written by another process too; run the update again`);
      await fs.rename(temporary, target.path);
    }
    await syncFolder(path.dirname(target.path));
    return there !== undefined;
  } finally {
    if (await isAt(handle, temporary)) await fs.rm(temporary, { force: true });
    await handle.close();
  }
}

/** Takes away what a killed run left. Another process that writes the same file now loses its own so, and notices. */
async function openTemporary({ file, temporary }: Target): Promise<fs.FileHandle> {
  try {
    await fs.rm(temporary, { force: true });
    return await fs.open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      `${file} cannot be replaced: ${path.basename(temporary)} cannot be made beside it (${code ?? "unknown error"}); ` +
        "make its folder writable, see that nothing else has that name, then run the update again",
    );
  }
}

async function isAt(handle: fs.FileHandle, name: string): Promise<boolean> {
  const [own, found] = await Promise.all([handle.stat(), fs.lstat(name).catch(absent)]);
  return found?.ino === own.ino && found.dev === own.dev;
}

/** A rename lasts through a power failure only when its folder is on disk too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, constants.O_RDONLY);
  await handle.sync().finally(() => handle.close());
}

/** Where the file is. Throws where no secret may be written to it. */
async function admit(root: string, file: string): Promise<Target> {
  const target = await locate(root, file);
  if (!target)
    throw new Error(
      `the folder of ${file} does not exist; make it with "mkdir -p ${path.dirname(file)}", or name another file`,
    );
  await readRegular(target);
  const { code, said } = await git(target, "--literal-pathspecs", "ls-files", "--error-unmatch");
  if (code === 0)
    throw new Error(
      `${file} is tracked by git, so that its next commit would carry a secret. Take it out with "git rm --cached ${file}", list it in .gitignore, then run the update again`,
    );
  if (code === 128 && !said.includes("not a git repository"))
    throw new Error(
      `git cannot say whether it tracks ${file}; run "git ls-files ${file}" in the project's folder, and put right what it reports`,
    );
  return target;
}

/** @returns undefined if the folder does not exist. Throws where the path leaves the project's folder, or may through a link. */
async function locate(root: string, file: string): Promise<Target | undefined> {
  const parts = file.split("/");
  if (path.isAbsolute(file) || file.includes("\0") || parts.some((part) => ["", ".", ".."].includes(part)))
    throw new Error(
      `${JSON.stringify(file)} is no path inside the project's folder; allowed: a relative one without "." and "..", as apps/web/.env.local`,
    );
  const base = path.basename(file);
  let folder = root;
  for (const part of parts.slice(0, -1)) {
    folder = path.join(folder, part);
    const stat = await fs.lstat(folder).catch(absent);
    if (!stat) return undefined;
    const shown = path.relative(root, folder);
    if (stat.isSymbolicLink())
      throw new Error(
        `${shown}, the way to ${file}, is a symbolic link; name the folder it leads to, inside the project`,
      );
    if (!stat.isDirectory()) throw new Error(`${shown}, the way to ${file}, is no folder; name another file`);
  }
  return { file, path: path.join(folder, base), temporary: path.join(folder, `.env.rollover-tmp.${base}`) };
}

/** The file's bytes as latin1, and its permission bits; undefined if there is none. Throws for what is no plain file of ours. */
async function readRegular({ file, path: name }: Target): Promise<{ text: string; mode: number } | undefined> {
  // Not blocking: to open a pipe would wait for a writer.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await fs.open(name, flags).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new Error(
      code === "ELOOP"
        ? `${file} is a symbolic link, so that a secret could land anywhere; replace it with a plain file, or name the one it leads to`
        : `${file} cannot be read (${code ?? "unknown error"}); make it a plain file that you may read and write`,
    );
  });
  if (!handle) return undefined;
  try {
    const stat = await handle.stat();
    const uid = process.getuid?.();
    if (!stat.isFile()) throw new Error(`${file} is no plain file; take it away, or name another file`);
    if (stat.nlink > 1)
      throw new Error(`${file} has ${stat.nlink} hard links, which would part; replace it with a copy of its own`);
    if (uid !== undefined && stat.uid !== uid)
      throw new Error(`${file} belongs to user ${stat.uid}, and this is user ${uid}; run as its owner, or chown it`);
    return { text: await handle.readFile("latin1"), mode: stat.mode & 0o7777 };
  } finally {
    await handle.close();
  }
}

/** Asks git about the file, in its folder and not where a hook that started us points to; no exit code without git. */
async function git({ path: name }: Target, ...question: string[]): Promise<{ code: number | undefined; said: string }> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"));
  const env = { ...Object.fromEntries(inherited), LC_ALL: "C" };
  try {
    const args = ["-c", "core.fsmonitor=false", ...question, "--", path.basename(name)];
    await promisify(execFile)("git", args, { cwd: path.dirname(name), env, timeout: 10_000 });
    return { code: 0, said: "" };
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    return { code: typeof code === "number" ? code : undefined, said: stderr ?? "" };
  }
}

function absent(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
}
