// Proves G8 for signing keysets on the small engine over the real wire: `kill -9` of the engine and of the providers before and after
// every mutating call of a roll with a backup and of a retirement; then `up`, with the edit kept or taken back. Clients show tokens all
// the while, and none that an overlap protects is rejected. Not: what the real engine's own crash leaves (test/engine/crash.test.ts).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Crashes, type Point, pointsOf, startCrashesOf, type Victim } from "../../local/crash";
import { must } from "../../local/scene";
import { NAME, newToken, shown, signing, underTokens } from "../engine/keysets";
import { mustFail } from "../engine/outside";
import { type SmallScene, startSmallScene } from "../support/small-scene";

/** The key's backup, the announcement, the activation. */
const ROLL = ["POST KEY", "PATCH secrets-bulk", "PATCH secrets-bulk"];
const RETIREMENT = ["PATCH secrets-bulk"];

let scene: SmallScene;
let crashes: Crashes;
let counter = 0;
let live = ["2026-11-20"];

beforeAll(async () => {
  const backup = { vault: { path: "rollover/rounds-signing" } };
  scene = await startSmallScene({
    needs: ["workers", "vault"],
    credentials: { [NAME]: signing("keyset", live, { backup }) },
    worker: { settle: "0s", answers: 3, within: "10s" },
    cloud: { cloudflare: { scripts: { "rounds-api": { vars: { TOKEN_TTL_SECONDS: "600" } } } } },
  });
  crashes = await startCrashesOf(scene, scene.runs);
  await must(scene.stack.up());
});
afterAll(async () => {
  await crashes.stop();
  await scene.stop();
});

const points = (calls: string[]) =>
  pointsOf(calls).map((point) => ({ point, name: `${point.phase} ${point.label} (${point.at})` }));
/** The last part of the backup's path is the stamp. */
const met = (point: Point): Point => (point.label === "POST KEY" ? { ...point, label: `POST ${live[0]}` } : point);

it("a roll makes the mutating calls that are known", async () => {
  roll();
  const { code, output, calls } = await crashes.count();
  expect(code, output).toBe(0);
  expect(calls).toEqual(ROLL.map((call) => call.replace("KEY", live[0] ?? "")));
  retire();
  const retirement = await crashes.count();
  expect(retirement.code, retirement.output).toBe(0);
  expect(retirement.calls).toEqual(RETIREMENT);
});

describe.each(["engine", "provider"] as const)("kill -9 of the %s in a roll, then up", (victim) => {
  it.each(points(ROLL))("$name", ({ point }) => rollThrough(victim, point));
});

describe("kill -9 of the engine in a roll, then up with the edit taken back", () => {
  it.each(points(ROLL))("$name", async ({ point }) => {
    const before = [...live];
    const old = await newToken(scene);
    roll();
    await underTokens(scene, async () => {
      await crashes.kill("engine", met(point));
      const meanwhile = await newToken(scene);
      live = before;
      scene.generations(NAME, live);
      const isActivated = point.at === 2 && point.phase === "after";
      if (isActivated) {
        // What the new key has signed would be rejected: the list must keep it until that has expired.
        await must(scene.stack.cancel());
        expect(await mustFail(scene.stack.up())).toContain("the Worker reports that it signs with");
        live = [...before, stampOf(counter)];
        scene.generations(NAME, live);
        await must(scene.stack.up());
      } else await crashes.recover("engine");
      expect([await shown(scene, old), await shown(scene, meanwhile)]).toEqual(["200", "200"]);
    });
    await must(scene.stack.preview());
    if (live.length > 1) await retired();
  });
});

describe("kill -9 of the engine in a retirement, then up", () => {
  it.each(points(RETIREMENT))("$name", async ({ point }) => {
    const old = await newToken(scene);
    roll();
    await must(scene.stack.up());
    retire();
    await underTokens(scene, async () => {
      await crashes.kill("engine", point);
      await crashes.recover("engine");
    });
    expect(await shown(scene, old)).toBe("401 unknown-key");
    await must(scene.stack.preview());
  });
});

async function rollThrough(victim: Victim, point: Point): Promise<void> {
  const old = await newToken(scene);
  roll();
  await underTokens(scene, async () => {
    await crashes.kill(victim, met(point));
    const meanwhile = await newToken(scene);
    await crashes.recover(victim);
    expect([await shown(scene, old), await shown(scene, meanwhile)]).toEqual(["200", "200"]);
  });
  expect(kidOf(await newToken(scene))).toBe(live[0]);
  await must(scene.stack.preview());
  await retired();
}

function stampOf(count: number): string {
  return `2026-12-01.${count + 1}`;
}

function roll(): void {
  counter += 1;
  live = [stampOf(counter), ...live];
  scene.generations(NAME, live);
}

function retire(): void {
  live = live.slice(0, 1);
  scene.generations(NAME, live);
}

async function retired(): Promise<void> {
  retire();
  await must(scene.stack.up());
}

function kidOf(token: string): unknown {
  const [header = ""] = token.split(".");
  return (JSON.parse(Buffer.from(header, "base64url").toString()) as { kid?: unknown }).kid;
}
