// Proves that the list of `npm run mutants` is true of today's code: each fault's text stands where it says, once, each guarantee has
// faults, and their test files are there; and how a run of tests is judged. Not that a test sees a fault: `npm run mutants` tries that.
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { mutants } from "../mutants/list";
import { mutated } from "../mutants/mutant";
import { outcomeOf } from "../mutants/vitest";

const CHECKOUT = path.resolve(__dirname, "..", "..");

describe("the mutants", () => {
  it("have each an id of its own", () => {
    expect(new Set(mutants.map(({ id }) => id)).size).toBe(mutants.length);
  });

  it("stand for every guarantee", () => {
    const all = Array.from({ length: 10 }, (_, index) => `G${index + 1}`);
    expect(all.filter((guarantee) => mutants.every((one) => one.guarantee !== guarantee))).toEqual([]);
  });

  it.each(mutants.map((one) => [one.id, one] as const))(
    "%s is of today's code, and tried by tests that are there",
    (_id, one) => {
      const source = fs.readFileSync(path.join(CHECKOUT, one.file), "utf8");
      expect(mutated(source, one)).not.toBe(source);
      expect(one.file).toMatch(/^(?:index\.ts|components\/|operations\/)/);
      expect(one.tests).not.toEqual([]);
      expect(one.tests.filter((file) => !fs.existsSync(path.join(CHECKOUT, file)))).toEqual([]);
      expect(one.tests.some((file) => file.startsWith("test/engine/"))).toBe(one.engine !== undefined);
    },
  );
});

describe("a fault's text", () => {
  const mutant = { id: "x", guarantee: "G1", fault: "", file: "a.ts", text: "b", becomes: "c", tests: [] } as const;

  it("is replaced where it stands once, and refused where it does not", () => {
    expect(mutated("abd", { ...mutant, tests: [] })).toBe("acd");
    expect(() => mutated("a", { ...mutant, tests: [] })).toThrow("x: its text stands 0 times in a.ts");
    expect(() => mutated("bab", { ...mutant, tests: [] })).toThrow("x: its text stands 2 times in a.ts");
  });
});

describe("a run of tests", () => {
  const of = (status: string, ...tests: string[]) => ({
    testResults: [
      {
        ...{ name: "/x/a.test.ts", status, message: "cannot load it\nmore" },
        assertionResults: tests.map((one, at) => ({ fullName: `test ${at}`, status: one, failureMessages: ["no"] })),
      },
    ],
  });

  it.each([
    [of("passed", "passed", "skipped"), { kind: "passed", tests: 1 }],
    [of("failed", "passed", "failed"), { kind: "failed", test: "test 1", why: "no" }],
    [of("failed"), { kind: "broken", why: "a.test.ts: cannot load it" }],
    [of("failed", "skipped"), { kind: "broken", why: "a.test.ts: cannot load it" }],
    [of("passed", "skipped"), { kind: "broken", why: "no test of that name was run" }],
  ])("is judged by its tests alone (%#)", (report, outcome) => {
    expect(outcomeOf(report)).toEqual(outcome);
  });

  it("is judged by those of them that are named, and is broken where a test was late or there is no report", () => {
    expect(outcomeOf(of("failed", "failed", "passed"), "test 1")).toEqual({ kind: "passed", tests: 1 });
    expect(outcomeOf("did not end")).toEqual({ kind: "broken", why: "did not end" });
    const late = of("failed", "failed");
    for (const one of late.testResults[0]?.assertionResults ?? [])
      one.failureMessages = ["Error: STACK_TRACE_ERROR\n    at task"];
    expect(outcomeOf(late)).toEqual({ kind: "broken", why: '"test 0" was not done in time' });
  });
});
