// Proves what the plan says of what changes under the stamp that it has: logins and tokens that are replaced, another kind under one
// name, checks that are run anew. Not that the engine writes these steps: test/engine/operate.test.ts does.
import { describe, expect, it } from "vitest";
import { describePlan, type Plan } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import { retiringIn } from "../../operations/plan/sessions";
import type { Outputs, Resource, Step, Summary } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";

const [OLDER, OLD, NOW] = ["2026-06-01", "2026-08-01", "2026-11-20"];
const atEnd =
  "at the end of this update, once no consumer holds it and no session begins with it; its sessions are ended";

/** Nothing in the outputs differs, unless given. */
const planned = (
  credentials: Outputs["credentials"],
  resources: Resource[],
  steps: Step[],
  after = credentials,
): Plan => describePlan(make.facts(make.outputsOf(credentials), make.outputsOf(after), resources, steps));

const whoNeeds = ({ permissions }: Plan) => permissions.flatMap(({ steps }) => steps);

describe("logins of another name", () => {
  const worker = make.consumer("rounds-api", { "rounds-db": [NOW, OLD] });
  const renamed = (stamp: string, mode = "login") =>
    make.step("replace", make.login("rounds-db", stamp, {}, mode), { login: `rounds2_${stamp.replaceAll("-", "")}` });
  const both = { "rounds-db": make.postgres([NOW, OLD]) };

  it("take the place of the old ones, which stop working at the end", () => {
    const steps = [renamed(NOW), renamed(OLD), make.delivery(worker)];
    const logins = [NOW, OLD].map((stamp) => make.login("rounds-db", stamp));
    const plan = planned(both, [...logins, worker], steps);
    expect(plan).toMatchObject({
      outcome: "changes",
      credentials: [
        {
          actions: ["replaced"],
          mints: [],
          keeps: [OLD],
          withdraws: [
            { stamp: NOW, when: `as rounds_20261120, ${atEnd}`, replaced: true },
            { stamp: OLD, when: `as rounds_20260801, ${atEnd}`, replaced: true },
          ],
        },
      ],
      consumers: [{ change: "delivered", mintedAgain: ["rounds-db"] }],
    });
    expect(plan.credentials[0]).not.toHaveProperty("breaksAtOnce");
    const text = toMarkdown(plan);
    expect(text).toContain("| `rounds-db` (postgres) | **replaced** under the same stamp | 2026-11-20, 2026-08-01 |");
    expect(text).toContain(
      `### Stops working, and cannot be undone\n\n- \`rounds-db\` 2026-11-20: as rounds_20261120, ${atEnd}\n`,
    );
    expect(text).toContain("| `rounds-api` | delivered: `rounds-db` minted again | yes |");
    expect(whoNeeds(plan)).toEqual([
      "deliver to rounds-api",
      ...[`mint rounds-db@${NOW}`, `mint rounds-db@${OLD}`],
      ...[`retire rounds-db@${NOW}`, `retire rounds-db@${OLD}`],
    ]);
    expect(retiringIn(steps, []).map(({ login }) => login)).toEqual(["rounds_20261120", "rounds_20260801"]);
  });

  it("beside a roll leave the new one as it is, and retire what leaves the list", () => {
    const [gone, ...more] = [make.login("rounds-db", OLDER), make.login("rounds-db", OLD)];
    const plan = planned(
      { "rounds-db": make.postgres([OLD, OLDER]) },
      [gone, ...more],
      [make.step("create", make.login("rounds-db", NOW)), renamed(OLD), make.step("delete", gone)],
      { "rounds-db": make.postgres([NOW, OLD]) },
    );
    expect(plan.credentials).toMatchObject([
      {
        actions: ["rolls", "retires", "replaced"],
        keeps: [OLD],
        withdraws: [{ stamp: OLDER }, { stamp: OLD, replaced: true }],
      },
    ]);
    expect(toMarkdown(plan)).toContain("**retires** 2026-06-01; **replaced** under the same stamp");
  });

  it("that work on by `abandon` are not said to stop", () => {
    const left = make.facts(
      make.outputsOf(both),
      make.outputsOf(both, { abandoned: ["rounds-db"] }),
      [make.login("rounds-db", NOW)],
      [renamed(NOW)],
    );
    expect(describePlan(left).credentials[0]?.withdraws).toMatchObject([{ stamp: NOW, works: true, replaced: true }]);
    expect(whoNeeds(describePlan(left))).toEqual([`mint rounds-db@${NOW}`]);
  });

  it("break at once where the one role itself is renamed, and do not where it becomes one role, or many", () => {
    const inPlace = { change: "breaks at once" as const };
    const of = (was: string, is: string) => {
      const old = make.login("rounds-db", NOW, {}, was);
      const summary = (mode: string) => ({ "rounds-db": make.postgres([NOW], mode === "inPlace" ? inPlace : {}) });
      const step = make.step("replace", old, { login: "rounds", mode: is });
      const { credentials } = planned(summary(was), [old], [step], summary(is));
      return { when: credentials[0]?.withdraws[0]?.when, breaks: credentials[0]?.breaksAtOnce };
    };
    expect(of("inPlace", "inPlace")).toEqual({
      when: "as rounds_20261120, at once, when the role is renamed, before the new one is delivered",
      breaks: "its one role is renamed in place: logins fail from then until the consumer holds the new name",
    });
    expect(of("login", "inPlace")).toEqual({ when: `as rounds_20261120, ${atEnd}`, breaks: undefined });
    expect(of("inPlace", "login")).toEqual({
      when: "as rounds_20261120, at the end of this update, when its one role is dropped",
    });
  });

  it("are none where another owner is given to the same one: nothing stops, and its value stays", () => {
    const step = make.step("replace", make.login("rounds-db", NOW), { owner: "rounds_owner2" });
    const one = { "rounds-db": make.postgres([NOW]) };
    const plan = planned(one, [make.login("rounds-db", NOW), worker], [step, make.delivery(worker)]);
    expect(plan.credentials).toMatchObject([{ actions: ["replaced"], withdraws: [] }]);
    expect(plan.consumers).toMatchObject([{ mintedAgain: [] }]);
    expect(retiringIn([step], [])).toEqual([]);
    expect(whoNeeds(plan)).toEqual(["deliver to rounds-api", `mint rounds-db@${NOW}`]);
  });

  it("are told of the adopted one, though no Worker is delivered to", () => {
    const adopted = make.login("rounds-db", "adopted", {}, "adopted");
    const summary = { "rounds-db": make.postgres([NOW], { consumers: [] }) };
    const step = make.step("replace", adopted, { login: "app2" });
    const plan = planned(summary, [make.login("rounds-db", NOW), adopted], [step]);
    expect(plan).toMatchObject({
      outcome: "changes",
      credentials: [{ actions: ["replaced"], withdraws: [{ stamp: "adopted", when: `as rounds_adopted, ${atEnd}` }] }],
    });
    expect(toMarkdown(plan)).toContain("- `rounds-db` adopted: as rounds_adopted, at the end of this update");
    expect(whoNeeds(plan)).toEqual(["retire rounds-db@adopted"]);
    expect(retiringIn([step], [])).toMatchObject([{ name: "rounds-db", stamp: "adopted" }]);
  });
});

describe("tokens of another database", () => {
  const replaced = (stamp: string, place: string, more: make.TokenMore = {}) => {
    const token = make.token("rounds", stamp, { place, ...more });
    return { token, step: make.step("replace", token, { target: { kind: "database", name: "other" } }) };
  };
  const summary = { rounds: make.turso([NOW, OLD], [OLDER]) };
  const works =
    "its token works until 2027-02-18T12:00:00.000Z, and one for database other takes its place, so the update will deliver that one and then fail; deliver it by a credential of another name, or invalidate group production";

  it("take the place of old ones that work on, and the update fails for them", () => {
    const all = [replaced(NOW, "current"), replaced(OLD, "previous"), replaced(OLDER, "retired")];
    const worker = make.consumer("rounds-api", { rounds: [NOW, OLD] });
    const tokens = all.map(({ token }) => token);
    const plan = planned(summary, [...tokens, worker], [...all.map(({ step }) => step), make.delivery(worker)]);
    const when =
      "for database rounds, no longer delivered; its token works until 2027-02-18T12:00:00.000Z; Turso cannot revoke it alone";
    expect(plan).toMatchObject({
      credentials: [
        {
          actions: ["replaced"],
          withdraws: [NOW, OLD].map((stamp) => ({ stamp, when, works: true, replaced: true })),
        },
      ],
      consumers: [{ mintedAgain: ["rounds"] }],
      warnings: [NOW, OLD, OLDER].map((stamp) => ({ name: `rounds@${stamp}`, what: works })),
    });
    expect(toMarkdown(plan)).toContain("### Warnings\n\n- `rounds@2026-11-20`: its token works until");
  });

  it("are warned of no more where the old one is dead, or left behind", () => {
    const past = replaced(NOW, "current", { expires: "2026-10-01T00:00:00.000Z" });
    const dead = planned({ rounds: make.turso([NOW]) }, [past.token], [past.step]);
    expect(dead.warnings).toEqual([]);
    expect(dead.credentials[0]?.withdraws[0]).not.toHaveProperty("works");
    const { token, step } = replaced(NOW, "current");
    const one = { rounds: make.turso([NOW]) };
    const left = make.outputsOf(one, { abandoned: ["rounds"] });
    expect(describePlan(make.facts(make.outputsOf(one), left, [token], [step])).warnings).toMatchObject([
      { what: "its token works until 2027-02-18T12:00:00.000Z, and `abandon` leaves it behind" },
    ]);
  });
});

describe("another kind under the same name and stamp", () => {
  const worker = make.consumer("rounds-api", { key: [NOW] });
  const password = make.resource("RandomPassword", `key@${NOW}`);
  const login = make.login("key", NOW);
  const kinds: [string, Summary, Summary, Resource[], Step[], string][] = [
    [
      "a login",
      make.random([NOW]),
      make.postgres([NOW]),
      [password],
      [make.step("create", login), make.delivery(worker), make.step("delete", password)],
      "with the delivery: no consumer is handed it any more",
    ],
    [
      "a random value",
      make.postgres([NOW]),
      make.random([NOW]),
      [password, login],
      [make.step("create", password), make.delivery(worker), make.step("delete", login)],
      atEnd,
    ],
  ];

  it.each(kinds)("is one that is removed and %s that is delivered first", (_, was, is, resources, steps, when) => {
    const plan = planned({ key: was }, [...resources, worker], steps, { key: is });
    expect(plan.credentials).toEqual([
      expect.objectContaining({ kind: was.kind, actions: ["removed"], withdraws: [{ stamp: NOW, when }] }),
      expect.objectContaining({ kind: is.kind, actions: ["first delivery"], mints: [NOW], withdraws: [] }),
    ]);
    expect(plan.consumers).toMatchObject([{ mintedAgain: ["key"] }]);
    expect(toMarkdown(plan)).not.toContain("the same values again");
  });

  it("retires an adopted login once", () => {
    const adopted = make.login("key", "adopted", {}, "adopted");
    const gone = [login, adopted].map((one) => make.step("delete", one));
    const plan = planned({ key: make.postgres([NOW]) }, [login, adopted], gone, { key: make.random([NOW]) });
    expect(plan.credentials.map(({ withdraws }) => withdraws.map(({ stamp }) => stamp))).toEqual([
      [NOW, "adopted"],
      [],
    ]);
  });
});

describe("an update of a login that stays", () => {
  const actions = (inputs: Resource["inputs"], news: Resource["inputs"], stamps = [NOW]) => {
    const made = make.login("rounds-db", NOW);
    const login = { ...made, inputs: { ...made.inputs, ...inputs } };
    const summary = { "rounds-db": make.postgres(stamps, { consumers: [] }) };
    const plan = planned(summary, [login], [make.step("update", login, news)]);
    return plan.credentials.flatMap((one) => one.actions);
  };

  it("proves it again where its checks or its place change, and is a change of settings else", () => {
    const base = { current: true, checks: [], database: "rounds", quietMs: 300 };
    expect(actions(base, { checks: [`SELECT '${make.SECRET}'`] })).toEqual(["proven again"]);
    expect(actions({ ...base, current: false }, { checks: ["SELECT 1"] })).toEqual(["settings change"]);
    expect(actions({ ...base, current: false }, { database: "rounds2" })).toEqual(["proven again"]);
    expect(actions({ ...base, mode: "adopted" }, { server: "db2.example.com:5432" })).toEqual(["settings change"]);
    expect(actions(base, { quietMs: 400 })).toEqual(["settings change"]);
  });

  it("is told beside a retirement, and in no other words", () => {
    const login = make.login("rounds-db", NOW);
    const old = make.login("rounds-db", OLD);
    const steps = (news: Resource["inputs"]) => [make.step("update", login, news), make.step("delete", old)];
    const of = (news: Resource["inputs"]) =>
      planned({ "rounds-db": make.postgres([NOW, OLD]) }, [login, old], steps(news), {
        "rounds-db": make.postgres([NOW]),
      });
    expect(of({ edit: make.UNKNOWN }).credentials).toMatchObject([{ actions: ["retires"] }]);
    const proven = of({ current: true, checks: [make.SECRET] });
    expect(proven.credentials).toMatchObject([{ actions: ["retires", "proven again"] }]);
    expect(toMarkdown(proven)).toContain("**proven again**: its `checks` are run as its owner");
    expect(toMarkdown(proven)).not.toContain(make.SECRET);
  });
});
