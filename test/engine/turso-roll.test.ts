// Proves on a real engine that one stamp rolls a Turso token under load without a failed request, that a second update changes
// nothing, and that a token which nobody can revoke stays listed until it is refused. Not: invalidations, crashes, real Turso.
import { afterAll, beforeAll, expect, it } from "vitest";
import { must, resource, type Scene, startScene } from "../../local/scene";
import { settled } from "./rounds";
import { heldToken, statusOf, tokenCredential, underTursoLoad, workerSays } from "./tokens";

let scene: Scene;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  scene = await startScene({
    needs: ["turso", "workers"],
    credentials: { "rounds-turso": tokenCredential(["2026-11-20"]) },
  });
});
afterAll(async () => {
  await scene.end();
});

it("mints, proves and delivers a token that works; a second update changes nothing", async () => {
  await must(scene.stack.up());
  await settled(scene);
  tokens["2026-11-20"] = heldToken(scene);
  expect(await workerSays(scene)).toMatchObject({ ok: true });
  expect(await scene.cloud.turso.query("rounds", "SELECT name FROM sqlite_schema")).toEqual([{ name: "rounds" }]);
});

it("rolls under load: the new token is in use, the old one still works", async () => {
  stamps({ generations: ["2026-11-21", "2026-11-20"] });
  await underTursoLoad(scene, () => must(scene.stack.up()));
  await settled(scene);
  tokens["2026-11-21"] = heldToken(scene);
  expect(tokens["2026-11-21"]).not.toBe(tokens["2026-11-20"]);
  expect(await statusOf(scene, token("2026-11-21"))).toBe(200);
  expect(await statusOf(scene, token("2026-11-20"))).toBe(200);
});

it("rolls back to the very token of before, and forward again", async () => {
  stamps({ generations: ["2026-11-20", "2026-11-21"] });
  await underTursoLoad(scene, () => must(scene.stack.up()));
  expect(heldToken(scene)).toBe(tokens["2026-11-20"]);
  stamps({ generations: ["2026-11-21", "2026-11-20"] });
  await must(scene.stack.up());
  expect(heldToken(scene)).toBe(tokens["2026-11-21"]);
});

it("keeps a retired token listed with its date, and refuses to forget it while it works", async () => {
  stamps({ generations: ["2026-11-21"], retired: ["2026-11-20"] });
  await underTursoLoad(scene, () => must(scene.stack.up()));
  await settled(scene);
  const expires = await expiry("2026-11-20");
  expect(expires).toMatch(/^\d{4}-\d\d-\d\dT/);
  expect(Date.parse(expires)).toBeGreaterThan(Date.now() + 29 * 86_400_000);
  expect(scene.cloud.turso.tokensMinted()).toHaveLength(2);

  stamps({ generations: ["2026-11-21"], retired: undefined });
  const refused = await scene.stack.up();
  expect(refused.code).not.toBe(0);
  expect(refused.stdout).toContain(`the token rounds-turso@2026-11-20 still works, until ${expires}`);
  expect(refused.stdout).toContain("put 2026-11-20 back under `retired` of rounds-turso and wait until it has expired");
  expect(refused.stdout).toContain("set rollover:turso.groups.default.invalidated");
  expect(await workerSays(scene)).toMatchObject({ ok: true });

  stamps({ generations: ["2026-11-21"], retired: ["2026-11-20"] });
  await must(scene.stack.up());
  await settled(scene);
});

it("forgets a retired token once it is refused", async () => {
  // What time would do: the group's keys are another's, and the live token was minted after that.
  scene.edit(["rollover:turso", "groups"], { default: { invalidated: "2026-11-22" } });
  await must(scene.stack.up());
  expect(await statusOf(scene, token("2026-11-20"))).toBe(401);
  stamps({ generations: ["2026-11-21"], retired: undefined });
  await must(scene.stack.up());
  await settled(scene);
  await expect(resource(scene.stack, "TursoToken", "rounds-turso@2026-11-20")).rejects.toThrow("no TursoToken");
});

function stamps(lists: Record<string, string[] | undefined>): void {
  for (const [key, list] of Object.entries(lists)) scene.edit(["rollover:credentials", "rounds-turso", key], list);
}

function token(stamp: string): string {
  return tokens[stamp] ?? "";
}

/** As the stack's outputs say it. */
async function expiry(stamp: string): Promise<string> {
  const { outputs } = await resource(scene.stack, "Stack", "rollover-local");
  const all = outputs?.["expires"] as Record<string, Record<string, string>> | undefined;
  return all?.["rounds-turso"]?.[stamp] ?? "";
}
