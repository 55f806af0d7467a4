// Proves on the real engine, in both shapes: a key rolls, is rolled again, retired, rolled back and dropped at once in one update
// each, with what a holder of an older token sees; no token is rejected under load but where config says so; a key is not dropped
// before its time, while it signs, or while it is in use. Not: real isolates of an edge (the local ones switch at once here, at
// random in keyset-shared.test.ts).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must, type Scene } from "../../local/scene";
import { NAME, newToken, type Shape, shown, signing, startKeysets, underTokens } from "./keysets";
import { mustFail } from "./outside";
import { held, settled } from "./rounds";

describe.each<Shape>(["keyset", "dual"])("a signing keyset of shape %s", (shape) => {
  let scene: Scene;
  const tokens: Record<string, string> = {};
  const refused = shape === "dual" ? "401 signature" : "401 unknown-key";

  beforeAll(async () => {
    scene = await startKeysets({ [NAME]: signing(shape, ["2026-11-20"]) });
  });
  afterAll(() => scene.end());

  it("signs after the first update, and a second one changes nothing", async () => {
    await must(scene.stack.up());
    tokens["20"] = await newToken(scene);
    expect(await shown(scene, tokens["20"])).toBe("200");
    await must(scene.stack.up(["--expect-no-changes"]));
  });

  it("rolls in one update: no token is rejected, older ones work on", async () => {
    stamps("2026-11-21", "2026-11-20");
    await underTokens(scene, () => must(scene.stack.up()));
    await settled(scene);
    tokens["21"] = await newToken(scene);
    expect(await all()).toEqual({ "20": "200", "21": "200" });
  });

  it("is not dropped by force of a list: the key that signs stays", async () => {
    const before = held(scene);
    stamps("2026-11-20");
    expect(await mustFail(scene.stack.up())).toContain("the Worker signs with 2026-11-21 until this update");
    expect(held(scene)).toEqual(before);
    stamps("2026-11-22");
    expect(await mustFail(scene.stack.up())).toContain("in an emergency `generation: 2026-11-22` drops it at once");
    expect(held(scene)).toEqual(before);
  });

  it("is not dropped before its time: the refusal says when", async () => {
    setting({ maxTokenAge: "1h", drain: "1s" });
    stamps("2026-11-21");
    const text = await mustFail(scene.stack.up());
    const [, time = ""] = /tokens that 2026-11-20 signed are accepted until (\S+Z)/.exec(text) ?? [];
    expect(Date.parse(time) - Date.now()).toBeGreaterThan(50 * 60_000);
    expect(Date.parse(time) - Date.now()).toBeLessThan(60 * 60_000);
    expect(await all()).toEqual({ "20": "200", "21": "200" });
    setting({ maxTokenAge: "1s", drain: "10s" });
  });

  it("is not dropped while an isolate verifies much that it signed", async () => {
    // Nobody tells the keys of shape dual apart, so there is no share.
    if (shape === "dual") {
      expect(await signedWith()).toBeUndefined();
      return;
    }
    setting({ retireBelow: 0.05 });
    // Others have shown many meanwhile.
    for (let n = 0; n < 2000 && (await shareOf("2026-11-20")) < 0.06; n++) await shown(scene, tokens["20"] ?? "");
    expect(await mustFail(scene.stack.up())).toMatch(
      /[\d.]+ % of the tokens that one isolate verified lately were signed with 2026-11-20; 5 % are allowed/,
    );
    expect(await all()).toEqual({ "20": "200", "21": "200" });
    setting({ retireBelow: 1 });
  });

  it(
    shape === "dual" ? "refuses a third key at preview" : "rolls again before a key is retired: three live keys",
    async () => {
      stamps("2026-11-22", "2026-11-21", "2026-11-20");
      if (shape === "dual") {
        expect(await mustFail(scene.stack.preview())).toContain("more than the two keys that shape dual can hold");
        stamps("2026-11-22", "2026-11-21");
      }
      await underTokens(scene, () => must(scene.stack.up()));
      tokens["22"] = await newToken(scene);
      expect(await all()).toEqual({ "20": shape === "dual" ? refused : "200", "21": "200", "22": "200" });
      await settled(scene);
    },
  );

  it("retires the last: its tokens are refused, the primary stays", async () => {
    if (shape === "keyset") {
      stamps("2026-11-22", "2026-11-21");
      await underTokens(scene, () => must(scene.stack.up()));
    }
    expect(await all()).toEqual({ "20": refused, "21": "200", "22": "200" });
    await settled(scene);
  });

  it("rolls back in one update: tokens that were signed meanwhile still verify", async () => {
    stamps("2026-11-21", "2026-11-22");
    await underTokens(scene, () => must(scene.stack.up()));
    tokens["21 again"] = await newToken(scene);
    expect(await all()).toEqual({ "20": refused, "21": "200", "21 again": "200", "22": "200" });
    stamps("2026-11-21");
    await underTokens(scene, () => must(scene.stack.up()));
    expect(await all()).toEqual({ "20": refused, "21": "200", "21 again": "200", "22": refused });
  });

  it("in an emergency drops every older key at once", async () => {
    scene.edit(["rollover:credentials", NAME, "generations"], undefined);
    setting({ generation: "2026-11-23", maxTokenAge: "1h" });
    await must(scene.stack.up());
    await settled(scene);
    const now = await newToken(scene);
    expect(await shown(scene, now)).toBe("200");
    expect(new Set(Object.values(await all()))).toEqual(new Set([refused]));
  });

  function stamps(...list: string[]): void {
    scene.generations(NAME, list);
  }

  function setting(values: Record<string, unknown>): void {
    for (const [key, value] of Object.entries(values)) scene.edit(["rollover:credentials", NAME, key], value);
  }

  async function all(): Promise<Record<string, string>> {
    const entries = Object.entries(tokens).map(async ([key, token]) => [key, await shown(scene, token)] as const);
    return Object.fromEntries(await Promise.all(entries));
  }

  async function shareOf(stamp: string): Promise<number> {
    return (await signedWith())?.[NAME]?.[stamp] ?? 0;
  }

  async function signedWith(): Promise<Record<string, Record<string, number>> | undefined> {
    const token = scene.cloud.cloudflare.state("rounds-api").secrets["ROLLOVER_PROBE_TOKEN"] ?? "";
    const response = await fetch(scene.cloud.probeUrl("rounds-api"), { headers: { authorization: `Bearer ${token}` } });
    return ((await response.json()) as { signedWith?: Record<string, Record<string, number>> }).signedWith;
  }
});
