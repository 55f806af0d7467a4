// Proves, over the wire: what the stand-in for random draws, refuses, hides and replaces.
// Does not prove: that the official plugin does the same (test/engine/official-state.test.ts does, for one program).
import * as bcrypt from "bcryptjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PluginClient } from "../../local/plugins/client";
import { UNKNOWN } from "../../local/plugins/wire";

describe("random", () => {
  let random: PluginClient;
  beforeAll(async () => {
    random = await PluginClient.start("random");
  });
  afterAll(() => random.stop());

  it("honours every min* and draws from the allowed characters only", async () => {
    const least = { minLower: 2, minUpper: 2, minNumeric: 2, minSpecial: 2 };
    for (let i = 0; i < 20; i += 1) {
      const { result } = (await random.create("random:RandomString", { length: 8, ...least, overrideSpecial: "_-" }))
        .values;
      const text = String(result);
      const counts = [/[a-z]/g, /[A-Z]/g, /\d/g, /[_-]/g].map((characters) => text.match(characters)?.length);
      expect(counts).toEqual([2, 2, 2, 2]);
    }
  });

  it("draws all characters alike: chi-squared of 62,000 drawn from 62 is under the 1 in 10 million bound", async () => {
    const { result } = (await random.create("random:RandomString", { length: 62_000, special: false })).values;
    const counts = new Map<string, number>();
    for (const character of String(result)) counts.set(character, (counts.get(character) ?? 0) + 1);
    expect(counts.size).toBe(62);
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquared).toBeLessThan(138);
  });

  it("gives a password with its bcrypt hash, both secret, and no two alike", async () => {
    const [first, second] = [await create(), await create()];
    expect([...first.secrets].sort()).toEqual(["bcryptHash", "result"]);
    expect(first.values["result"]).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(first.values["result"]).not.toBe(second.values["result"]);
    expect(await bcrypt.compare(String(first.values["result"]), String(first.values["bcryptHash"]))).toBe(true);
    async function create() {
      return random.create("random:RandomPassword", { length: 32, special: false });
    }
  });

  it("gives bytes and ids in each of their forms", async () => {
    const bytes = (await random.create("random:RandomBytes", { length: 24 })).values;
    expect(Buffer.from(String(bytes["base64"]), "base64").toString("hex")).toBe(bytes["hex"]);
    const id = await random.create("random:RandomId", { byteLength: 8, prefix: "p-" });
    const raw = Buffer.from(id.id, "base64url");
    expect(raw).toHaveLength(8);
    expect(id.values).toMatchObject({
      b64Std: `p-${raw.toString("base64")}`,
      b64Url: `p-${id.id}`,
      dec: `p-${raw.readBigUInt64BE()}`,
      hex: `p-${raw.toString("hex")}`,
    });
  });

  it("knows nothing of a value in a preview", async () => {
    const { values, secrets, id } = await random.create("random:RandomPassword", { length: 20 }, true);
    expect(values).toMatchObject({ result: UNKNOWN, bcryptHash: UNKNOWN, length: 20, special: true });
    expect([id, secrets.has("result")]).toEqual(["", true]);
  });

  it("replaces for any changed input and for no other spelling of a default", async () => {
    const { values } = await random.create("random:RandomPassword", { length: 20, keepers: { a: "1" } });
    const diff = (news: object) =>
      random.diff("random:RandomPassword", values, { length: 20, keepers: { a: "1" }, ...news });
    expect(await diff({ special: true, minLower: 0, number: true })).toMatchObject({ changed: false, replaces: [] });
    expect(await diff({ keepers: { a: "2" } })).toMatchObject({ changed: true, replaces: ["keepers"] });
    expect(await diff({ length: 21, upper: false })).toMatchObject({ replaces: ["length", "upper"] });
    expect(await diff({ number: false })).toMatchObject({ replaces: ["number", "numeric"] });
    expect(await diff({ keepers: { a: UNKNOWN } })).toMatchObject({ replaces: ["keepers"] });
  });

  it("refuses bad inputs, each with its reason", async () => {
    expect(await random.check("random:RandomPassword", { length: 3, minLower: 2, minUpper: 2 })).toEqual([
      'length: "length" is 3; it must be at least 1 and at least the sum of all min* (4)',
    ]);
    expect(await random.check("random:RandomId", {})).toEqual([
      'byteLength: "byteLength" is required: give it a number',
    ]);
    expect(await random.check("random:RandomBytes", { length: "16" })).toEqual([
      'length: "length" must be a number, not a string',
    ]);
    expect(await random.check("random:RandomBytes", { length: UNKNOWN })).toEqual([]);
  });
});
