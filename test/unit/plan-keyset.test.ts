// Proves what the plan says of keysets: a roll with its backup, a retirement, a rollback, an emergency, a key that is brought back,
// code and limits of Workers. Whole texts (test/golden) and single facts. Not in full when a key is dropped
// (plan-keyset-dropped.test.ts), not that the engine writes these shapes, and not that an update keeps to the times: test/engine does.
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { describePlan, type Facts } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import type { Resource } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";
import * as keys from "./plan-keyset-fixture";
import { credentialOf, LATELY, NAME, NOW, OLD, OLDER, scene, type Scene } from "./plan-keyset-fixture";

const two = [
  { worker: "audit-api", as: "KEYS", attested: true },
  { worker: "rounds-api", as: "KEYS", attested: true },
];

/** Backed up, and verified by another Worker. */
const roll = () =>
  scene({
    before: [OLD],
    after: [NOW, OLD],
    more: { consumers: two },
    workers: [keys.holder("audit-api", NAME, [OLD], { verifyOnly: true }), keys.holder("rounds-api", NAME, [OLD])],
    resources: [keys.vaultKey(NAME, OLD)],
    steps: [make.step("create", keys.vaultKey(NAME, NOW)), make.step("same", keys.vaultKey(NAME, OLD))],
  });

const retire = () =>
  scene({
    before: [NOW, OLD],
    after: [NOW],
    workers: [keys.holder("rounds-api", NAME, [NOW, OLD], { superseded: { [OLD]: LATELY } })],
    resources: [keys.vaultKey(NAME, NOW), keys.vaultKey(NAME, OLD)],
    steps: [make.step("delete", keys.vaultKey(NAME, OLD))],
  });

/** Of three keys: the one in the middle signs again. */
const rollback = () =>
  scene({
    before: [NOW, OLD, OLDER],
    after: [OLD, NOW, OLDER],
    workers: [keys.holder("rounds-api", NAME, [NOW, OLD, OLDER], { superseded: { [OLD]: LATELY, [OLDER]: LATELY } })],
  });

const emergency = () =>
  scene({
    before: [OLD, OLDER],
    after: [NOW],
    more: { change: "breaks at once" },
    workers: [keys.holder("rounds-api", NAME, [OLD, OLDER], { superseded: { [OLDER]: LATELY } })],
  });

const restore = () =>
  scene({
    before: [NOW],
    after: [NOW, OLD],
    workers: [keys.holder("rounds-api", NAME, [NOW])],
    resources: [keys.vaultKey(NAME, NOW)],
    steps: [make.step("create", keys.vaultKey(NAME, OLD, { restore: true }))],
  });

/** Symmetric keys that something is encrypted with, backed up in Vault. */
const encryption = () => {
  const kind = "encryption-keyset";
  return scene({
    before: [OLD],
    after: [NOW, OLD],
    more: { kind },
    workers: [keys.holder("rounds-api", NAME, [OLD], { kind })],
    resources: [keys.vaultKey(NAME, OLD)],
    steps: [make.step("create", keys.vaultKey(NAME, NOW))],
  });
};

/** A Worker's own code, and the limits of its zone. */
const limits = (): Facts => {
  const same = make.outputsOf({ [NAME]: keys.keyset([NOW]) });
  const [script, ruleset] = [keys.resource("WorkersScript", "rounds-api"), keys.resource("Ruleset", "edge")];
  const [oldScript, oldRuleset] = [keys.resource("WorkersScript", "old-api"), keys.resource("Ruleset", "old-edge")];
  return make.facts(
    same,
    same,
    [],
    [
      make.step("update", script, { contentSha256: "00ff" }),
      make.step("create", ruleset),
      make.step("delete", oldScript),
      make.step("delete", oldRuleset),
    ],
  );
};

describe("the whole text", () => {
  it.each(Object.entries({ roll, retire, rollback, emergency, restore, encryption, limits }))(
    "of %s, without a secret",
    async (name, facts) => {
      const plan = describePlan(facts());
      const text = toMarkdown(plan);
      await expect(text).toMatchFileSnapshot(path.join(__dirname, "..", "golden", `plan-keyset-${name}.md`));
      for (const form of [text, JSON.stringify(plan)]) {
        expect(form).not.toContain(make.SECRET);
        expect(form).not.toContain(make.UNKNOWN);
        expect(form).not.toContain("__provider");
      }
    },
  );
});

describe("an emergency", () => {
  const kind = "encryption-keyset";
  const lost = (resources: Resource[]) =>
    credentialOf(
      scene({
        before: [OLD],
        after: [NOW],
        more: { kind, change: "breaks at once" },
        workers: [keys.holder("rounds-api", NAME, [OLD], { kind })],
        resources,
      }),
    );

  it("of encryption loses what is still encrypted, but for a backup", () => {
    const text = `no overlap: whatever is still encrypted with ${OLD} cannot be read any more`;
    expect(lost([])).toMatchObject({
      breaksAtOnce: text,
      withdraws: [{ stamp: OLD, when: "with the delivery, at once" }],
    });
    const backup = `secret/rollover/${NAME}/${OLD}`;
    expect(lost([keys.vaultKey(NAME, OLD)])).toMatchObject({
      breaksAtOnce: `${text}, until its key is restored from the backup`,
      withdraws: [{ stamp: OLD, backup }],
    });
  });

  it("is also a previous key that goes at once, while the current one stays", () => {
    const facts = scene({
      before: [NOW, OLD],
      after: [NOW],
      more: { change: "breaks at once" },
      workers: [keys.holder("rounds-api", NAME, [NOW, OLD], { superseded: { [OLD]: LATELY } })],
    });
    expect(credentialOf(facts)).toMatchObject({
      actions: ["retires"],
      breaksAtOnce: `no overlap: every token signed with ${OLD}, up to 2m old, is refused as soon as the Worker has the new key`,
    });
  });
});

describe("the sentences of keys", () => {
  const said = (more: Partial<Scene>) =>
    credentialOf(
      scene({ before: [OLD], after: [NOW, OLD], workers: [keys.holder("rounds-api", NAME, [OLD])], ...more }),
    )?.keys;

  it("speak of encryption as such", () => {
    const workers = [keys.holder("rounds-api", NAME, [OLD], { kind: "encryption-keyset" })];
    expect(said({ more: { kind: "encryption-keyset" }, workers })).toEqual([
      `${NOW} is announced to every isolate, then encrypts; what is encrypted with ${OLD} can still be read`,
    ]);
  });

  it("tell a key that every Worker knows from one that a failed update minted", () => {
    const failed = said({ before: [NOW, OLD], workers: [keys.holder("rounds-api", NAME, [OLD])] });
    expect(failed).toEqual([`${NOW} is announced to every isolate, then signs; tokens of ${OLD} still verify`]);
    const known = said({ before: [OLD, NOW], workers: [keys.holder("rounds-api", NAME, [OLD, NOW])] });
    expect(known).toEqual([`${NOW} signs; tokens of ${OLD} still verify`]);
  });

  it("say of a restored key that becomes current at once that it is announced first", () => {
    const facts = scene({
      before: [NOW],
      after: [OLD, NOW],
      workers: [keys.holder("rounds-api", NAME, [NOW])],
      steps: [make.step("create", keys.vaultKey(NAME, OLD, { restore: true }))],
    });
    expect(credentialOf(facts)).toMatchObject({
      actions: ["rolls back", "brings back"],
      mints: [],
      restores: [OLD],
      keys: [
        `${OLD} is brought back from the backup at secret/rollover/${NAME}/${OLD} (as current)`,
        `${OLD} is announced to every isolate, then signs; tokens of ${NOW} still verify`,
      ],
    });
  });

  it("tell a backup that begins, ends or is written again, without a roll", () => {
    const worker = keys.holder("rounds-api", NAME, [NOW]);
    const same = make.outputsOf({ [NAME]: keys.keyset([NOW]) });
    const kept = keys.vaultKey(NAME, NOW);
    const planned = (step: Facts["steps"][number], state: Resource[]) =>
      credentialOf(make.facts(same, same, [...keys.key(NAME, NOW), worker, ...state], [step]));
    const place = `secret/rollover/${NAME}/${NOW}`;
    const changes = ["backup changes"];
    expect(planned(make.step("create", kept), [])).toMatchObject({
      actions: changes,
      keys: [`${NOW} is written to Vault at ${place}`],
    });
    expect(planned(make.step("delete", kept), [kept])).toMatchObject({
      actions: changes,
      keys: [`${NOW} is backed up no longer; what is at ${place} stays there`],
    });
    const missing = keys.vaultKey(NAME, NOW, { drift: ["is missing"] });
    expect(planned(make.step("update", missing), [missing])).toMatchObject({ actions: changes });
    expect(planned(make.step("update", kept), [kept])).toBeUndefined();
  });
});

it("warns that the form of a keyset cannot change in place", () => {
  const worker = keys.holder("rounds-api", NAME, [NOW]);
  const same = make.outputsOf({ [NAME]: keys.keyset([NOW]) });
  const step = make.step("update", worker, { keysets: { [NAME]: keys.specOf({ shape: "dual" }) } });
  const { warnings } = describePlan(make.facts(same, same, [...keys.key(NAME, NOW), worker], [step]));
  expect(warnings.map(({ what }) => what)).toEqual([
    "the update will refuse: its keys mean something else as signing-keyset of shape dual than as signing-keyset of shape keyset; make a credential of another name",
  ]);
});

it("says what goes with a Worker's script that is replaced, unless the server keeps it", () => {
  const same = make.outputsOf({});
  const lossOf = (retainOnDelete: boolean) => {
    const script = keys.resource("WorkersScript", "rounds-api", { retainOnDelete });
    return describePlan(make.facts(same, same, [script], [make.step("replace", script)])).others[0]?.loss;
  };
  expect(lossOf(false)).toBe("the script under its old name goes, with its secrets");
  expect(lossOf(true)).toBeUndefined();
});

it("counts neither a key nor its backup as a debt, which nobody outside could withdraw", () => {
  const same = make.outputsOf({ [NAME]: keys.keyset([NOW]) });
  const left = [keys.resource("RandomPassword", `${NAME}@${NOW}`), keys.vaultKey(NAME, NOW)];
  const facts = make.facts(
    same,
    same,
    left.map((one) => ({ ...one, delete: true })),
    [],
  );
  expect(describePlan(facts).debts).toEqual([]);
});
