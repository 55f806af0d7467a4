/**
 * `npm run mutants`: puts small faults into a copy of the checkout, one at a time, and runs the tests that are named for each. A
 * fault that they all survive with is a proof that is missing. Exit code 0 all are dead, 1 not all, 2 wrong usage, 130 interrupted.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";
import { defaultCache } from "../../local/engine";
import { type Mutant, mutated } from "./mutant";
import { mutants } from "./list";
import { typeChecker } from "./types";
import { endAll, type Outcome, outcomeOf, type Report, runTests } from "./vitest";

const CHECKOUT = path.resolve(__dirname, "..", "..");
/** Of one selection of tests. What takes longer has not failed by itself. */
const LONGEST_MS = 10 * 60_000;

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});

async function main(args: string[]): Promise<number> {
  const chosen = chosenBy(args);
  if (typeof chosen === "string") {
    process.stderr.write(`${chosen}\nusage: npm run mutants -- [--only ID,...]\n`);
    return 2;
  }
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "rollover-mutants-")));
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    process.once(signal, () => {
      endAll();
      remove(root);
      process.exit(code);
    });
  try {
    copyTo(root);
    const begun = performance.now();
    const alive = await tryAll(root, chosen);
    const seconds = Math.round((performance.now() - begun) / 1000);
    print(`${chosen.length - alive} dead, ${alive} alive, in ${seconds} s`);
    return alive === 0 ? 0 : 1;
  } finally {
    remove(root);
  }
}

/** Returns how many are not dead. */
async function tryAll(root: string, chosen: readonly Mutant[]): Promise<number> {
  const env = { ROLLOVER_CACHE: path.join(root, ".cache") };
  const problemsOf = typeChecker(root, [
    ...new Set(chosen.map(({ file }) => file).filter((file) => /\.ts$/.test(file))),
  ]);
  const unmutated = new Map<string, Report | string>();
  let alive = 0;
  for (const mutant of chosen) {
    const begun = performance.now();
    const verdict = await verdictOn(mutant);
    if (!verdict.startsWith("dead")) alive += 1;
    print(`${mutant.guarantee} ${mutant.id}: ${verdict} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
  }
  return alive;

  /** `dead: ...`, or why it is not. */
  async function verdictOn(mutant: Mutant): Promise<string> {
    const before = await withoutFault(mutant);
    if (before.kind !== "passed") return `not tried, since its tests do not pass without it: ${wordsOf(before)}`;
    const file = path.join(root, mutant.file);
    const source = fs.readFileSync(file, "utf8");
    const text = mutated(source, mutant);
    const [problem] = mutant.file.endsWith(".ts") ? problemsOf(mutant.file, text) : [];
    if (problem !== undefined) return `not tried, since it does not compile: ${problem}`;
    fs.writeFileSync(file, text);
    try {
      const outcome = outcomeOf(await runTests(root, mutant, { timeoutMs: LONGEST_MS, bail: true, env }));
      if (outcome.kind === "failed") return `dead: ${wordsOf(outcome)}`;
      return outcome.kind === "passed" ? `ALIVE: ${wordsOf(outcome)}` : `not dead by a test: ${wordsOf(outcome)}`;
    } finally {
      fs.writeFileSync(file, source);
    }
  }

  /** Of the same files all that any mutant names is run together, once. */
  async function withoutFault({ tests, named }: Mutant): Promise<Outcome> {
    const key = tests.join();
    const names = chosen.flatMap((one) => (one.tests.join() === key ? [one.named] : []));
    const all = names.includes(undefined) ? {} : { named: names.join("|") };
    const report = unmutated.get(key) ?? (await runTests(root, { tests, ...all }, { timeoutMs: LONGEST_MS, env }));
    unmutated.set(key, report);
    return outcomeOf(report, named);
  }
}

/** Or what is wrong with the arguments. */
function chosenBy(args: string[]): readonly Mutant[] | string {
  let only: string | undefined;
  try {
    only = parseArgs({ args, options: { only: { type: "string" } } }).values.only;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (only === undefined) return mutants;
  const ids = only.split(",");
  const unknown = ids.filter((id) => mutants.every((one) => one.id !== id));
  if (unknown.length > 0) return `no such mutant: ${unknown.join(", ")}`;
  return mutants.filter(({ id }) => ids.includes(id));
}

/** All that git has or would take, as it stands; what is installed is linked, and so is the engine. */
function copyTo(root: string): void {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const names = execFileSync("git", args, { cwd: CHECKOUT, encoding: "utf8" }).split("\0");
  for (const name of names) {
    const from = path.join(CHECKOUT, name);
    if (name === "" || !fs.existsSync(from)) continue;
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.copyFileSync(from, path.join(root, name));
  }
  fs.symlinkSync(path.join(CHECKOUT, "node_modules"), path.join(root, "node_modules"));
  const engines = path.join(defaultCache(), "engines");
  fs.mkdirSync(engines, { recursive: true });
  fs.mkdirSync(path.join(root, ".cache"));
  fs.symlinkSync(engines, path.join(root, ".cache", "engines"));
}

function remove(root: string): void {
  fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 });
}

function wordsOf(outcome: Outcome): string {
  if (outcome.kind === "failed") return `"${outcome.test}"`;
  return outcome.kind === "passed" ? `${outcome.tests} tests pass` : outcome.why;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
