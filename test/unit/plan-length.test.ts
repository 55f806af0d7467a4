// Proves that no stack file, however long its lists, names and reasons, pushes what a change does out of the pull request's comment,
// which is cut after 65,000 characters, and that what is left out is counted. Not that the comment is cut there: plan-comment.test.ts.
import { describe, expect, it } from "vitest";
import { editsOf } from "../../operations/plan/base";
import { describePlan, type Facts } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import { code, plain } from "../../operations/plan/words";
import * as make from "./plan-fixture";

const LIMIT = 65_000;
const [OLD, NOW] = ["2026-08-01", "2026-11-20"];
/** Every one another. */
const stamps = (n: number) => Array.from({ length: n }, (_, i) => (i === 0 ? NOW : `${NOW}.${i + 1}`));
const LOSS = "- Database `rounds-database`: delete, **with all of its data**";

const file = (turso: string, ...more: string[]) =>
  [
    "config:",
    "  rollover:credentials:",
    `    rounds-turso: { kind: turso, generations: ["${OLD}"]${turso} }`,
    ...more.map((line) => `  ${line}`),
  ].join("\n");

/** A pull request that drops a database, and says a lot besides. */
function commentOf(now: string, more: Partial<Facts> = {}): string {
  const summary = make.turso([OLD]);
  const drop = make.step("delete", make.resource("Database", "rounds-database"));
  const facts = make.facts(
    make.outputsOf({ "rounds-turso": summary }),
    make.outputsOf({ "rounds-turso": summary }),
    [make.token("rounds-turso", OLD)],
    [drop],
  );
  return toMarkdown(describePlan({ ...facts, why: { base: "0123", edits: editsOf(file(""), now) }, ...more }));
}

describe("what a change does is in the comment", () => {
  it("whatever the list of stamps is, of which the first are told", () => {
    const all = stamps(4600);
    const text = commentOf(file(`, retired: [${all.map((stamp) => `"${stamp}"`).join(", ")}]`));
    expect(text.slice(0, LIMIT)).toContain(LOSS);
    expect(text).toContain(`"${NOW}.20", and 4580 more\n`);
    const nested = `, retired: ${"[".repeat(300)}${"]".repeat(300)}`;
    expect(commentOf(file(nested)).length).toBeLessThan(3000);
  });

  it("however long the names of other settings are, and however many", () => {
    const long = commentOf(file("", `? "other:${"k".repeat(70_000)}"`, ": 1"));
    expect(long.slice(0, LIMIT)).toContain(LOSS);
    expect(long).toContain(`- \`other:${"k".repeat(193)}…\`, added`);
    const settings = Array.from({ length: 5000 }, (_, i) => `"setting ${i}": 1`).join(", ");
    expect(commentOf(file(`, ${settings}`)).slice(0, LIMIT)).toContain(LOSS);
    const keys = Array.from({ length: 3000 }, (_, i) => `"other:key-${i}": 1`);
    const many = commentOf(file("", ...keys));
    expect(many.slice(0, LIMIT)).toContain(LOSS);
    const told = many.match(/^- `other:key-\d+`, added$/gm)?.length ?? 0;
    expect(told).toBeGreaterThan(100);
    expect(many).toContain(`\n- and ${3000 - told} more, which the stack file's own diff shows\n`);
  });

  it("however many generations one credential gets or loses", () => {
    const [many, one] = [make.postgres(stamps(800)), make.postgres([NOW])];
    const drop = make.step("delete", make.resource("Database", "rounds-database"));
    for (const [before, after] of [
      [many, one],
      [one, many],
    ] as const) {
      const logins = before.live.map((stamp) => make.login("rounds-db", stamp));
      const [was, is] = [before, after].map((summary) => make.outputsOf({ "rounds-db": { ...summary, maxAge: "1d" } }));
      const text = toMarkdown(describePlan(make.facts(was ?? make.outputsOf({}), is, logins, [drop])));
      expect(text.slice(0, LIMIT)).toContain(LOSS);
      expect(text).toMatch(/2026-11-20\.2[01], and 779 more /);
    }
  });

  it("however long the warnings and the policy are", () => {
    const reason = "@#".repeat(250);
    const names = Array.from({ length: 300 }, (_, i) => `session-key-${i}`);
    const of = (stamp: string) => Object.fromEntries(names.map((name) => [name, make.random([stamp])]));
    const freeze = [{ from: "2026-11-20", to: "2026-11-24", reason }];
    const policy = { warnBefore: "7d", overlap: "7d", enforce: false, freeze };
    const facts = make.facts(make.outputsOf(of(OLD)), make.outputsOf(of(NOW), { policy }), [], []);
    const frozen = toMarkdown(describePlan(facts));
    expect(frozen.slice(0, LIMIT)).toContain("| `session-key-99` (random) | **rolls**");
    expect(frozen).toContain("`session-key-115`, and 280 more: rolls in a freeze");
    const minted = stamps(4000).map((stamp) =>
      make.step("create", make.token("rounds-turso", stamp, { expiration: "never" })),
    );
    const drop = make.step("delete", make.resource("Database", "rounds-database"));
    const warned = commentOf(file(""), { steps: [...minted, drop] });
    expect(warned.slice(0, LIMIT)).toContain(LOSS);
    expect(warned).toMatch(/\n- and 39\d\d more\n/);
  });
});

it("a stack file that is the same says where else to look", () => {
  expect(commentOf(file(""))).toContain(
    "### Why\n\nThe stack file is what it was at `0123`: what changes was changed elsewhere, or is left from an update that failed.\n",
  );
});

describe("a text of others", () => {
  it("is cut between its characters", () => {
    expect(code("😀".repeat(300))).toBe(`\`${"😀".repeat(199)}…\``);
    expect(code("a".repeat(200))).toBe(`\`${"a".repeat(200)}\``);
    expect(plain("a".repeat(2000))).toBe(`${"a".repeat(999)}…`);
    const edits = editsOf("", file(`, reason: ${"r".repeat(500)}`));
    const text = commentOf("", { why: { base: "0123", edits } });
    expect(text).toContain(`reason \`${"r".repeat(500)}\``);
  });
});
