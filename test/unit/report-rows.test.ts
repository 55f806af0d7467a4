// Proves whose clock and whose rows a report rests on: the server's, however a writer's was set, and this stack's, with those of
// other names counted. Not that the server keeps the time that it says (test/provider/audit-table.test.ts).
import { describe, expect, it } from "vitest";
import { describeReport } from "../../operations/report/describe";
import { toHtml } from "../../operations/report/html";
import { toMarkdown } from "../../operations/report/markdown";
import { chained, roll, year } from "./report-fixture";

const [B, C] = ["2026-08-24", "2026-11-16"];

describe("a writer whose clock is wrong", () => {
  const served = "2026-11-20T09:30:00.123456Z";
  const rows = chained(roll("u1", "1970-01-01T00:00:00Z", "rounds-db", [B], [C, B]), () => served);
  const report = describeReport({ ...year(), rows });

  it("neither hides a change nor backdates anything: every time is the server's", () => {
    expect(report.audit).toMatchObject({ state: "whole", rows: rows.length });
    expect(report.changes).toMatchObject([{ target: "rounds-db", rotated: true, at: served }]);
    const [db] = report.credentials;
    expect(db?.generations[0]).toMatchObject({ stamp: C, made: served, madeBy: "audit", proof: { at: served } });
    expect(db?.consumers[0]?.last?.at).toBe(served);
    expect(toMarkdown(report)).not.toContain("1970");
    expect(toHtml(report)).not.toContain("1970");
  });

  it("is named, with the first of its rows", () => {
    expect(report.audit).toMatchObject({ otherClock: { rows: rows.length, first: 1 } });
    const said = `Each of ${rows.length} rows, the first row 1, was written by a clock that differed by more than 5 minutes`;
    expect(toMarkdown(report)).toContain(said);
    expect(toHtml(report)).toContain(said);
    expect(describeReport(year()).audit).not.toHaveProperty("otherClock");
  });

  it("is named in a file too, which has no other clock, once it goes back", () => {
    const hidden = [
      ...(year().rows ?? []).map(({ record }) => record),
      ...roll("u7", "1970-01-01T00:00:00Z", "rounds-db", [B], [C, B]),
    ];
    const found = describeReport({ ...year(), rows: chained(hidden) });
    const first = hidden.length - 5;
    expect(found.audit).toMatchObject({ state: "whole", setBack: { rows: 1, first } });
    expect(toMarkdown(found)).toContain(`Row ${first} was dated more than 5 minutes before the row that it follows`);
  });

  it("cannot put what it did today into an update of long ago", () => {
    const old = roll("u1", "2026-01-10T08:00:00Z", "rounds-db", [], [B]);
    const now = roll("u1", "2026-11-20T08:00:00Z", "rounds-db", [B], [C, B]);
    const { changes } = describeReport({ ...year(), rows: chained([...old, ...now]) });
    expect(changes).toMatchObject([{ at: "2026-11-20T08:00:00.000Z", update: "u1", what: `roll ${B} → ${C}` }]);
  });
});

describe("rows of another stack's name, as after `pulumi stack rename`", () => {
  const named = (...stacks: string[]) =>
    chained(stacks.flatMap((stack, at) => roll(`u${at}`, "2026-11-20T08:00:00Z", "rounds-db", [B], [C, B], { stack })));
  const told = (...stacks: string[]) => toMarkdown(describeReport({ ...year(), rows: named(...stacks) }));
  const each = named("prod").length;

  it("are counted and named, above what the report lacks", () => {
    const report = describeReport({ ...year(), rows: named("prod", "local", "staging") });
    expect(report.audit).toMatchObject({ state: "whole", others: { rows: 2 * each, stacks: ["prod", "staging"] } });
    expect(report.changes.map(({ update }) => update)).toEqual(["u1"]);
    expect(told("prod")).toContain(`${each} rows are of another stack name (prod) and not in this report`);
    expect(told("prod", "staging")).toContain(
      `${2 * each} rows are of other stack names (prod, staging) and not in this report`,
    );
  });

  it("are named up to a few, and not where there are none", () => {
    expect(told("a", "b", "c", "d", "e", "f", "g")).toContain("(a, b, c, d, e and 2 more)");
    expect(describeReport(year()).audit).not.toHaveProperty("others");
    // Old states do not say their stack.
    expect(describeReport({ ...year(), rows: named("", "local") }).audit).not.toHaveProperty("others");
  });

  it("are named in a broken audit too, and a name is no markup", () => {
    const rows = named("<b>|prod").slice(1);
    const report = describeReport({ ...year(), rows });
    expect(report.audit).toMatchObject({ state: "broken", others: { rows: each - 1 } });
    expect(toHtml(report)).toContain("&lt;b&gt;|prod");
    expect(toMarkdown(report)).toContain("&#60;b&#62;&#124;prod");
  });
});
