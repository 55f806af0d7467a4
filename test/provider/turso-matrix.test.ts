// Proves G8 for Turso on the small engine over the real wire: `kill -9` of the engine and of the providers at every mutating call of an
// invalidation and of a roll; then `up`, with the edit kept or taken back: consumers end with a token that works, a rotate is never
// repeated once it took effect. Not: a crash of Turso itself, nor what the real engine's own crash leaves (test/engine/crash.test.ts). A
// token whose mint crashed is forgotten, as the README says.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Crashes, type Point, pointsOf, startCrashesOf, type Victim } from "../../local/crash";
import { must } from "../../local/scene";
import { heldToken, statusOf, tokenCredential, workerSays } from "../engine/tokens";
import { type SmallScene, startSmallScene } from "../support/small-scene";

/** A canary on the group and one on its database, the rotate, the new token, its delivery. */
const CALLS = ["POST tokens", "POST tokens", "POST rotate", "POST tokens", "PATCH secrets-bulk"];
/** Of a roll. */
const ROLL_CALLS = ["POST tokens", "PATCH secrets-bulk"];

let scene: SmallScene;
let crashes: Crashes;
let counter = 0;
let stamp = "";
let live = ["2026-11-20"];

beforeAll(async () => {
  scene = await startSmallScene({
    needs: ["turso", "workers"],
    credentials: { "rounds-turso": tokenCredential(["2026-11-20"]) },
    worker: { settle: "0s", answers: 3 },
  });
  crashes = await startCrashesOf(scene, scene.runs);
  await must(scene.stack.up());
});
afterAll(async () => {
  await crashes.stop();
  await scene.stop();
});

it("an invalidation makes the mutating calls that are known", async () => {
  invalidate(next());
  const { code, output, calls } = await crashes.count();
  expect(code, output).toBe(0);
  expect(calls).toEqual(CALLS);
});

const points = pointsOf(CALLS);
const named = (list: Point[]) => list.map((point) => ({ point, name: `${point.phase} ${point.label} (${point.at})` }));

describe.each(["engine", "provider"] as const)("kill -9 of the %s, then up", (victim) => {
  it.each(named(points))("$name", ({ point }) => crashThenUp(victim, point));
});

describe("kill -9 of the engine, then up with the edit taken back", () => {
  it.each(named(points))("$name", async ({ point }) => {
    const [before, old] = [stamp, heldToken(scene)];
    const from = scene.cloud.turso.events().length;
    invalidate(next());
    await crashes.kill("engine", point);
    invalidate(before);
    await crashes.recover("engine");
    await converged();
    const happened = scene.cloud.turso
      .events()
      .slice(from)
      .filter(({ kind }) => kind === "rotate");
    // What was not invalidated is not minted again.
    if (happened.length === 0) expect(heldToken(scene)).toBe(old);
    else expect(await statusOf(scene, old)).toBe(401);
    expect(happened.length).toBe(point.at < 2 || (point.at === 2 && point.phase === "before") ? 0 : 1);
  });
});

describe("kill -9 of the engine in a roll, then up", () => {
  it.each(named(pointsOf(ROLL_CALLS)))("$name", async ({ point }) => {
    const old = heldToken(scene);
    counter += 1;
    live = [`2026-12-01.${counter + 1}`, ...live];
    scene.generations("rounds-turso", live);
    await crashes.kill("engine", point);
    expect(await statusOf(scene, old)).toBe(200);
    await crashes.recover("engine");
    await converged();
    expect(heldToken(scene)).not.toBe(old);
    expect(await statusOf(scene, old)).toBe(200);
  });
});

function next(): string {
  counter += 1;
  return `2026-11-21.${counter + 1}`;
}

function invalidate(to: string): void {
  stamp = to;
  scene.edit(["turso", "groups"], { default: { invalidated: to } });
}

async function crashThenUp(victim: Victim, point: Point): Promise<void> {
  const old = heldToken(scene);
  const from = scene.cloud.turso.events().length;
  invalidate(next());
  await crashes.kill(victim, point);
  await crashes.recover(victim);
  await converged();
  expect(await statusOf(scene, old)).toBe(401);
  const events = scene.cloud.turso.events().slice(from);
  expect(events.filter(({ kind }) => kind === "rotate")).toHaveLength(1);
}

async function converged(): Promise<void> {
  expect(await statusOf(scene, heldToken(scene))).toBe(200);
  expect(await workerSays(scene)).toMatchObject({ ok: true });
  await must(scene.stack.preview());
}
