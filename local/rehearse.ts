/**
 * `npm run rehearse`: rolls, retires, rolls back and invalidates the credentials of the local stack on the local cloud, by the
 * real engine, under load, and says what clients noticed. It touches nothing outside, and writes nothing into the checkout.
 *
 * Exit code 0 done; 1 an update failed, a credential with overlap failed a request, or an outcome was wrong; 2 wrong usage.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { DATABASE } from "./by-hand";
import { exitWith, parsed } from "../operations/command";
import { parse } from "yaml";
import { startLoad } from "./load";
import { prepareEngine } from "./engine";
import { must, type Scene, startScene } from "./scene";
import { during, exitOnSignals, jsonLine, say, table } from "../operations/console";
import { type Clients, clients, CONFIG_KIND, type Kind, KINDS, NEEDS } from "./rehearse-clients";
import { type Held, type Stage, type Step, STEPS } from "./rehearse-steps";

/** In each step at least so many requests, unless asked otherwise, by so many clients, with a pause after each and each in its time. */
const REQUESTS = 1000;
const CLIENTS = 8;
const PAUSE_MS = 250;
const TIMEOUT_MS = 5000;
/** The load ends by itself if a rehearsal hangs. */
const LONGEST_MS = 30 * 60_000;
/** Of an update that failed so much is shown. */
const LAST_LINES = 30;

export interface Row {
  kind: Kind;
  step: string;
  requests: number;
  failed: number;
  /** The longest time between one success and the next, over all clients. */
  worstGapMs: number;
  updateMs: number;
}

export interface Report {
  rows: Row[];
  /** Beside each row, for people. */
  proofs: string[];
  problems: string[];
}

/** All steps of one kind, under one load that never pauses; after an update that failed no other is made. */
export async function rehearse(scene: Scene, kind: Kind, report: Report, requests = REQUESTS): Promise<void> {
  const names = namesOf(fs.readFileSync(scene.configFile, "utf8"), kind);
  const overlaps = await allOverlap(scene, names);
  const side = clients[kind](scene.cloud);
  const values = [await hold(side)];
  const headers: Record<string, string> = {};
  const sign = () => Object.assign(headers, values[0]?.holder.headers);
  sign();
  // The headers are read at each request: the load goes on while its clients go over to what they hold next.
  const load = startLoad({
    url: side.url,
    clients: CLIENTS,
    pauseMs: PAUSE_MS,
    timeoutMs: TIMEOUT_MS,
    headers,
    ...(side.conversation ? { conversation: side.conversation } : {}),
    maxRequests: Infinity,
    maxMs: LONGEST_MS,
  });
  const stage: Stage = { scene, names, side, load, values };
  try {
    for (const one of STEPS[kind]) {
      const what = `${kind}, ${one.step}`;
      const { updateMs, failure } = await update(stage, what, one, requests * (one.times ?? 1));
      const problems = failure === undefined ? await one.wrong(stage) : [failure];
      if (failure === undefined && one.mints === true) values.unshift(await hold(side));
      const current = values.findIndex(({ value }) => value === side.value());
      if (current > 0) values.unshift(...values.splice(current, 1));
      const { requests: asked, failed, worstGapMs, failures } = load.mark();
      sign();
      const reasons = [...new Set(failures.map(({ reason }) => reason))].slice(0, 3).join("; ");
      const mayFail = !overlaps || one.breaks === true;
      if (failed > 0 && !mayFail) problems.push(`${failed} of ${asked} requests failed: ${reasons}`);
      if (failed > 0 && mayFail) say(`${what}: it breaks at once, ${failed} requests failed: ${reasons}`);
      report.rows.push({ kind, step: one.step, requests: asked, failed, worstGapMs, updateMs });
      report.proofs.push(problems.length === 0 ? one.proof : "FAILED, see below");
      report.problems.push(...problems.map((problem) => `${what}: ${problem}`));
      if (failure !== undefined) return;
    }
  } finally {
    await load.stop();
    scene.cloud.cloudflare.setPropagation({ mode: "instant" });
  }
}

async function hold(side: Clients): Promise<Held> {
  return { value: side.value(), holder: await side.hold() };
}

/** One edit of the stack file and one `pulumi up`, and load before its end and after it until there was enough. */
async function update(
  stage: Stage,
  what: string,
  { edit, byHand }: Step,
  requests: number,
): Promise<{ updateMs: number; failure?: string }> {
  const { scene, load } = stage;
  const heard = () => {
    const { requests: asked, failed } = load.result();
    return `${asked} requests, ${failed} failed`;
  };
  if (byHand) await during(`${what}: by hand`, () => byHand(stage), heard);
  const today = new Date().toISOString().slice(0, 10);
  const edited = edit(stage, fs.readFileSync(scene.configFile, "utf8"), today);
  fs.writeFileSync(scene.configFile, edited.text);
  const { code, ms, stdout, stderr } = await during(
    `${what}: ${edited.notes.join("; ")}`,
    () => scene.stack.up(["--suppress-outputs"]), // else they are the last lines, not the reason
    heard,
  );
  if (code !== 0) {
    const last = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
    return { updateMs: ms, failure: `the update failed:\n${last.slice(-LAST_LINES).join("\n")}` };
  }
  await during(`${what}: updated in ${ms} ms`, () => load.until(requests), heard);
  return { updateMs: ms };
}

/** Whether config promises that none of them breaks; the program itself says so. */
async function allOverlap(scene: Scene, names: string[]): Promise<boolean> {
  const { credentials } = (await scene.stack.outputs()) as { credentials: Record<string, { change: string }> };
  return names.every((name) => credentials[name]?.change === "overlaps");
}

interface StackFile {
  config: { "rollover:credentials": Record<string, { kind: string }> };
}

function namesOf(text: string, kind: Kind): string[] {
  const { config } = parse(text) as StackFile;
  const names = Object.entries(config["rollover:credentials"]).flatMap(([name, own]) =>
    own.kind === CONFIG_KIND[kind] ? [name] : [],
  );
  if (names.length === 0)
    throw new Error(`Pulumi.local.yaml has no credential of kind ${CONFIG_KIND[kind]} to rehearse`);
  return names;
}

/** Takes the credentials that are not rehearsed out of the stack file: their servers may not run. */
function leaveOut(scene: Scene, kinds: readonly Kind[]): void {
  const rehearsed = kinds.flatMap((kind) => namesOf(fs.readFileSync(scene.configFile, "utf8"), kind));
  const { config } = parse(fs.readFileSync(scene.configFile, "utf8")) as StackFile;
  for (const name of Object.keys(config["rollover:credentials"]))
    if (!rehearsed.includes(name)) scene.edit(["rollover:credentials", name], undefined);
}

/** The first update, and the table that the local Worker's queries read. */
export async function bringUp(scene: Scene): Promise<void> {
  await during("bringing the local stack up", () => must(scene.stack.up()));
  if (!scene.cloud.has("postgres")) return;
  const { rows } = await scene.cloud.postgres.query(
    "SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1",
    [DATABASE],
  );
  await scene.cloud.seedDatabase({ owner: (rows[0] as { owner: string }).owner, database: DATABASE });
}

function print(report: Report, json: boolean): void {
  // With --json, standard output is for programs alone.
  const stream = json ? process.stderr : process.stdout;
  const head = ["kind", "step", "requests", "failed", "worst gap ms", "update ms", "proven after it"];
  const rows = report.rows.map(({ kind, step, requests, failed, worstGapMs, updateMs }, at) => {
    const proof = report.proofs[at] ?? "";
    return [kind, step, requests, { text: failed, bad: failed > 0 }, worstGapMs, updateMs, proof];
  });
  if (rows.length > 0) stream.write(`\n${table(head, rows, stream)}\n`);
  for (const problem of report.problems) say(problem);
}

function program(): Command {
  return new Command("rehearse")
    .description(
      "Rolls, retires, rolls back and invalidates the credentials of Pulumi.local.yaml on the local cloud, by the real engine, while 8 " +
        "clients use them without pause, and counts what fails. Nothing outside this machine is touched.",
    )
    .addOption(new Option("--only <kind>", "one kind alone").choices(KINDS))
    .option("--requests <n>", "at least so many in each step, three times as many for signing-keys", count, REQUESTS)
    .option("--json", "one JSON document as the last line of standard output, all else on standard error")
    .addHelpText(
      "after",
      `
Examples:
  npm run rehearse                      every kind
  npm run rehearse -- --only postgres   one kind
  npm run rehearse -- --requests 100    sooner done
  npm run --silent rehearse -- --json | tail -n 1 | jq '.rows[] | select(.failed > 0)'

A failed request is one without status 200, or one over ${TIMEOUT_MS / 1000} s; nothing is tried again. For postgres each request makes
the Worker log in with its DATABASE_URL. For signing-keys each shows the token that the request before it was given, while isolates
take up new secrets at random within 3 s, or in pools that clients stick to. For random each shows the Worker a session that it signed before the step. For the
kinds of Turso each makes it ask a libSQL server with its token. turso-invalidate has no overlap, and its failed requests are no
error: the worst gap is the outage. "seed's order" mints, delivers, waits and then calls auth/rotate by hand, and an update
repairs what that broke.
Exit code: 0 done; 1 an update failed, a credential with overlap failed a request, or an outcome was wrong; 2 wrong usage;
130 interrupted by Ctrl-C, with every server ended and nothing left behind.`,
    );
}

function count(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("A number from 1 to 999999.");
  return Number(text);
}

async function run({
  only,
  json = false,
  requests,
}: {
  only?: Kind;
  json?: boolean;
  requests: number;
}): Promise<number> {
  exitOnSignals();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-rehearse-"));
  process.once("exit", () => {
    fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });
  const engine = await prepareEngine();
  const report: Report = { rows: [], proofs: [], problems: [] };
  const kinds = only === undefined ? KINDS : [only];
  const needs = [...new Set(kinds.flatMap((kind) => NEEDS[kind]))];
  const scene = await during("starting the local cloud", () => startScene({ engine, dir, needs }));
  try {
    leaveOut(scene, kinds);
    await bringUp(scene);
    for (const kind of kinds) if (report.problems.length === 0) await rehearse(scene, kind, report, requests);
  } catch (error) {
    report.problems.push(error instanceof Error ? error.message : String(error));
  } finally {
    await scene.stop();
  }
  print(report, json);
  const { version, origin, plugins } = engine;
  if (json) jsonLine({ rows: report.rows, engine: { version, origin }, plugins });
  return report.problems.length === 0 ? 0 : 1;
}

/** Resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  return run(command.opts());
}

if (require.main === module) {
  exitWith(() => main(process.argv.slice(2)));
}
