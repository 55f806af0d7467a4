// Proves by properties how keysets are parsed, which Workers may share one, in which order they are delivered to, and what a Vault's
// address and path may be; also every default. The text of each refusal is in bad-configs.test.ts. Not proven: that Vault or
// Cloudflare take what is allowed here.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { deliveryOrder, verifiersOf } from "../../components/rotation/delivery-order";
import type { Credential, KeysetCredential } from "../../components/rotation/model";
import { ConfigError } from "../../components/rotation/problem";
import { changed, type Change, type Mapping } from "./config-fixture";

const NAME = "rounds-signing";
const probe = "https://rounds.example.com/.well-known/rollover";
const workers = { "rounds-api": { probe }, "verifier-1": { probe }, "verifier-2": { probe } };
const keyset = (settings: Mapping = {}): Mapping => ({
  ...{ kind: "signing-keyset", generations: ["2026-11-20", "2026-08-01"], maxTokenAge: "120s" },
  deliver: [{ worker: "rounds-api", as: "JWT_KEYS" }],
  ...settings,
});
const withKeyset = (settings: Mapping = {}, set: Mapping = {}): Change => ({
  set: {
    workers,
    vault: { address: "https://vault.example.com:8200" },
    [`credentials/${NAME}`]: keyset(settings),
    ...set,
  },
  unset: ["credentials/session-key", "credentials/rounds-db"],
});

function parsed(change: Change, name = NAME): KeysetCredential {
  const isIt = (credential: Credential) => credential.name === name;
  const found = parseStack(changed(change)).credentials.find(isIt);
  if (found?.kind !== "signing-keyset" && found?.kind !== "encryption-keyset") throw new Error(`${name} is no keyset`);
  return found;
}

const isTaken = (change: Change): boolean => {
  try {
    parseStack(changed(change));
    return true;
  } catch (error) {
    if (error instanceof ConfigError) return false;
    throw error;
  }
};

describe("a keyset", () => {
  it("has every default filled in", () => {
    expect(parsed(withKeyset())).toEqual({
      ...{ name: NAME, kind: "signing-keyset", shape: "keyset", generations: ["2026-11-20", "2026-08-01"] },
      ...{ maxTokenAgeMs: 120_000, drainMs: 300_000, retireBelow: 0.05, atOnce: false, restore: [], output: false },
      deliver: [{ worker: "rounds-api", as: "JWT_KEYS" }],
    });
  });

  it("has the names of the seed in shape dual, and others where they are written", () => {
    const deliver = [{ worker: "rounds-api" }, { worker: "verifier-1", as: "OLD", alsoAs: "NEW", verifyOnly: true }];
    expect(parsed(withKeyset({ shape: "dual", deliver })).deliver).toEqual([
      { worker: "rounds-api", as: "JWT_SECRET", alsoAs: "JWT_SECRET_NEW" },
      { worker: "verifier-1", as: "OLD", alsoAs: "NEW", verifyOnly: true },
    ]);
  });

  it("ends at once only where it is written as `generation`", () => {
    const base = withKeyset();
    const single = { ...keyset(), generation: "2026-11-20" } as Mapping;
    Reflect.deleteProperty(single, "generations");
    expect(parsed({ ...base, set: { ...base.set, [`credentials/${NAME}`]: single } })).toMatchObject({
      ...{ atOnce: true, generations: ["2026-11-20"] },
    });
    expect(parsed(withKeyset({ generations: ["2026-11-20"] })).atOnce).toBe(false);
  });

  it("takes as many keys as its shape can hold, in whatever order", () => {
    const stamps = fc.uniqueArray(fc.integer({ min: 1, max: 28 }), { minLength: 1, maxLength: 14 });
    fc.assert(
      fc.property(stamps, fc.constantFrom("keyset", "dual"), (days, shape) => {
        const generations = days.map((day) => `2026-02-${String(day).padStart(2, "0")}`);
        const deliver = [{ worker: "rounds-api", as: "A" }];
        const change = withKeyset({ generations, shape, deliver });
        expect(isTaken(change)).toBe(days.length <= (shape === "dual" ? 2 : 10));
        if (isTaken(change)) expect(parsed(change).generations).toEqual(generations);
      }),
      { numRuns: 200 },
    );
  });

  it("restores those of its generations that are backed up", () => {
    const backup = { vault: { path: "rollover/rounds" } };
    fc.assert(
      fc.property(fc.subarray(["2026-11-20", "2026-08-01", "2026-01-01"]), fc.boolean(), (restore, isBackedUp) => {
        const change = withKeyset({ restore, ...(isBackedUp ? { backup } : {}) });
        expect(isTaken(change)).toBe(restore.length === 0 || (isBackedUp && !restore.includes("2026-01-01")));
        if (isTaken(change)) expect(parsed(change).restore).toEqual(restore);
      }),
    );
    expect(parsed(withKeyset({ backup })).backup).toEqual({ mount: "secret", path: "rollover/rounds" });
  });

  it("of either kind is accepted as long as it says, and its share is a number", () => {
    expect(
      parsed(withKeyset({ kind: "encryption-keyset", maxTokenAge: "90d", drain: "0s", retireBelow: 0 })),
    ).toMatchObject({
      kind: "encryption-keyset",
      shape: "keyset",
      maxTokenAgeMs: 7_776_000_000,
      drainMs: 0,
      retireBelow: 0,
    });
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.constantFrom("0.05", null, true, "")), (retireBelow) => {
        const isShare = typeof retireBelow === "number" && retireBelow >= 0 && retireBelow <= 1;
        expect(isTaken(withKeyset({ retireBelow }))).toBe(isShare);
      }),
    );
  });
});

describe("the Workers of a keyset", () => {
  it("are one that signs and any others, each once", () => {
    const one = fc.record({ worker: fc.constantFrom(...Object.keys(workers)), verifyOnly: fc.boolean() });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 4 }), (list) => {
        const deliver = list.map(({ worker, verifyOnly }, at) => ({
          ...{ worker, as: `KEYS_${at}` },
          ...(verifyOnly ? { verifyOnly } : {}),
        }));
        const names = list.map(({ worker }) => worker);
        const signing = list.filter(({ verifyOnly }) => !verifyOnly).length;
        const good = new Set(names).size === names.length && (signing === 1 || list.length === 0);
        expect(isTaken(withKeyset({ deliver }))).toBe(good);
      }),
      { numRuns: 300 },
    );
  });

  it("are delivered to before the one that signs for them, or are refused where they wait for one another", () => {
    const names = ["a", "b", "c", "d"];
    const share = fc.subarray(names, { minLength: 1 }).chain((of) =>
      fc.constantFrom(...of).map((signer) => ({
        deliver: of.map((worker) => ({ worker, as: "K", ...(worker === signer ? {} : { verifyOnly: true as const }) })),
      })),
    );
    fc.assert(
      fc.property(fc.shuffledSubarray(names, { minLength: 4 }), fc.array(share, { maxLength: 4 }), (order, shared) => {
        const found = deliveryOrder(order, shared);
        for (const name of names) expect(verifiersOf(name, shared)).toEqual(waitsFor(name));
        if (found) {
          expect([...found].sort()).toEqual(names);
          for (const [at, name] of found.entries())
            for (const verifier of waitsFor(name)) expect(found.indexOf(verifier)).toBeLessThan(at);
        } else expect(names.some((name) => reaches(name, name))).toBe(true);

        /** Those that verify what it signs, by what was drawn. */
        function waitsFor(name: string): string[] {
          const signed = shared.filter(({ deliver }) => deliver.some((to) => to.worker === name && !to.verifyOnly));
          const all = signed.flatMap(({ deliver }) => deliver.map(({ worker }) => worker));
          return [...new Set(all)].filter((one) => one !== name).sort();
        }

        function reaches(from: string, to: string, seen: string[] = []): boolean {
          return waitsFor(from).some(
            (next) => next === to || (!seen.includes(next) && reaches(next, to, [...seen, next])),
          );
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("a Worker", () => {
  it("has room for what it reports of its keys: each with a time beside its tag", () => {
    const stamps = Array.from({ length: 10 }, (_, at) => `2026-11-20.${9990 + at}`);
    const reported = stamps.map((stamp) => ({ stamp, tag: "x".repeat(16), since: "2026-11-20T00:00:00.000Z" }));
    const name = (at: number) => `keyset-${at}`;
    const bytesOf = (count: number) =>
      JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, at) => [name(at), reported]))).length;
    const most = [1, 2, 3, 4, 5, 6, 7, 8].filter((count) => bytesOf(count) <= 5120).length;
    const holding = (count: number): Change =>
      withKeyset(
        { deliver: [] },
        Object.fromEntries(
          Array.from({ length: count }, (_, at) => [
            `credentials/${name(at)}`,
            keyset({ generations: stamps, deliver: [{ worker: "rounds-api", as: `KEYS_${at}` }] }),
          ]),
        ),
      );
    expect([isTaken(holding(most)), isTaken(holding(most + 1))]).toEqual([true, false]);
  });
});

describe("a Vault", () => {
  it.each([
    ["https://vault.example.com:8200/", "https://vault.example.com:8200"],
    ["https://example.com/vault//", "https://example.com/vault"],
    ["http://127.0.0.1:8200", "http://127.0.0.1:8200"],
  ])("at %s is %s", (address, normal) => {
    expect(parseStack(changed(withKeyset({}, { vault: { address } }))).vault).toEqual({ address: normal });
  });

  it("has paths that need no escape and stay where they are", { timeout: 60_000 }, () => {
    const segment = fc.oneof(fc.constantFrom("..", ".", "", "a", "a.b", "-", "%2e", "data", "?", "#"), fc.string());
    let taken = 0;
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const path = segments.join("/");
        if (!isTaken(withKeyset({ backup: { vault: { path } } }))) return;
        taken++;
        expect(new URL(`https://vault.example.com/v1/secret/data/${path}`).pathname).toBe(`/v1/secret/data/${path}`);
        expect(path.split("/").every((one) => one !== "" && one !== "." && one !== "..")).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(100);
  });
});

describe("alerts", () => {
  it("have the seed's conditions where nothing is written, and what is written", () => {
    const standard = parseStack(changed({})).alerts;
    expect(standard).toEqual({
      ...{ dailyVerificationFailures: 10, verificationFailureRatio: 0.01, oldKeyRatio: 0.2 },
      ...{ latencyP99Ms: 500, dailyRateLimited: 100 },
    });
    const alerts = { latencyP99: "2s", oldKeyRatio: 0, dailyRateLimited: 0 };
    expect(parseStack(changed({ set: { alerts } })).alerts).toEqual({
      ...standard,
      ...{ latencyP99Ms: 2000, oldKeyRatio: 0, dailyRateLimited: 0 },
    });
  });
});
