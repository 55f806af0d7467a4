// Proves exactly what a keyset registers, with and without a backup, and what a Worker that signs and one that verifies are handed of
// it: names, secrets, what is never minted again, and who waits for whom. Under mocks. Not proven: that the engine keeps a key over
// later edits, nor any provider (test/provider, test/engine).
import type { KeysetSpec } from "../../components/cloudflare/keyset-steps";
import { describe, expect, it } from "vitest";
import { EncryptionKeyset, RandomSecret, SigningKeyset, WorkerConsumer, WorkerSecrets } from "../../components";
import type { KeysetCredential, Worker } from "../../components";
import { type Registered, registeredBy, valueOf } from "./registered";

const [older, newer] = ["2026-08-01", "2026-11-20"];
const backup = { mount: "secret", path: "rollover/rounds" };

const signing = (change: Partial<KeysetCredential> = {}): KeysetCredential => ({
  ...{ kind: "signing-keyset", name: "rounds-signing", shape: "keyset", generations: [newer, older], output: false },
  ...{ maxTokenAgeMs: 120_000, drainMs: 300_000, retireBelow: 0.05, atOnce: false, restore: [] },
  deliver: [
    { worker: "rounds-api", as: "JWT_KEYS" },
    { worker: "verifier", as: "VERIFY_KEYS", verifyOnly: true },
  ],
  ...change,
});

const worker = (name: string, settleMs: number): Worker => ({
  ...{ name, script: `${name}-script`, probe: `https://${name}.example.com/probe` },
  ...{ answers: 5, withinMs: 60_000, settleMs },
});

/** In the order of their names, the newer stamp first: requests arrive as their inputs become known. */
const named = (registered: Registered[], what: string) =>
  registered.filter((one) => one.what.includes(what)).sort((a, b) => (a.what < b.what ? 1 : -1));

describe("a keyset", () => {
  it("mints one key and one tag a generation, and never again", async () => {
    const registered = await registeredBy(() => new SigningKeyset("rounds-signing", { credential: signing() }));
    expect(named(registered, "").map(({ what, parent }) => [what, parent])).toEqual([
      ["rollover:keyset:SigningKeyset rounds-signing", ""],
      ...["randomPassword:RandomPassword", "randomId:RandomId"].flatMap((type) =>
        [newer, older].map((stamp) => [`random:index/${type} rounds-signing@${stamp}`, "rounds-signing"]),
      ),
    ]);
    for (const { inputs, ignored, secretOutputs } of named(registered, ":RandomPassword ")) {
      // 64 hexadecimal digits are 32 bytes.
      expect(inputs).toMatchObject({ length: 64, overrideSpecial: "0123456789abcdef", special: true });
      expect(inputs).toMatchObject({ lower: false, upper: false, numeric: false });
      expect(ignored).toEqual(expect.arrayContaining(Object.keys(inputs)));
      expect(secretOutputs).toContain("result");
    }
  });

  it("is of its own type where it encrypts", async () => {
    const credential = signing({ kind: "encryption-keyset", name: "store" });
    const [component] = await registeredBy(() => new EncryptionKeyset("store", { credential }));
    expect(component?.what).toBe("rollover:keyset:EncryptionKeyset store");
  });

  it("hands out secret keys and public tags, current first", async () => {
    const made: SigningKeyset[] = [];
    await registeredBy(() => made.push(new SigningKeyset("rounds-signing", { credential: signing() })));
    const generations = made.flatMap((one) => one.generations);
    expect(
      await Promise.all(generations.map(async ({ tag, value }) => [await valueOf(tag), await valueOf(value)])),
    ).toEqual(
      [newer, older].map((stamp) => [
        { value: `tag-of-rounds-signing@${stamp}`, secret: false },
        { value: `password-of-rounds-signing@${stamp}`, secret: true },
      ]),
    );
    expect(made[0]?.withdraws).toBe(false);
  });

  it("is delivered out of its backup, and a restored key is not minted", async () => {
    const credential = signing({ backup, restore: [older] });
    const made: SigningKeyset[] = [];
    const registered = await registeredBy(() => made.push(new SigningKeyset("rounds-signing", { credential })));
    expect(named(registered, ":RandomPassword ").map(({ what }) => what)).toEqual([
      `random:index/randomPassword:RandomPassword rounds-signing@${newer}`,
    ]);
    expect(named(registered, ":RandomId ")).toHaveLength(2);
    const kept = named(registered, ":VaultKey ");
    const of = (stamp: string) => ({ ...backup, credential: "rounds-signing", stamp });
    expect(kept.map(({ what, inputs, parent }) => ({ what, inputs, parent }))).toEqual([
      {
        what: `pulumi-nodejs:dynamic/vault:VaultKey rounds-signing@${newer}`,
        inputs: { ...of(newer), key: `password-of-rounds-signing@${newer}` },
        parent: "rounds-signing",
      },
      {
        what: `pulumi-nodejs:dynamic/vault:VaultKey rounds-signing@${older}`,
        inputs: { ...of(older), restore: true },
        parent: "rounds-signing",
      },
    ]);
    expect(kept.map(({ secrets, secretOutputs }) => [secrets, secretOutputs])).toEqual([
      [["key"], ["key"]],
      [[], ["key"]],
    ]);
    // A key that is not backed up is none: the value is what was read back.
    const values = await Promise.all((made[0]?.generations ?? []).map(({ value }) => valueOf(value)));
    expect(values).toEqual(
      [newer, older].map((stamp) => ({
        value: Buffer.from(`kept-rounds-signing@${stamp}`).toString("hex"),
        secret: true,
      })),
    );
  });

  it("mints nothing before what it is to wait for", async () => {
    const registered = await registeredBy(() => {
      const consumer = new WorkerConsumer("rounds-api", { worker: worker("rounds-api", 0), credentials: [signing()] });
      return new SigningKeyset("rounds-signing", { credential: signing({ backup }), after: [consumer.delivery] });
    });
    const children = registered.filter(({ parent }) => parent === "rounds-signing");
    expect(children).toHaveLength(6);
    for (const { after } of children)
      expect(after).toContain("pulumi-nodejs:dynamic/cloudflare:WorkerDelivery rounds-api");
  });

  it("without a backup restores nothing", async () => {
    const credential = signing({ restore: [older] });
    await expect(registeredBy(() => new SigningKeyset("rounds-signing", { credential }))).rejects.toThrow(
      `rounds-signing: ${older} has no backup to be restored from`,
    );
  });
});

describe("a Worker", () => {
  it("that signs gets the whole set as one secret, and waits for those that verify", async () => {
    const { signer, verifier } = await declare(signing({ backup }));
    const k = (stamp: string) => Buffer.from(`kept-rounds-signing@${stamp}`).toString("base64url");
    const set = {
      active: newer,
      keys: [newer, older].map((kid) => ({ kid, kty: "oct", alg: "HS256", use: "sig", k: k(kid) })),
    };
    expect(secretsOf(signer)).toEqual({ JWT_KEYS: JSON.stringify(set) });
    expect(secretsOf(verifier)).toEqual({ VERIFY_KEYS: JSON.stringify(set) });
    expect(signer?.after).toContain("pulumi-nodejs:dynamic/cloudflare:WorkerSecretSet verifier");
    expect(verifier?.after).not.toContain("pulumi-nodejs:dynamic/cloudflare:WorkerSecretSet rounds-api");
  });

  it("is told how its keyset is delivered, the longest settling of all, and how the one that signs is asked", async () => {
    const { signer, verifier } = await declare(signing());
    const spec = {
      ...{ kind: "signing-keyset", shape: "keyset", atOnce: false, maxTokenAgeMs: 120_000, drainMs: 300_000 },
      ...{ retireBelow: 0.05, alsoAs: "", settleMs: 7000 },
    };
    expect(keysetsOf(signer)).toEqual({
      "rounds-signing": { ...spec, as: "JWT_KEYS", verifyOnly: false, attestedMs: 0 },
    });
    expect(keysetsOf(verifier)).toEqual({
      "rounds-signing": { ...spec, as: "VERIFY_KEYS", verifyOnly: true, attestedMs: 60_000 },
    });
    expect(signer?.inputs.signers).toEqual({});
    expect(signer?.inputs.verifiers).toMatchObject({ "rounds-signing": [{ worker: "verifier" }] });
    expect(verifier?.inputs.verifiers).toEqual({});
    expect(verifier?.inputs.signers).toEqual({
      "rounds-signing": {
        ...{ worker: "rounds-api", script: "rounds-api-script", url: "https://rounds-api.example.com/probe" },
        token: "password-of-rounds-api-probe",
      },
    });
    for (const set of [signer, verifier]) {
      expect([...(set?.secrets ?? [])].sort()).toEqual(["secrets", "signers", "token", "verifiers"]);
      expect(set?.inputs.settles).toEqual([]);
      expect(JSON.stringify([set?.inputs.keysets, set?.inputs.generations])).not.toContain("password-of-");
    }
  });

  it("is handed its keys again when it begins to sign, so that its report says since when", async () => {
    const [first, second] = signing().deliver;
    const moved = [
      { ...first, verifyOnly: true },
      { worker: "verifier", as: "VERIFY_KEYS" },
    ];
    const intents = async (deliver: unknown[]) => {
      const credential = signing({ deliver: deliver as KeysetCredential["deliver"] });
      return named((await declare(credential)).all, ":WorkerDelivery ").map(({ inputs }) => inputs.intent);
    };
    const [before, after] = [await intents([first, second]), await intents(moved)];
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
  });

  it("gets two names in shape dual, and one while there is one key", async () => {
    const deliver = [{ worker: "rounds-api", as: "JWT_SECRET", alsoAs: "JWT_SECRET_NEW" }];
    const both = await declare(signing({ shape: "dual", deliver }));
    expect(secretsOf(both.signer)).toEqual({
      JWT_SECRET: `password-of-rounds-signing@${newer}`,
      JWT_SECRET_NEW: `password-of-rounds-signing@${older}`,
    });
    const one = await declare(signing({ shape: "dual", deliver, generations: [newer] }));
    expect(secretsOf(one.signer)).toEqual({ JWT_SECRET: `password-of-rounds-signing@${newer}` });
    expect(keysetsOf(one.signer)).toMatchObject({ "rounds-signing": { shape: "dual", alsoAs: "JWT_SECRET_NEW" } });
    // Both names are its own from the first: a roll that failed may have left the second.
    const [intended] = named(both.all, ":WorkerDelivery rounds-api");
    expect(intended?.inputs.names).toEqual(["JWT_SECRET", "JWT_SECRET_NEW"]);
  });
});

function secretsOf(set: Registered | undefined): unknown {
  return set?.inputs.secrets;
}

function keysetsOf(set: Registered | undefined): Record<string, KeysetSpec> {
  return set?.inputs.keysets as Record<string, KeysetSpec>;
}

/** Two Workers that share a keyset, declared as index.ts does: the one that verifies first. */
async function declare(credential: KeysetCredential) {
  const workers = [worker("verifier", 7000), worker("rounds-api", 2000)];
  const all = await registeredBy(() => {
    const made = workers.map((one) => ({
      worker: one,
      consumer: new WorkerConsumer(one.name, { worker: one, credentials: [credential] }),
    }));
    const random = new RandomSecret("other", {
      credential: { kind: "random", name: "other", length: 20, generations: [newer], deliver: [], output: false },
    });
    const credentials = [new SigningKeyset("rounds-signing", { credential }), random];
    const delivered: WorkerSecrets[] = [];
    for (const { worker: one, consumer } of made) {
      const args = { worker: one, accountId: "account-1", consumer, credentials, others: made, after: [...delivered] };
      delivered.push(new WorkerSecrets(one.name, args));
    }
  });
  const of = (name: string) => all.find(({ what }) => what.endsWith(`:WorkerSecretSet ${name}`));
  return { all, signer: of("rounds-api"), verifier: of("verifier") };
}
