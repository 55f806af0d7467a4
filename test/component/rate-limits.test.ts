// Proves which resources the two means of rate limits declare, with exact inputs: the Worker's bindings with what its code
// reads, and the zone's ruleset on each plan. Does not prove that anything counts (test/provider/rate-limit.test.ts), nor that
// Cloudflare takes the expressions.
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as cloudflare from "@pulumi/cloudflare";
import { describe, expect, it } from "vitest";
import { RateLimits } from "../../components/cloudflare/rate-limits";
import { WorkerScript } from "../../components/cloudflare/worker-script";
import type { BindingLimits, RateLimit, RulesetLimits, Worker, WorkerCode } from "../../components/rotation/model";
import { registeredBy } from "./registered";

/** Any file of the project that stays: what is uploaded is not looked at. */
const FILE = "test/fixtures/official-state/index.ts";
const ROUTES: RateLimit[] = [
  { name: "start", method: "POST", path: "/v1/rounds/start", limit: 10, periodMs: 10_000, per: "client" },
  { name: "next-round", method: "POST", path: "/v1/rounds/next", limit: 10, periodMs: 60_000, per: "token" },
];
const limits: BindingLimits = { name: "rounds", means: "binding", worker: "rounds-api", routes: ROUTES };

function worker(code: Partial<WorkerCode> = {}): Worker & { code: WorkerCode } {
  const all = { file: FILE, compatibilityDate: "2026-07-01", compatibilityFlags: ["nodejs_compat"], vars: {}, ...code };
  return { name: "rounds-api", script: "rounds", answers: 1, withinMs: 1000, settleMs: 0, code: all };
}

async function declared(build: (provider: cloudflare.Provider) => unknown) {
  const all = await registeredBy(() => {
    build(new cloudflare.Provider("cloudflare", { apiToken: "t" }));
  });
  return all.filter(({ what }) => !what.startsWith("pulumi:providers:"));
}

async function scriptOf(code: Partial<WorkerCode>, given?: BindingLimits) {
  const args = { worker: worker(code), accountId: "account", ...(given && { limits: given }) };
  return declared((provider) => new WorkerScript("rounds", { ...args, provider }));
}

describe("WorkerScript", () => {
  it("is one script, with limits and what the code reads of them, and its secrets kept", async () => {
    const made = await scriptOf({ vars: { REGION: "eu" } }, limits);
    expect(made.map(({ what, parent }) => [what, parent])).toEqual([
      ["rollover:cloudflare:WorkerScript rounds", ""],
      ["cloudflare:index/workersScript:WorkersScript rounds", "rounds"],
    ]);
    expect(made[1]?.inputs).toEqual({
      accountId: "account",
      scriptName: "rounds",
      contentFile: FILE,
      contentSha256: createHash("sha256").update(fs.readFileSync(FILE)).digest("hex"),
      mainModule: "index.ts",
      compatibilityDate: "2026-07-01",
      compatibilityFlags: ["nodejs_compat"],
      bindings: [
        {
          type: "ratelimit",
          name: "RATE_LIMIT_NEXT_ROUND",
          namespaceId: "1163437399",
          simple: { limit: 10, period: 60 },
        },
        { type: "ratelimit", name: "RATE_LIMIT_START", namespaceId: "530901378", simple: { limit: 10, period: 10 } },
        { type: "plain_text", name: "REGION", text: "eu" },
        {
          type: "plain_text",
          name: "ROLLOVER_RATE_LIMITS",
          text: JSON.stringify([
            { route: "POST /v1/rounds/next", binding: "RATE_LIMIT_NEXT_ROUND", per: "token", periodSeconds: 60 },
            { route: "POST /v1/rounds/start", binding: "RATE_LIMIT_START", per: "client", periodSeconds: 10 },
          ]),
        },
      ],
      keepBindings: ["secret_text", "secret_key"],
    });
  });

  it("is the same in whatever order routes and variables stand", async () => {
    const [, usual] = await scriptOf({ vars: { A: "1", B: "2" } }, limits);
    const [, turned] = await scriptOf({ vars: { B: "2", A: "1" } }, { ...limits, routes: [...ROUTES].reverse() });
    expect(turned).toEqual(usual);
  });

  it("counts a route of another name or script apart, and one whose limit changes on", async () => {
    const idsOf = async (script: string, names: string[], limit = 10) => {
      const routes = names.map((name): RateLimit => ({ ...(ROUTES[0] as RateLimit), name, limit }));
      const args = { worker: { ...worker(), script }, accountId: "account", limits: { ...limits, routes } };
      const [, made] = await declared((provider) => new WorkerScript(script, { ...args, provider }));
      const bindings = made?.inputs["bindings"] as { namespaceId?: string }[];
      return bindings.flatMap(({ namespaceId }) => namespaceId ?? []);
    };
    const many = Array.from({ length: 50 }, (_, index) => `route-${index}`);
    const all = [...(await idsOf("one", many)), ...(await idsOf("two", many))];
    expect(new Set(all).size).toBe(100);
    for (const id of all) expect(id).toMatch(/^[1-9]\d{0,9}$/);
    expect(await idsOf("one", ["route-7"], 99)).toEqual(await idsOf("one", ["route-7"]));
  });

  it("without limits has variables alone", async () => {
    const [, made] = await scriptOf({ vars: { REGION: "eu" } });
    expect(made?.inputs["bindings"]).toEqual([{ type: "plain_text", name: "REGION", text: "eu" }]);
  });

  it("refuses a file that cannot be read, and says where it is named", async () => {
    await expect(scriptOf({ file: "dist/none.mjs" })).rejects.toThrow(
      "rollover:workers.rounds-api.code.file: dist/none.mjs cannot be read (ENOENT); build the Worker, or correct the path",
    );
  });
});

describe("RateLimits", () => {
  const advanced: RulesetLimits = {
    ...{ name: "edge", means: "ruleset", zone: "zone", host: "api.example.com", plan: "advanced" },
    routes: ROUTES,
  };
  const rulesOf = async (given: RulesetLimits) => {
    const made = await declared((provider) => new RateLimits("edge", { limits: given, provider }));
    return { made, rules: made[1]?.inputs["rules"] };
  };

  it("is one ruleset of the zone, with a rule a route, by name", async () => {
    const { made, rules } = await rulesOf(advanced);
    expect(made.map(({ what, parent }) => [what, parent])).toEqual([
      ["rollover:cloudflare:RateLimits edge", ""],
      ["cloudflare:index/ruleset:Ruleset edge", "edge"],
    ]);
    expect(made[1]?.inputs).toMatchObject({
      ...{ zoneId: "zone", name: "rollover edge", kind: "zone", phase: "http_ratelimit" },
    });
    const response = { statusCode: 429, contentType: "application/json", content: '{"error":"rate_limited"}' };
    const [next, start] = ["/v1/rounds/next", "/v1/rounds/start"].map(
      (at) => `http.host eq "api.example.com" and http.request.uri.path eq "${at}" and http.request.method eq "POST"`,
    );
    const authorization = 'http.request.headers["authorization"]';
    expect(rules).toEqual([
      {
        ...{ ref: "next-round", description: "POST /v1/rounds/next: 10 in 60 s per token", enabled: true },
        ...{ action: "block", expression: next, actionParameters: { response } },
        ratelimit: {
          characteristics: ["cf.colo.id", authorization],
          countingExpression: `${next} and len(${authorization}) > 0`,
          ...{ period: 60, requestsPerPeriod: 10, mitigationTimeout: 60 },
        },
      },
      {
        ...{ ref: "start", description: "POST /v1/rounds/start: 10 in 10 s per client", enabled: true },
        ...{ action: "block", expression: start, actionParameters: { response } },
        ratelimit: {
          characteristics: ["cf.colo.id", "ip.src"],
          ...{ period: 10, requestsPerPeriod: 10, mitigationTimeout: 10 },
        },
      },
    ]);
  });

  it("matches on plan free the path alone, and leaves the answer to Cloudflare", async () => {
    const start: RateLimit = { ...(ROUTES[0] as RateLimit), method: "*" };
    const { rules } = await rulesOf({ ...advanced, plan: "free", host: "", routes: [start] });
    expect(rules).toEqual([
      {
        ...{ ref: "start", description: "* /v1/rounds/start: 10 in 10 s per client", enabled: true, action: "block" },
        expression: 'http.request.uri.path eq "/v1/rounds/start"',
        ratelimit: {
          characteristics: ["cf.colo.id", "ip.src"],
          ...{ period: 10, requestsPerPeriod: 10, mitigationTimeout: 10 },
        },
      },
    ]);
  });
});
