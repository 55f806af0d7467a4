// Proves G7 on the real engine where no other scene looks: plans, previews in each form, a wrong API token, a stranger's role, the
// engine's own logs; and that a verifier of a password stands in Postgres's log alone. First it plants a leak in each kind of place
// and sees it found. Not: failures that other files provoke, whose scenes look at their end (local/invariants.ts), nor memory and
// environment of the processes.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { machineNow } from "../../local/engine/as-of";
import {
  type Leak,
  type Place,
  placesOf,
  sampleArguments,
  scanForLeaks,
  type Secret,
  secretsOf,
} from "../../local/leaks";
import { must, type Scene, startScene } from "../../local/scene";
import type { Result } from "../../local/stack";
import { usualCredentials } from "./rounds";

const SCRIPTS = ["rounds-api"];

let scene: Scene;
let begun: number;
let sampled: ReturnType<typeof sampleArguments>;
const secrets = new Map<string, Secret>();
const verifiers = new Map<string, Secret>();

beforeAll(async () => {
  begun = machineNow();
  sampled = sampleArguments();
  scene = await startScene({
    needs: ["postgres", "workers"],
    credentials: usualCredentials("2026-11-20"),
    worker: { settle: "0s", answers: 3, within: "2s" },
  });
  const { postgres, cloudflare } = scene.cloud;
  know([
    { name: "the admin's password", value: postgres.admin.password },
    { name: "the superuser's password", value: postgres.superuser.password },
    { name: "the API token", value: cloudflare.token },
    { name: "the passphrase", value: scene.stack.env()["PULUMI_CONFIG_PASSPHRASE"] ?? "" },
  ]);
  await must(scene.stack.up());
  await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  await collect();
});

afterAll(async () => {
  sampled.stop();
  await scene.stop();
});

describe("the scanner", () => {
  const value = `${randomBytes(12).toString("base64url")}&"/+?`;
  const planted: Secret = { name: "planted", value };
  const found = (place: string): Leak[] =>
    scanForLeaks({ secrets: [planted], places: places().filter(({ name }) => name === place) });
  const json = JSON.stringify({ note: value });

  it.each<[string, () => string, string]>([
    ["state", () => path.join(scene.stack.backend, ".pulumi", "stacks", "rollover", "planted.json.bak"), json],
    ["state", () => path.join(scene.stack.backend, ".pulumi", "backups", "planted.json"), JSON.stringify({ json })],
    [
      "state",
      () => path.join(scene.stack.backend, ".pulumi", "history", "planted.json"),
      `x=${encodeURIComponent(value)}`,
    ],
    ["plan", () => path.join(scene.dir, "plan-planted.json"), json],
    ["events", () => path.join(scene.dir, "events-planted.json"), Buffer.from(`12${json}`).toString("base64")],
    ["previews", () => path.join(scene.dir, "preview-planted.txt"), `+ url: ${value}`],
    ["transcript", () => scene.stack.transcript, Buffer.from(`1${value}2`).toString("base64")],
    ["Postgres's log", () => scene.cloud.postgres.logFile, `LOG:  statement: ALTER ROLE x PASSWORD '${value}'`],
    ["logs of the engine", () => path.join(scene.engine.home, "logs", `planted-${process.pid}.log`), value],
  ])("finds a leak planted in %s", (place, fileOf, text) => {
    expect(found(place)).toEqual([]);
    const file = fileOf();
    const before = fs.existsSync(file) ? fs.readFileSync(file) : undefined;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.appendFileSync(file, text);
    try {
      expect(found(place)).toMatchObject([{ place: `${place}: ${path.basename(file)}`, secret: "planted" }]);
    } finally {
      if (before === undefined) fs.rmSync(file);
      else fs.truncateSync(file, before.length);
    }
  });

  it("finds a leak planted in the arguments of a child", async () => {
    expect(found("arguments")).toEqual([]);
    const child = spawn("sleep", ["10"], { argv0: `sleep-${value}` });
    while (found("arguments").length === 0 && child.exitCode === null) await new Promise((tick) => setTimeout(tick, 5));
    expect(found("arguments")).toMatchObject([{ place: "arguments", secret: "planted" }]);
    child.kill("SIGKILL");
    await once(child, "exit");
  });

  it("refuses to look for a text so short that chance would find it", () => {
    expect(() => scanForLeaks({ secrets: [{ name: "short", value: "abc" }], places: [] })).toThrow(
      "short has 3 characters: too few to be looked for",
    );
  });
});

describe("a life of a stack", () => {
  beforeAll(() => {
    stamps("2026-11-21", "2026-11-20");
  });
  const steps: [string, () => Promise<void>][] = [
    ["a preview with --diff of a roll", () => previewed("diff", ["--diff"])],
    ["a preview with --json of a roll", () => previewed("json", ["--json"])],
    ["a plan of a roll", planned],
    ["a roll", () => succeeds(scene.stack.up())],
    ["a wrong API token", wrongToken],
    ["a stranger's role of that name", strangersRole],
    ["the end of everything", () => succeeds(scene.stack.destroy())],
  ];

  it.each(steps)("goes through %s", async (_, step) => {
    await step();
    await collect();
  });

  it("left no secret anywhere", () => {
    // Each generation's password and URL, each session key, the probe's token and what was known from the start.
    expect(secrets.size).toBeGreaterThanOrEqual(12);
    expect(scanForLeaks({ secrets: [...secrets.values()], places: places() })).toEqual([]);
  });

  it("left verifiers in Postgres's log only", () => {
    expect(verifiers.size).toBeGreaterThanOrEqual(2);
    const leaks = scanForLeaks({ secrets: [...verifiers.values()], places: places() });
    expect([...new Set(leaks.map(({ place }) => place))]).toEqual(["Postgres's log: postgres.log"]);
  });
});

/** Everywhere that a run writes to, and what it shows to the machine. */
function places(): Place[] {
  return [
    ...placesOf(scene, sampled.seen),
    { name: "Postgres's log", files: [scene.cloud.postgres.logFile] },
    { name: "logs of the engine", files: engineLogs() },
  ];
}

/** Those of this run: the home is that of all runs. The engine encrypts them with the passphrase, where it writes any. */
function engineLogs(): string[] {
  const folder = path.join(scene.engine.home, "logs");
  const files = fs.existsSync(folder) ? fs.readdirSync(folder).map((name) => path.join(folder, name)) : [];
  return files.filter((file) => (fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) >= begun - 1000);
}

function know(found: Secret[]): void {
  for (const secret of found) secrets.set(secret.value, secret);
}

/** After each step, since what a step retires is known to nobody later. */
async function collect(): Promise<void> {
  know(await secretsOf(scene, SCRIPTS));
  const { rows } = await scene.cloud.postgres.query(
    "SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname LIKE 'rounds%'",
  );
  for (const { rolname, rolpassword } of rows)
    verifiers.set(String(rolpassword), { name: `the verifier of ${String(rolname)}`, value: String(rolpassword) });
}

function stamps(...list: string[]): void {
  for (const credential of ["session-key", "rounds-db"]) scene.generations(credential, list);
}

async function succeeds(run: Promise<Result>): Promise<void> {
  await must(run);
}

/** A failure without its words would prove nothing: the words are what could leak. */
async function fails(run: Promise<Result>, words: RegExp): Promise<void> {
  const { code, stdout, stderr } = await run;
  expect(code).not.toBe(0);
  expect(stdout + stderr).toMatch(words);
}

async function previewed(name: string, flags: string[]): Promise<void> {
  const { stdout, stderr } = await must(scene.stack.preview(flags));
  fs.writeFileSync(path.join(scene.dir, `preview-${name}.txt`), stdout + stderr);
}

async function planned(): Promise<void> {
  const file = path.join(scene.dir, "plan-roll.json");
  await previewed("plan", ["--save-plan", file]);
  expect(fs.existsSync(file)).toBe(true);
}

async function wrongToken(): Promise<void> {
  const wrong = randomBytes(30).toString("base64url");
  know([{ name: "the wrong API token", value: wrong }]);
  await scene.stack.setConfig("cloudflareApiToken", wrong, { secret: true });
  stamps("2026-11-22", "2026-11-21");
  await fails(scene.stack.up(), /the API token is wrong/);
  await scene.stack.setConfig("cloudflareApiToken", scene.cloud.cloudflare.token, { secret: true });
}

async function strangersRole(): Promise<void> {
  await scene.cloud.postgres.query("CREATE ROLE rounds_20261123 LOGIN");
  stamps("2026-11-23", "2026-11-21");
  await fails(scene.stack.up(), /rounds_20261123 exists/);
  await scene.cloud.postgres.query("DROP ROLE rounds_20261123");
  stamps("2026-11-21", "2026-11-20");
}
