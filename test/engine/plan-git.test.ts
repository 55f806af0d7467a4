// Proves `npm run plan` on a pull request: a real git repository with the base's commit and the pull request's, a real preview of a
// change of four kinds, and real sessions on the login that goes. Its Markdown as a whole (test/golden), exit code 7 for an overdue
// credential whatever the edit does to the policy, 0 once it mends that, and no secret. Not that GitHub shows the comment.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import type { Plan } from "../../operations/plan/describe";
import { asOf } from "../../local/engine/as-of";
import { must, type Scene, startScene } from "../../local/scene";
import { type Run, runPlan, secretsIn } from "./plan-run";

const [OLD, NOW] = ["2026-08-01", "2026-11-20"];
/** The plan's own clock: stamps are soon due on one day and not on another. */
const CLOCK = asOf("2026-11-25");
const at = (name: string, key: string) => ["rollover:credentials", name, key];

let scene: Scene;
let printed = "";
const clients: Client[] = [];

beforeAll(async () => {
  scene = await startScene({ needs: ["postgres", "turso", "workers"] });
  for (const name of ["rounds-db", "rounds-signing", "rounds-turso"]) scene.generations(name, [OLD]);
  scene.generations("session-key", ["2020-01-01"]);
  scene.edit(at("rounds-db", "output"), true);
  scene.edit(["rollover:policy"], { maxAge: { random: "90d", postgres: "3650d" }, enforce: true });
  git("init", "-q", "-b", "main");
  commit("The stack");
  git("init", "-q", "--bare", "-b", "main", "origin.git");
  git("remote", "add", "origin", "./origin.git");
  git("push", "-q", "origin", "main");
  git("remote", "set-head", "origin", "main");
  await must(scene.stack.up());
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()));
  await scene.end({ changes: "the last plan is of an edit that nobody applies" });
});

function git(...args: string[]): string {
  const who = ["-c", "user.name=A Developer", "-c", "user.email=dev@example.com"];
  return execFileSync("git", [...who, ...args], { cwd: scene.dir, encoding: "utf8", stdio: "pipe" }).trim();
}

function commit(message: string): void {
  git("add", path.basename(scene.configFile));
  git("commit", "-q", "-m", message);
}

async function plan(...args: string[]): Promise<Run> {
  const run = await runPlan(scene, ["--stack", "local", "--config-file", scene.configFile, ...args], CLOCK);
  printed += run.stdout + run.stderr;
  return run;
}

/** Two clients that hold a session each, as the login of the current generation. */
async function logIn(application: string): Promise<void> {
  const outputs = await scene.stack.revealOutputs();
  const { values } = z.object({ values: z.object({ "rounds-db": z.string() }) }).parse(outputs);
  for (let count = 0; count < 2; count++) {
    const client = new Client({ connectionString: values["rounds-db"], application_name: application });
    client.on("error", () => undefined); // the server may end it first
    await client.connect();
    clients.push(client);
  }
}

/** What differs from run to run. */
function normal(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(git("rev-parse", "origin/main").slice(0, 12), "COMMIT");
}

it("tells what a pull request will do, why, to whom, and what is overdue besides", async () => {
  await logIn("billing-worker");
  git("switch", "-q", "-c", "laptop-stolen");
  scene.generations("rounds-db", [NOW]);
  scene.edit(at("rounds-db", "reason"), "a laptop was stolen: `| @everyone");
  scene.edit(at("rounds-db", "ticket"), "OPS-7");
  scene.edit(at("rounds-db", "afterRoll"), "./test/fixtures/after-roll/hook.mjs");
  scene.edit(["rollover:notify"], { email: { host: "127.0.0.1", from: "ops@example.com", to: ["dev@example.com"] } });
  scene.generations("rounds-signing", [NOW, OLD]);
  scene.generations("rounds-turso", [NOW]);
  scene.edit(at("rounds-turso", "retired"), [OLD]);
  commit("The laptop's credentials roll");
  git("update-ref", "refs/heads/main", "HEAD"); // a local main that is ahead is not the base

  const { code, stdout, stderr } = await plan();
  expect(code, stdout + stderr).toBe(7);
  await expect(normal(stdout)).toMatchFileSnapshot(path.join(__dirname, "..", "golden", "plan-git.md"));
});

it("says the same as one line of JSON", async () => {
  const { code, stdout } = await plan("--json", "--base", "origin/main");
  expect(code).toBe(7);
  const told = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Plan;
  expect(told.sessions).toEqual([
    {
      ...{ name: "rounds-db", stamp: OLD, login: "rounds_db_20260801" },
      sessions: [{ application: "billing-worker", address: "127.0.0.1", count: 2 }],
    },
  ]);
  expect(told.why?.edits.map(({ name }) => name)).toEqual([
    "rounds-db",
    "rounds-signing",
    "rounds-turso",
    "rollover:notify",
  ]);
  expect(told.policy).toMatchObject({ enforce: true, overdue: [{ name: "session-key" }] });
  expect(told.permissions.map(({ who }) => who)).toContain("the Postgres admin");
});

it("fails by the policy in state where the change enforces it no longer", async () => {
  scene.edit(["rollover:policy", "enforce"], false);
  const { code, stdout, stderr } = await plan();
  scene.edit(["rollover:policy", "enforce"], true);
  expect(code, stdout + stderr).toBe(7);
  expect(stdout).toContain("**weaker with this change**: `rollover:policy`: is enforced no longer");
  expect(stdout).toContain("**overdue by the policy before this change, so this check fails:** `session-key`: ");
});

it("passes once the change mends what is overdue, and where nothing can be compared or asked", async () => {
  scene.generations("session-key", [NOW]);
  await scene.stack.setConfig("rollover:postgresPassword", "wrong-password-of-the-admin", { secret: true });
  fs.rmSync(path.join(scene.dir, ".git"), { recursive: true });
  const { code, stdout, stderr } = await plan();
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toContain("Not told: the stack file is in no git repository");
  expect(stdout).toContain("login `rounds_db_20260801`: its sessions could not be asked for: ");
  expect(stdout).not.toContain("### Policy");
});

it("has printed no secret and no unknown id", async () => {
  const secrets = await secretsIn(scene);
  expect(secrets.length).toBeGreaterThan(5);
  expect([...secrets, "wrong-password-of-the-admin", "04da6b54"].filter((secret) => printed.includes(secret))).toEqual(
    [],
  );
});
