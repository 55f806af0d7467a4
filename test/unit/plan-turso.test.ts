// Proves what the plan says of Turso: tokens that roll, retire and work on, invalidations with all that dies by them, incidents,
// files, warnings. As whole texts (test/golden) and in single facts. Not that the engine writes the shapes of plan-fixture.ts.
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { describePlan, type Facts } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import { outputs } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";

const [OLDER, OLD, NOW] = ["2026-06-01", "2026-08-01", "2026-11-20"];
const files = [
  { worker: "rounds-api", as: "TURSO_AUTH_TOKEN", attested: true },
  { file: ".env.local", as: "TURSO_AUTH_TOKEN", attested: false },
];

/** Current and previous become current, previous and retired: into a Worker and a file. */
const roll = (): Facts => {
  const worker = make.consumer("rounds-api", { rounds: [OLD, OLDER] });
  const file = make.envFile(".env.local");
  const [older, old] = [make.token("rounds", OLDER, { place: "previous" }), make.token("rounds", OLD)];
  return make.facts(
    make.outputsOf({ rounds: make.turso([OLD, OLDER], [], { consumers: files }) }),
    make.outputsOf({ rounds: make.turso([NOW, OLD], [OLDER], { consumers: files }) }),
    [older, old, worker, file],
    [
      make.step("create", make.token("rounds", NOW, { expiration: "120d" })),
      make.step("update", old, { place: "previous" }),
      make.step("update", older, { place: "retired" }),
      make.delivery(worker),
      make.step("update", file),
    ],
  );
};

/** One retired token works, one has just expired, one is long gone, one died, one was never minted; the first is taken out too early. */
const retired = (): Facts => {
  const stamps = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01", "2026-05-02"];
  const of = (at: number, more: make.TokenMore) =>
    make.token("rounds", stamps[at] ?? "", { place: "retired", ...more });
  const early = of(0, { expires: "2026-12-24T00:00:00.000Z" });
  const lapsed = of(2, { expires: "2026-10-01T00:00:00.000Z" });
  return make.facts(
    make.outputsOf(
      { rounds: make.turso([NOW], stamps) },
      {
        debts: { rounds: ["a token of 2026-11-20 that was replaced, until 2026-11-28T00:00:00.000Z"] },
        findings: { "database:rounds": { "group:production": "works", "database:archive": "refused" } },
      },
    ),
    make.outputsOf({
      rounds: make.turso(
        [NOW],
        [stamps[1], stamps[3], stamps[4], stamps[5]].flatMap((one) => one ?? []),
      ),
    }),
    [
      make.token("rounds", NOW, { failure: "Turso, POST: status 403 [x](http://evil) @everyone" }),
      early,
      of(1, { expires: "2026-11-21T11:00:00.000Z" }),
      lapsed,
      of(3, { expires: "2027-01-01T00:00:00.000Z", under: "m0" }),
      of(4, { expires: "never", tag: "" }),
      of(5, { expires: "never" }),
      make.consumer("rounds-api", { rounds: [NOW] }),
    ],
    [make.step("delete", early), make.step("delete", lapsed)],
  );
};

/** A leak: one database by an incident, one group again by a stamp after a failure. */
const invalidate = (): Facts => {
  const worker = make.consumer("rounds-api", { archive: [NOW], "other-kind": [NOW], rounds: [NOW] });
  const file = make.envFile(".env.local");
  const credentials = {
    rounds: make.turso([NOW], [OLD], { consumers: files }),
    archive: make.turso([NOW]),
    all: make.turso([NOW], [], { consumers: [] }),
    "other-kind": make.random([NOW]),
  };
  const tokens = [
    make.token("rounds", NOW),
    make.token("rounds", OLD, { place: "retired" }),
    make.token("archive", NOW, { target: "database:archive", expiration: "365d" }),
    make.token("all", NOW, { target: "group:production" }),
  ];
  const settings = make.resource("TursoSettings", "turso-database:rounds");
  return make.facts(
    make.outputsOf(credentials),
    make.outputsOf(credentials),
    [...tokens, worker, file],
    [
      make.step("update", make.resource("TursoCanary", "turso"), { asked: {} }),
      make.invalidations(
        { "group:staging": { stamp: OLD } },
        {
          "database:rounds": { readOnly: "7d", reason: "token in a `public` log @everyone" },
          "group:staging": { stamp: NOW },
        },
        { "group:staging": "group staging: Turso answered 500" },
      ),
      ...tokens.map((one) => make.step("update", one, { mark: make.UNKNOWN })),
      make.step("update", worker, { generations: make.UNKNOWN, secrets: make.UNKNOWN }),
      make.step("update", file, { lines: make.UNKNOWN }),
      make.step("delete", settings),
      make.step("update", make.resource("TursoOutcome", "turso")),
    ],
  );
};

const incidentEnds = (): Facts => {
  const made = invalidate();
  const done = { "database:rounds": { readOnly: "7d", reason: "token in a log" } };
  return { ...made, steps: [make.invalidations(done, {}), ...made.steps.slice(2, 6), ...made.steps.slice(6, 8)] };
};

const groupAgain = (): Facts => {
  const made = invalidate();
  const done = { "group:production": { stamp: OLD, readOnly: "7d", reason: "the leak" } };
  const asked = { "group:production": { stamp: NOW, readOnly: "7d", reason: "the leak" } };
  return { ...made, steps: [make.invalidations(done, asked), ...made.steps.slice(2, 8)] };
};

const scenes = { roll, retired, invalidate, incidentEnds, groupAgain };

describe("the whole text", () => {
  it.each(Object.entries(scenes))("of %s, without a secret", async (name, facts) => {
    const plan = describePlan(facts());
    const text = toMarkdown(plan);
    await expect(text).toMatchFileSnapshot(path.join(__dirname, "..", "golden", `plan-turso-${name}.md`));
    for (const form of [text, JSON.stringify(plan)]) {
      expect(form).not.toContain(make.SECRET);
      expect(form).not.toContain(make.UNKNOWN);
      expect(form).not.toContain("__provider");
    }
    // One with a space of no width after it mentions nobody.
    expect(text.replace(/`[^`\n]*`/g, "")).not.toMatch(/@(?!&#8203;)/);
  });
});

it("takes the outputs of an older program, and those that are not known yet", () => {
  const consumers = [{ worker: "rounds-api", as: "X", attested: true }];
  const old = { kind: "random", current: NOW, live: [NOW], change: "overlaps", consumers };
  expect(outputs.parse({ credentials: { old }, findings: make.UNKNOWN })).toMatchObject({
    credentials: { old: { retired: [] } },
    findings: {},
  });
});

describe("an invalidation", () => {
  const invalidationsOf = (...args: Parameters<typeof make.invalidations>) => {
    const same = make.outputsOf({ rounds: make.turso([NOW]) });
    const facts = make.facts(same, same, [make.token("rounds", NOW)], [make.invalidations(...args)]);
    return describePlan(facts).invalidations;
  };
  const key = "group:production";

  it("is what has not taken effect yet, not what was asked for already", () => {
    expect(invalidationsOf({ [key]: { stamp: OLD } }, { [key]: { stamp: OLD } })).toEqual([]);
    expect(invalidationsOf({ [key]: { stamp: OLD } }, {})).toEqual([]);
    expect(invalidationsOf({}, { [key]: { stamp: OLD } })).toMatchObject([
      { kind: "group", name: "production", stamp: OLD },
    ]);
    expect(invalidationsOf({ [key]: { stamp: NOW } }, { [key]: { stamp: OLD } })).toEqual([]);
    expect(invalidationsOf({ [key]: { stamp: OLD } }, { [key]: { stamp: NOW } })).toMatchObject([{ stamp: NOW }]);
  });

  it("is not a changed reason or term of an incident, and not its end", () => {
    const [was, is] = [
      { readOnly: "7d", reason: "a" },
      { readOnly: "9d", reason: "b" },
    ];
    expect(invalidationsOf({ [key]: was }, { [key]: is })).toEqual([]);
    const [end] = invalidationsOf({ [key]: was }, {});
    expect(end).toMatchObject({ incident: { phase: "ends", reason: "a", readOnly: "7d" } });
    expect(end && "stamp" in end).toBe(false);
  });

  it("of a new stack is told too, from a state that has none", () => {
    const step = make.invalidations({}, { [key]: { stamp: NOW } });
    const same = make.outputsOf({ rounds: make.turso([NOW]) });
    const facts = make.facts(make.outputsOf({}), same, [], [
      { op: "create", urn: step.urn, newState: step.newState },
    ] as never);
    expect(describePlan(facts).invalidations).toMatchObject([{ stamp: NOW, credentials: [] }]);
  });
});

describe("a token's stamp", () => {
  const token = (stamp: string, place: string, more: make.TokenMore = {}) =>
    make.token("rounds", stamp, { place, ...more });
  const planned = (before: [string[], string[]], after: [string[], string[]], steps: Facts["steps"] = []) => {
    const [live, retired] = before;
    const tokens = [
      ...live.map((stamp, at) => token(stamp, at === 0 ? "current" : "previous")),
      ...retired.map((stamp) => token(stamp, "retired")),
    ];
    const [was, is] = [before, after].map(([ofLive, ofRetired]) =>
      make.outputsOf({ rounds: make.turso(ofLive, ofRetired, { consumers: files.slice(1) }) }),
    );
    return describePlan(make.facts(was ?? make.outputsOf({}), is, tokens, steps)).credentials;
  };

  it("works on when it is retired", () => {
    expect(planned([[NOW, OLD], []], [[NOW], [OLD]])).toMatchObject([
      {
        actions: ["retires"],
        withdraws: [
          {
            stamp: OLD,
            works: true,
            when: "no longer delivered; its token works until 2027-02-18T12:00:00.000Z; Turso cannot revoke it alone",
          },
        ],
      },
    ]);
  });

  it("is brought back from retired, as a rollback where it becomes current", () => {
    expect(planned([[NOW], [OLD]], [[OLD, NOW], []])).toMatchObject([
      { actions: ["rolls back", "brings back"], restores: [OLD], mints: [], clears: [] },
    ]);
    expect(planned([[NOW], [OLD]], [[NOW, OLD], []])).toMatchObject([{ actions: ["brings back"], restores: [OLD] }]);
  });

  it("is cleared from retired", () => {
    expect(planned([[NOW], [OLD]], [[NOW], []])).toMatchObject([{ actions: ["clears"], clears: [OLD], withdraws: [] }]);
  });

  it("dies with the invalidation of its group, and then no update refuses to forget it", () => {
    const gone = make.step("delete", token(OLD, "previous"));
    const same = [make.invalidations({}, { "group:production": { stamp: NOW } }), gone];
    const [credential] = planned([[NOW, OLD], []], [[NOW], []], same);
    expect(credential?.withdraws).toEqual([{ stamp: OLD, when: "with the invalidation of group production" }]);
    const facts = make.facts(make.outputsOf({}), make.outputsOf({}), [], same);
    expect(describePlan(facts).warnings).toEqual([]);
    const alone = describePlan({ ...facts, steps: [gone] }).warnings;
    expect(alone).toMatchObject([
      { name: `rounds@${OLD}`, what: expect.stringContaining("will refuse to forget it") as string },
    ]);
  });
});

describe("a long life", () => {
  const warned = (expiration: string, more: Facts["steps"] = []) => {
    const same = make.outputsOf({ rounds: make.turso([NOW]) });
    const step = make.step("create", make.token("rounds", NOW, { expiration }));
    return describePlan(make.facts(make.outputsOf({}), same, [], [step, ...more])).warnings.map(({ what }) => what);
  };
  it("is warned of beyond 90 days, where a token is minted", () => {
    expect(warned("90d")).toEqual([]);
    expect(warned("90d1s")).toEqual([
      "works for 90d1s; a token whose minting crashed is in no state, and its expiry alone bounds it",
    ]);
    expect(warned("never")).toEqual([
      "never expires; a token whose minting crashed is in no state, and nothing but an invalidation ends it",
    ]);
  });
  it("is not that of a token of an incident", () => {
    const of = (key: string) => [make.invalidations({}, { [key]: { readOnly: "7d" } })];
    expect(warned("never", of("group:production"))).toEqual([]);
    expect(warned("never", of("database:rounds"))).toEqual([]);
    expect(warned("never", of("database:archive"))).toHaveLength(1);
  });
});
