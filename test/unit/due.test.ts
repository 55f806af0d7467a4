// Proves when a credential is due and when what it rolled away from is to be retired: over simulated years of daily runs nothing
// is ever overdue and no roll falls into an open overlap, whatever the policy and its freezes, and rolls are spread; and a stamp
// of the future, once rolled away from, holds nothing up. Not what is edited then (rotate-due.test.ts).
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addDays } from "../../components/rotation/calendar";
import { dueOf, freezeOn } from "../../components/rotation/due";
import type { Policy } from "../../components/rotation/model";
import { parsePolicy } from "../../components/rotation/policy";
import type { Problem } from "../../components/rotation/problem";

const DAY = 86_400_000;
const START = "2026-01-01";
const policyOf = (age: number, warnBefore: number, overlap: number, freeze: Policy["freeze"] = []): Policy => ({
  ...{ maxAgeMs: { default: age * DAY }, warnBeforeMs: warnBefore * DAY, overlapMs: overlap * DAY },
  ...{ enforce: true, freeze },
});
const POLICY = policyOf(90, 14, 7);
const due = (generations: string[], day: string, policy: Policy | undefined = POLICY, name = "key") =>
  dueOf({ name, kind: "random", generations }, policy, day);

describe("a credential", () => {
  it("is fine, then soon, then overdue, by its age in days", () => {
    const at = (day: string) => due(["2026-01-01"], day);
    expect(at("2026-03-01")).toMatchObject({ maxAgeMs: 90 * DAY, ageDays: 59, due: "2026-04-01", status: "fine" });
    expect([at("2026-03-18").status, at("2026-04-01").status]).toEqual(["soon", "soon"]);
    expect(at("2026-04-02")).toMatchObject({ ageDays: 91, status: "overdue" });
    const day = at(START).rollOn ?? "";
    expect(day >= "2026-03-18" && day <= "2026-03-24").toBe(true);
    expect(new Set(["2026-01-01", "2026-03-01", day, "2026-04-02"].map((one) => at(one).rollOn))).toEqual(
      new Set([day]),
    );
  });

  it("is overdue by its previous generation too, once its overlap is over: a late roll mends it", () => {
    expect(due(["2026-04-20", "2026-01-01"], "2026-04-21")).toMatchObject({ status: "fine", stale: [] });
    expect(due(["2026-04-20", "2026-01-01"], "2026-05-20")).toMatchObject({ status: "overdue", stale: ["2026-01-01"] });
    expect(due(["2026-04-20"], "2026-04-21").status).toBe("fine");
  });

  it("has a limit by its kind, by its own maxAge, or none", () => {
    const mixed: Policy = { ...POLICY, maxAgeMs: { turso: 30 * DAY } };
    const generations = ["2026-01-01", "2025-12-01"];
    const none = { maxAgeMs: undefined, ageDays: 31, due: undefined, rollOn: undefined, status: "unlimited" };
    expect(due(generations, "2026-02-01", mixed)).toEqual({ ...none, stale: ["2025-12-01"], inFuture: [] });
    expect(dueOf({ name: "t", kind: "turso", generations }, mixed, "2026-02-01")).toMatchObject({ status: "overdue" });
    expect(dueOf({ name: "k", kind: "random", generations }, undefined, "2026-02-01")).toEqual({
      ...none,
      stale: [],
      inFuture: [],
    });
    const own = { name: "k", kind: "random" as const, generations, maxAgeMs: 40 * DAY };
    expect(dueOf(own, undefined, "2026-02-01")).toMatchObject({
      due: "2026-02-10",
      status: "overdue",
      stale: ["2025-12-01"],
    });
  });

  it("retires previous generations when their overlap is over: the last ones of the list", () => {
    expect(due(["2026-02-10", "2026-01-01"], "2026-02-16").stale).toEqual([]);
    expect(due(["2026-02-10", "2026-01-01"], "2026-02-17").stale).toEqual(["2026-01-01"]);
    expect(due(["2026-02-10", "2026-02-08", "2026-01-01"], "2026-02-15").stale).toEqual(["2026-01-01"]);
    expect(due(["2026-02-10", "2026-02-08", "2026-01-01"], "2026-02-17").stale).toEqual(["2026-02-08", "2026-01-01"]);
    expect(due(["2026-02-10.2", "2026-02-10"], "2026-02-17").stale).toEqual(["2026-02-10"]);
    // After a rollback the overlap counts from the one that was rolled away from.
    expect(due(["2026-01-01", "2026-02-10"], "2026-02-16").stale).toEqual([]);
    expect(due(["2026-01-01", "2026-02-10"], "2026-02-17").stale).toEqual(["2026-02-10"]);
  });

  it("is rolled after the overlap, also that of the one which it was rolled back from", () => {
    const policy = policyOf(30, 20, 9);
    expect(due(["2026-03-01"], "2026-03-19", policy).rollOn).not.toBe("2026-03-28");
    expect(due(["2026-03-01", "2026-03-18"], "2026-03-19", policy).rollOn).toBe("2026-03-28");
  });

  it("is overdue by a stamp that is more than a day ahead, whose age nobody knows", () => {
    expect(due(["2026-02-02"], "2026-02-01")).toMatchObject({ status: "fine", inFuture: [] });
    expect(due(["2026-02-03"], "2026-02-01")).toMatchObject({ status: "overdue", inFuture: ["2026-02-03"] });
    expect(due(["2027-11-20.2"], "2026-11-21")).toMatchObject({ status: "overdue", inFuture: ["2027-11-20.2"] });
    const kinds: Policy = { ...POLICY, maxAgeMs: { turso: 30 * DAY } };
    expect(due(["2027-11-20"], "2026-11-21", kinds)).toMatchObject({ status: "overdue", due: undefined });
    const free = { name: "k", kind: "random" as const, generations: ["2027-11-20"] };
    expect(dueOf(free, undefined, "2026-11-21")).toMatchObject({ status: "unlimited", inFuture: ["2027-11-20"] });
    // Once rolled away from, its overlap counts from what came after it.
    expect(due(["2026-02-01", "2027-11-20"], "2026-02-07").stale).toEqual([]);
    expect(due(["2026-02-01", "2027-11-20"], "2026-02-08")).toMatchObject({
      status: "overdue",
      stale: ["2027-11-20"],
    });
    // And so does that of what came before it: nothing is ever retired but the last ones.
    const typo = ["2026-11-20", "2062-11-01", "2026-11-01"];
    expect(due(typo, "2026-11-26").stale).toEqual([]);
    expect(due(typo, "2026-11-27").stale).toEqual(["2062-11-01", "2026-11-01"]);
    expect(due(["2026-11-20", "2062-11-01", "2061-11-01"], "2026-11-27").stale).toEqual(["2062-11-01", "2061-11-01"]);
    const inTime = (day: string | undefined) => day !== undefined && "2027-02-01" < day && day < "2027-02-18";
    expect(inTime(due(typo, "2026-11-21").rollOn)).toBe(true);
  });

  it("counts a due day in a freeze as the day before it, and freezes that touch as one", () => {
    const freeze = [
      { from: "2026-03-28", to: "2026-04-05", reason: "sale" },
      { from: "2026-03-20", to: "2026-03-27" },
    ];
    const frozen = due(["2026-01-01"], START, policyOf(90, 14, 7, freeze)).rollOn ?? "";
    expect(frozen >= "2026-03-05" && frozen <= "2026-03-11").toBe(true);
    const window = [{ from: "2026-03-16", to: "2026-03-27" }];
    expect(due(["2026-01-01"], START, policyOf(90, 14, 7, window)).rollOn).toBe("2026-03-15");
    expect(freezeOn(policyOf(90, 14, 7, freeze), "2026-04-05")).toMatchObject({ reason: "sale" });
    expect(freezeOn(policyOf(90, 14, 7, freeze), "2026-04-06")).toBeUndefined();
  });

  it("is retired before a freeze where its overlap would end too late behind it", () => {
    const freeze = [{ from: "2026-03-25", to: "2026-04-10" }];
    const policy = policyOf(90, 14, 7, freeze);
    expect(due(["2026-03-20", "2026-01-01"], "2026-03-23", policy).stale).toEqual([]);
    expect(due(["2026-03-20", "2026-01-01"], "2026-03-24", policy).stale).toEqual(["2026-01-01"]);
  });
});

/** Freezes with gaps from one day on, as many of them as a policy of these numbers may have. */
const policies = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 120 }))
  .chain(([overlap, more, most]) => {
    const warnBefore = overlap + more;
    const age = warnBefore + overlap + most;
    const gaps = fc.oneof(fc.integer({ min: 1, max: overlap + 3 }), fc.integer({ min: 1, max: warnBefore + 90 }));
    const lengths = fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: age }));
    return fc.array(fc.tuple(gaps, lengths), { maxLength: 80 }).map((parts) => {
      let at = 0;
      let policy = policyOf(age, warnBefore, overlap);
      for (const [gap, length] of parts) {
        const next = { from: addDays(START, at + gap), to: addDays(START, at + gap + length - 1) };
        const freeze = [...policy.freeze, next];
        if (!isTaken(age, warnBefore, overlap, freeze)) continue;
        policy = { ...policy, freeze };
        at += gap + length;
      }
      return policy;
    });
  });

/** Whether config may say so. */
function isTaken(age: number, warnBefore: number, overlap: number, freeze: Policy["freeze"]): boolean {
  const problems: Problem[] = [];
  const days = { maxAge: { default: `${age}d` }, warnBefore: `${warnBefore}d`, overlap: `${overlap}d` };
  parsePolicy({ ...days, freeze }, problems);
  return problems.length === 0;
}

/** The first day from this one on that is in no freeze. */
function openFrom(policy: Policy, day: string): string {
  const freeze = freezeOn(policy, day);
  return freeze ? openFrom(policy, addDays(freeze.to, 1)) : day;
}

/**
 * Follows what is due, each day for four years; returns how often it rolled. Never in an open overlap.
 *
 * @param then What is live at the end of a day, as somebody leaves it by hand.
 */
function daily(policy: Policy, name: string, then: (live: string[], day: string) => string[]): number {
  let [live, rolls] = [[START], 0];
  for (let day = START; day < "2030-01-01"; day = addDays(day, 1)) {
    if (freezeOn(policy, day) === undefined) {
      const { stale, rollOn = "" } = due(live, day, policy, name);
      if (stale.length > 0) live = live.slice(0, -stale.length);
      else if (rollOn <= day) {
        expect(live).toHaveLength(1);
        live = [day, ...live];
        rolls++;
      }
    }
    live = then(live, day);
  }
  return rolls;
}

describe("over four years of daily runs", { timeout: 60_000 }, () => {
  it("nothing is overdue, and no roll falls into an open overlap or a freeze", () => {
    let rolls = 0;
    fc.assert(
      fc.property(policies, fc.string({ minLength: 1, maxLength: 12 }), (policy, name) => {
        rolls += daily(policy, name, (live, day) => {
          expect(due(live, day, policy, name).status, `${day} ${live.join()}`).not.toBe("overdue");
          return live;
        });
      }),
      { numRuns: 60 },
    );
    expect(rolls).toBeGreaterThan(500);
  });

  it("a stamp of the future is retired in its time once it is rolled away from, and all goes on", () => {
    let typos = 0;
    // Further ahead than any freeze is long, or so near that its day comes in its overlap.
    const aheads = fc.oneof(fc.integer({ min: 400, max: 40_000 }), fc.integer({ min: 2, max: 40 }));
    fc.assert(
      fc.property(policies, fc.integer({ min: 0, max: 1000 }), aheads, (policy, after, ahead) => {
        const overlap = policy.overlapMs / DAY;
        let typo: { stamp: string; gone: string } | undefined;
        daily(policy, "key", (live, day) => {
          if (typo?.gone === day) expect(live, `${day} ${live.join()}`).not.toContain(typo.stamp);
          if (typo && day >= typo.gone && ahead >= 400)
            expect(due(live, day, policy).status, `${day} ${live.join()}`).not.toBe("overdue");
          if (typo || day < addDays(START, after) || freezeOn(policy, day)) return live;
          typos++;
          const end = openFrom(policy, addDays(day, overlap));
          // Where it is tomorrow in its overlap, that counts from there.
          typo = { stamp: addDays(day, ahead), gone: ahead >= 400 ? end : openFrom(policy, addDays(end, overlap + 1)) };
          return [day, typo.stamp, ...live.filter((one) => one !== day)];
        });
      }),
      { numRuns: 60 },
    );
    expect(typos).toBeGreaterThan(50);
  });

  it("40 credentials of one day are rolled on no day by more than a third, and on all days of their window", () => {
    let live = Array.from({ length: 40 }, (_, index) => ({ name: `service-${index + 1}`, generations: [START] }));
    for (const round of [1, 2, 3, 4]) {
      const days = live.map(({ name, generations }) => due(generations, START, POLICY, name).rollOn ?? "");
      const counts = [...new Set(days)].map((day) => days.filter((one) => one === day).length);
      expect(counts.length).toBeGreaterThanOrEqual(7);
      expect(Math.max(...counts), `round ${round}`).toBeLessThanOrEqual(13);
      live = live.map(({ name }, index) => ({ name, generations: [days[index] ?? ""] }));
    }
  });
});
