// Proves that an edit of a stack file changes no entry but those it names, where anchors, aliases and merge keys share parts of them:
// such an edit is refused, with where it would reach and what to do. Not the edits themselves (rotate.test.ts and its neighbours).
import { describe, expect, it } from "vitest";
import { type Action, editStackFile, invalidateIn, Refusal } from "../../operations/stack-file";
import { parseTarget } from "../../operations/stack-file/revoke";

const fileOf = (entries: string[]) => `config:
  rollover:cloudflare: { accountId: 0123456789abcdef0123456789abcdef }
  rollover:workers: { rounds-api: { probe: https://rounds.example.com/probe } }
  rollover:credentials:
${entries.map((line) => `    ${line}\n`).join("")}`;

const LIVE = '["2026-08-01", "2026-07-01"]';
const KEYS = "kind: signing-keyset, maxTokenAge: 120s";
const MERGED = fileOf([`base: &base { ${KEYS}, generations: ${LIVE} }`, "other: { <<: *base }"]);
const ALIASED = fileOf([`base: { ${KEYS}, generations: &list ${LIVE} }`, `other: { ${KEYS}, generations: *list }`]);
const WHOLE = fileOf([`base: &base { ${KEYS}, generations: ${LIVE} }`, "other: *base"]);

const edit = (text: string, names: string[], action: Action) => editStackFile(text, names, action, "2026-11-20").text;
const refused = (where: string) =>
  new Refusal(
    `the edit would also change ${where}, as where an anchor or a merge key shares a part of it; ` +
      "write that entry out in full, or edit the file by hand",
  );

describe.each<Action>(["rotate", "retire", "rollback", "emergency"])("%s", (action) => {
  const key = action === "emergency" ? "generation" : "generations";

  it("is refused where another entry shares the list", () => {
    // Which of the keys that come and go is named is of no matter.
    expect(() => edit(MERGED, ["base"], action)).toThrow(/also change rollover:credentials\.other\.generations?, as/);
    expect(() => edit(WHOLE, ["base"], action)).toThrow(/also change rollover:credentials\.other\.generations?, as/);
    expect(() => edit(ALIASED, ["base"], action)).toThrow(refused("rollover:credentials.other.generations"));
  });

  it("is refused where the other one is named too: its list stands elsewhere", () => {
    for (const text of [MERGED, ALIASED, WHOLE]) expect(() => edit(text, ["base", "other"], action)).toThrow(Refusal);
  });

  it("is made where what is shared is not what changes", () => {
    const text = edit(
      fileOf([
        `base: { kind: signing-keyset, maxTokenAge: &age 120s, generations: ${LIVE} }`,
        `other: { kind: signing-keyset, maxTokenAge: *age, generations: ${LIVE} }`,
      ]),
      ["base"],
      action,
    );
    expect(text).toContain(`${key}: ${action === "emergency" ? '"2026-11-20"' : "["}`);
    expect(text).toContain(`maxTokenAge: *age, generations: ${LIVE} }`);
  });
});

describe("an edit", () => {
  it("is refused where it takes away what an alias stands for", () => {
    const text = fileOf([
      `base: { ${KEYS}, backup: { vault: { path: a } }, generations: ${LIVE}, restore: &back ["2026-07-01"] }`,
      `other: { ${KEYS}, backup: { vault: { path: b } }, generations: ${LIVE}, restore: *back }`,
    ]);
    expect(() => edit(text, ["base"], "retire")).toThrow(refused("rollover:credentials.other.restore"));
    const form = "(it would be no YAML: an alias or a merge key of it stands for nothing that it can stand for)";
    const block = fileOf([
      "base:",
      "  kind: signing-keyset",
      "  maxTokenAge: 120s",
      "  backup: { vault: { path: a } }",
      `  generations: ${LIVE}`,
      "  restore: &back",
      '    - "2026-07-01"',
      `other: { ${KEYS}, backup: { vault: { path: b } }, generations: ${LIVE}, restore: *back }`,
    ]);
    expect(() => edit(block, ["base"], "retire")).toThrow(`cannot edit ${form}; edit it by hand`);
    const broken = block.replace("&back", "");
    expect(() => edit(broken, ["base"], "retire")).toThrow("the stack file is no YAML: an alias or a merge key of it");
  });

  it("is refused where the entry has its kind by a merge key, which decides on what leaves with a stamp", () => {
    const own = MERGED.replace("<<: *base", `<<: *base, generations: ${LIVE}`);
    expect(() => edit(own, ["other"], "retire")).toThrow(
      new Refusal("other: it has no kind of its own, but maybe by a merge key; write the entry out in full"),
    );
    expect(edit(own, ["base"], "rotate")).toContain(
      'base: &base { kind: signing-keyset, maxTokenAge: 120s, generations: ["2026-11-20"',
    );
    expect(() => edit(own, ["base"], "emergency")).toThrow(refused("rollover:credentials.other.generation"));
  });

  it("of a form that it makes no YAML of is not blamed on the file", () => {
    const lines = [
      "base:",
      "  kind: signing-keyset",
      "  maxTokenAge: 120s",
      "  generations: &list",
      '    - "2026-08-01"',
    ];
    expect(() => edit(fileOf(lines), ["base"], "emergency")).toThrow(
      /^the stack file holds a form that this command cannot edit \(it would be no YAML: [A-Z_]+ at line \d+\); edit it by hand$/,
    );
    expect(() => edit("config: {", ["base"], "rotate")).toThrow(/^the stack file is no YAML: [A-Z_]+ at line/);
  });
});

describe("--revoke", () => {
  const tursoOf = (groups: string, databases: string) =>
    `config:\n  rollover:turso:\n    organization: acme\n    groups: { ${groups} }\n    databases: { ${databases} }\n  rollover:credentials: {}\n`;
  const revoke = (target: string, text: string) =>
    invalidateIn(text, [parseTarget(target) ?? { kind: "group", name: "" }], "2026-11-20").text;

  it.each([
    ["a merge key", "a: &a { deleteProtection: true }, b: { <<: *a }", "x: { group: a }", "group/a", "groups.b"],
    ["an alias", "a: &a { deleteProtection: true }, b: *a", "x: { group: a }", "group/a", "groups.b"],
    ["a merge key of databases", "a: {}", "x: &x { group: a }, y: { <<: *x }", "database/x", "databases.y"],
    ["an alias of databases", "a: {}", "x: &x { group: a }, y: *x", "database/x", "databases.y"],
  ])("is refused where another target shares the mapping by %s", (_what, groups, databases, target, where) => {
    expect(() => revoke(target, tursoOf(groups, databases))).toThrow(refused(`rollover:turso.${where}.invalidated`));
  });

  it("is made for the one that shares another's mapping", () => {
    const text = revoke("group/b", tursoOf("a: &a { deleteProtection: true }, b: { <<: *a }", "x: { group: a }"));
    expect(text).toContain('b: { <<: *a, invalidated: "2026-11-20" }');
  });
});
