/** README.md as a list of fenced blocks, a folder to run them in as a reader would, and a shell. */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { supervisor } from "../cloud/supervise";

const checkout = path.resolve(__dirname, "..", "..");

interface Block {
  language: string;
  text: string;
  taken: boolean;
}

export class Readme {
  readonly text = fs.readFileSync(path.join(checkout, "README.md"), "utf8");
  private readonly blocks: Block[] = [...this.text.matchAll(/^( *)```(\w+)\n([^]*?)^ *```$/gm)].map(
    ([, indent = "", language = "", text = ""]) => ({
      language,
      text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
      taken: false,
    }),
  );

  /** The one block of this language that matches; it counts as run from now on. */
  take(language: string, pattern: RegExp): string {
    const found = this.blocks.filter((block) => block.language === language && pattern.test(block.text));
    const [block] = found;
    if (!block || found.length > 1)
      throw new Error(`README.md has ${found.length} blocks of ${language} that match ${pattern.source}, not one`);
    block.taken = true;
    return block.text;
  }

  /** The commands of a `sh` block, one a line. */
  commands(pattern: RegExp): string[] {
    return this.take("sh", pattern).trim().split("\n");
  }

  /** Blocks that nothing has run; `text` is what something printed. */
  untaken(): string[] {
    return this.blocks.filter(({ taken, language }) => !taken && language !== "text").map(({ text }) => text);
  }
}

/** Applies a diff that has no line numbers: its `-` lines, which must be there once, become its `+` lines. */
export function patch(text: string, diff: string): string {
  const side = (sign: string) =>
    diff
      .split("\n")
      .filter((line) => line.startsWith(sign))
      .map((line) => `${line.slice(1)}\n`)
      .join("");
  const parts = text.split(side("-"));
  if (parts.length !== 2) throw new Error(`the lines to change stand ${parts.length - 1} times in the file:\n${diff}`);
  return parts.join(side("+"));
}

/** What a clone has, as far as Pulumi and the commands look at it: what they may write to is copied, the rest linked. */
export function cloneInto(dir: string): void {
  for (const name of ["Pulumi.yaml", "Pulumi.prod.yaml", "package.json", "tsconfig.json", "index.ts", "components"])
    fs.cpSync(path.join(checkout, name), path.join(dir, name), { recursive: true });
  for (const name of ["node_modules", "operations", "test"])
    fs.symlinkSync(path.join(checkout, name), path.join(dir, name));
}

export interface Ran {
  /** -1 when a signal ended it. */
  code: number;
  /** Standard output. */
  out: string;
  /** Both, in the order that they came. */
  all: string;
}

/** Runs a command line by bash, to the end. `started` gets a function that kills it and its children at once. */
export function shell(
  command: string,
  { cwd, env, input = "" }: { cwd: string; env: NodeJS.ProcessEnv; input?: string },
  started?: (kill: () => void) => void,
): Promise<Ran> {
  const child = spawn(supervisor().launcher("bash"), ["-c", command], { cwd, env, detached: true });
  started?.(() => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  });
  let out = "";
  let all = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    all += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (all += text));
  child.stdin.on("error", () => undefined); // not every command reads it
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ code: code ?? -1, out, all });
    });
  });
}
