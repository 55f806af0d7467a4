// Proves what the plan says of age, freezes and intervals by the stack's policy, and when it fails for it. Not the days themselves:
// those are due.test.ts's.
import { describe, expect, it } from "vitest";
import { exitCodeOf } from "../../operations/plan";
import { describePlan } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import type { Outputs, Summary } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";

const [OLDER, OLD, NOW] = ["2026-06-01", "2026-08-01", "2026-11-20"];
const policy = { warnBefore: "14d", overlap: "7d", enforce: true, freeze: [] };

describe("the policy", () => {
  const planned = (
    before: string[],
    after: string[],
    more: Partial<Summary> = {},
    rules: Partial<Outputs["policy"]> = {},
  ) =>
    describePlan(
      make.facts(
        make.outputsOf({ key: make.random(before) }),
        make.outputsOf({ key: make.random(after, { maxAge: "90d", ...more }) }, { policy: { ...policy, ...rules } }),
        before.map((stamp) => make.resource("RandomPassword", `key@${stamp}`)),
        [],
      ),
    );

  const unchanged = (credentials: Outputs["credentials"]) => {
    const same = make.outputsOf(credentials);
    return describePlan(make.facts(same, same, [], []));
  };

  it("fails with 7 while a live generation is too old, says which, and passes once the change mends it", () => {
    const late = planned([OLD], [OLD]);
    expect(late).toMatchObject({
      outcome: "nothing",
      policy: { overdue: [{ name: "key", what: "2026-08-01 is 112 days old, and 90d is the most" }] },
    });
    expect(exitCodeOf(late)).toBe(7);
    expect(toMarkdown(late)).toContain("**Nothing changes. 1 overdue.**");
    // Else nobody could merge what mends it: the old one is live beside the new one until its overlap ends.
    expect(exitCodeOf(planned([OLD], [NOW, OLD]))).toBe(0);
    const mended = planned([OLD], [NOW]);
    expect(mended.policy?.overdue).toEqual([]);
    expect(exitCodeOf(mended)).toBe(0);
  });

  it("only says so where it is not enforced, and nothing where there is none", () => {
    const told = planned([OLD], [OLD], {}, { enforce: false });
    expect(exitCodeOf(told)).toBe(0);
    expect(toMarkdown(told)).toContain("**overdue** (not enforced): `key`");
    const none = unchanged({ key: make.random([OLD]) });
    expect(none).not.toHaveProperty("policy");
    expect(toMarkdown(none)).not.toContain("### Policy");
    expect(exitCodeOf({ ...told, outcome: "failed" })).toBe(1);
  });

  it("judges an age of a credential's own where there is none, and that credential alone", () => {
    const own = unchanged({
      key: make.random([OLD], { maxAge: "90d" }),
      other: make.random(["2026-11-20", OLD, OLDER]),
    });
    expect(own.policy).toMatchObject({ enforce: false, overdue: [{ name: "key" }], soon: [], stale: [], lint: [] });
    expect(exitCodeOf(own)).toBe(0);
    expect(toMarkdown(own)).toContain("### Policy\n\n- **overdue** (not enforced): `key`: 2026-08-01 is 112 days old");
  });

  it("takes a stamp in the future for overdue: its age says nothing", () => {
    const future = planned(["2026-11-23", NOW], ["2026-11-23", NOW]);
    expect(future.policy?.overdue).toMatchObject([
      { name: "key", what: expect.stringMatching(/^2026-11-23 is in the future/) as string },
    ]);
    expect(exitCodeOf(future)).toBe(7);
    expect(future.policy?.soon).toEqual([]);
    // Somewhere it is tomorrow already.
    expect(exitCodeOf(planned(["2026-11-22"], ["2026-11-22"]))).toBe(0);
    const both = planned([OLD, "2027-11-23.2"], [OLD, "2027-11-23.2"]).policy?.overdue;
    expect(both?.map(({ what }) => what).join()).toMatch(/2026-08-01 is 112 days old.*2027-11-23\.2 is in the future/);
    const unlimited = planned(["2027-01-01", OLD], ["2027-01-01", OLD], { maxAge: undefined }).policy?.overdue;
    expect(unlimited).toMatchObject([{ name: "key", what: expect.stringMatching(/^2027-01-01 is in/) as string }]);
  });

  it("tells what is due soon, what should have been retired, a roll in a freeze, intervals that do not go together", () => {
    const soon = planned(["2026-08-30"], ["2026-08-30"]).policy;
    expect(soon).toMatchObject({ overdue: [], soon: [{ name: "key" }], stale: [] });
    expect(soon?.soon[0]?.what).toMatch(/^is due by 2026-11-28; .* rolls it from 2026-11-\d\d on$/);
    const stale = planned(["2026-10-20", "2026-10-01"], ["2026-10-20", "2026-10-01"]).policy?.stale;
    expect(stale).toMatchObject([
      { what: expect.stringContaining("2026-10-01 is live though the overlap is over") as string },
    ]);
    const freeze = [{ from: "2026-11-20", to: "2026-11-30" }];
    expect(planned([OLD], [NOW], {}, { freeze }).policy?.freeze).toEqual([
      { name: "key", what: "rolls in a freeze (2026-11-20 to 2026-11-30)" },
    ]);
    expect(planned([NOW], [NOW], {}, { freeze }).policy?.freeze).toEqual([]);
    const lint = planned(["2026-11-18", OLD], [NOW, "2026-11-18", OLD]).policy?.lint;
    expect(lint).toMatchObject([{ name: "key", what: expect.stringContaining("within the overlap of 7d") as string }]);
  });

  it("holds a token's life against its age", () => {
    const after = make.outputsOf({ rounds: make.turso([NOW], [], { maxAge: "90d" }) }, { policy });
    const steps = [make.step("create", make.token("rounds", NOW, { expiration: "92d" }))];
    const { policy: told } = describePlan(make.facts(make.outputsOf({}), after, [], steps));
    expect(told?.lint).toMatchObject([{ name: "rounds", what: expect.stringContaining("97d") as string }]);
  });
});

describe("a change that would disarm the policy in state", () => {
  const changed = (
    maxAge: string | undefined,
    rules: Partial<Outputs["policy"]> | undefined,
    live = [OLD],
    enforce = true,
  ) => {
    const key = (age: string | undefined, stamps: string[]) => ({ key: make.random(stamps, { maxAge: age }) });
    const before = make.outputsOf(key("90d", [OLD]), { policy: { ...policy, enforce } });
    const after = make.outputsOf(key(maxAge, live), rules && { policy: { ...policy, ...rules } });
    return describePlan(make.facts(before, after, [make.resource("RandomPassword", `key@${OLD}`)], []));
  };
  const fails =
    "**overdue by the policy before this change, so this check fails:** `key`: 2026-08-01 is 112 days old, and 90d is the most";

  it.each<[string, string | undefined, Partial<Outputs["policy"]> | undefined, string]>([
    [
      "enforces no longer",
      "90d",
      { enforce: false },
      "**weaker with this change**: `rollover:policy`: is enforced no longer",
    ],
    ["raises the age", "3650d", {}, "**weaker with this change**: `key`: may become 3650d old, 90d before"],
    [
      "takes the age away",
      undefined,
      {},
      "**weaker with this change**: `key`: may become as old as it likes, 90d before",
    ],
    ["takes the policy away", undefined, undefined, "**weaker with this change**: `rollover:policy`: is taken away"],
  ])("fails where it %s, by what held before, and says so", (_, maxAge, rules, said) => {
    const told = changed(maxAge, rules);
    expect(exitCodeOf(told)).toBe(7);
    const text = toMarkdown(told);
    expect(text).toContain(`- ${fails}\n`);
    expect(text).toContain(said);
    expect(text).toContain("1 overdue.");
    expect(text.split("`key`: 2026-08-01 is")).toHaveLength(2);
    // The same change passes, with its warning, where nothing is overdue or nothing was enforced.
    const mended = changed(maxAge, rules, [NOW]);
    expect(exitCodeOf(mended)).toBe(0);
    expect(toMarkdown(mended)).toContain(said);
    expect(exitCodeOf(changed(maxAge, rules && { ...rules, enforce: false }, [OLD], false))).toBe(0);
  });

  describe("of a freeze", () => {
    const frozen = (from: string, to: string, reason?: string) => ({ from, to, ...(reason && { reason }) });
    const told = (was: ReturnType<typeof frozen>[], is: ReturnType<typeof frozen>[] | undefined, to = [NOW, OLD]) => {
      const key = (live: string[]) => ({ key: make.random(live, { maxAge: "365d" }) });
      const before = make.outputsOf(key([OLD]), { policy: { ...policy, freeze: was } });
      const after = make.outputsOf(key(to), is && { policy: { ...policy, freeze: is } });
      return describePlan(make.facts(before, after, [make.resource("RandomPassword", `key@${OLD}`)], []));
    };
    const november = frozen("2026-11-20", "2026-11-30", "the fair");

    it("is judged by the freeze that it takes away, and names it", () => {
      const plan = told([november], []);
      expect(plan.policy?.freeze).toEqual([
        {
          name: "key",
          what: "rolls in a freeze (2026-11-20 to 2026-11-30: the fair) of the policy before this change",
        },
      ]);
      expect(toMarkdown(plan)).toContain(
        "- **weaker with this change**: `rollover:policy`: its freeze from 2026-11-20 to 2026-11-30 is taken away\n",
      );
      // Whoever takes the whole policy away rolls in it too; one of its own that is open today is named as before.
      expect(told([november], undefined).policy?.freeze).toMatchObject([{ name: "key" }]);
      const own = told([november], [frozen("2026-11-01", "2026-11-30")]).policy;
      expect(own).toMatchObject({ freeze: [{ what: "rolls in a freeze (2026-11-01 to 2026-11-30)" }], weaker: [] });
    });

    it("is weaker by each day to come that is open then, and by none that is past", () => {
      const weaker = (...args: Parameters<typeof told>) => told(...args).policy?.weaker.map(({ what }) => what);
      const shortened = ["its freeze from 2026-11-20 to 2026-11-30 is shortened"];
      expect(weaker([november], [frozen("2026-11-23", "2026-11-30")])).toEqual(shortened);
      expect(weaker([november], [frozen("2026-11-20", "2026-11-29")])).toEqual(shortened);
      expect(weaker([november], [frozen("2026-11-21", "2026-11-30")])).toEqual([]);
      expect(weaker([november], [frozen("2026-11-19", "2026-11-25"), frozen("2026-11-26", "2026-12-01")])).toEqual([]);
      expect(weaker([frozen("2026-11-01", "2026-11-20")], [])).toEqual([]);
      expect(weaker([frozen("2026-12-20", "2026-12-31")], [], [OLD])).toEqual([
        "its freeze from 2026-12-20 to 2026-12-31 is taken away",
      ]);
      expect(told([november], [november], [OLD]).policy).toMatchObject({ freeze: [], weaker: [] });
    });
  });

  it("is none where the policy stays or becomes stricter", () => {
    expect(changed("90d", {}).policy).toMatchObject({ weaker: [], overdueBefore: [], overdue: [{ name: "key" }] });
    expect(changed("30d", {}).policy).toMatchObject({ weaker: [], overdueBefore: [], overdue: [{ name: "key" }] });
    expect(changed("30d", {}, [NOW], false).policy).toMatchObject({ weaker: [], overdueBefore: [], overdue: [] });
  });

  it("names the credentials of one age together, and judges none that is new", () => {
    const of = (age: string, more: Record<string, Summary> = {}) => ({
      ...{ a: make.random([NOW], { maxAge: age }), b: make.random([NOW], { maxAge: age }) },
      ...more,
    });
    const before = make.outputsOf(of("90d"), { policy });
    const after = make.outputsOf(of("700d", { late: make.random([OLDER], { maxAge: "3650d" }) }), { policy });
    const told = describePlan(make.facts(before, after, [], []));
    expect(toMarkdown(told)).toContain("`a`, `b`: may become 700d old, 90d before");
    expect(exitCodeOf(told)).toBe(0);
  });
});
