// Proves that a rotation is told once, when it was completed, and never for an update that was stopped, failed or taken back.
// Not that the audit has these records: test/engine/off-boarding.test.ts, test/engine/operate.test.ts.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AuditRecord } from "../../components/audit/record";
import { changesOf } from "../../operations/report/changes";
import { chained, update } from "./report-fixture";

const [A, B, C] = ["2026-05-04", "2026-08-24", "2026-11-16"];
const common = { credential: "rounds-db" };
const at = (from: string[], to: string[], consumer = "rounds-api") => ({ from, to, consumer, attested: true });

type Steps = Parameters<typeof update>[3];
type Step = Steps[number];

/** One update a list of steps, a minute apart; newest change first. */
function told(...updates: Steps[]) {
  const records = updates.flatMap((steps, index) =>
    update(`u${index + 1}`, `2026-11-20T08:0${index}:00Z`, common, steps),
  );
  return changesOf(chained(records)).map(({ update: id, what, rotated, result }) => ({ id, what, rotated, result }));
}

const announced: Step = { step: "announce", from: [B], to: [C, B] };
const minted: Step = { step: "mint", to: [C], proven: true };
const delivered: Step = { step: "deliver", ...at([B], [C, B]) };
const completed: Step = { step: "complete", from: [B], to: [C, B] };
const roll = `roll ${B} → ${C}`;
const open = { what: roll, rotated: false, result: "no outcome recorded" };

describe("a roll", () => {
  it("that was stopped before its delivery has no outcome; the update that ends it is the rotation", () => {
    expect(told([announced, minted])).toEqual([{ id: "u1", ...open }]);
    expect(told([announced, minted], [delivered, completed])).toEqual([
      { id: "u2", what: roll, rotated: true, result: "done" },
      { id: "u1", ...open },
    ]);
  });

  it("that was delivered and stopped is one when the next update says so, and then not twice", () => {
    expect(told([announced, minted, delivered])).toEqual([{ id: "u1", ...open }]);
    expect(told([announced, minted, delivered], [completed])).toEqual([
      { id: "u2", what: `completion of ${roll}`, rotated: false, result: "done" },
      { id: "u1", what: roll, rotated: true, result: "done" },
    ]);
    // To its second consumer only the next update came.
    const second: Step = { step: "deliver", ...at([B], [C, B], "mailer") };
    expect(told([announced, minted, delivered], [second, completed]).map(({ rotated }) => rotated)).toEqual([
      true,
      false,
    ]);
  });

  it("whose completion failed is one when that was done", () => {
    const changes = told([announced, minted, delivered, { ...completed, result: "failed" }], [completed]);
    expect(changes).toMatchObject([
      { id: "u2", rotated: true, result: "done" },
      { id: "u1", rotated: false, result: "failed" },
    ]);
  });

  it("that was taken back is none, and taking it back has nothing to complete", () => {
    const back: Step = { step: "announce", from: [C, B], to: [B] };
    const before: Step = { step: "complete", from: [A], to: [B] };
    const first = [{ step: "deliver" as const, ...at([A], [B]) }, before];
    expect(told(first, [announced, minted], [back, { step: "retire", from: [C] }])).toEqual([
      { id: "u3", what: `rollback ${C} → ${B}; retirement of ${C}`, rotated: false, result: "done" },
      { id: "u2", ...open },
      { id: "u1", what: `roll ${A} → ${B}; retirement of ${A}`, rotated: true, result: "done" },
    ]);
  });

  it("that was taken back by an update that was stopped is none either, when the next one ends that", () => {
    const first = [
      { step: "deliver" as const, ...at([A], [B]) },
      { step: "complete" as const, from: [A], to: [B] },
    ];
    const moved: Step = { step: "deliver", ...at([B], [C]) };
    const announcedAlone: Step = { step: "announce", from: [B], to: [C] };
    const back: Step = { step: "announce", from: [C], to: [B] };
    const changes = told(first, [announcedAlone, minted, moved], [back], [{ step: "deliver", ...at([C], [B]) }]);
    expect(changes.map(({ id, rotated }) => [id, rotated])).toEqual([
      ["u4", false],
      ["u3", false],
      ["u2", false],
      ["u1", true],
    ]);
  });

  it("of which nobody keeps an announcement is one by its delivery, not by its minting", () => {
    expect(told([minted])).toMatchObject([{ rotated: false, result: "done" }]);
    expect(told([minted, delivered])).toEqual([{ id: "u1", what: roll, rotated: true, result: "done" }]);
  });

  it("in the first update with an audit is one, though everything is new to that", () => {
    const list = { from: [], to: [C, B] };
    expect(told([{ step: "announce", ...list }, minted, delivered, { step: "complete", ...list }])).toEqual([
      { id: "u1", what: roll, rotated: true, result: "done" },
    ]);
  });
});

it("the end of an incident rotates nothing", () => {
  const of = (step: "announce" | "complete", from: string[], to: string[]) => ({
    ...{ credential: "group/production", step, from, to },
  });
  const [change] = told([of("announce", ["incident"], [C]), of("complete", ["incident"], [C])]);
  expect(change).toMatchObject({ rotated: false, result: "done" });
});

describe("over any history of edits, kills and failures", () => {
  const stamps = ["2026-06-01", "2026-07-01", "2026-08-01", "2026-09-01"];
  const run = fc.record({
    /** The list that config has from then on; undefined: the same update again. */
    edit: fc.option(fc.shuffledSubarray(stamps, { minLength: 1 }), { nil: undefined }),
    /** The step before which, or in which, it ends. */
    stop: fc.nat({ max: 6 }),
    how: fc.constantFrom("killed before", "killed in", "failed", "complete", "complete"),
  });

  it("as many changes are rotations as completions have a new current value", () => {
    const check = (runs: (typeof run extends fc.Arbitrary<infer T> ? T : never)[]) => {
      let list = stamps.slice(0, 1);
      const [before = ""] = list;
      const records: Partial<AuditRecord>[] = update("first", "2026-09-30T00:00:00Z", common, [
        { step: "announce", to: list },
        { step: "complete", to: list },
      ]);
      const state = { announced: before, completed: before, minted: new Set(list), held: [before, before] };
      let expected = 0;
      runs.forEach(({ edit, stop, how }, index) => {
        list = edit ?? list;
        const [to, text, current = ""] = [list, list.join(), list[0]];
        const listOf = (held: string) => (held === "" ? [] : held.split(","));
        const steps: [step: Step, apply: () => void][] = [];
        if (state.announced !== text)
          steps.push([{ step: "announce", from: listOf(state.announced), to }, () => (state.announced = text)]);
        if (!state.minted.has(current)) steps.push([{ step: "mint", to: [current] }, () => state.minted.add(current)]);
        state.held.forEach((held, worker) => {
          if (held === text) return;
          const own = { from: listOf(held), to, consumer: `worker-${worker}` };
          steps.push([{ step: "deliver", ...own }, () => (state.held[worker] = text)]);
        });
        const from = listOf(state.completed);
        if (state.completed !== text) steps.push([{ step: "complete", from, to }, () => (state.completed = text)]);
        const end = how === "complete" ? steps.length : Math.min(stop, steps.length);
        const done = steps.slice(0, end);
        for (const [, apply] of done) apply();
        if (done.some(([{ step }]) => step === "complete") && from.length > 0 && !from.includes(current)) expected++;
        const [last] = steps[end] ?? [];
        const rest =
          last === undefined || how === "killed before"
            ? []
            : [{ ...last, result: how === "failed" ? ("failed" as const) : ("begun" as const) }];
        const id = `u${index}`;
        records.push(
          ...update(id, new Date(Date.UTC(2026, 9, 1 + index)).toISOString(), common, [
            ...done.map(([step]) => step),
            ...rest,
          ]),
        );
      });
      expect(changesOf(chained(records)).filter(({ rotated }) => rotated)).toHaveLength(expected);
    };
    fc.assert(fc.property(fc.array(run, { minLength: 1, maxLength: 10 }), check), { numRuns: 300 });
  });
});
