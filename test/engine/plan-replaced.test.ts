// Proves on the real engine that the plan tells what changes under stamps that stay: logins of another name, another owner, another
// adopted login, a token of another database, another kind, other checks; and, for the first two, that the update does what it said.
// Not the wording: test/unit/plan-replaced.test.ts.
import * as fs from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Plan } from "../../operations/plan/describe";
import { must, type Scene, startScene } from "../../local/scene";
import { runPlan } from "./plan-run";
import { loginsLike, secretOf, tryLogin } from "./rounds";
import { tokenCredential } from "./tokens";

const NOW = "2026-11-20";
const postgres = (database: string, as: string, more: Record<string, unknown> = {}) => ({
  ...{ kind: "postgres", database, owner: `${database}_owner`, login: database, quiet: "300ms", generations: [NOW] },
  ...{ deliver: [{ worker: "rounds-api", as }], ...more },
});
const shop = { owner: "app", existing: true, adopted: "app", deliver: [] };

let scene: Scene;

beforeAll(async () => {
  scene = await startScene({
    needs: ["postgres", "turso", "workers"],
    credentials: {
      key: { kind: "random", generations: [NOW], deliver: [{ worker: "rounds-api", as: "KEY", previousAs: "KEY_2" }] },
      "rounds-db": postgres("rounds", "DATABASE_URL"),
      "rounds-turso": tokenCredential([NOW]),
      "shop-db": postgres("shop", "", shop),
    },
    worker: { settle: "0s", answers: 3 },
    cloud: { turso: { databases: { rounds: { group: "default" }, other: { group: "default" } } } },
  });
  for (const role of ["app", "app2"]) {
    await scene.cloud.postgres.query(`CREATE ROLE ${role} LOGIN PASSWORD 'only-of-this-test'`);
    await scene.cloud.postgres.query(`GRANT ${role} TO rollover_admin WITH ADMIN TRUE, INHERIT TRUE, SET FALSE`);
  }
  await scene.cloud.postgres.query("CREATE DATABASE shop OWNER app");
  await must(scene.stack.up());
});
afterAll(() => scene.end());

/** Of the stack file with one setting of a credential changed. */
async function planned(credential: string, setting: string, value: unknown): Promise<Plan> {
  scene.edit(["rollover:credentials", credential, ...(setting === "" ? [] : [setting])], value);
  const run = await runPlan(scene, ["--stack", "local", "--config-file", scene.configFile, "--format", "json"]);
  expect(run.code, run.stdout + run.stderr).toBe(0);
  return JSON.parse(run.stdout) as Plan;
}

it("names each of them, where the stamps stay", async () => {
  const file = fs.readFileSync(scene.configFile, "utf8");
  const only = async (credential: string, setting: string, value: unknown) => {
    const plan = await planned(credential, setting, value);
    fs.writeFileSync(scene.configFile, file);
    return plan;
  };
  const adopted = await only("shop-db", "adopted", "app2");
  expect(adopted).toMatchObject({
    outcome: "changes",
    credentials: [{ name: "shop-db", actions: ["replaced"], withdraws: [{ stamp: "adopted", replaced: true }] }],
    sessions: [{ name: "shop-db", stamp: "adopted", login: "app", sessions: [] }],
  });
  expect(await only("rounds-turso", "database", "other")).toMatchObject({
    credentials: [{ name: "rounds-turso", actions: ["replaced"], withdraws: [{ stamp: NOW, works: true }] }],
    consumers: [{ worker: "rounds-api", mintedAgain: ["rounds-turso"] }],
    warnings: [{ name: `rounds-turso@${NOW}`, what: expect.stringContaining("database other") as string }],
  });
  expect(
    await only("key", "", postgres("rounds", "KEY", { owner: "app", existing: true, login: "key" })),
  ).toMatchObject({
    credentials: [
      { name: "key", kind: "random", actions: ["removed"], withdraws: [{ stamp: NOW }] },
      { name: "key", kind: "postgres", actions: ["first delivery"], mints: [NOW] },
    ],
    consumers: [{ mintedAgain: ["key"] }],
  });
  expect(await only("shop-db", "checks", ["SELECT 1"])).toMatchObject({
    outcome: "changes",
    credentials: [{ name: "shop-db", actions: ["proven again"], withdraws: [] }],
  });
});

it("says that logins of another name end the old ones, and they do", async () => {
  const plan = await planned("rounds-db", "login", "rounds2");
  expect(plan).toMatchObject({
    credentials: [{ actions: ["replaced"], withdraws: [{ stamp: NOW, replaced: true }] }],
    consumers: [{ change: "delivered", mintedAgain: ["rounds-db"] }],
    sessions: [{ login: "rounds_20261120" }],
  });
  expect(plan.credentials[0]?.withdraws[0]).not.toHaveProperty("works");
  await must(scene.stack.up());
  expect(await loginsLike(scene, "rounds_2")).toEqual([]);
  expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toBe("rounds2_20261120 as rounds_owner");
});

it("says that another owner ends none, and the login that was handed out works on", async () => {
  const held = secretOf(scene, "DATABASE_URL");
  const plan = await planned("rounds-db", "owner", "rounds_owner2");
  expect(plan).toMatchObject({
    credentials: [{ actions: ["replaced"], withdraws: [] }],
    consumers: [{ mintedAgain: [] }],
    sessions: [],
  });
  await must(scene.stack.up());
  expect(secretOf(scene, "DATABASE_URL")).toBe(held);
  expect(await tryLogin(held)).toBe("rounds2_20261120 as rounds_owner2");
});
