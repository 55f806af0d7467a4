/**
 * `npm run bench`: what this design costs, as ratios taken in one run, so that the machine's speed falls out. Lower is better.
 * It runs on the local cloud and touches nothing outside.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { outagesOf } from "./bench-outage";
import { measureSwaps } from "./bench-swaps";
import { exitWith, parsed } from "../operations/command";
import { type Engine, prepareEngine } from "./engine";
import { must, type Scene, startScene } from "./scene";
import { Stack } from "./stack";
import { during, exitOnSignals, jsonLine, say, table } from "../operations/console";

export interface Row {
  name: string;
  value: number;
  unit: "ratio" | "bytes" | "percent" | "s";
  /** The value is meant to be this or less; a row without one is there to compare with. */
  aim?: number;
}

const CREDENTIAL = "rounds-db";
const DEFAULT_ROUNDS = 5;
const DEFAULT_CONSUMERS = [1, 20];
const CHECKOUT = path.resolve(__dirname, "..");

/** One credential of the spine, delivered to one Worker; no wait that is there for the edge or for clients. */
const credentials = {
  [CREDENTIAL]: {
    kind: "postgres",
    database: "rounds",
    owner: "rounds_owner",
    login: "rounds",
    quiet: "0s",
    checks: ["SELECT 1"],
    generations: ["2026-11-20"],
    deliver: [{ worker: "rounds-api", as: "DATABASE_URL" }],
  },
};

/** Milliseconds of one round's three updates, and CPU seconds of two of them. */
interface Round {
  empty: number;
  roll: number;
  same: number;
  emptyCpu: number;
  sameCpu: number;
}

/** An empty program beside ours: same engine, runtime options, compiler options, packages and kind of backend. */
async function emptyProgram(engine: Engine, dir: string): Promise<Stack> {
  const cwd = path.join(dir, "empty");
  fs.mkdirSync(path.join(cwd, "kept"), { recursive: true });
  for (const name of ["Pulumi.yaml", "tsconfig.json", "package.json"])
    fs.copyFileSync(path.join(CHECKOUT, name), path.join(cwd, name));
  fs.symlinkSync(path.join(CHECKOUT, "node_modules"), path.join(cwd, "node_modules"));
  fs.writeFileSync(path.join(cwd, "index.ts"), "export {};\n");
  const stack = new Stack(engine, { cwd, stack: "empty", dir: path.join(cwd, "kept") });
  await stack.init();
  return stack;
}

/** Interleaved, so that load from elsewhere meets all three alike. The retirement in between is not timed. */
async function measure(scene: Scene, empty: Stack, rounds: number): Promise<Row[]> {
  await must(empty.up());
  await must(scene.stack.up());
  const measured: Round[] = [];
  let bytes = 0;
  for (let round = 1; round <= rounds; round++) {
    const [old, now] = [stamp(round), stamp(round + 1)];
    const [emptyRun, emptyCpu] = await withCpu(() => must(empty.up()));
    scene.generations(CREDENTIAL, [now, old]);
    const roll = await must(scene.stack.up());
    const withTwo = await stateBytes(scene);
    scene.generations(CREDENTIAL, [now]);
    await must(scene.stack.up());
    bytes = withTwo - (await stateBytes(scene));
    const [same, sameCpu] = await withCpu(() => must(scene.stack.up(["--expect-no-changes"])));
    measured.push({ empty: emptyRun.ms, roll: roll.ms, same: same.ms, emptyCpu, sameCpu });
    say(`round ${round} of ${rounds}: empty ${emptyRun.ms} ms, roll ${roll.ms} ms, without a change ${same.ms} ms`);
  }
  const base = median(measured.map(({ empty: ms }) => ms));
  const ratio = (of: "roll" | "same") => Number((median(measured.map((round) => round[of])) / base).toFixed(2));
  const cpu = (of: "emptyCpu" | "sameCpu") => Number(median(measured.map((round) => round[of])).toFixed(2));
  const cpuRows: Row[] = [
    { name: "CPU of all processes, up without a change", value: cpu("sameCpu"), unit: "s" },
    { name: "CPU of all processes, up of an empty program", value: cpu("emptyCpu"), unit: "s" },
  ];
  return [
    { name: "roll of one credential / up of an empty program", value: ratio("roll"), unit: "ratio", aim: 1.5 },
    { name: "up without a change / up of an empty program", value: ratio("same"), unit: "ratio", aim: 1.2 },
    { name: "state per generation", value: bytes, unit: "bytes", aim: 8192 },
    ...(canCount() ? cpuRows : []),
  ];
}

const STAT = "/proc/self/stat";
/** In which Linux counts there: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const TICKS_A_SECOND = 100;

function canCount(): boolean {
  return fs.existsSync(STAT);
}

/** The work's result, and the CPU that processes took which began and ended in it, with all that they had started. Linux; else 0. */
async function withCpu<T>(work: () => Promise<T>): Promise<[T, number]> {
  const before = cpuOfEnded();
  return [await work(), cpuOfEnded() - before];
}

/** Seconds of all children of this process, and of theirs, that have ended: cutime and cstime. */
function cpuOfEnded(): number {
  if (!canCount()) return 0;
  const stat = fs.readFileSync(STAT, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / TICKS_A_SECOND;
}

/** Medians of the outage through `pulumi up` and by hand, one row for each number of consumers. */
async function measureOutages(engine: Engine, dir: string, consumers: number[], rounds: number): Promise<Row[]> {
  const measured = await outagesOf(engine, dir, consumers, rounds);
  return measured.map(({ consumers: count, outages: { pulumi, byHand } }) => ({
    name: `invalidation outage, ${count} consumer${count === 1 ? "" : "s"}`,
    value: Number((median(pulumi) / median(byHand)).toFixed(2)),
    unit: "ratio",
    aim: 2,
  }));
}

/** Tokens that a roll of a signing key rejects, beside what the usual ways of a script reject. */
async function measureRejected(engine: Engine, dir: string): Promise<Row[]> {
  const { pulumi, currentAndPrevious, single } = await measureSwaps(engine, path.join(dir, "swaps"));
  return [
    { name: "tokens rejected, roll by pulumi up", value: pulumi, unit: "percent", aim: 0 },
    {
      name: "tokens rejected, current and previous swapped by hand",
      value: currentAndPrevious,
      unit: "percent",
      aim: 0,
    },
    { name: "tokens rejected, single key swapped by hand", value: single, unit: "percent", aim: 0 },
  ];
}

function stamp(number: number): string {
  return number === 1 ? "2026-11-20" : `2026-11-20.${number}`;
}

/** Of all resources, as compact JSON. */
async function stateBytes(scene: Scene): Promise<number> {
  return Buffer.byteLength(JSON.stringify((await scene.stack.exportState()).deployment.resources));
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

function program(): Command {
  return new Command("bench")
    .description("Measures what rotations cost, as ratios within one run, on the local cloud. Lower is better.")
    .option("--rounds <n>", "how often each update is timed; the median counts", positive, DEFAULT_ROUNDS)
    .addOption(
      new Option("--consumers <list>", "with how many Workers an outage is measured")
        .argParser(numbers)
        .default(DEFAULT_CONSUMERS, DEFAULT_CONSUMERS.join()),
    )
    .option("--json", "one JSON document as the last line of standard output, all else on standard error")
    .addHelpText(
      "after",
      `
Examples:
  npm run bench
  npm run --silent bench -- --json | tail -n 1 | jq '.rows[] | select(.aim != null and .value > .aim)'

CPU is that of the engine and of every process that it starts. Times are whole runs of \`pulumi up\`: of a roll (a
stamp added in front; settle and quiet are 0), of the same config again, and of an empty program with the same engine, options
and file backend. State per generation is the compact JSON of all
resources with two generations, less that with one. An invalidation outage lasts from the last good request before it
to the first good one of the last consumer, and is set against that of a script that does nothing but rotate, mint and push.
Each consumer is a Worker in a process of its own. Tokens rejected are those of one roll, from its begin until every isolate
has the new keys, where isolates take them up at random within 3 s; those by hand are there to compare.
Exit code: 0 measured, also where an aim is missed; 1 an update failed; 2 wrong usage.`,
    );
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("It is not a whole number above 0.");
}

function numbers(text: string): number[] {
  return [...new Set(text.split(",").map(positive))];
}

interface Options {
  rounds: number;
  consumers: number[];
  json?: boolean;
}

async function run({ rounds, consumers, json = false }: Options): Promise<void> {
  exitOnSignals();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-bench-"));
  process.once("exit", () => {
    fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });
  const engine = asAtUsers(await prepareEngine());
  const result = [
    ...(await measureUpdates(engine, dir, rounds)),
    ...(await measureOutages(engine, dir, consumers, rounds)),
    ...(await measureRejected(engine, dir)),
  ];
  const stream = json ? process.stderr : process.stdout;
  const rows = result.map(({ name, value, unit, aim }) => [
    name,
    { text: value, bad: aim !== undefined && value > aim },
    unit,
    aim ?? "",
  ]);
  stream.write(`\n${table(["what", "value", "unit", "aim"], rows, stream)}\n`);
  if (json) jsonLine({ rows: result });
}

/** The program is compiled by each run, as a user's engine does: local/engine/transpiled.cjs. */
function asAtUsers(engine: Engine): Engine {
  return { ...engine, env: (extra) => engine.env({ ROLLOVER_COMPILE: "1", ...extra }) };
}

/** One credential's updates against those of an empty program. */
async function measureUpdates(engine: Engine, dir: string, rounds: number): Promise<Row[]> {
  const own = path.join(dir, "updates");
  fs.mkdirSync(own);
  const scene = await during("starting the local cloud", () =>
    startScene({ engine, dir: own, credentials, worker: { settle: "0s" }, needs: ["postgres", "workers"] }),
  );
  try {
    scene.edit(["rollover:turso"], undefined);
    const empty = await emptyProgram(engine, dir);
    return await during("bringing both programs up, then timing them", () => measure(scene, empty, rounds));
  } finally {
    await scene.stop();
  }
}

/** Resolves to the exit code: 0 measured, 1 an update failed, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  await run(command.opts());
  return 0;
}

if (require.main === module) {
  exitWith(() => main(process.argv.slice(2)));
}
