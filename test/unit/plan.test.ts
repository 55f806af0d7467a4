// Proves what the plan says of each kind of change, as whole Markdown texts (test/golden) and in single facts, and that nothing
// else of the engine's output reaches it. Not that the engine writes these shapes: test/engine/operate.test.ts does.
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { editsOf } from "../../operations/plan/base";
import { describePlan, type Facts } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import { exported, outputs, preview, readable } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";

const [OLD, NOW] = ["2026-08-01", "2026-11-20"];

const roll = (): Facts => {
  const worker = make.consumer("rounds-api", { "rounds-db": [OLD] });
  return make.facts(
    make.outputsOf({ "rounds-db": make.postgres([OLD]) }),
    make.outputsOf({ "rounds-db": make.postgres([NOW, OLD]) }),
    [make.login("rounds-db", OLD), worker],
    [make.step("create", make.login("rounds-db", NOW)), make.delivery(worker)],
  );
};

const retire = (): Facts => {
  const worker = make.consumer("rounds-api", { "rounds-db": [NOW, OLD] });
  return make.facts(
    make.outputsOf({ "rounds-db": make.postgres([NOW, OLD]) }),
    make.outputsOf({ "rounds-db": make.postgres([NOW]) }),
    [make.login("rounds-db", NOW), make.login("rounds-db", OLD), worker],
    [make.delivery(worker), make.step("delete", make.login("rounds-db", OLD))],
  );
};

const rollback = (): Facts => {
  const worker = make.consumer("rounds-api", { "rounds-db": [NOW, OLD] });
  return make.facts(
    make.outputsOf({ "rounds-db": make.postgres([NOW, OLD]) }),
    make.outputsOf({ "rounds-db": make.postgres([OLD, NOW]) }),
    [make.login("rounds-db", NOW), make.login("rounds-db", OLD), worker],
    [make.delivery(worker)],
  );
};

/** A random value with two names: the first of its list is current, the second is handed out beside it. */
const random = (): Facts => {
  const worker = make.consumer("rounds-api", { "session-key": [OLD] });
  const key = (stamp: string) => make.resource("RandomPassword", `session-key@${stamp}`);
  return make.facts(
    make.outputsOf({ "session-key": make.random([OLD]) }),
    make.outputsOf({ "session-key": make.random([NOW, OLD]) }),
    [key(OLD), worker],
    [make.step("create", key(NOW)), make.delivery(worker)],
  );
};

/** One role whose password is altered, and what is run after it. */
const inPlace = (): Facts => {
  const worker = make.consumer("rounds-api", { "rounds-db": [OLD] });
  const atOnce = { change: "breaks at once" as const };
  const role = make.resource("Role", "rounds-db-login", { inputs: { name: "rounds" } });
  const create = "unset PULUMI_ACCESS_TOKEN; exec ./deploy.sh </dev/null >/dev/null 2>&1";
  return make.facts(
    make.outputsOf({ "rounds-db": make.postgres([OLD], atOnce) }),
    make.outputsOf({ "rounds-db": make.postgres([NOW], atOnce) }),
    [make.login("rounds-db", OLD, {}, "inPlace"), role, worker],
    [
      make.step("update", make.announcement(300_000, { "rounds-db": OLD }, [], ["rounds-db"]), {
        stamps: { "rounds-db": NOW },
      }),
      make.step("update", role, { password: make.UNKNOWN }),
      make.step("create", make.login("rounds-db", NOW, {}, "inPlace")),
      make.delivery(worker),
      make.step("replace", make.resource("Command", "rounds-db", { inputs: { create, environment: make.SECRET } })),
      make.step("update", make.resource("Completion", "completion")),
      make.step("delete", make.login("rounds-db", OLD, {}, "inPlace")),
    ],
  );
};

const before = `
encryptionsalt: v1:${make.SECRET}
config:
  rollover:postgresPassword: { secure: ${make.SECRET} }
  rollover:workers: { rounds-api: { script: rounds-api, probe: "https://${make.SECRET}.example.com" } }
  rollover:credentials:
    api-key: { kind: random, generation: "2026-08-01" }
    gone: { kind: postgres, generations: ["2026-08-01"] }
    rounds-db: { kind: postgres, generations: ["2026-08-01"], reason: of an earlier edit }
`;
const now = `
encryptionsalt: v1:other
config:
  rollover:postgresPassword: { secure: other-${make.SECRET} }
  rollover:workers: { rounds-api: { script: rounds-api, probe: "https://other-${make.SECRET}.example.com" } }
  rollover:credentials:
    api-key: { kind: random, generation: 2026-11-20, reason: "it \`leaked\` | see <b> @everyone", ticket: OPS-7 }
    fresh: { kind: random, generations: ["2026-11-20", "2026-08-01", "${make.SECRET}"] }
    rounds-db: { kind: postgres, generations: ["2026-11-20"], checks: ["SELECT '${make.SECRET}'"], ticket: OPS-8 }
`;

/** A roll that retires too, one without overlap, a first delivery, a removal with its data, a silent consumer, every debt. */
const mixed = (): Facts => {
  const api = make.consumer("rounds-api", { "rounds-db": [OLD], "api-key": [OLD], gone: [OLD] });
  const silent = make.consumer("mailer", { "api-key": [OLD] }, "");
  const two = [
    { worker: "mailer", as: "API_KEY", attested: false },
    { worker: "rounds-api", as: "API_KEY", attested: true },
  ];
  const key = { change: "breaks at once" as const, consumers: two };
  const database = make.resource("Database", "gone-database", { inputs: { name: "gone", owner: "gone_owner" } });
  const interrupted = make.resource("WorkerSecretSet", "mailer");
  const made = make.facts(
    make.outputsOf(
      {
        "rounds-db": make.postgres([OLD]),
        "api-key": make.random([OLD], key),
        gone: make.postgres([OLD], { consumers: two }),
      },
      { debts: { "rounds-db": ["rounds_by_hand"] } },
    ),
    make.outputsOf(
      {
        "rounds-db": make.postgres([NOW], { maxAge: "90d" }),
        "api-key": make.random([NOW], { ...key, maxAge: "15d" }),
        fresh: make.random([NOW, OLD], { maxAge: "30d" }),
      },
      {
        abandoned: ["old-worker"],
        policy: {
          ...{ warnBefore: "14d", overlap: "7d", enforce: true },
          freeze: [{ from: "2026-11-20", to: "2026-11-24", reason: "the [fair](http://x) @everyone" }],
        },
      },
    ),
    [
      ...["rounds-db", "gone"].map((name) => make.login(name, OLD)),
      make.resource("RandomPassword", `api-key@${OLD}`),
      make.login("rounds-db", "2026-05-01"),
      make.login("rounds-db", "2026-04-01", { delete: true }),
      make.resource("RandomId", "rounds-api-delivery", { delete: true }),
      api,
      silent,
    ],
    [
      make.step("create", make.login("rounds-db", NOW)),
      make.delivery(api),
      make.delivery(silent),
      make.step("delete", database),
      make.step("same", database),
      ...["rounds-db", "gone"].map((name) => make.step("delete", make.login(name, OLD))),
      make.step("delete", make.login("rounds-db", "2026-05-01")),
    ],
  );
  return {
    ...made,
    state: { ...made.state, pending_operations: [{ type: "updating", resource: interrupted }] },
    why: { base: "0123456789ab", edits: editsOf(before, now) },
    audited: true,
    sessions: [
      {
        ...{ name: "rounds-db", stamp: OLD, login: "rounds_20260801" },
        sessions: [
          { application: "billing `|` @everyone", address: "10.0.0.7", count: 2 },
          { application: "", address: "local", count: 1 },
          { count: 1 },
        ],
      },
      { name: "gone", stamp: OLD, login: "gone_20260801", unknown: "no connection (ECONNREFUSED)" },
      { name: "rounds-db", stamp: "2026-05-01", login: "rounds_20260501", sessions: [] },
    ],
  };
};

const nothing = (): Facts => {
  const same = make.outputsOf({ "rounds-db": make.postgres([NOW]) });
  const resources = [make.login("rounds-db", NOW), make.consumer("rounds-api", { "rounds-db": [NOW] })];
  return make.facts(
    same,
    same,
    resources,
    resources.map((one) => make.step("same", one)),
  );
};

const failure = (): Facts => ({
  ...retire(),
  after: undefined,
  errors: [
    'error: The stack\'s config has 1 problem.\nrollover:credentials.rounds-db.generations[0]\n  is no stamp: "```| @everyone"\n  do: write the day',
  ],
});

const scenes = { roll, retire, rollback, random, inPlace, mixed, nothing, failure };

describe("the whole text", () => {
  it.each(Object.entries(scenes))("of %s", async (name, facts) => {
    const text = toMarkdown(describePlan(facts()));
    await expect(text).toMatchFileSnapshot(path.join(__dirname, "..", "golden", `plan-${name}.md`));
  });

  it.each(Object.entries(scenes))(
    "of %s holds neither a secret, an unknown id nor a provider, in either form",
    (_, facts) => {
      const plan = describePlan(facts());
      for (const text of [toMarkdown(plan), JSON.stringify(plan)]) {
        expect(text).not.toContain(make.SECRET);
        expect(text).not.toContain(make.UNKNOWN);
        expect(text).not.toContain("__provider");
      }
    },
  );
});

describe("what a credential is before", () => {
  it("is what its consumers hold, where a failed update has already written the new outputs", () => {
    const after = make.outputsOf({ "rounds-db": make.postgres([NOW]) });
    const worker = make.consumer("rounds-api", { "rounds-db": [OLD] });
    const resources = [make.login("rounds-db", NOW), make.login("rounds-db", OLD), worker];
    const plan = describePlan(make.facts(after, after, resources, [make.delivery(worker)]));
    expect(plan.credentials).toMatchObject([{ actions: ["rolls", "retires"], from: OLD, to: NOW, mints: [] }]);
    expect(plan.debts).toMatchObject([
      { name: "rounds-db", what: expect.stringContaining("rounds_20260801") as string },
    ]);
  });

  it("counts a stamp of a failed update that was taken back as retired", () => {
    const same = make.outputsOf({ "rounds-db": make.postgres([OLD]) });
    const resources = [make.login("rounds-db", NOW), make.login("rounds-db", OLD)];
    const plan = describePlan(make.facts(same, same, resources, [make.step("delete", make.login("rounds-db", NOW))]));
    expect(plan.credentials).toMatchObject([{ actions: ["retires"], withdraws: [{ stamp: NOW }] }]);
  });
});

it("says of a random value that it moves out of the two that are handed out", () => {
  const [first, second, third] = ["2026-06-01", OLD, NOW];
  const plan = describePlan(
    make.facts(
      make.outputsOf({ key: make.random([second, first]) }),
      make.outputsOf({ key: make.random([third, second, first]) }),
      [second, first].map((stamp) => make.resource("RandomPassword", `key@${stamp}`)),
      [],
    ),
  );
  expect(plan.credentials).toMatchObject([
    { actions: ["rolls", "retires"], keeps: [second], withdraws: [{ stamp: first }] },
  ]);
});

it("says that the adopted login is withdrawn", () => {
  const same = make.outputsOf({ "rounds-db": make.postgres([NOW]) });
  const adopted = make.login("rounds-db", "adopted");
  const plan = describePlan(
    make.facts(same, same, [make.login("rounds-db", NOW), adopted], [make.step("delete", adopted)]),
  );
  expect(plan.credentials).toMatchObject([{ actions: ["retires"], withdraws: [{ stamp: "adopted" }] }]);
});

it("says when a password that is altered in place stops working", () => {
  const inPlace = { change: "breaks at once" as const };
  const plan = describePlan(
    make.facts(
      make.outputsOf({ "rounds-db": make.postgres([OLD], inPlace) }),
      make.outputsOf({ "rounds-db": make.postgres([NOW], inPlace) }),
      [make.login("rounds-db", OLD, {}, "inPlace")],
      [],
    ),
  );
  expect(plan.credentials[0]?.withdraws).toEqual([
    { stamp: OLD, when: "at once, when the password is altered, before the new one is delivered" },
  ]);
  expect(plan.credentials[0]?.breaksAtOnce).toContain("altered in place");
});

it("tells a changed wait of a consumer from a delivery", () => {
  const same = make.outputsOf({ "rounds-db": make.postgres([NOW]) });
  const worker = make.consumer("rounds-api", { "rounds-db": [NOW] });
  const settings = describePlan(make.facts(same, same, [worker], [make.step("update", worker, { settleMs: 5 })]));
  expect(settings.consumers).toMatchObject([{ change: "settings only", credentials: [] }]);
  const drifted = { ...worker, outputs: { ...worker.outputs, drift: ["DATABASE_URL"] } };
  const again = describePlan(make.facts(same, same, [drifted], [make.step("update", drifted)]));
  expect(again.consumers).toMatchObject([{ change: "delivered", credentials: [] }]);
});

describe("reading what the engine wrote", () => {
  it("takes a stack without a deployment, and outputs that are not known yet", () => {
    expect(exported.parse({ version: 3, deployment: null }).deployment.resources).toEqual([]);
    expect(outputs.parse({ credentials: {}, debts: make.UNKNOWN }).debts).toEqual({});
    expect(outputs.safeParse({ credentials: { x: make.SECRET } }).success).toBe(false);
    expect(preview.parse({}).steps).toEqual([]);
  });

  it("names unknown ids and drops colours", () => {
    expect(readable(`\u001b[31mlogin ${make.UNKNOWN}\u001b[0m\n`)).toBe("login (not known yet)");
  });
});
