// Proves G7 for Turso on the real engine: after a life with each kind of failure no SQL token that was ever minted, no platform token
// and no part that signs one stands in state, plans, previews, events, output, error texts or arguments; and that a token whose proof
// failed is kept, encrypted, and proven by the next update instead of a second one. That the scanner finds what is planted in these
// places is proven by leaks.test.ts. Not: what memory and environment of the processes hold.
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callTurso } from "../../local/cloud/turso/client";
import { type Place, placesOf, sampleArguments, scanForLeaks, type Secret, secretsOf } from "../../local/leaks";
import { must, resource, type Scene, startScene } from "../../local/scene";
import { mustFail } from "./outside";
import { held, settled } from "./rounds";
import { heldToken, statusOf, tokenCredential, workerSays } from "./tokens";

let scene: Scene;
let sampled: ReturnType<typeof sampleArguments>;
/** Platform tokens that config held besides the usual one. */
const platform: string[] = [];

beforeAll(async () => {
  sampled = sampleArguments();
  scene = await startScene({
    needs: ["turso", "workers"],
    credentials: { "rounds-turso": tokenCredential(["2026-11-20"], { output: true }) },
    worker: { settle: "0s", answers: 3, within: "2s" },
  });
});
afterAll(async () => {
  sampled.stop();
  await scene.stop();
});

describe("a life of Turso tokens, failures included", () => {
  it("goes through the first update", async () => {
    await must(scene.stack.up());
    expect(scene.cloud.turso.tokensMinted()).toHaveLength(1);
    expect((await scene.stack.outputs())["values"]).not.toContain(heldToken(scene));
  });

  it("goes through previews with --diff and --json, and a plan, of a roll", async () => {
    stamps({ generations: ["2026-11-21", "2026-11-20"] });
    const plan = ["--save-plan", path.join(scene.dir, "plan-roll.json")];
    for (const [name, flags] of Object.entries({ diff: ["--diff"], json: ["--json"], plan })) {
      const { stdout, stderr } = await must(scene.stack.preview(flags));
      fs.writeFileSync(path.join(scene.dir, `preview-${name}.txt`), stdout + stderr);
    }
  });

  it("keeps a token whose proof failed, encrypted; the next update proves that one and mints no other", async () => {
    const before = held(scene);
    await blockReads(true);
    const text = await mustFail(scene.stack.up());
    expect(text).toContain("the token rounds-turso@2026-11-21 was not proven, so nothing was delivered");
    expect(text).toContain("the database blocks reads or writes");
    expect(held(scene)).toEqual(before);
    expect(scene.cloud.turso.tokensMinted()).toHaveLength(2);
    const [, unproven] = scene.cloud.turso.tokensMinted();
    const { outputs } = await resource(scene.stack, "TursoToken", "rounds-turso@2026-11-21");
    expect(outputs).toMatchObject({ proven: false, jwt: { ciphertext: expect.any(String) as string } });
    expect((await secretsOf(scene, [])).map(({ value }) => value)).toContain(unproven);
    await mustFail(scene.stack.up());
    expect(scene.cloud.turso.tokensMinted()).toHaveLength(2);

    await blockReads(false);
    await must(scene.stack.up());
    expect(heldToken(scene)).toBe(unproven);
    expect(scene.cloud.turso.tokensMinted()).toHaveLength(2);
    await settled(scene);
  });

  it("goes through a mint whose answers are lost", async () => {
    // Those tokens are nobody's; they are sought all the same.
    scene.cloud.turso.faults.set([
      { match: { method: "POST", path: /auth\/tokens$/ }, kind: "reset-after", times: 10 },
    ]);
    stamps({ generations: ["2026-11-22", "2026-11-21", "2026-11-20"] });
    expect(await mustFail(scene.stack.up())).toMatch(/auth\/tokens: no answer (within \d+ ms|\(the connection broke)/);
    scene.cloud.turso.faults.set([]);
    stamps({ generations: ["2026-11-21", "2026-11-20"] });
    await must(scene.stack.up());
  });

  it("goes through an invalidation that is refused, and one whose tokens cannot be minted", async () => {
    invalidate("2026-11-21");
    scene.cloud.turso.faults.set([{ match: { method: "POST", path: /auth\/rotate$/ }, kind: "status", status: 403 }]);
    expect(await mustFail(scene.stack.up())).toContain("lacks the scope `group:rotate-creds`");
    expect(await statusOf(scene, heldToken(scene))).toBe(200);
    const match = { method: "POST", path: /databases\/rounds\/auth\/tokens$/ };
    scene.cloud.turso.faults.set([{ match, kind: "status", status: 500, times: 100 }]);
    expect(await mustFail(scene.stack.up())).toMatch(/- rounds-turso@2026-11-21: .*status 500/);
    expect(await statusOf(scene, heldToken(scene))).toBe(401);
    scene.cloud.turso.faults.set([]);
    await must(scene.stack.up());
    expect(await workerSays(scene)).toMatchObject({ ok: true });
  });

  it("goes through platform tokens that are wrong, expired or lack a scope", async () => {
    const { turso } = scene.cloud;
    const wrong = {
      "wrong, revoked or expired": [randomBytes(40).toString("base64url"), turso.mintPlatform({ expired: true })],
      "lacks the scope": [turso.mintPlatform({ scopes: ["read"] })],
    };
    stamps({ generations: ["2026-11-24", "2026-11-21"], retired: ["2026-11-20"] });
    for (const [words, list] of Object.entries(wrong)) {
      for (const token of list) {
        platform.push(token);
        await scene.stack.setConfig("tursoApiToken", token, { secret: true });
        expect(await mustFail(scene.stack.up())).toContain(words);
      }
    }
    await scene.stack.setConfig("tursoApiToken", turso.platformToken, { secret: true });
    await must(scene.stack.up());
  });

  it("goes through a deletion that is refused, and the end of everything", async () => {
    stamps({ retired: undefined });
    expect(await mustFail(scene.stack.up())).toContain("Turso cannot revoke one token alone");
    expect(await mustFail(scene.stack.destroy())).toContain("still works, until");
    // With the program, or it takes the config of the last update.
    scene.edit(["rollover:abandon"], ["rounds-turso"]);
    const { stdout, stderr } = await must(scene.stack.destroy(["--run-program"]));
    expect(stdout + stderr).toContain("abandoned: the token rounds-turso@2026-11-24 works until");
  });

  it("left no token anywhere", () => {
    const { turso, cloudflare } = scene.cloud;
    const minted = turso.tokensMinted();
    // First, roll, lost answers, canaries, minted again, roll.
    expect(minted.length).toBeGreaterThanOrEqual(9);
    const all = [...new Set([...minted, ...turso.platformTokens(), ...platform])];
    expect(all.length).toBe(minted.length + 4);
    const secrets: Secret[] = [
      ...all.flatMap((token, index) => {
        const signature = token.split(".").at(-1) ?? "";
        return [
          { name: `token ${index}`, value: token },
          { name: `signature of token ${index}`, value: signature },
        ];
      }),
      { name: "the Cloudflare token", value: cloudflare.token },
    ];
    const searched = scanForLeaks({ secrets: [{ name: "a stamp", value: "2026-11-21" }], places: places() });
    expect([...new Set(searched.map(({ place }) => place.replace(/:.*/, "")))].sort()).toEqual([
      "events",
      "plan",
      "previews",
      "stack file",
      "state",
      "transcript",
    ]);
    expect(scanForLeaks({ secrets, places: places() })).toEqual([]);
  });
});

/** Everywhere that a run writes to, and what it shows to the machine. */
function places(): Place[] {
  const found = placesOf(scene, sampled.seen);
  for (const { name, files } of found)
    if (files && !files.some((file) => fs.existsSync(file))) throw new Error(`nothing to look through: ${name}`);
  return found;
}

function stamps(lists: Record<string, string[] | undefined>): void {
  for (const [key, list] of Object.entries(lists)) scene.edit(["rollover:credentials", "rounds-turso", key], list);
}

function invalidate(stamp: string): void {
  scene.edit(["rollover:turso", "groups"], { default: { invalidated: stamp } });
}

async function blockReads(block: boolean): Promise<void> {
  const body = { block_reads: block };
  const { status } = await callTurso(scene.cloud.turso, "PATCH", "databases/rounds/configuration", { body });
  expect(status).toBe(200);
}
