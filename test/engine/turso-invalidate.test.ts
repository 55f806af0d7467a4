// Proves on a real engine what an invalidation does: old tokens are refused, every token of the group is minted again and delivered,
// and requests fail until then, of that alone. Not: crashes (provider/turso-matrix, crash), many groups (turso-groups), a call that is lost or takes
// effect late (test/provider/turso-invalidation.test.ts), the order that the seed calls "zero downtime" (rehearse), how long Turso's
// own rotate takes.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must, resource, type Scene, startScene } from "../../local/scene";
import { heldToken, statusOf, tokenCredential, tursoLoad, workerSays } from "./tokens";

const NAMES = ["TURSO_AUTH_TOKEN", "SCORES_TOKEN", "GROUP_TOKEN"];

let scene: Scene;
let counter = 1;

beforeAll(async () => {
  const to = (as: string) => ({ deliver: [{ worker: "rounds-api", as }] });
  scene = await startScene({
    needs: ["turso", "workers"],
    cloud: { turso: { databases: { rounds: { group: "default" }, scores: { group: "default" } } } },
    worker: { settle: "0s" },
    credentials: {
      "rounds-turso": tokenCredential(["2026-11-20"]),
      "scores-turso": tokenCredential(["2026-11-20"], {
        database: "scores",
        authorization: "read-only",
        ...to("SCORES_TOKEN"),
      }),
      "group-turso": tokenCredential(["2026-11-20", "2026-11-19"], {
        database: undefined,
        group: "default",
        ...to("GROUP_TOKEN"),
      }),
    },
  });
  await must(scene.stack.up());
});
afterAll(async () => {
  await scene.end();
});

describe.each(["group", "database"] as const)("where the invalidation of a database reaches its %s", (radius) => {
  it("kills the old token, mints and delivers every token of the group, and records what became of the siblings", async () => {
    scene.cloud.turso.setBlastRadius(radius);
    const old = NAMES.map((name) => heldToken(scene, name));
    await up({ databases: { rounds: { group: "default", invalidated: next() }, scores: { group: "default" } } });

    const now = NAMES.map((name) => heldToken(scene, name));
    expect(now.filter((token) => old.includes(token))).toEqual([]);
    expect(await statusOf(scene, old[0] ?? "")).toBe(401);
    expect(await Promise.all(now.map((token, at) => statusOf(scene, token, at === 1 ? "scores" : "rounds")))).toEqual([
      200, 200, 200,
    ]);
    expect(await workerSays(scene)).toMatchObject({ ok: true });

    const found = radius === "group" ? "refused" : "works";
    const { outputs } = await resource(scene.stack, "Stack", "rollover-local");
    expect(outputs?.["findings"]).toEqual({ "database:rounds": { "group:default": found, "database:scores": found } });
    // A sibling's old token that survived is debt; one that is dead is none.
    const debts = outputs?.["debts"] as Record<string, string[]>;
    expect(debts["scores-turso"]).toHaveLength(radius === "group" ? 0 : 1);
    expect(debts["rounds-turso"]).toEqual([]);
  });
});

describe("the invalidation of a group", () => {
  it("invalidates each database by a call of its own, where tokens outlive the group's", async () => {
    scene.cloud.turso.setBlastRadius("own key");
    const old = NAMES.map((name) => heldToken(scene, name));
    const before = scene.cloud.turso.rotations().length;
    await up({ ...invalidated(), databases: { rounds: { group: "default" }, scores: { group: "default" } } });
    scene.cloud.turso.setBlastRadius("group");
    const called = scene.cloud.turso.rotations().slice(before);
    expect(called.map(({ target }) => target.name).sort()).toEqual(["default", "rounds", "scores"]);
    expect(await Promise.all(old.map((token, at) => statusOf(scene, token, at === 1 ? "scores" : "rounds")))).toEqual([
      401, 401, 401,
    ]);
    expect(await statusOf(scene, heldToken(scene, "SCORES_TOKEN"), "scores")).toBe(200);
    const { outputs } = await resource(scene.stack, "Stack", "rollover-local");
    const found = "outlived it, and was invalidated by a call of its own";
    expect(outputs?.["findings"]).toEqual({ "group:default": { "database:rounds": found, "database:scores": found } });
  });

  it("fails requests until the new token is delivered, and only of that", async () => {
    const old = heldToken(scene);
    const result = await tursoLoad(scene, () => up(invalidated()));
    expect(result.failed).toBeGreaterThan(0);
    expect(result.failures.filter(({ reason }) => !reason.includes("SERVER_ERROR-401"))).toEqual([]);
    expect(await statusOf(scene, old)).toBe(401);
    expect(await workerSays(scene)).toMatchObject({ ok: true });
  });
});

function next(): string {
  counter += 1;
  return `2026-11-21.${counter}`;
}

function invalidated() {
  return { groups: { default: { invalidated: next() } } };
}

/** The edit and its update. */
async function up(edit: Record<string, unknown>): Promise<void> {
  for (const [key, value] of Object.entries(edit)) scene.edit(["rollover:turso", key], value);
  await must(scene.stack.up());
}
