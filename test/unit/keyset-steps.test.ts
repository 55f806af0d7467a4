// Proves what a delivery of keysets asks of a Worker's probe before it begins, and what it makes of each answer: waits, refusals with
// their whole text, the set to announce, and what is recorded afterwards. The probe is a server of this file, so that it can say
// anything. Not proven: that a Worker reports so, nor what it is handed (test/provider/keyset*.test.ts).
import * as http from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Generations } from "../../components/cloudflare/attest";
import { activationsOf, prepareKeysets, reportWith } from "../../components/cloudflare/keyset-steps";
import type { Activation, KeysetInputs, KeysetOutputs, KeysetSpec } from "../../components/cloudflare/keyset-step";
import { keySetText } from "../../components/rotation/key-texts";
import { close, listen } from "../../local/cloud/faults";

/** With nothing else to deliver. */
const prepare = (news: KeysetInputs, olds: KeysetOutputs) => prepareKeysets(news, olds, () => Promise.resolve());

const NAME = "rounds-signing";
const [a, b, c] = ["2026-01-01", "2026-01-02", "2026-01-03"];
const LONG_AGO = "2026-01-01T00:00:00.000Z";
const spec: KeysetSpec = {
  ...{ kind: "signing-keyset", shape: "keyset", atOnce: false, maxTokenAgeMs: 1000, drainMs: 0, retireBelow: 0.05 },
  ...{ as: "JWT_KEYS", alsoAs: "", verifyOnly: false, settleMs: 0, attestedMs: 0 },
};

/** What the probe answers, in turn; the last again and again. */
let answers: { status?: number; body: unknown }[] = [];
let asked = 0;
let probe = "";
const server = http.createServer((_request, response) => {
  const { status = 200, body } = answers[Math.min(asked, answers.length - 1)] ?? { body: undefined };
  asked += 1;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
});

beforeAll(async () => {
  probe = `http://127.0.0.1:${await listen(server)}/probe`;
});
afterAll(() => close(server));
beforeEach(() => {
  asked = 0;
});

const hexOf = (stamp: string) => Buffer.from(stamp.padEnd(32, "-")).toString("hex");
const entries = (stamps: string[]) => stamps.map((stamp) => ({ stamp, tag: `tag-${stamp}` }));
const reports = (stamps: string[], more: object = {}) => ({
  body: { generations: { [NAME]: entries(stamps) }, ...more },
});

function inputs(stamps: string[], change: Partial<KeysetSpec> = {}): KeysetInputs {
  const keys = stamps.map((stamp) => ({ stamp, hex: hexOf(stamp) }));
  const full = { ...spec, ...change };
  const [first, second] = keys;
  const dual = { JWT_SECRET: first?.hex ?? "", ...(second ? { JWT_SECRET_NEW: second.hex } : {}) };
  return {
    ...{ worker: "rounds-api", probe, token: "probe-token", settleMs: 0, signers: {}, verifiers: {} },
    secrets: full.shape === "dual" ? dual : { JWT_KEYS: keySetText(full.kind, keys, stamps[0] ?? "") },
    generations: JSON.stringify({ [NAME]: entries(stamps) }),
    keysets: { [NAME]: full },
  };
}

function state(
  stamps: string[],
  activation: Partial<Activation> = {},
  change: Partial<KeysetSpec> = {},
): KeysetOutputs {
  const times = Object.fromEntries(stamps.slice(1).map((stamp) => [`tag-${stamp}`, LONG_AGO]));
  const known = { tag: `tag-${stamps[0]}`, since: LONG_AGO, superseded: times, ...activation };
  return { ...inputs(stamps, change), activations: { [NAME]: known } };
}

async function refusal(news: KeysetInputs, olds: KeysetOutputs): Promise<string> {
  return prepare(news, olds).then(
    () => "not refused",
    (error: unknown) => (error as Error).message,
  );
}

describe("before a key is dropped", () => {
  const [olds, news] = [() => state([b, a]), () => inputs([b])];

  it("a share above `retireBelow` refuses, of whichever isolate, and one at it does not", async () => {
    const shares = (share: number) => reports([b, a], { signedWith: { [NAME]: { [b]: 1 - share, [a]: share } } });
    answers = [shares(0), shares(0), shares(0), shares(0.0612), shares(0)];
    expect(await refusal(news(), olds())).toBe(
      `${NAME} keeps ${a}: 6.1 % of the tokens that one isolate verified lately were signed with ${a}; 5 % are allowed (retireBelow). ` +
        `No key was changed. Run the update again when fewer are; the shares are of the last minutes; in an emergency ` +
        `\`generation: ${b}\` drops it at once, and every token that it signed.`,
    );
    expect(asked).toBe(5);
    answers = [shares(0.05)];
    await expect(prepare(news(), olds())).resolves.toEqual({ announced: undefined, signed: { [NAME]: [] } });
    // Nothing is said of it where nothing is dropped, or where it is an emergency.
    answers = [shares(1)];
    await expect(prepare(olds(), olds())).resolves.toMatchObject({ announced: undefined });
    await expect(prepare(inputs([b], { atOnce: true }), olds())).resolves.toMatchObject({
      announced: undefined,
    });
  });

  it.each([
    ["404", { status: 404, body: "" }, /404 \(nothing delivered by Rollover, or no probe in its code\)/],
    ["500", { status: 500, body: "hunter2" }, /no readable answer \(status 500\)/],
    ["no JSON", { body: "hunter2" }, /no readable answer \(an answer that is not JSON\)/],
    ["a list of none", { body: { generations: { [NAME]: [] } } }, /no readable answer \(an answer of another shape\)/],
  ])("an answer of %s refuses, of one isolate in five", async (_name, answer, why) => {
    const good = reports([b, a]);
    answers = [good, good, answer, good, good];
    const text = await refusal(news(), olds());
    expect(text).toMatch(why);
    expect(text).toContain(`keeps ${a}: the Worker does not say what it still verifies`);
    expect(text).not.toContain("hunter2");
  });

  it("shares of another shape are passed over, and those of other credentials too", async () => {
    for (const signedWith of ["x", [1], { [NAME]: { [a]: "1" } }, { other: { [a]: 1 } }, null]) {
      answers = [reports([b, a], { signedWith })];
      await expect(prepare(news(), olds())).resolves.toMatchObject({ announced: undefined });
    }
  });

  it("the wait is for the key that is superseded last, and is over before the answers that count", async () => {
    const now = Date.now();
    const at = (ms: number) => new Date(now - 1000 + ms).toISOString();
    const superseded = { [`tag-${a}`]: at(1000), [`tag-${b}`]: at(3000) };
    answers = [reports([c, b, a])];
    await prepare(inputs([c], { drainMs: 60_000 }), state([c, b, a], { superseded }));
    expect(Date.now()).toBeGreaterThanOrEqual(now + 3000);
    expect(asked).toBe(10);
    expect(
      await refusal(inputs([c]), state([c, b, a], { superseded: { [`tag-${a}`]: new Date().toISOString() } })),
    ).toMatch(new RegExp(`keeps ${b}, ${a}: tokens that ${b}, ${a} signed are accepted until .* or raise \`drain\``));
  });
});

describe("a keyset is not changed", () => {
  it("into another kind or shape, whose keys the Worker would read as something else", async () => {
    answers = [reports([a])];
    expect(await refusal(inputs([a], { kind: "encryption-keyset" }), state([a]))).toContain(
      "was not changed: its keys mean something else as encryption-keyset of shape keyset than as signing-keyset of shape keyset",
    );
    expect(await refusal(inputs([a], { shape: "dual" }), state([a]))).toContain("of shape dual than as signing-keyset");
  });

  it("while an isolate signs with a key that it would not have, unless that one was only late", async () => {
    answers = [reports([c, a]), reports([a]), reports([a]), reports([a]), reports([a]), reports([c, a])];
    expect(await refusal(inputs([b, a]), state([a]))).toContain(
      `was not changed: the Worker reports that it signs with ${c}. No key was changed. Write \`generations: [${a}, ${c}]\``,
    );
    expect(asked).toBe(10);
    asked = 0;
    answers = [...answers.slice(0, 5), reports([a])];
    await expect(prepare(inputs([b, a]), state([a]))).resolves.toMatchObject({ signed: { [NAME]: [] } });
  });

  it("and is not asked anything at its first delivery", async () => {
    const empty = { ...state([a]), keysets: {}, activations: {} };
    await expect(prepare(inputs([a]), empty)).resolves.toEqual({ announced: undefined, signed: {} });
    expect(asked).toBe(0);
  });
});

describe("what is announced", () => {
  it("is each keyset that gets a new primary, and the others as they are to be", async () => {
    const two = (stamps: string[], other: string[], base: KeysetInputs): KeysetInputs => ({
      ...base,
      secrets: {
        ...base.secrets,
        OTHER: keySetText(
          "signing-keyset",
          other.map((stamp) => ({ stamp, hex: hexOf(stamp) })),
          other[0] ?? "",
        ),
      },
      generations: JSON.stringify({ [NAME]: entries(stamps), other: entries(other) }),
      keysets: { ...base.keysets, other: { ...spec, as: "OTHER" } },
    });
    const known: Activation = { tag: `tag-${a}`, since: LONG_AGO, superseded: {} };
    const olds = { ...two([a], [a], inputs([a])), activations: { [NAME]: known, other: known } };
    answers = [{ body: { generations: { [NAME]: entries([a]), other: entries([a]) } } }];
    const { announced } = await prepare(two([b, a], [c, a], inputs([b, a])), olds);
    const actives = Object.values(announced?.secrets ?? {}).map(
      (text) => (JSON.parse(text) as { active: string }).active,
    );
    expect(actives).toEqual([a, a]);
    expect(JSON.parse(announced?.generations ?? "")).toEqual({ [NAME]: entries([a, b]), other: entries([a, c]) });
  });

  it("is in shape dual the key that signs and the one that will, wherever the first stood", async () => {
    const dual = { shape: "dual", as: "JWT_SECRET", alsoAs: "JWT_SECRET_NEW" } as const;
    // Rolled back by hand to what only the second of state knows.
    answers = [reports([a])];
    const { announced } = await prepare(inputs([b, a], dual), state([b, a], {}, dual));
    expect(announced?.secrets).toEqual({ JWT_SECRET: hexOf(a), JWT_SECRET_NEW: hexOf(b) });
    expect(JSON.parse(announced?.generations ?? "")).toEqual({ [NAME]: entries([a, b]) });
  });

  it("is nothing for a Worker that only verifies, then and before", async () => {
    answers = [reports([a])];
    const verifies = { verifyOnly: true };
    expect((await prepare(inputs([b, a], verifies), state([a], {}, verifies))).announced).toBeUndefined();
    // One that stops to sign still does, until it knows.
    expect((await prepare(inputs([b, a], verifies), state([a]))).announced).toBeDefined();
  });
});

describe("what is recorded", () => {
  const begun = new Date("2026-02-01T00:00:00.000Z");
  const later = (text: string | undefined) => Date.parse(text ?? "") > begun.getTime();

  it("is since when the Worker signs, and of each other key since when it does not", () => {
    const { [NAME]: first } = activationsOf(inputs([a]), undefined, begun);
    expect(first).toEqual({ tag: `tag-${a}`, since: begun.toISOString(), superseded: {} });
    const { [NAME]: rolled } = activationsOf(inputs([b, a]), state([a]), begun);
    expect(rolled).toMatchObject({ tag: `tag-${b}`, since: begun.toISOString() });
    expect(Object.keys(rolled?.superseded ?? {})).toEqual([`tag-${a}`]);
    expect(later(rolled?.superseded[`tag-${a}`])).toBe(true);
    // A Worker that verified with it begins to sign.
    const verified = state([b, a], {}, { verifyOnly: true });
    expect(activationsOf(inputs([b, a]), verified, begun)[NAME]?.since).toBe(begun.toISOString());
    // Nothing moves while the primary stays; what is dropped is forgotten.
    const olds = state([c, b, a]);
    expect(activationsOf(inputs([c, b, a]), olds, begun)[NAME]).toEqual(olds.activations[NAME]);
    expect(activationsOf(inputs([c, b]), olds, begun)[NAME]?.superseded).toEqual({ [`tag-${b}`]: LONG_AGO });
  });

  it("counts anew for a key that a lost delivery had it sign with", async () => {
    const olds = state([b, a]);
    const since = new Date().toISOString();
    const marked = entries([b, a]).map((entry) => (entry.stamp === a ? { ...entry, since } : entry));
    for (const answer of [reports([a, b]), { body: { generations: { [NAME]: marked } satisfies Generations } }]) {
      answers = [answer];
      const { signed } = await prepare(inputs([b, a]), olds);
      expect(signed).toEqual({ [NAME]: [`tag-${a}`] });
      const { [NAME]: now } = activationsOf(inputs([b, a]), olds, begun, signed);
      expect(later(now?.superseded[`tag-${a}`])).toBe(true);
      expect(now?.since).toBe(begun.toISOString());
    }
    answers = [reports([b, a])];
    expect((await prepare(inputs([b, a]), olds)).signed).toEqual({ [NAME]: [] });
  });

  it("is told to the Worker in its report, and to one that only verifies not", () => {
    const activations = state([b, a], { superseded: { [`tag-${a}`]: "2026-01-05T00:00:00.000Z" } }).activations;
    const { generations } = inputs([b, a, c]);
    expect(JSON.parse(reportWith(generations, inputs([b, a, c]), activations))).toEqual({
      [NAME]: [
        { stamp: b, tag: `tag-${b}`, since: LONG_AGO },
        { stamp: a, tag: `tag-${a}`, since: "2026-01-05T00:00:00.000Z" },
        { stamp: c, tag: `tag-${c}` },
      ],
    });
    expect(reportWith(generations, inputs([b, a, c], { verifyOnly: true }), activations)).toBe(generations);
  });
});
