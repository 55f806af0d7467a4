// Proves what the report says over a year's history, as a whole Markdown text (test/golden) and in single facts, that nothing that
// others wrote becomes markup, and how a broken audit is told. Not that engine and audit write these shapes: test/engine/off-boarding.test.ts.
import * as path from "node:path";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { AuditRecord } from "../../components/audit/record";
import { changesOf } from "../../operations/report/changes";
import { describeReport } from "../../operations/report/describe";
import { toHtml } from "../../operations/report/html";
import { toMarkdown } from "../../operations/report/markdown";
import { verifiedText, verify } from "../../operations/report/verify";
import { main } from "../../operations/report";
import { SECRET } from "./plan-fixture";
import { chained, HOSTILE, NOW, retirement, roll, update, year } from "./report-fixture";

const [A, B] = ["2026-05-04", "2026-08-24"];
const golden = (name: string) => path.join(__dirname, "..", "golden", `report-${name}.md`);
const tags = (page: string) => page.match(/<[^>]*>/g) ?? [];

describe("a year of a stack", () => {
  it("is told as a whole", async () => {
    await expect(toMarkdown(describeReport(year()))).toMatchFileSnapshot(golden("year"));
  });

  it("has what seed 001's audit has, who and why, and what has no outcome", () => {
    const { changes, summary } = describeReport(year());
    expect(changes.find(({ target }) => target === "group/production")).toMatchObject({
      ...{ at: "2026-10-02T14:00:00.000Z", rotated: true, newExpiration: "2026-12-05T09:00:00.000Z" },
      ...{ actor: "bob", reason: HOSTILE, ticket: "SEC-7", result: "done" },
    });
    const open = changes.filter(({ result }) => result === "no outcome recorded");
    expect(open).toMatchObject([{ update: "u5", target: "rounds-db", rotated: false }]);
    expect(changes.filter(({ result }) => result === "failed")).toMatchObject([
      { target: "mail-key", rotated: false, error: "Cloudflare, PATCH: status 503" },
    ]);
    // The killed update and the one that finished it are one rotation.
    const ofDb = changes.filter(({ target, rotated }) => target === "rounds-db" && rotated);
    expect(ofDb.map(({ update: id }) => id)).toEqual(["u6", "u1"]);
    expect(summary).toMatchObject({ overdue: 1, rotated: 7, failed: 1, withoutOutcome: 1, debts: 1, notAttested: 2 });
  });

  it("knows when each generation was made, proven, and withdrawn", () => {
    const [db, turso, session] = describeReport(year()).credentials;
    expect(db?.generations).toMatchObject([
      { stamp: "2026-11-16", place: "current", madeBy: "audit", proof: { passed: true } },
      { stamp: "2026-08-24", place: "previous", madeBy: "audit", made: "2026-08-24T08:00:02.000Z" },
      { stamp: "2026-05-04", place: "gone", madeBy: "stamp", end: "refused when tried" },
    ]);
    expect(turso?.generations[1]).toMatchObject({ place: "retired", expires: "2026-12-05T09:00:00.000Z" });
    // A random text is minted by nobody who records it: its delivery is what there is.
    expect(session?.generations[0]).toMatchObject({ madeBy: "audit", provable: false });
  });

  it("says that a login was refused only where its retirement has tried it", () => {
    const untried = retirement("u2", "2026-09-02T08:00:00Z", "rounds-db", [B, A], [B]).map((one) => ({
      ...one,
      proven: false,
    }));
    const report = describeReport({ ...year(), rows: chained(untried) });
    expect(report.credentials[0]?.generations.at(-1)).toMatchObject({ stamp: A, end: "retired, or no longer there" });
    expect(toMarkdown(report)).toContain("2026-09-02 08:00, retired, or no longer there");
    expect(toMarkdown(report)).not.toContain("refused when tried");
  });

  it("leaves out what ended, and what was done, before --since", () => {
    const facts = { ...year(), sinceMs: 30 * 86_400_000 };
    const { changes, credentials } = describeReport(facts);
    expect(changes.map(({ update: id }) => id)).toEqual(["u6", "u6", "u5"]);
    expect(credentials[0]?.generations.map(({ place }) => place)).toEqual(["current", "previous"]);
  });

  it("leaves out none of many stamps", () => {
    const report = describeReport(year());
    const stamps = Array.from({ length: 30 }, (_, i) => `2026-11-16.${i + 2}`);
    for (const { consumers } of report.credentials) for (const one of consumers) one.holds = stamps;
    expect(toMarkdown(report)).toContain(`\`${stamps.join(", ")}\``);
  });

  it("holds no secret of the state in any form", () => {
    const report = describeReport(year());
    for (const text of [JSON.stringify(report), toMarkdown(report), toHtml(report)]) expect(text).not.toContain(SECRET);
  });
});

describe("without an audit", () => {
  it("everything is from state, and the report says so", () => {
    const report = describeReport({ ...year(), rows: undefined });
    expect(report).toMatchObject({ audit: { state: "none" }, changes: [] });
    expect(report.credentials[0]?.generations).toMatchObject([
      { stamp: "2026-11-16", made: "2026-11-16", madeBy: "stamp" },
      { stamp: "2026-08-24", made: "2026-08-24", madeBy: "stamp" },
    ]);
    expect(report.credentials[0]?.consumers).toMatchObject([{ asked: true, holds: ["2026-11-16", "2026-08-24"] }]);
    expect(toMarkdown(report)).toContain("From the stack's state alone");
    expect(toHtml(report)).toContain("nobody recorded who changed what");
  });

  it("a new stack is a report of nothing", () => {
    const facts = { ...year(), rows: undefined, state: { resources: [], pending_operations: [] } };
    const report = describeReport({ ...facts, outputs: { credentials: {}, debts: {}, abandoned: [], findings: {} } });
    expect(report.summary).toMatchObject({ credentials: 0, liveGenerations: 0 });
    expect(toHtml(report)).toContain("This stack has none.");
  });
});

describe("a broken audit", () => {
  const tampered = () => {
    const rows = year().rows ?? [];
    return rows.map((row, at) => (at === 4 ? { ...row, record: { ...row.record, actor: "nobody" } } : row));
  };

  it("is told above everything that rests on it", () => {
    const report = describeReport({ ...year(), rows: tampered() });
    expect(report.audit).toMatchObject({ state: "broken", seq: 5 });
    expect(toMarkdown(report)).toContain("The audit's chain is broken at row 5");
    expect(toHtml(report)).toContain('class="audit broken"');
  });

  it("is named by its first broken row; a head noted before shows what was cut off", () => {
    const rows = year().rows ?? [];
    const head = rows.at(-1)?.hash;
    const whole = verify(rows, head);
    expect(whole).toEqual({ ok: true, rows: rows.length, head, known: [] });
    expect(verifiedText(whole)).toBe(`The audit is whole: ${rows.length} rows, head ${head ?? ""}\n`);
    expect(verify(rows, "0".repeat(64))).toEqual(whole); // noted before its first row
    expect(verify(tampered(), undefined)).toMatchObject({ ok: false, seq: 5 });
    expect(verify(rows.slice(0, -3), undefined)).toMatchObject({ ok: true, rows: rows.length - 3 });
    expect(verifiedText(verify(rows.slice(0, -3), head))).toMatch(/^The audit is broken: .*cut off at its end/);
  });

  it("that holds nothing, where the state has something, is not whole, unless its head was noted as such", () => {
    const nothing = verify([], undefined, 3);
    expect(nothing).toMatchObject({ ok: false, rows: 0 });
    expect(verifiedText(nothing)).toMatch(/^The audit is broken: it holds no row, and the stack has 3 credentials: /);
    expect(verify([], "a".repeat(64), 3)).toMatchObject({ ok: false });
    const whole = { ok: true, rows: 0, head: "0".repeat(64), known: [] };
    expect(verify([], "0".repeat(64), 3)).toEqual(whole);
    expect(verify([], undefined, 0)).toEqual(whole);
    const report = describeReport({ ...year(), rows: [] });
    expect(toMarkdown(report)).toContain("an audit that holds no row yet, or none any more");
  });

  it("is told with every break", () => {
    const rows = tampered().filter(({ seq }) => seq !== 9 && seq !== 20);
    const found = verify(rows, undefined);
    expect(found).toMatchObject({ ok: false, seq: 5, more: [{ seq: 9 }, { seq: 20 }] });
    expect(verifiedText(found).split("\n")).toEqual([
      expect.stringMatching(/^The audit is broken at row 5 of \d+: /),
      expect.stringMatching(/^And at row 9: .*rows were taken out/),
      expect.stringMatching(/^And at row 20: .*rows were taken out/),
      `The hash of its last row is ${rows.at(-1)?.hash ?? ""}`,
      "",
    ]);
    const report = describeReport({ ...year(), rows });
    expect(report.audit).toMatchObject({ state: "broken", more: [{ seq: 9 }, { seq: 20 }] });
    expect(toMarkdown(report)).toContain("; and at rows 9, 20. What follows");
  });

  it("does not count another stack's rows that share it", () => {
    const others = chained(
      roll("x", "2026-11-20T08:00:00Z", "rounds-db", ["2026-11-16"], ["2026-11-20"], { stack: "prod" }),
    );
    expect(describeReport({ ...year(), rows: others }).changes).toEqual([]);
  });
});

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.constantFrom(
    HOSTILE,
    "</script><script>alert(1)</script>",
    "a | b\n\n# c",
    "`code` [x](javascript:alert(1)) &lt;",
    "\u202eevil",
    "\u001bc all is well \u009b2J\u0007 @octocat #1 https://a.example",
  ),
);

describe("whatever others wrote", () => {
  const withTexts = (texts: string[]) => {
    const [actor = "", reason = "", ticket = "", commit = "", error = ""] = texts;
    const more = { actor, reason, ticket, commit };
    return chained([
      ...roll("u1", "2026-11-20T08:00:00Z", "rounds-db", ["2026-08-24"], ["2026-11-16"], more),
      ...update("u2", "2026-11-20T09:00:00Z", { credential: "mail-key", ...more }, [
        { step: "deliver", consumer: "mailer", from: [], to: ["2026-08-24"], result: "failed", error },
      ]),
    ]);
  };
  const texts = fc.array(
    text.filter((one) => one.trim() !== ""),
    { minLength: 5, maxLength: 5 },
  );

  it("is no markup of the page: its tags are the same for every text", () => {
    const expected = tags(toHtml(describeReport({ ...year(), rows: withTexts(["a", "b", "c", "d", "e"]) })));
    const check = (all: string[]) => {
      const page = toHtml(describeReport({ ...year(), rows: withTexts(all) }));
      expect(tags(page)).toEqual(expected);
    };
    fc.assert(fc.property(texts, check), { numRuns: 40 });
  });

  it("neither ends a cell of the Markdown nor is anything in it", () => {
    const check = (all: string[]) => {
      const rows = toMarkdown(describeReport({ ...year(), rows: withTexts(all) }))
        .split("\n")
        .filter((line) => line.startsWith("| 2026-11-20 0"));
      expect(rows).toHaveLength(2);
      for (const row of rows) {
        expect(row.split("|")).toHaveLength(11);
        // Nothing moves a terminal's cursor, or turns the text around.
        expect(row).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
        // Outside code, in which a commit stands, everything that could be read is a number, or is taken apart.
        const outside = row.replace(/`[^`]*`/g, "").replace(/\*\*failed: [^*]*\*\*/, "");
        expect(outside.replaceAll("@&#8203;", "")).not.toMatch(/[<>@[\]*]|:\/\//);
      }
    };
    fc.assert(fc.property(texts, check), { numRuns: 100 });
  });

  it("a credential that only the audit knows cannot be markup either", () => {
    const rows = chained(roll("u1", "2026-11-20T08:00:00Z", HOSTILE, ["2026-08-24"], ["2026-11-16"]));
    const page = toHtml(describeReport({ ...year(), rows }));
    expect(page).toContain("&lt;img src=x");
    expect(page).not.toContain("<img");
  });
});

describe("changes", () => {
  const record = fc.record({
    update: fc.constantFrom("u1", "u2"),
    credential: fc.constantFrom("a", "b", "group/production"),
    step: fc.constantFrom<AuditRecord["step"]>("announce", "mint", "deliver", "retire", "invalidate", "complete"),
    result: fc.constantFrom<AuditRecord["result"]>("begun", "done", "failed"),
    from: fc.subarray(["2026-08-24", "2026-05-04"]),
    to: fc.subarray(["2026-11-16", "2026-08-24"]),
    consumer: fc.constantFrom("", "rounds-api"),
  });

  it("hold every record once, and call nothing rotated or done that is not", () => {
    const check = (records: Partial<AuditRecord>[]) => {
      const changes = changesOf(chained(records));
      const keys = new Set(records.map(({ update: id, credential }) => `${id ?? ""} ${credential ?? ""}`));
      expect(changes.map(({ update: id, target }) => `${id} ${target}`).sort()).toEqual([...keys].sort());
      for (const { steps, result, rotated } of changes) {
        const results = steps.map((step) => step.result);
        expect(result === "done").toBe(results.every((one) => one === "done"));
        expect(result === "failed").toBe(results.includes("failed"));
        if (rotated) expect(result).toBe("done");
      }
    };
    fc.assert(fc.property(fc.array(record, { maxLength: 12 }), check));
  });

  it("an update that was stopped after its announcement has no outcome", () => {
    const announced = update("u1", "2026-11-20T08:00:00Z", { credential: "a" }, [
      { step: "announce", from: ["2026-08-24"], to: ["2026-11-16", "2026-08-24"] },
    ]);
    expect(changesOf(chained(announced))).toMatchObject([{ result: "no outcome recorded", rotated: false }]);
  });
});

it.each([
  ["--since 90", "--since", "90"],
  ["--since 0d", "--since", "0d"],
  ["--head without --verify", "--head", "0".repeat(64)],
  ["a head that is no hash", "--verify", "--head", "abc"],
  ["--verify as html", "--verify", "--format", "html"],
  ["--verify of nothing", "--verify", "--no-audit"],
  ["an unknown option", "--sicne", "90d"],
])("%s is wrong usage", async (_, ...args) => {
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    expect(await main(args, NOW)).toBe(2);
    expect(said.mock.calls.flat().join("")).not.toBe("");
  } finally {
    said.mockRestore();
  }
});
