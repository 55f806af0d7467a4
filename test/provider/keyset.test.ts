// Proves, over the wire of the local cloud, what a Worker is handed while its keyset rolls, rolls again, retires, rolls back and is
// emptied, in both shapes: that a new key is announced before it signs, also after somebody rolled the Worker back, when a key may be
// dropped, and what a verifier asks of the Worker that signs. Not proven: what the engine makes of it (test/engine).
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { credential, DyingApi, Holder, refusal } from "./keysets";

const entry = path.join(__dirname, "../fixtures/keyset-worker.ts");
const [a, b, c, d] = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"];
/** Longer than what is dropped at once in these tests ever waits for. */
const LONG = 3_600_000;
let cf: LocalCloudflare;

beforeAll(async () => {
  cf = await startCloudflare({ scripts: { keyset: { entry }, dual: { entry }, verifier: { entry } } });
});
afterAll(() => cf.stop());

const holds = (spec: ConstructorParameters<typeof Holder>[1] = {}, script: string = spec.shape ?? "keyset") =>
  new Holder(cf, spec, script);

const short = (sequence: string[]) => sequence.map((set) => set.replaceAll("2026-01-0", ""));

describe("what a Worker is handed", () => {
  it("is a first delivery in one set, and each new key announced before it signs", async () => {
    const holder = holds({ maxTokenAgeMs: 1 }).watch();
    await holder.through([a], [b, a], [c, b, a], [c, b], [c, b], [b, c], [b]);
    expect(short(holder.sequence())).toEqual([
      ...["1<1", "1<1,2", "2<1,2", "2<1,2,3", "3<1,2,3"],
      // Dropped, nothing to do, rolled back, dropped.
      ...["3<2,3", "2<2,3", "2<2"],
    ]);
    holder.expectSafe(1);
  });

  it("is in shape dual the same under two names", async () => {
    const holder = holds({ shape: "dual", maxTokenAgeMs: 1 }).watch();
    const names = () => Object.keys(cf.state("dual").secrets).filter((name) => name.startsWith("JWT"));
    await holder.through([a]);
    expect(names()).toEqual(["JWT_SECRET"]);
    await holder.through([b, a], [c, b], [b, c], [b]);
    expect(short(holder.sequence())).toEqual([...["1<1", "1<1,2", "2<1,2", "2<2,3", "3<2,3", "2<2,3", "2<2"]]);
    expect(names()).toEqual(["JWT_SECRET"]);
    holder.expectSafe(1);
  });

  it("is everything else already with the announcement, and the probe says so", async () => {
    const holder = await holds().watch().through([a]);
    const others = { OTHER: "second" };
    const { secrets, generations } = holder.inputs([b, a]);
    const held = JSON.stringify({ ...(JSON.parse(generations) as object), other: [{ stamp: b, tag: "other-tag" }] });
    const seen: string[] = [];
    cf.onCall(({ phase, method }) => {
      if (phase === "after" && method === "PATCH") seen.push(cf.state("keyset").secrets.OTHER ?? "");
    });
    await holder.up([b, a], { change: { secrets: { ...secrets, ...others }, generations: held } });
    expect(seen).toEqual(["second", "second"]);
    expect(Object.keys(JSON.parse(cf.state("keyset").secrets.ROLLOVER_GENERATIONS ?? "") as object)).toEqual([
      ...[credential, "other"],
    ]);
  });

  it("is nothing where only a knob was turned", async () => {
    const holder = await holds().through([a], [b, a]);
    holder.watch();
    const before = holder.olds?.activations;
    await holder.up([b, a], { spec: { maxTokenAgeMs: 5000, drainMs: 9 }, change: { answers: 2, settleMs: 3 } });
    expect(holder.held).toEqual([]);
    expect(holder.olds).toMatchObject({ activations: before, keysets: { [credential]: { maxTokenAgeMs: 5000 } } });
  });

  it("is at once the new key alone in an emergency, however young the old one is", async () => {
    const holder = await holds({ maxTokenAgeMs: LONG }).through([a], [b, a]);
    holder.watch();
    await holder.up([c], { spec: { atOnce: true } });
    expect(short(holder.sequence())).toEqual(["3<3"]);
    // The next roll overlaps again.
    await holder.up([d, c]);
    expect(short(holder.sequence())).toEqual(["3<3", "3<3,4", "4<3,4"]);
  });

  it("is announced too on a Worker whose state is of before there were keysets", async () => {
    const holder = holds({ maxTokenAgeMs: LONG });
    await holder.up([], { change: { secrets: { OTHER: "x" }, generations: "{}", keysets: {} } });
    holder.without(["keysets", "signers", "activations"]);
    holder.watch();
    await holder.through([a], [b, a]);
    expect(short(holder.sequence())).toEqual(["1<1", "1<1,2", "2<1,2"]);
  });
});

describe("a Worker that somebody rolled back", () => {
  it.each(["keyset", "dual"] as const)("has the lost key announced again in shape %s", async (shape) => {
    const holder = await holds({ shape, maxTokenAgeMs: 1 }).through([a]);
    const { liveVersionId } = cf.state(holder.script);
    await holder.up([b, a]);
    await cf.deploy(holder.script, liveVersionId);
    // Its upload again, as the API asks for: the newest version is deployed, with the secrets of the old one.
    const again = await cf.upload(holder.script, { secrets: cf.state(holder.script).secrets });
    await cf.deploy(holder.script, again);
    await holder.refresh();
    holder.watch().record();
    await holder.up([b, a]);
    expect(short(holder.sequence())).toEqual(["1<1", "1<1,2", "2<1,2"]);
    holder.expectSafe();
  });

  it("keeps the key that it went back to until its tokens are dead", async () => {
    const holder = await holds({ maxTokenAgeMs: 1500 }).through([a], [b, a]);
    const at = holder.olds?.activations[credential]?.superseded[holder.key(a).tag] ?? "";
    expect(at).not.toBe("");
    holder.watch();
    // Both keys are known, so it is one change; what it signed with the older one counts from the update after it.
    await holder.up([a, b], { forgets: true });
    await holder.up([b, a]);
    const later = holder.olds?.activations[credential]?.superseded[holder.key(a).tag] ?? "";
    expect(Date.parse(later)).toBeGreaterThan(Date.parse(at));
    expect(await refusal(holder.up([b]))).toContain("are accepted until");
  });
});

describe("a key is dropped", () => {
  it("when its tokens are dead, and an update waits for that within `drain`", async () => {
    const holder = await holds({ maxTokenAgeMs: 1500, settleMs: 300, drainMs: 10_000 }).through([a]);
    holder.watch().record();
    await holder.up([b, a]);
    const { superseded } = holder.olds?.activations[credential] ?? {};
    const attested = Date.parse(superseded?.[holder.key(a).tag] ?? "");
    await holder.up([b]);
    const dropped = holder.held.at(-1);
    expect(short(holder.sequence()).at(-1)).toBe("2<2");
    expect(dropped?.at).toBeGreaterThanOrEqual(attested + 1800);
    expect(dropped?.at).toBeLessThan(attested + 1800 + 5000);
    holder.expectSafe(1500);
  });

  it("else not, and nothing is changed; one alert says what the refusal says, and neither shows a key", async () => {
    const holder = await holds({ maxTokenAgeMs: LONG, drainMs: 60_000 }).through([a], [b, a]);
    const { superseded } = holder.olds?.activations[credential] ?? {};
    const until = new Date(Date.parse(superseded?.[holder.key(a).tag] ?? "") + LONG).toISOString();
    holder.watch();
    const text = await refusal(holder.up([b]));
    expect(text).toBe(
      `${credential} keeps ${a}: tokens that ${a} signed are accepted until ${until}. No key was changed. ` +
        `Run the update again after that time, or raise \`drain\`; in an emergency \`generation: ${b}\` drops it at once, and every token that it signed.`,
    );
    expect(holder.alerts).toEqual([`Worker keyset: ${text}`]);
    expect(holder.held).toEqual([]);
    for (const stamp of [a, b])
      for (const secret of [holder.key(stamp).hex, holder.text(stamp), holder.token])
        expect(text).not.toContain(secret);
    // Another edit of the same Worker is none of its business.
    await holder.up([b, a], { intent: "another" });
    expect(holder.alerts).toHaveLength(1);
  });

  it("never while it signs", async () => {
    const holder = await holds({ maxTokenAgeMs: 1 }).through([a], [b, a]);
    holder.watch();
    expect(await refusal(holder.up([a]))).toContain(
      `keeps ${b}: the Worker signs with ${b} until this update. No key was changed. Write \`generations: [${a}, ${b}]\``,
    );
    expect(await refusal(holder.up([c, a]))).toContain(`Write \`generations: [${c}, ${a}, ${b}]\``);
    expect(holder.held).toEqual([]);
  });

  it("never while the Worker gives no answer, unless in an emergency", async () => {
    const holder = await holds({ maxTokenAgeMs: 1 }).through([a], [b, a]);
    holder.watch();
    const probe = cf.workerUrl("keyset");
    const closed = "http://127.0.0.1:1/.well-known/rollover";
    for (const url of [`${probe}/nowhere`, closed]) {
      const text = await refusal(holder.up([b], { change: { probe: url, withinMs: 1000 } }));
      expect(text).toContain(`keeps ${a}: the Worker does not say what it still verifies`);
    }
    expect(holder.held).toEqual([]);
    await holder.up([b], { spec: { atOnce: true } });
    expect(short(holder.sequence())).toEqual(["2<2"]);
  });
});

describe("a verifier", () => {
  const pair = async (spec: { maxTokenAgeMs: number }) => {
    const signer = holds(spec);
    for (const stamp of [a, b, c]) signer.key(stamp);
    const verifier = holds({ ...spec, verifyOnly: true }, "verifier").sharing(signer);
    const signers = { signers: { [credential]: signer.consumer } };
    const both = async (stamps: string[]) => {
      await verifier.up(stamps, { change: signers });
      await signer.up(stamps);
    };
    await both([a]);
    return { signer, verifier, both, signers };
  };

  it("gets the new key in one set, and drops the old one only when the signer's tokens are dead", async () => {
    const { signer, verifier, both, signers } = await pair({ maxTokenAgeMs: 2500 });
    verifier.watch();
    await verifier.up([b, a], { change: signers });
    expect(short(verifier.sequence())).toEqual(["2<1,2"]);
    // The signer has not been told yet.
    expect(await refusal(verifier.up([b], { change: signers }))).toContain(
      `keeps ${a}: the Worker keyset, which signs, does so with ${a}`,
    );
    await signer.up([b, a]);
    const since = Date.parse(signer.olds?.activations[credential]?.since ?? "");
    const text = await refusal(verifier.up([b], { change: signers }));
    expect(text).toContain(`tokens that ${a} signed are accepted until `);
    const [, until = ""] = /until (\S+Z)\./.exec(text) ?? [];
    expect(Date.parse(until)).toBeGreaterThanOrEqual(since + 2500);
    // The signer counts from its attestation, which is later.
    const attested = Date.parse(signer.olds?.activations[credential]?.superseded[signer.key(a).tag] ?? "") + 2500;
    await new Promise((done) => setTimeout(done, Math.max(Date.parse(until), attested) - Date.now() + 5));
    await both([b]);
    expect(short(verifier.sequence())).toEqual(["2<1,2", "2<2"]);
    expect(verifier.olds?.generations).not.toContain("since");
  });

  it("drops nothing while the signer does not answer, or does not say since when", async () => {
    const { signer, verifier, both, signers } = await pair({ maxTokenAgeMs: 1 });
    await both([b, a]);
    verifier.watch();
    const gone = { signers: { [credential]: { ...signer.consumer, token: "another" } } };
    expect(await refusal(verifier.up([b], { change: gone }))).toMatch(
      /the Worker keyset, which signs, does not say with what: 404/,
    );
    // A probe of before there were keysets passes no time on.
    const [first, second] = [b, a].map((stamp) => ({ stamp, tag: signer.key(stamp).tag }));
    const silent = { ROLLOVER_GENERATIONS: JSON.stringify({ [credential]: [first, second] }) };
    await new DyingApi(cf).changeSecrets("keyset", silent, () => Promise.resolve(false));
    expect(await refusal(verifier.up([b], { change: signers }))).toContain(
      `does not say since when it does so with ${b}: see that its probe is today's components/cloudflare/probe.ts`,
    );
    expect(verifier.held.filter(({ verifies }) => verifies.length === 1)).toEqual([]);
  });
});
