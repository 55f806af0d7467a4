// Proves when the plan says that a key is dropped: at once, after a time and whose, or never, with a warning. Not the other texts of
// keysets (plan-keyset.test.ts), and not that an update keeps to the times: test/engine does.
import { describe, expect, it } from "vitest";
import { describePlan } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import * as make from "./plan-fixture";
import * as keys from "./plan-keyset-fixture";
import { credentialOf, LATELY, NAME, NOW, OLD, OLDER, scene, type Scene } from "./plan-keyset-fixture";

describe("when a key is dropped", () => {
  const dropped = (more: keys.HolderMore, all: Partial<Scene> = {}) =>
    credentialOf(
      scene({ before: [NOW, OLD], after: [NOW], workers: [keys.holder("rounds-api", NAME, [NOW, OLD], more)], ...all }),
    )?.withdraws[0]?.when;
  const time = "2026-11-21T12:01:00.000Z";

  it("is maxTokenAge and settle after its successor took over", () => {
    expect(dropped({ superseded: { [OLD]: LATELY }, retireBelow: 1 })).toBe(
      `not before ${time}, when all that it signed is older than 2m; before that the update waits (5m at most) or refuses`,
    );
    expect(dropped({ superseded: { [OLD]: LATELY }, drainMs: 0 })).toBe(
      `not before ${time}, when all that it signed is older than 2m; before that the update refuses; refused while more than 5 % of what a Worker verifies needs it`,
    );
  });

  it("is at once where that time is over, or no Worker holds it", () => {
    expect(dropped({ superseded: { [OLD]: "2026-11-21T11:57:00.000Z" }, retireBelow: 1 })).toBe(
      "with the delivery: since 2026-11-21T12:00:00.000Z all that it signed is older than 2m",
    );
    expect(dropped({}, { workers: [keys.holder("rounds-api", NAME, [NOW])] })).toBe(
      "with the delivery: as state has it, no Worker that is still handed keys holds it, so nothing is waited for",
    );
  });

  it("is counted from when the Worker was told to use its current key where nobody recorded when the other one ended", () => {
    for (const superseded of [{}, { [OLD]: "no time" }])
      expect(dropped({ since: LATELY, superseded, retireBelow: 1 })).toBe(
        `not before ${time}, when all that it signed is older than 2m; before that the update waits (5m at most) or refuses`,
      );
  });

  it("is counted by the longer maxTokenAge of what is delivered now and then", () => {
    const worker = keys.holder("rounds-api", NAME, [NOW, OLD], { superseded: { [OLD]: LATELY }, retireBelow: 1 });
    const made = scene({ before: [NOW, OLD], after: [NOW], workers: [] });
    const state = { ...made.state, resources: [...made.state.resources, worker] };
    const [shorter, longer] = [60_000, 300_000].map((maxTokenAgeMs) => {
      const spec = { ...keys.specOf({ retireBelow: 1 }), maxTokenAgeMs };
      const steps = [...made.steps, make.step("update", worker, { keysets: { [NAME]: spec } })];
      return credentialOf({ ...made, steps, state })?.withdraws[0]?.when;
    });
    expect(shorter).toContain(`not before ${time}, when all that it signed is older than 2m;`);
    expect(longer).toContain("not before 2026-11-21T12:04:00.000Z, when all that it signed is older than 5m;");
  });

  it("is the latest of all its Workers, with the wait that config sets now", () => {
    const late = { superseded: { [OLD]: "2026-11-21T11:59:00.000Z" } };
    const verifier = keys.holder("audit-api", NAME, [NOW, OLD], { superseded: { [OLD]: LATELY }, verifyOnly: true });
    const made = scene({ before: [NOW, OLD], after: [NOW], workers: [verifier] });
    const signer = keys.holder("rounds-api", NAME, [NOW, OLD], late);
    const longer = make.step("update", signer, { keysets: { [NAME]: { ...keys.specOf(), maxTokenAgeMs: 300_000 } } });
    const steps = [...made.steps, longer];
    const state = { ...made.state, resources: [...made.state.resources, signer] };
    expect(credentialOf({ ...made, steps, state })?.withdraws[0]?.when).toContain(
      "not before 2026-11-21T12:05:00.000Z",
    );
  });

  it("is told of a Worker that only verifies by when the one that signs took its current key", () => {
    const stamps = [NOW, OLD, OLDER];
    const verifier = keys.holder("audit-api", NAME, stamps, { verifyOnly: true });
    const signer = keys.holder("rounds-api", NAME, stamps, { since: LATELY, retireBelow: 1 });
    const facts = scene({ before: stamps, after: [NOW, OLD], workers: [verifier, signer] });
    expect(credentialOf(facts)?.withdraws[0]?.when).toContain(`not before ${time},`);
  });

  it("is never by an update that lets its Worker sign with it until then: that refuses, and the plan warns", () => {
    const workers = [keys.holder("rounds-api", NAME, [OLD, OLDER], { superseded: { [OLDER]: LATELY } })];
    const facts = scene({ before: [OLD, OLDER], after: [NOW], workers });
    const { credentials, warnings } = describePlan(facts);
    expect(credentials[0]?.withdraws).toMatchObject([{ stamp: OLD, refused: warnings[0]?.what }, { stamp: OLDER }]);
    expect(warnings).toEqual([
      {
        name: NAME,
        what:
          `the update will refuse to drop ${OLD}: the Worker rounds-api signs with it until then. Keep it in \`generations\` and retire it by a later update; ` +
          `\`generation: ${NOW}\` drops it at once, with all that it signed`,
      },
    ]);
    const text = toMarkdown(describePlan(facts));
    expect(text).toContain("### Warnings");
    expect(text).not.toContain("### Stops working");
  });

  it("waits for nothing where the whole keyset is removed", () => {
    const facts = scene({ before: [NOW, OLD], after: [], workers: [keys.holder("rounds-api", NAME, [NOW, OLD])] });
    const removed = credentialOf({ ...facts, after: make.outputsOf({}) });
    expect(removed?.actions).toEqual(["removed"]);
    expect(removed?.withdraws.map(({ when }) => when)).toEqual(
      Array(2).fill("with the delivery: nothing waits for what it signed when the whole keyset is removed"),
    );
  });
});
