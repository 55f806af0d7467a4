// Proves how `rollover:rateLimits` and a Worker's `code` are read: every refusal with its whole text. Does not prove that
// Cloudflare takes what is allowed here: facts/cloudflare.md 4 has where its table of plans is from.
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { changed } from "./config-fixture";
import { BY_CLIENT, CODE, EDGE, limitsOf, MANIFEST, NEXT, refusal, ROUNDS, SEED, START } from "./rate-limits-fixture";

describe("rate limits", () => {
  it("are none where none are declared", () => {
    expect(parseStack(changed({})).rateLimits).toEqual([]);
  });

  it("of the seed are taken by bindings, 1 in 1 s as 10 in 10 s", () => {
    expect(limitsOf({ rounds: ROUNDS })).toEqual([
      {
        ...{ name: "rounds", means: "binding", worker: "rounds-api" },
        routes: [
          { name: "start", method: "POST", path: "/v1/rounds/start", limit: 10, periodMs: 10_000, per: "client" },
          { name: "next", method: "POST", path: "/v1/rounds/next", limit: 10, periodMs: 60_000, per: "token" },
          { name: "metrics", method: "POST", path: "/v1/metrics", limit: 100, periodMs: 60_000, per: "client" },
          { name: "manifest", method: "GET", path: "/v1/manifest", limit: 1, periodMs: 60_000, per: "client" },
        ],
      },
    ]);
  });

  it("of the seed are taken by a ruleset on plan advanced, and on no smaller one", () => {
    const on = (plan: string) => ({ edge: { ...EDGE, plan, routes: SEED } });
    expect(limitsOf(on("advanced"))).toMatchObject([{ ...EDGE, plan: "advanced" }]);
    for (const plan of ["enterprise", "business"])
      expect(refusal(on(plan))).toEqual([
        "rollover:rateLimits.edge.routes.next.per",
        `  cannot be counted by a ruleset on plan ${plan}: "token"`,
        "  allowed: client; token by a binding or on plan advanced",
        "  do: write client, or count this route by a binding",
      ]);
    expect(refusal(on("pro")).filter((line) => line.startsWith("rollover:"))).toEqual([
      "rollover:rateLimits.edge.routes",
      "rollover:rateLimits.edge.routes.start.route",
      "rollover:rateLimits.edge.routes.next.route",
      "rollover:rateLimits.edge.routes.next.per",
      "rollover:rateLimits.edge.routes.metrics.route",
      "rollover:rateLimits.edge.routes.manifest.route",
    ]);
  });

  it("of the seed as it says it, 1 in 1 s, are refused with the form that is meant", () => {
    expect(refusal({ rounds: { ...ROUNDS, routes: { start: { ...START, limit: 1, period: "1s" } } } })).toEqual([
      "rollover:rateLimits.rounds.routes.start.period",
      '  is no period that a binding counts in: "1s"',
      "  allowed: 10s or 1m",
      "  do: write `limit: 10, period: 10s`, the same on average: bursts of 10 are then allowed",
    ]);
  });

  it.each([
    [
      { limit: 50, period: "5m" },
      "`limit: 10, period: 1m`, the same on average: no burst of more than 10 is then allowed",
    ],
    [{ limit: 1, period: "5m" }, "`limit: 1, period: 1m`, the nearest that it can count to 1 in 5m"],
    [{ limit: 7, period: "30s" }, "`limit: 14, period: 1m`, the same on average: bursts of 14 are then allowed"],
    [
      { limit: 1_000_000, period: "1s" },
      "`limit: 1000000, period: 10s`, the nearest that it can count to 1000000 in 1s",
    ],
  ])("name the nearest form of %j", (rate, form) => {
    expect(refusal({ rounds: { ...ROUNDS, routes: { start: { ...START, ...rate } } } }).at(-1)).toBe(
      `  do: write ${form}`,
    );
  });

  it("on plan free are one, of a path on every host, in 10 s", () => {
    const { host, ...edge } = EDGE;
    const any = { ...START, route: "* /v1/rounds/start" };
    expect(limitsOf({ edge: { ...edge, plan: "free", routes: { any } } })).toMatchObject([
      { plan: "free", host: "", routes: [{ method: "*", path: "/v1/rounds/start" }] },
    ]);
    expect(refusal({ edge: { ...edge, host, plan: "free", routes: { start: START, any: { ...MANIFEST } } } })).toEqual([
      "rollover:rateLimits.edge.host",
      "  cannot be matched on plan free, whose rules see the path alone",
      "  allowed: nothing",
      "  do: remove it: the limit then counts on every host of the zone",
      "rollover:rateLimits.edge.routes",
      "  has 2 limits",
      "  allowed: at most 1, which is what a ruleset on plan free can hold",
      "  do: remove some, choose the plan that the zone has, or use bindings",
      "rollover:rateLimits.edge.routes.start.route",
      '  names a method, which a ruleset on plan free cannot match: "POST /v1/rounds/start"',
      "  allowed: * in place of the method",
      '  do: write "* /v1/rounds/start": every method then counts',
      "rollover:rateLimits.edge.routes.any.route",
      '  names a method, which a ruleset on plan free cannot match: "GET /v1/manifest"',
      "  allowed: * in place of the method",
      '  do: write "* /v1/manifest": every method then counts',
      "rollover:rateLimits.edge.routes.any.period",
      '  is no period that a ruleset on plan free counts in: "60s"',
      "  allowed: 10s",
      "  do: write `limit: 1, period: 10s`, the nearest that it can count to 1 in 1m",
    ]);
  });

  it.each<[string, unknown, object, string[]]>([
    [
      "a Worker that is not declared",
      { rounds: { ...ROUNDS, worker: "round-api" } },
      CODE,
      [
        "rollover:rateLimits.rounds.worker",
        '  is no declared Worker: "round-api"',
        "  allowed: rounds-api or pages",
        "  do: write `rounds-api` if that is meant",
      ],
    ],
    [
      "a Worker whose code is deployed elsewhere",
      { rounds: { ...ROUNDS, worker: "pages" } },
      CODE,
      [
        "rollover:rateLimits.rounds.worker",
        '  is a Worker whose script is deployed elsewhere, so that this stack cannot give it bindings: "pages"',
        "  allowed: a Worker with `code`",
        "  do: add rollover:workers.pages.code, or count by `means: ruleset`",
      ],
    ],
    [
      "two sets of one Worker",
      { rounds: ROUNDS, again: ROUNDS },
      CODE,
      [
        "rollover:rateLimits.again.worker",
        '  has limits already: rollover:rateLimits.rounds: "rounds-api"',
        "  do: put all routes of that Worker into one entry",
      ],
    ],
    [
      "two sets of one zone",
      {
        edge: { ...EDGE, plan: "pro", routes: { a: { ...START, route: "* /a" } } },
        again: { ...EDGE, plan: "business", routes: BY_CLIENT },
      },
      CODE,
      [
        "rollover:rateLimits.again.zone",
        '  has a ruleset already, and Cloudflare takes one a zone: rollover:rateLimits.edge: "0123456789abcdef0123456789abcdef"',
        "  do: put all routes of that zone into one entry",
      ],
    ],
    [
      "a variable with the name of a binding",
      { rounds: ROUNDS },
      { ...CODE, vars: { RATE_LIMIT_START: "x" } },
      [
        "rollover:workers.rounds-api.code.vars.RATE_LIMIT_START",
        "  is also the name of a route's binding in rollover:rateLimits.rounds",
        "  do: rename the variable",
      ],
    ],
    [
      "two routes with one binding",
      { rounds: { ...ROUNDS, routes: { "a-b": START, a_b: NEXT } } },
      CODE,
      [
        "rollover:rateLimits.rounds.routes.a_b",
        "  gives the binding RATE_LIMIT_A_B, as a-b does",
        "  do: rename one of the two",
      ],
    ],
    [
      "two limits of one route",
      { rounds: { ...ROUNDS, routes: { start: START, all: { ...START, route: "* /v1/rounds/start" } } } },
      CODE,
      [
        "rollover:rateLimits.rounds.routes.all.route",
        '  matches requests that rollover:rateLimits.rounds.routes.start limits already: "* /v1/rounds/start"',
        "  do: write one limit a route",
      ],
    ],
    [
      "no means",
      { rounds: { ...ROUNDS, means: "durable-object" } },
      CODE,
      [
        "rollover:rateLimits.rounds.means",
        '  is not known: "durable-object"',
        "  allowed: binding or ruleset",
        "  do: write one of these",
      ],
    ],
    [
      "no routes",
      { rounds: { ...ROUNDS, routes: {} } },
      CODE,
      ["rollover:rateLimits.rounds.routes", "  is missing", "  allowed: a mapping of names to limits", "  do: add it"],
    ],
    [
      "nothing of a limit",
      { rounds: { ...ROUNDS, routes: { start: {} } } },
      CODE,
      [
        "rollover:rateLimits.rounds.routes.start.route",
        "  is missing",
        "  allowed: a method, or * for every one, a space and a whole path without query: POST /v1/rounds/start",
        "  do: add it",
        "rollover:rateLimits.rounds.routes.start.per",
        "  is missing",
        "  allowed: client or token",
        "  do: add it",
        "rollover:rateLimits.rounds.routes.start.limit",
        "  is missing",
        "  allowed: a whole number from 1 to 1000000",
        "  do: add it",
        "rollover:rateLimits.rounds.routes.start.period",
        "  is missing",
        "  allowed: 10s or 1m",
        "  do: add it",
      ],
    ],
  ])("are refused with %s", (_what, rateLimits, code, lines) => {
    expect(refusal(rateLimits, code)).toEqual(lines);
  });

  it.each([
    ...["/v1/x", "POST v1/x", "post /v1/x", "TRACE /v1/x", "POST  /v1/x", "POST /v1/x?a=1", 'POST /v1/"x', "POST /a b"],
    ...["POST /v1/../x", "POST /v1/.", "POST /%2e/x", "POST /v1/x\n", "POST /é"],
  ])("have no route %j", (route) => {
    expect(refusal({ rounds: { ...ROUNDS, routes: { start: { ...START, route } } } })[0]).toBe(
      "rollover:rateLimits.rounds.routes.start.route",
    );
  });

  it.each([0, -1, 1.5, 1_000_001, "10", null])("have no limit %j", (limit) => {
    expect(refusal({ rounds: { ...ROUNDS, routes: { start: { ...START, limit } } } })[0]).toBe(
      "rollover:rateLimits.rounds.routes.start.limit",
    );
  });
});

it("of a Worker are no more than its variable can list", () => {
  const many = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [
        `r${index}`,
        { ...START, route: `POST /v1/rounds/start/again/${index}` },
      ]),
    );
  expect(refusal({ rounds: { ...ROUNDS, routes: many(40) } })).toEqual([]);
  expect(refusal({ rounds: { ...ROUNDS, routes: many(50) } })).toEqual([
    "rollover:rateLimits.rounds.routes",
    expect.stringMatching(/^ {2}gives a ROLLOVER_RATE_LIMITS of 5\d\d\d bytes$/),
    "  allowed: at most 5120 bytes (5 KB), which is what a Worker's variable may have",
    "  do: limit fewer routes there; the others by a ruleset, or by another Worker",
  ]);
});
