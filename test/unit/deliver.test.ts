// Proves which calls hand a Worker its secrets, what has to be true before and after them, and which report attests a delivery. The API
// is a client of this file's, without a network. Not proven: what Cloudflare makes of the calls (test/provider).
import { beforeEach, describe, expect, it } from "vitest";
import { CloudflareApi, type SecretChanges, type Versions } from "../../components/cloudflare/api";
import { push, reports } from "../../components/cloudflare/deliver";
import { workerDelivery } from "../../components/cloudflare/worker-delivery.provider";
import type { Inputs } from "../../components/cloudflare/worker-secret-set.provider";

/** Keeps what it is given, and lists it only after some looks. */
class Recorded extends CloudflareApi {
  readonly changes: SecretChanges[] = [];
  looks = 0;

  constructor(
    readonly late = 0,
    readonly live: Versions = { newest: "1", deployed: "1" },
  ) {
    super({ accountId: "a", apiUrl: "http://127.0.0.1:9" }, "token");
  }

  override versions(): Promise<Versions> {
    return Promise.resolve(this.live);
  }

  override changeSecrets(_script: string, changes: SecretChanges): Promise<void> {
    this.changes.push(changes);
    return Promise.resolve();
  }

  override listSecrets(): Promise<string[]> {
    this.looks += 1;
    return Promise.resolve(this.looks > this.late ? this.changes.flatMap((one) => Object.keys(one)) : []);
  }
}

const generations = { "rounds-db": ["new", "old"], "session-key": ["only"] };
const reportOf = (tags: Record<string, string[]>) =>
  Object.fromEntries(
    Object.entries(tags).map(([name, list]) => [name, list.map((tag) => ({ stamp: "2026-11-20", tag }))]),
  );
const set: Inputs = {
  ...{ worker: "rounds-api", script: "rounds-api", accountId: "a", probe: "", token: "probe-token" },
  ...{ secrets: { DATABASE_URL: "url", SESSION_KEY: "key" }, generations: JSON.stringify(reportOf(generations)) },
  ...{ touched: [], answers: 1, withinMs: 1000, settleMs: 0, settles: [], delivery: "1" },
  ...{ keysets: {}, signers: {}, verifiers: {} },
};

describe("a delivery", () => {
  it("is one call with every secret, what is to be reported, and the probe's token", async () => {
    const api = new Recorded();
    await push(api, set, { GONE: null });
    expect(api.changes).toEqual([
      {
        ...{ DATABASE_URL: "url", SESSION_KEY: "key", GONE: null },
        ...{ ROLLOVER_GENERATIONS: set.generations, ROLLOVER_PROBE_TOKEN: "probe-token" },
      },
    ]);
  });

  it.each([
    [{ newest: "2", deployed: "1" }, "is 2, but 1 is deployed"],
    [{ newest: "2", deployed: undefined }, "is 2, but no single version is deployed"],
  ])("is refused while the newest version is not the deployed one: %o", async (live, why) => {
    const api = new Recorded(0, live);
    await expect(push(api, set)).rejects.toThrow(why);
    expect(api.changes).toEqual([]);
  });

  it("without a probe is done when its names are listed, which may take a while", async () => {
    const api = new Recorded(2);
    await push(api, set);
    expect(api.looks).toBe(3);
  });

  it("is another one at each intent, also at one that was there before", async () => {
    const provider = workerDelivery(new Recorded(), []);
    const [a, b] = ["a", "b"].map((intent) => ({ worker: "w", script: "w", intent, names: [] }));
    if (!a || !b || !provider.update) throw new Error("a provider that updates is asked twice");
    const first = (await provider.create(a)).outs ?? expect.unreachable();
    const second = (await provider.update("w", first, b)).outs ?? expect.unreachable();
    const third = (await provider.update("w", second, a)).outs ?? expect.unreachable();
    const made = [first, second, third].map(({ delivery }) => delivery);
    for (const one of made) expect(one).toMatch(/^[0-9a-f]{16}$/);
    expect(new Set(made).size).toBe(3);
  });
});

describe("a report", () => {
  let attests: (tags: Record<string, string[]>) => boolean;
  beforeEach(() => {
    const fits = reports(set);
    attests = (tags) => fits({ generations: reportOf(tags) });
  });

  it("attests by every tag of every credential, current first, whatever else it holds", () => {
    expect(attests(generations)).toBe(true);
    expect(attests({ ...generations, other: ["x"] })).toBe(true);
  });

  it.each<[string, Record<string, string[]>]>([
    ["another value under the same stamp", { ...generations, "session-key": ["another"] }],
    ["the older one first", { ...generations, "rounds-db": ["old", "new"] }],
    ["one too few", { ...generations, "rounds-db": ["new"] }],
    ["one too many", { ...generations, "rounds-db": ["new", "old", "older"] }],
    ["a credential that is missing", { "rounds-db": ["new", "old"] }],
  ])("does not with %s", (_what, tags) => {
    expect(attests(tags)).toBe(false);
  });

  it.each([{ why: "status 500" }, { unknownToken: true } as const])("does not where it is %o", (report) => {
    expect(reports(set)(report)).toBe(false);
  });
});
