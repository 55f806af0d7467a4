// Proves on the real engine that `npm run report` tells a roll and a retirement that happened: generations with their proofs and
// ends, who, why and from which commit, what the consumer attested, ages against the policy; as JSON, Markdown and HTML, with exit
// codes; that --verify passes on the audit that these updates wrote and names a row that was changed; that nothing printed is
// secret. Not its wording, nor other kinds and failures: test/unit/report.test.ts. Not the page: test/provider/report-page.test.ts.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Report } from "../../operations/report/model";
import type { Verified } from "../../operations/report/verify";
import { scanForLeaks, type Secret, secretsOf } from "../../local/leaks";
import { must, type Scene, startScene } from "../../local/scene";
import { secretOf, usualCredentials } from "./rounds";

const checkout = path.resolve(__dirname, "..", "..");
const [OLD, NEW] = ["2026-08-01", "2026-08-08.2"];
const folder = `tmp/report-${randomBytes(4).toString("hex")}`;
const file = path.join(checkout, folder, "local.jsonl");

let scene: Scene;
const secrets = new Map<string, Secret>();
/** All that any report printed. */
let printed = "";

beforeAll(async () => {
  scene = await startScene({
    needs: ["postgres", "workers"],
    credentials: usualCredentials(OLD),
    worker: { settle: "0s", answers: 3 },
  });
  scene.edit(["rollover:audit"], { file: `${folder}/local.jsonl` });
  scene.edit(["rollover:policy"], { maxAge: { default: "3650d" }, overlap: "8d" });
  scene.stack.options.env = { GITHUB_ACTOR: "octocat", GITHUB_SHA: "c0ffee" };
  await up();
  for (const name of ["rounds-db", "session-key"]) scene.generations(name, [NEW, OLD]);
  scene.edit(["rollover:credentials", "rounds-db", "reason"], "a laptop was lost");
  scene.edit(["rollover:credentials", "rounds-db", "ticket"], "OPS-12");
  await up();
  for (const name of ["rounds-db", "session-key"]) scene.generations(name, [NEW]);
  scene.edit(["rollover:credentials", "rounds-db", "reason"], "the overlap is over");
  await up();
});

afterAll(async () => {
  await scene.end();
  fs.rmSync(path.dirname(file), { recursive: true, force: true });
});

async function up(): Promise<void> {
  await must(scene.stack.up());
  for (const secret of await secretsOf(scene, ["rounds-api"])) secrets.set(secret.value, secret);
}

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** With the test's engine as the user's own on the PATH. */
function report(...args: string[]): Promise<Run> {
  const env = scene.stack.env();
  const all = ["--require", "tsx/cjs", "operations/report.ts", "--stack", "local", ...args];
  const child = spawn(process.execPath, all, {
    cwd: checkout,
    env: { ...env, PATH: `${path.dirname(scene.engine.pulumi)}${path.delimiter}${env["PATH"] ?? ""}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      printed += stdout + stderr;
      resolve({ code, stdout, stderr });
    });
  });
}

const withFile = (...args: string[]) => report("--config-file", scene.configFile, ...args);

it("tells what happened, as JSON in the last line", async () => {
  const run = await withFile("--json");
  expect(run.code, run.stderr).toBe(0);
  const { stack, audit, summary, credentials, changes, policy } = JSON.parse(
    run.stdout.trimEnd().split("\n").at(-1) ?? "",
  ) as Report;
  expect({ stack, audit }).toMatchObject({ stack: "local", audit: { state: "whole" } });
  expect(policy).toMatchObject({ overlap: "8d", warnBefore: "14d", enforce: false, freeze: [] });
  expect(summary).toMatchObject({
    ...{ credentials: 2, liveGenerations: 2, overdue: 0, notAttested: 0, debts: 0 },
    ...{ rotated: 2, failed: 0, withoutOutcome: 0 },
  });
  const db = credentials.find(({ name }) => name === "rounds-db");
  expect(db).toMatchObject({
    ...{ kind: "postgres", change: "overlaps", age: { maxDays: 3650, due: "2036-08-05", status: "fine", stale: [] } },
    generations: [
      { stamp: NEW, place: "current", madeBy: "audit", proof: { passed: true } },
      { stamp: OLD, place: "gone", madeBy: "audit", proof: { passed: true }, end: "refused when tried" },
    ],
    consumers: [{ name: "rounds-api", asked: true, holds: [NEW], last: { result: "done", attested: true } }],
  });
  expect(changes.filter(({ target }) => target === "rounds-db")).toMatchObject([
    { what: `retirement of ${OLD}`, rotated: false, reason: "the overlap is over", ticket: "OPS-12", result: "done" },
    { what: `roll ${OLD} → ${NEW}`, rotated: true, reason: "a laptop was lost", actor: "octocat", commit: "c0ffee" },
    { what: `first record of ${OLD}`, rotated: false, result: "done" },
  ]);
});

it("tells it as Markdown, and as a page of its own", async () => {
  const markdown = await withFile();
  expect(markdown.code, markdown.stderr).toBe(0);
  expect(markdown.stdout).toMatch(/^# Rotation evidence for local\n/);
  expect(markdown.stdout).toMatch(
    new RegExp(`roll ${OLD} → ${NEW} \\| yes \\| – \\| done \\| octocat \\| a laptop was lost`),
  );
  const page = await withFile("--format", "html");
  expect(page.code, page.stderr).toBe(0);
  expect(page.stdout).toMatch(/^<!doctype html>/);
  expect(page.stdout.match(/<g class="bar /g)).toHaveLength(4);
});

it("does without an audit where it is told to, and says so", async () => {
  const run = await withFile("--no-audit", "--json");
  const { audit, changes, credentials } = JSON.parse(run.stdout) as Report;
  expect({ code: run.code, audit, changes }).toEqual({ code: 0, audit: { state: "none" }, changes: [] });
  expect(credentials[0]?.generations).toMatchObject([
    { stamp: NEW, place: "current", made: "2026-08-08", madeBy: "stamp" },
  ]);
});

it("verifies the audit, and names the row that somebody changed", async () => {
  const whole = await withFile("--verify", "--json");
  expect(whole.code, whole.stderr).toBe(0);
  const found = JSON.parse(whole.stdout) as Verified;
  if (!found.ok) throw new Error(found.why);
  expect((await withFile("--verify", "--head", found.head)).stdout).toBe(
    `The audit is whole: ${found.rows} rows, head ${found.head}\n`,
  );
  const text = fs.readFileSync(file, "utf8");
  const lines = text.trimEnd().split("\n");
  const third = lines[2] ?? "";
  try {
    fs.writeFileSync(
      file,
      `${lines.map((line) => (line === third ? line.replace("octocat", "nobody") : line)).join("\n")}\n`,
    );
    const tampered = await withFile("--verify");
    expect(tampered).toMatchObject({ code: 1 });
    expect(tampered.stdout).toMatch(new RegExp(`^The audit is broken at row 3 of ${found.rows}: `));
    const told = await withFile("--json");
    expect(JSON.parse(told.stdout)).toMatchObject({ audit: { state: "broken", seq: 3 } });
    fs.writeFileSync(file, `${lines.slice(0, -2).join("\n")}\n`);
    expect(await withFile("--verify")).toMatchObject({ code: 0 });
    expect(await withFile("--verify", "--head", found.head)).toMatchObject({ code: 1 });
    fs.writeFileSync(file, "");
    const emptied = await withFile("--verify");
    expect(emptied).toMatchObject({ code: 1 });
    expect(emptied.stdout).toContain("it holds no row, and the stack has 2 credentials");
    fs.rmSync(file);
    const missing = await withFile("--verify");
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toContain(`there is no audit file ${folder}/local.jsonl`);
    expect(await withFile("--verify", "--head", "0".repeat(64))).toMatchObject({ code: 0 });
  } finally {
    fs.writeFileSync(file, text);
  }
});

it("refuses, with what to do, where it cannot read what it is to tell", async () => {
  const config = fs.readFileSync(scene.configFile, "utf8");
  try {
    scene.edit(["rollover:audit"], {
      host: "127.0.0.1",
      port: 1,
      database: "audit",
      username: "a",
      sslmode: "disable",
    });
    const table = await withFile();
    expect(table).toMatchObject({ code: 1, stdout: "" });
    expect(table.stderr).toMatch(/PGUSER and PGPASSWORD .*--no-audit/);
    scene.edit(["rollover:audit"], { file: "/etc/passwd" });
    expect(await withFile("--verify")).toMatchObject({ code: 1, stdout: "" });
    scene.edit(["rollover:audit"], undefined);
    expect((await withFile("--verify")).stderr).toContain("rollover:audit is not set");
  } finally {
    fs.writeFileSync(scene.configFile, config);
  }
});

it("prints no secret that the stack ever had", () => {
  expect([...secrets.values()].map(({ value }) => value)).toContain(secretOf(scene, "DATABASE_URL"));
  const places = [{ name: "reports", text: printed }];
  expect(scanForLeaks({ secrets: [...secrets.values()], places })).toEqual([]);
});
