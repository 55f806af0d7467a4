// Proves what `npm run rotate` does to a stack file with Turso tokens: stamps that move to `retired`, expired ones that leave it,
// and `--revoke`, in every form of YAML, with everything else kept. Not that an update then does what the file says.
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Action, editStackFile, invalidateIn, Refusal } from "../../operations/stack-file";
import { parseTarget } from "../../operations/stack-file/revoke";
import { TURSO_FILE as FILE } from "./stack-file-fixture";

const names = ["flow", "block", "single", "kept", "lines", "spread"];

interface Config {
  "rollover:credentials": Record<string, { generation?: string; generations?: string[]; retired?: string[] }>;
  "rollover:turso": Record<"groups" | "databases", Record<string, { invalidated?: string } | null>>;
}

function configOf(text: string): Config {
  return (parse(text) as { config: Config }).config;
}

function listsOf(text: string, name: string): [string[], string[]] {
  const { generation, generations, retired } = configOf(text)["rollover:credentials"][name] ?? {};
  return [generations ?? [generation ?? ""], retired ?? []];
}

function changedLines(before: string, after: string): string[] {
  return after.split("\n").filter((line) => !before.split("\n").includes(line));
}

const edit = (name: string | string[], action: Action, gone: string[] = [], file = FILE) =>
  editStackFile(file, [name].flat(), action, "2026-11-20", false, (_, stamp) => gone.includes(stamp));

describe("a token's stamp", () => {
  it.each(["flow", "block", "kept", "lines", "spread"])("of %s is added in front, and none leaves", (name) => {
    expect(listsOf(edit(name, "rotate").text, name)[0]).toEqual(["2026-11-20", "2026-08-01", "2026-07-01"]);
    expect(listsOf(edit(name, "rotate").text, name)[1]).toEqual(listsOf(FILE, name)[1]);
  });

  it.each(["flow", "block", "kept", "lines", "spread"])("of %s moves to the front of retired", (name) => {
    const { text, notes } = edit(name, "retire");
    expect(listsOf(text, name)).toEqual([["2026-08-01"], ["2026-07-01", ...listsOf(FILE, name)[1]]]);
    expect(notes[0]).toContain(
      `${name}: 2026-07-01 is no longer delivered from the next update on; its token works until`,
    );
  });

  it("moves with its comment from block to block, and makes the key in the style of generations", () => {
    expect(edit("block", "retire").text).toBe(
      FILE.replace("        - 2026-07-01   # by Bob\n", '      retired:\n        - "2026-07-01"   # by Bob\n'),
    );
    expect(changedLines(FILE, edit("flow", "retire").text)).toEqual([
      '    flow: {kind: turso, database: rounds, expiration: 90d, generations: ["2026-08-01"], retired: ["2026-07-01"], deliver: [{ worker: rounds-api, as: TOKEN }]} # one line',
    ]);
    expect(changedLines(FILE, edit("lines", "retire").text)).toEqual([
      '      generations: ["2026-08-01"] # two',
      '        - "2026-07-01"',
    ]);
    expect(changedLines(FILE, edit("spread", "retire").text)).toEqual([
      '      generations: ["2026-08-01"]',
      '        "2026-07-01",',
    ]);
  });

  it("of `generation` moves to retired when it is replaced", () => {
    const { text, notes } = edit("single", "rotate");
    expect(text).toBe(
      FILE.replace(
        "      generation: 2026-08-01 # one\n",
        '      generation: "2026-11-20" # one\n      retired: ["2026-08-01"]\n',
      ),
    );
    expect(notes).toEqual([
      "single: 2026-11-20 replaces 2026-08-01, which is no longer delivered; its token works until it expires, nobody can revoke it alone",
    ]);
    const again = edit("single", "rotate", [], text);
    expect(listsOf(again.text, "single")).toEqual([["2026-11-20.2"], ["2026-11-20", "2026-08-01"]]);
    expect(() => edit("single", "retire")).toThrow(Refusal);
  });

  it("is not that of a retired one, which would be delivered again", () => {
    const once = edit("kept", "retire", [], edit("kept", "rotate").text).text;
    const twice = edit("kept", "retire", [], once).text;
    expect(listsOf(twice, "kept")).toEqual([["2026-11-20"], ["2026-08-01", "2026-07-01", "2026-06-01", "2026-05-01"]]);
    const held = FILE.replace("\"2026-06-01\", '2026-05-01'", '"2026-11-20"');
    expect(listsOf(edit("kept", "rotate", [], held).text, "kept")[0][0]).toBe("2026-11-20.2");
  });

  it("comes back by a rollback, which leaves retired alone", () => {
    const { text } = edit(["kept", "lines"], "rollback", ["2026-06-01"]);
    expect(listsOf(text, "kept")).toEqual([
      ["2026-07-01", "2026-08-01"],
      ["2026-06-01", "2026-05-01"],
    ]);
  });
});

describe("an expired stamp", () => {
  it.each<[string, Action, string[], string[]]>([
    ["the last", "rotate", ["2026-05-01"], ["2026-06-01"]],
    ["the first", "rotate", ["2026-06-01"], ["2026-05-01"]],
    ["the first, with another in front", "retire", ["2026-06-01"], ["2026-07-01", "2026-05-01"]],
    ["every one, with another in front", "retire", ["2026-06-01", "2026-05-01"], ["2026-07-01"]],
    ["every one", "rotate", ["2026-06-01", "2026-05-01"], []],
  ])("leaves retired: %s", (_what, action, gone, left) => {
    for (const name of ["kept", "lines", "spread"]) {
      const { text, notes } = edit(name, action, gone);
      expect(listsOf(text, name)[1]).toEqual(left);
      expect(notes[1]).toBe(`${name}: ${gone.join(" and ")} cleared from retired, expired for more than a day`);
    }
  });

  it("takes its line's comment and no other with it", () => {
    expect(edit("lines", "rollback").text).toContain("# June");
    const { text } = edit("lines", "retire", ["2026-06-01"]);
    expect(text).toContain(
      '      # gone\n      retired:\n        - "2026-07-01"\n        - "2026-05-01" # May\n    spread:',
    );
    expect(edit("spread", "retire", ["2026-06-01"]).text).toContain(
      '      retired: [\n        "2026-07-01",\n        "2026-05-01", # May\n      ]\n',
    );
    expect(edit("lines", "rotate", ["2026-06-01", "2026-05-01"]).text).toContain("# two\n      # gone\n    spread:");
    expect(edit("kept", "rotate", ["2026-06-01"]).text).toContain("retired: [ '2026-05-01' ]");
  });
});

it("edits all at once, with Windows line ends and without a last one", () => {
  for (const file of [FILE.replaceAll("\n", "\r\n"), FILE.trimEnd().slice(0, -"\n# the end".length)]) {
    const rotated = edit(names, "rotate", ["2026-05-01"], file).text;
    const { text } = edit(
      names.filter((name) => name !== "single"),
      "retire",
      [],
      rotated,
    );
    expect(text.endsWith("\n")).toBe(file.endsWith("\n"));
    expect(text.replaceAll("\r\n", "").includes("\n")).toBe(!file.includes("\r\n"));
    expect(listsOf(text, "lines")).toEqual([
      ["2026-11-20", "2026-08-01"],
      ["2026-07-01", "2026-06-01"],
    ]);
  }
});

describe("--revoke", () => {
  const revoke = (targets: string[], reason?: string, file = FILE, today = "2026-11-20", exact = false) =>
    invalidateIn(
      file,
      targets.flatMap((target) => parseTarget(target) ?? []),
      today,
      exact,
      reason === undefined ? {} : { reason },
    );
  const stampOf = (text: string, kind: "groups" | "databases", name: string) =>
    configOf(text)["rollover:turso"][kind][name]?.invalidated;

  it("adds the key behind a block mapping's last, and says who fails until when", () => {
    const { text, notes, diff } = revoke(["group/production"]);
    expect(text).toBe(FILE.replace("true # always\n", 'true # always\n        invalidated: "2026-11-20"\n'));
    expect(notes).toEqual([
      "group production: every token of it and of its 2 databases dies with the next update; consumers fail until they are delivered to: .env.local, mailer, rounds-api",
    ]);
    expect(diff).toContain('+        invalidated: "2026-11-20"\n');
  });

  it("replaces the stamp, and counts up on its day", () => {
    const { text } = revoke(["group/staging"]);
    expect(text).toBe(FILE.replace("invalidated: 2026-08-01", 'invalidated: "2026-11-20"'));
    expect(stampOf(revoke(["group/staging"], undefined, text).text, "groups", "staging")).toBe("2026-11-20.2");
    const third = revoke(["group/staging"], undefined, revoke(["group/staging"], undefined, text).text);
    expect(stampOf(third.text, "groups", "staging")).toBe("2026-11-20.3");
    const ahead = FILE.replace("invalidated: 2026-08-01", "invalidated: 2026-12-24");
    expect(stampOf(revoke(["group/staging"], undefined, ahead).text, "groups", "staging")).toBe("2026-12-24.2");
    expect(() => revoke(["group/staging"], undefined, ahead, "2026-11-20", true)).toThrow(
      "give a newer stamp than that",
    );
    expect(() => revoke(["group/staging"], undefined, text, "2026-11-20", true)).toThrow(
      "group/staging is invalidated by 2026-11-20 already",
    );
  });

  it("writes into a flow mapping, an empty group, and a group that only a database names", () => {
    const { text, notes } = revoke(["database/rounds", "group/empty", "group/lone-group", "database/lone"]);
    expect(changedLines(FILE, text)).toEqual([
      '      empty: { invalidated: "2026-11-20" }',
      '      lone-group: { invalidated: "2026-11-20" }',
      '      rounds: { group: production, invalidated: "2026-11-20" }',
      '        invalidated: "2026-11-20"',
    ]);
    expect(notes[0]).toBe(
      "database rounds: every token of it dies with the next update, and those of its whole group production are taken for dead and minted again; consumers fail until they are delivered to: .env.local, mailer, rounds-api",
    );
    expect(notes[2]).toBe(
      "group lone-group: every token of it and of its database dies with the next update; no consumer of this stack holds one",
    );
    expect(text.length).toBeGreaterThan(FILE.length);
  });

  it.each([
    ["no groups", "    organization: acme # slug\n    databases: { rounds: { group: production } }\n"],
    ["groups without any", "    organization: acme\n    groups:\n    databases: { rounds: { group: production } }\n"],
    ["an empty mapping", "    organization: acme\n    groups: {}\n    databases: { rounds: { group: production } }\n"],
    ["one flow mapping", "    { organization: acme, databases: { rounds: { group: production } } }\n"],
    ["a database in a block", "    databases:\n      rounds:\n        group: production\n    organization: acme\n"],
  ])("makes what is missing: %s", (_what, turso) => {
    const file = `config:\n  rollover:turso:\n${turso}  rollover:credentials: {}\n`;
    const { text } = revoke(["group/production", "database/rounds"], undefined, file);
    expect(stampOf(text, "groups", "production")).toBe("2026-11-20");
    expect(stampOf(text, "databases", "rounds")).toBe("2026-11-20");
  });

  it("writes the reason behind the stamp, in place of the last one, and takes it out where none is given", () => {
    const first = revoke(["group/production"], "token in a public log");
    expect(first.text).toContain('        invalidated: "2026-11-20"\n        reason: "token in a public log"\n');
    const second = revoke(["group/production"], "again", first.text);
    expect(second.text).toContain('        invalidated: "2026-11-20.2"\n        reason: "again"\n');
    expect(revoke(["group/production"], undefined, first.text).text).not.toContain("reason:");
    const flow = revoke(["group/staging"], "short", FILE).text;
    expect(flow).toContain(
      'staging: { deleteProtection: false, invalidated: "2026-11-20", reason: "short" } # one line',
    );
    expect(revoke(["group/staging"], undefined, flow, "2026-11-21").text).toContain(
      'staging: { deleteProtection: false, invalidated: "2026-11-21" } # one line',
    );
  });

  it.each([
    ["a close name", ["group/producton"], "group/producton is no group of this stack; did you mean group/production?"],
    ["an unknown name", ["database/zzzzzzzz"], "known: rounds, archive, try-out and lone"],
    ["a group as a database", ["database/staging"], "is no database of this stack"],
    ["one twice", ["group/staging", "group/staging"], "group/staging is named twice; name it once"],
    ["one bad of two", ["group/staging", "group/zzzzzzzzzz"], "group/zzzzzzzzzz is no group of this stack"],
  ])("refuses %s", (_what, targets, message) => {
    expect(() => revoke(targets)).toThrow(message);
  });

  it("refuses a file without targets, and forms that it does not understand", () => {
    const without = FILE.replace(/ {2}rollover:turso:\n(?: {4}.*\n)+/, "");
    expect(() => revoke(["group/staging"], undefined, without)).toThrow("has no rollover:turso in plain text");
    const aliased = FILE.replace("      empty:\n", "      empty: &x { deleteProtection: true }\n      same: *x\n");
    expect(() => revoke(["group/same"], undefined, aliased)).toThrow(Refusal);
  });
});
