// Proves, over real sockets against the local cloud, that each endpoint's faults end in success or in one clear error: bounded
// in attempts and waits, settled by looking where the effect is open, without token or body in the text. Not proven here: what
// the engine makes of it (test/engine/faults.test.ts), nor that Cloudflare itself answers as the local cloud does.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CloudflareApi, CloudflareError } from "../../components/cloudflare/api";
import { workerDelivery } from "../../components/cloudflare/worker-delivery.provider";
import { type Inputs, type Outputs, workerSecretSet } from "../../components/cloudflare/worker-secret-set.provider";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import type { Fault } from "../../local/cloud/faults";
import { type Between, endpoints, json, marker, type Page, pages, startBetween } from "./strangers";

const probeToken = "probe-token-0123456789abcdef";
const faults: Record<string, Omit<Fault, "match">> = {
  "429 with Retry-After": { kind: "status", status: 429, code: 10429, retryAfter: 1 },
  "429 without": { kind: "status", status: 429, code: 10429 },
  500: { kind: "status", status: 500 },
  "a time-out": { kind: "hang" },
  "a reset before the effect": { kind: "reset-before" },
  "a reset after the effect": { kind: "reset-after" },
  "a late answer": { kind: "late", ms: 200 },
  "an answer after the time-out": { kind: "late", ms: 6000 },
};
/** Answers with success, of another shape: only where a result is read. */
const shapes: Record<string, Page> = {
  "a result that is null": json({ success: true, result: null, errors: [] }),
  "a result that is a text": json({ success: true, result: marker, errors: [] }),
  "a result of other objects": json({ success: true, result: { items: [{ [marker]: 1 }], deployments: [{}] } }),
};

type Endpoint = keyof typeof endpoints;
const reads: Endpoint[] = ["versions", "deployments", "secrets"];

describe("the Cloudflare API on bad days", () => {
  let cf: LocalCloudflare;
  let between: Between;
  let counter = 0;

  beforeAll(async () => {
    cf = await startCloudflare();
    between = await startBetween(cf.apiUrl);
  });
  afterAll(async () => {
    await between.stop();
    await cf.stop();
  });
  beforeEach(() => {
    cf.faults.set([]);
    cf.calls.length = 0;
    between.set(undefined);
  });

  const client = ({ timeoutMs = 30_000, longestPauseMs = 50, token = cf.token, apiUrl = cf.apiUrl } = {}) =>
    new CloudflareApi({ accountId: cf.accountId, apiUrl }, token, timeoutMs, longestPauseMs);
  const secretSet = (api: CloudflareApi) =>
    workerSecretSet(
      api,
      [],
      () => undefined,
      () => Promise.resolve(),
    );
  const calls = (endpoint: Endpoint) => {
    const { method, path } = endpoints[endpoint];
    return cf.calls.filter((call) => call.method === method && path.test(call.path));
  };
  const read = (api: CloudflareApi, endpoint: Endpoint) =>
    endpoint === "secrets" ? api.listSecrets("rounds-api") : api.versions("rounds-api");
  const truth = (endpoint: Endpoint) => {
    const { secrets, versionIds, liveVersionId } = cf.state("rounds-api");
    return endpoint === "secrets" ? Object.keys(secrets) : { newest: versionIds[0], deployed: liveVersionId };
  };
  const versionsMade = () => cf.state("rounds-api").versionIds.length;

  /** What a failed change may not touch; processes that are still ending do not count. */
  const kept = () => ({ ...cf.state("rounds-api"), instances: undefined });

  /** A delivery of its own values. */
  function delivery(): Inputs {
    counter += 1;
    return {
      worker: "rounds",
      script: "rounds-api",
      accountId: cf.accountId,
      touched: ["DATABASE_URL", "SESSION_KEY"],
      secrets: { DATABASE_URL: `database-${counter}-${marker}`, SESSION_KEY: `session-${counter}-${marker}` },
      generations: JSON.stringify({ "rounds-db": [{ stamp: "2026-11-20", tag: `tag-${counter}` }] }),
      probe: `${cf.workerUrl("rounds-api")}/.well-known/rollover`,
      token: probeToken,
      answers: 3,
      withinMs: 10_000,
      settleMs: 0,
      settles: ["rounds-db", "session-key"],
      delivery: String(counter),
      keysets: {},
      signers: {},
      verifiers: {},
    };
  }
  const held = (news: Inputs) => ({
    ...news.secrets,
    ROLLOVER_GENERATIONS: news.generations,
    ROLLOVER_PROBE_TOKEN: probeToken,
  });

  /** The CloudflareError that ends the work; anything else, success included, fails the test. Its text is checked for leaks. */
  async function failure(work: Promise<unknown>): Promise<CloudflareError> {
    const error = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof CloudflareError)) throw new Error(`no CloudflareError, but ${String(error)}`);
    for (const secret of [cf.token, probeToken, marker, "DOCTYPE", "<html"])
      expect(error.message).not.toContain(secret);
    return error;
  }

  /** Delivers and withdraws under what `strike` sets on the changing call: each makes one version, and no more. */
  async function changes(api: CloudflareApi, strike: () => void): Promise<void> {
    const news = delivery();
    const before = versionsMade();
    strike();
    const { outs } = await secretSet(api).create(news);
    expect(cf.state("rounds-api").secrets).toEqual(held(news));
    expect(versionsMade()).toBe(before + 1);
    strike();
    await secretSet(api).delete?.("rounds-api", outs as Outputs);
    expect(cf.state("rounds-api").secrets).toEqual({});
    expect(versionsMade()).toBe(before + 2);
  }

  describe.each(Object.entries(faults))("%s", (_name, fault) => {
    it.each(reads)("on GET %s is survived by asking again", async (endpoint) => {
      cf.faults.set([
        { match: endpoints[endpoint], ...fault, ...(fault.kind === "late" && fault.ms === 6000 ? { ms: 1000 } : {}) },
      ]);
      const waits = fault.retryAfter === undefined ? {} : { longestPauseMs: 60_000 };
      expect(await read(client({ timeoutMs: 700, ...waits }), endpoint)).toEqual(truth(endpoint));
      expect(cf.faults.fired()).toEqual([1]);
      const [first, second] = calls(endpoint);
      expect(calls(endpoint)).toHaveLength(fault.kind === "late" && fault.ms === 200 ? 1 : 2);
      if (fault.retryAfter !== undefined) expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990);
    });

    it("on the changing call is survived, and nothing is applied twice", async () => {
      // Short only where the time-out is the fault: a change starts a process, which takes its time on a busy machine.
      const runsOut = fault.kind === "hang" || fault.ms === 6000;
      await changes(client(runsOut ? { timeoutMs: 4000 } : {}), () => {
        cf.faults.set([{ match: endpoints.bulk, ...fault }]);
      });
      expect(cf.faults.fired()).toEqual([1]);
    });
  });

  describe.each(Object.entries({ ...pages, ...shapes }))("%s", (_name, page) => {
    it.each(reads)("in place of GET %s is survived by asking again", async (endpoint) => {
      between.set({ ...endpoints[endpoint], page, times: 1 });
      expect(await read(client({ apiUrl: between.apiUrl }), endpoint)).toEqual(truth(endpoint));
      expect(between.struck()).toBe(1);
    });
  });

  describe.each(Object.entries(pages))("%s", (_name, page) => {
    it.each([false, true])("in place of the changing call (applied: %s) changes once", async (applied) => {
      let struck = 0;
      await changes(client({ apiUrl: between.apiUrl }), () => {
        struck += between.struck();
        between.set({ ...endpoints.bulk, page, times: 1, applied });
      });
      expect(struck + between.struck()).toBe(2);
    });
  });

  it("waits no longer than its bound, whatever Retry-After says, and passes over one that is no number", async () => {
    cf.faults.set([{ match: endpoints.secrets, kind: "status", status: 429, code: 10429, retryAfter: 86_400 }]);
    expect(await client({ longestPauseMs: 300 }).listSecrets("rounds-api")).toEqual(truth("secrets"));
    const page = {
      ...json({ success: false, errors: [{ code: 10429 }] }, 429),
      headers: { "retry-after": "Fri, 20 Nov 2099 00:00:00 GMT" },
    };
    between.set({ ...endpoints.secrets, page, times: 1 });
    expect(await client({ apiUrl: between.apiUrl }).listSecrets("rounds-api")).toEqual(truth("secrets"));
    expect(between.struck()).toBe(1);
  });

  it.each([
    ["429", "rate-limited", { kind: "status", status: 429, code: 10429 }, /status 429, code 10429: too many requests/],
    [
      "500",
      "unavailable",
      { kind: "status", status: 500 },
      /status 500, code 10013: the API failed; run the update again/,
    ],
    [
      "resets",
      "unavailable",
      { kind: "reset-before" },
      /no answer \(the connection broke, (ECONNRESET|UND_ERR_SOCKET)\)/,
    ],
  ] as const)(
    "gives up on lasting %s after four attempts, and changes nothing",
    async (_name, fault, lasting, text) => {
      const before = kept();
      cf.faults.set([{ match: endpoints.bulk, times: 99, ...lasting }]);
      const error = await failure(secretSet(client()).create(delivery()));
      expect(error.fault).toBe(fault);
      expect(error.message).toMatch(text);
      expect(error.message).toContain(`PATCH /workers/scripts/rounds-api/secrets-bulk of account ${cf.accountId}`);
      expect(calls("bulk")).toHaveLength(4);
      expect(kept()).toEqual(before);
    },
  );

  it.each(Object.entries({ ...pages, ...shapes }).filter(([name]) => /404|text/.test(name)))(
    "gives up on lasting %s after four attempts",
    async (_name, page) => {
      between.set({ ...endpoints.secrets, page, times: 99 });
      const error = await failure(client({ apiUrl: between.apiUrl }).listSecrets("rounds-api"));
      expect(error.fault).toBe("unavailable");
      expect(between.struck()).toBe(4);
    },
  );

  it("does not repeat the change when it cannot look", async () => {
    const { path } = endpoints.versions;
    // The first look passes, then everything is down.
    cf.faults.set([
      { match: endpoints.bulk, kind: "reset-after", times: 99 },
      { match: { method: "GET", path }, kind: "status", nth: 2, times: 99 },
    ]);
    const before = versionsMade();
    expect((await failure(secretSet(client()).create(delivery()))).fault).toBe("unavailable");
    expect(calls("bulk")).toHaveLength(1);
    expect(calls("versions")).toHaveLength(5);
    expect(versionsMade()).toBe(before + 1);
  });

  it("refuses at once what another attempt cannot help, and repeats no word of the answer", async () => {
    between.set({
      ...endpoints.secrets,
      page: json({ success: false, errors: [{ code: marker, message: marker }] }, 400),
      times: 99,
    });
    expect((await failure(client({ apiUrl: between.apiUrl }).listSecrets("rounds-api"))).fault).toBe("rejected");
    expect(between.struck()).toBe(1);
    // A path that Cloudflare cannot route says nothing about the script: it must not count as gone.
    between.set({ ...endpoints.secrets, page: json({ success: false, errors: [{ code: 7003 }] }, 404), times: 99 });
    expect((await failure(client({ apiUrl: between.apiUrl }).listSecrets("rounds-api"))).fault).toBe("rejected");
  });

  it("tells a wrong token and an unknown script before anything is minted", async () => {
    const look = async (api: CloudflareApi, script: string) => {
      const inputs = { worker: "rounds", script, intent: "[]", names: [] };
      const { failures } = (await workerDelivery(api, []).check?.({} as typeof inputs, inputs)) ?? {};
      return failures;
    };
    const where = (script: string) =>
      `Cloudflare, GET /workers/scripts/${script}/(versions|deployments) of account ${cf.accountId}`;
    const text = (script: string, rest: string) => [
      { property: "script", reason: expect.stringMatching(new RegExp(`^${where(script)}: ${rest}$`)) as string },
    ];
    expect(await look(client({ token: "wrong" }), "rounds-api")).toEqual(
      text(
        "rounds-api",
        "status 403, code 10000: the API token is wrong, expired or lacks `Workers Scripts Write`; set it with `pulumi config set --secret cloudflareApiToken`",
      ),
    );
    expect(await look(client(), "no-such")).toEqual(
      text(
        "no-such",
        "status 404, code 10007: no such account or script; check rollover:cloudflare.accountId and the Worker's `script`, and deploy the script before its secrets",
      ),
    );
    expect(await look(client(), "rounds-api")).toBeUndefined();
    cf.faults.set([{ match: endpoints.deployments, kind: "status", times: 99 }]);
    expect(await look(client(), "rounds-api")).toEqual(
      text("rounds-api", "status 500, code 10013: the API failed; run the update again"),
    );
  });
});
