// Proves on the real engine that `npm run plan` tells a first delivery, a roll, a rollback, a retirement, a removal, a debt and a
// refused config, with its exit codes, changes no file, and prints no secret of the state. Not its wording: test/unit/plan.test.ts.
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Plan } from "../../operations/plan/describe";
import { must, type Scene, startScene } from "../../local/scene";
import { type Run, runPlan, secretsIn } from "./plan-run";

const checkout = path.resolve(__dirname, "..", "..");
const sessionKey = {
  kind: "random",
  length: 40,
  output: true,
  generations: ["2026-08-01"],
  deliver: [{ worker: "rounds-api", as: "SESSION_KEY", previousAs: "SESSION_KEY_PREVIOUS" }],
};
const roundsDb = {
  kind: "postgres",
  database: "rounds",
  owner: "rounds_owner",
  login: "rounds",
  quiet: "300ms",
  generations: ["2026-08-01"],
  deliver: [{ worker: "rounds-api", as: "DATABASE_URL" }],
};

let scene: Scene;
/** All that any run printed. */
let printed = "";

beforeAll(async () => {
  scene = await startScene({
    needs: ["postgres", "workers"],
    credentials: { "session-key": sessionKey, "rounds-db": roundsDb },
  });
});
afterAll(() => scene.end({ changes: "the last plan is of a config that is refused" }));

async function plan(...args: string[]): Promise<Run> {
  const run = await runPlan(scene, args);
  printed += run.stdout + run.stderr;
  return run;
}

async function planned(expectedCode = 0): Promise<Plan> {
  const run = await plan("--stack", "local", "--config-file", scene.configFile, "--format", "json");
  expect(run.code, run.stdout + run.stderr).toBe(expectedCode);
  return JSON.parse(run.stdout) as Plan;
}

it("says of a new stack what is delivered first", async () => {
  const { credentials, consumers, debts } = await planned();
  expect(credentials).toMatchObject([
    { name: "rounds-db", actions: ["first delivery"], to: "2026-08-01" },
    { name: "session-key", actions: ["first delivery"], to: "2026-08-01" },
  ]);
  expect(consumers).toMatchObject([{ worker: "rounds-api", change: "first delivery", attested: true }]);
  expect(debts).toEqual([]);
  await must(scene.stack.up());
  expect(await planned()).toMatchObject({ outcome: "nothing", credentials: [], consumers: [], others: [], debts: [] });
});

it("tells a roll, as Markdown for a pull request too", async () => {
  scene.generations("rounds-db", ["2026-11-20", "2026-08-01"]);
  const stackFile = fs.readFileSync(path.join(checkout, "Pulumi.local.yaml"), "utf8");
  const config = fs.readFileSync(scene.configFile, "utf8");
  const { credentials, consumers } = await planned();
  expect(credentials).toMatchObject([{ name: "rounds-db", actions: ["rolls"], from: "2026-08-01", to: "2026-11-20" }]);
  expect(credentials[0]?.withdraws).toEqual([]);
  expect(consumers).toMatchObject([
    {
      worker: "rounds-api",
      change: "delivered",
      credentials: [{ name: "rounds-db", from: "2026-08-01", to: "2026-11-20" }],
    },
  ]);
  const text = await plan("--stack", "local", "--config-file", scene.configFile);
  expect(text.stdout).toMatch(/^<!-- rollover-plan: local -->\n\n## Rollover plan for `local`\n/);
  expect(text.stdout).toContain("**rolls** 2026-08-01 → 2026-11-20");
  expect(fs.readFileSync(path.join(checkout, "Pulumi.local.yaml"), "utf8")).toBe(stackFile);
  expect(fs.readFileSync(scene.configFile, "utf8")).toBe(config);
  await must(scene.stack.up());
});

it("tells a rollback from a retirement and a removal", async () => {
  scene.generations("rounds-db", ["2026-08-01", "2026-11-20"]);
  expect((await planned()).credentials).toMatchObject([
    { actions: ["rolls back"], from: "2026-11-20", to: "2026-08-01", withdraws: [] },
  ]);
  scene.generations("rounds-db", ["2026-11-20"]);
  scene.edit(["rollover:credentials", "session-key"], undefined);
  expect((await planned()).credentials).toMatchObject([
    { name: "rounds-db", actions: ["retires"], withdraws: [{ stamp: "2026-08-01" }] },
    { name: "session-key", actions: ["removed"], withdraws: [{ stamp: "2026-08-01" }] },
  ]);
  scene.edit(["rollover:credentials", "session-key"], sessionKey);
});

it("keeps naming what a failed update has left to do", async () => {
  scene.generations("rounds-db", ["2026-11-20"]);
  scene.cloud.cloudflare.faults.set([{ match: { method: "PATCH" }, times: 100, kind: "status", status: 403 }]);
  expect((await scene.stack.up()).code).not.toBe(0);
  scene.cloud.cloudflare.faults.set([]);
  const { credentials, debts } = await planned();
  expect(credentials).toMatchObject([
    { name: "rounds-db", actions: ["retires"], withdraws: [{ stamp: "2026-08-01" }] },
  ]);
  expect(debts).toMatchObject([
    { name: "rounds-db", what: expect.stringContaining("2026-08-01 (login rounds_20260801)") as string },
  ]);
});

it("has nothing left to say once an update has finished that", async () => {
  await must(scene.stack.up());
  expect(await planned()).toMatchObject({ outcome: "nothing", debts: [] });
});

it("prints the problems of a refused config whole, and fails", async () => {
  scene.generations("rounds-db", ["2026-13-20", "2026-11-20", "2026-11-20"]);
  const { outcome, errors } = await planned(1);
  expect(outcome).toBe("failed");
  expect(errors.join("\n")).toContain("rollover:credentials.rounds-db.generations[0]");
  expect(errors.join("\n")).toContain("rollover:credentials.rounds-db.generations[2]");
  expect((await plan("--format", "xml")).code).toBe(2);
  expect((await plan("--help")).stdout).toContain("npm run plan -- --stack prod");
});

it("has printed no secret, no unknown id and no provider", async () => {
  const secrets = await secretsIn(scene);
  expect(secrets.length).toBeGreaterThan(5);
  expect(printed.length).toBeGreaterThan(1000);
  expect(secrets.filter((secret) => printed.includes(secret))).toEqual([]);
  expect(printed).not.toContain("04da6b54");
  expect(printed).not.toContain("__provider");
});
