// Proves what the preview workflow takes for a change of stamps alone, and that a hostile stack file does not pass for one.
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { otherChange } from "../../operations/only-stamps";
import { editDue } from "../../operations/rotate/due";
import { editStackFile, invalidateIn } from "../../operations/stack-file";
import { DUE_FILE } from "./due-fixture";
import { FILE as KEYSETS } from "./rotate-keyset-fixture";
import { TURSO_FILE } from "./stack-file-fixture";

const base = fs.readFileSync(path.join(__dirname, "..", "..", "Pulumi.prod.yaml"), "utf8");
const block = base.replace(
  'generations: ["2026-11-20"]',
  'generations:\n        - "2026-11-20" # first\n        - "2026-08-01"',
);
const replaced = (from: string, to: string, text = base) => {
  expect(text).toContain(from);
  return text.replace(from, to);
};

describe("only stamps", () => {
  it.each([
    ["nothing", base],
    ["a roll", editStackFile(base, ["rounds-db"], "rotate", "2026-11-21").text],
    ["two rolls", editStackFile(base, ["rounds-db", "session-key"], "rotate", "2026-11-21").text],
    ["a retirement", editStackFile(base, ["session-key"], "retire", "2026-11-21").text],
    ["a rollback", editStackFile(base, ["session-key"], "rollback", "2026-11-21").text],
    ["a counter, unquoted", replaced('["2026-11-20"]', "[2026-11-20.2, 2026-11-20]")],
  ])("%s", (_, head) => {
    expect(otherChange(base, head)).toBeUndefined();
  });

  it("in a block list, with its comment", () => {
    expect(otherChange(block, editStackFile(block, ["rounds-db"], "rotate", "2026-11-21").text)).toBeUndefined();
    expect(otherChange(block, editStackFile(block, ["rounds-db"], "retire", "2026-11-21").text)).toBeUndefined();
    expect(otherChange(block, replaced("# first", "# the leak of Friday", block))).toBeUndefined();
  });
});

describe("only stamps of Turso", () => {
  const roll = (action: "rotate" | "retire", names: string[], file = TURSO_FILE, gone: string[] = []) =>
    editStackFile(file, names, action, "2026-11-21", false, (_, stamp) => gone.includes(stamp)).text;
  const kill = (kind: "group" | "database", name: string, file = TURSO_FILE) =>
    invalidateIn(file, [{ kind, name }], "2026-11-21", false, { reason: "the leak of Friday", ticket: "OPS-12" }).text;
  const both = ["2026-06-01", "2026-05-01"];
  it.each([
    ["a retirement into an empty list", base, roll("retire", ["rounds-turso"], roll("rotate", ["rounds-turso"], base))],
    ["a retirement into a new key", TURSO_FILE, roll("retire", ["block"])],
    ["a replacement into a new key", TURSO_FILE, roll("rotate", ["single"])],
    ["a retirement beside others", TURSO_FILE, roll("retire", ["kept", "lines", "spread"])],
    ["expired ones cleared", TURSO_FILE, roll("rotate", ["kept", "lines", "spread"], TURSO_FILE, both)],
    [
      "Windows line ends",
      TURSO_FILE.replaceAll("\n", "\r\n"),
      roll("retire", ["block", "lines"], TURSO_FILE.replaceAll("\n", "\r\n")),
    ],
    [
      "an invalidation again",
      TURSO_FILE,
      invalidateIn(TURSO_FILE, [{ kind: "group", name: "staging" }], "2026-11-21").text,
    ],
    ["an invalidation by a new key", TURSO_FILE, kill("group", "production")],
    ["an invalidation that is new in production", base, kill("group", "production", base)],
  ])("%s", (_, from, to) => {
    expect(from === to).toBe(false);
    expect(otherChange(from, to)).toBeUndefined();
    expect(otherChange(to, from)).toBeUndefined();
  });

  const withLine = (line: string) =>
    replaced(
      "        deleteProtection: true # always\n",
      `        deleteProtection: true # always\n${line}`,
      TURSO_FILE,
    );
  it.each([
    ["a key in a flow mapping", kill("database", "rounds")],
    ["a reason in a flow mapping", kill("group", "staging")],
    ["an entry for a group", kill("group", "lone-group")],
    ["an incident", withLine("        incident: { reason: x, readOnly: 7d }\n")],
    ["an invalidation by what is no stamp", withLine('        invalidated: "${secret}"\n')],
    ["an invalidation of another file", withLine('        invalidated: "2026-11-20"\n        blockWrites: true\n')],
    ["an invalidation with more on its line", withLine('        invalidated: "2026-11-20" #\u2028        x: 1\n')],
    ["an anchor", withLine('        invalidated: &x "2026-11-20"\n')],
    ["a tag", withLine('        invalidated: !!binary "2026-11-20"\n')],
    ["a retired key elsewhere", withLine('        retired: ["2026-11-20"]\n')],
    ["a retired list that holds more", replaced('[ "2026-06-01",', '[ "2026-06-01", "${x}",', TURSO_FILE)],
    [
      "a comment between key and list",
      replaced("      retired:\n        - ", "      retired: # \u2028\n        - ", TURSO_FILE),
    ],
  ])("but more than them: %s", (_, head) => {
    expect(otherChange(TURSO_FILE, head)).toEqual(expect.any(String));
  });
});

describe("only stamps and why", () => {
  const why = (given: { reason?: string; ticket?: string }, names = ["rounds-db"], file = base) =>
    editStackFile(file, names, "rotate", "2026-11-21", false, undefined, given).text;
  const reasoned = why({ reason: "Ann's laptop: lost; 50 % #1 {x} [y] *z &a !b |c >d", ticket: "OPS-12" });
  it.each([
    ["both, added", base, reasoned],
    ["both, taken out", reasoned, editStackFile(reasoned, ["rounds-db"], "rotate", "2026-11-22").text],
    ["another reason", reasoned, why({ reason: "again" }, ["rounds-db"], reasoned)],
    ["of two credentials", base, why({ ticket: "OPS-13" }, ["rounds-db", "session-key"])],
    ["beside a block list", block, why({ reason: "the leak of Friday" }, ["rounds-db"], block)],
    ["Windows line ends", ...windows(base, reasoned)],
  ])("%s", (_, from, to) => {
    expect(from === to).toBe(false);
    expect(otherChange(from, to)).toBeUndefined();
    expect(otherChange(to, from)).toBeUndefined();
  });

  function windows(...texts: [string, string]): [string, string] {
    return texts.map((text) => text.replaceAll("\n", "\r\n")) as [string, string];
  }

  const line = (text: string) => replaced("      login: rounds # gives", `${text}      login: rounds # gives`);
  it.each([
    ["a quote inside", why({ reason: 'the "laptop"' })],
    ["a backslash", why({ reason: "a\\b" })],
    ["what is not ASCII", why({ reason: "Ann’s laptop" })],
    ["plain text", line("      reason: lost\n")],
    ["single quotes", line("      reason: 'lost'\n")],
    ["an escape", line('      reason: "\\x41"\n')],
    ["two lines in quotes", line('      reason: "lost\n        again"\n')],
    ["a block", line("      reason: |\n        lost\n")],
    ["an anchor", line('      reason: &x "lost"\n')],
    ["a tag", line('      reason: !!binary "lost"\n')],
    ["an alias", line("      reason: *x\n")],
    ["a quoted key", line('      "reason": "lost"\n')],
    ["a spread key", line('      ? reason\n      : "lost"\n')],
    ["a space before the colon", line('      reason : "lost"\n')],
    ["a tab in the text", line('      reason: "lo\tst"\n')],
    ["a line separator in its comment", line('      reason: "lost" # \u2028      url: "evil"\n')],
    ["one that is there twice", line('      reason: "lost"\n      reason: "again"\n')],
    ["one line, one more key", line('      reason: "lost"\n      quiet: 1s\n')],
    ["a text that takes the next line in", line('      reason: "lost" owner: "evil"\n')],
    ["one of a Worker", replaced("      answers: 20", '      reason: "lost"\n      answers: 20')],
    ["one of the file itself", `${base}reason: "lost"\n`],
    [
      "one of an incident",
      replaced(
        "        deleteProtection: true\n",
        '        deleteProtection: true\n        incident:\n          reason: "lost"\n',
      ),
    ],
    ["holders", line('      holders: ["a@example.com"]\n')],
  ])("but more than them: %s", (_, head) => {
    expect(otherChange(base, head)).toEqual(expect.any(String));
  });

  it("not where it stands in a text of many lines, which it is a part of", () => {
    const text = "      checks:\n        - |\n          SELECT 1\n";
    const from = block.replace(/ {6}checks: .*\n/, text);
    const head = from.replace("          SELECT 1\n", '          SELECT 1\n          reason: "lost"\n');
    expect(head).not.toBe(from);
    expect(otherChange(from, head)).toEqual(expect.any(String));
  });
});

describe("of what `npm run rotate` writes itself, as docs/policy.md says", () => {
  const day = "2026-02-27";
  const rolled = (name: string, reason?: string) =>
    editStackFile(DUE_FILE, [name], "rotate", day, false, undefined, reason === undefined ? {} : { reason }).text;
  const emergency = editStackFile(DUE_FILE, ["signing"], "emergency", day).text;

  it.each([
    ["a roll in braces", rolled("flow")],
    ["a reason in block style", rolled("block", "it's due (60d)")],
    ["a roll of `generation`", rolled("single")],
  ])("%s is previewed at once", (_, head) => {
    expect(head).not.toBe(DUE_FILE);
    expect(otherChange(DUE_FILE, head)).toBeUndefined();
  });

  it.each([
    ["a reason in braces", DUE_FILE, rolled("flow", "due")],
    ["double quotes", DUE_FILE, rolled("block", 'he said "no"')],
    ["a backslash", DUE_FILE, rolled("block", "a\\b")],
    ["what is not ASCII", DUE_FILE, rolled("block", "Größe")],
    ["a retired that is new in braces", TURSO_FILE, editStackFile(TURSO_FILE, ["flow"], "retire", day).text],
    ["a restored key", KEYSETS, editStackFile(KEYSETS, ["dual"], "restore", "2026-05-01").text],
    ["an emergency", DUE_FILE, emergency],
    ["what is due after an emergency", emergency, editDue(emergency, ["signing"], "2026-06-20").text],
  ])("%s waits", (_, from, head) => {
    expect(head).not.toBe(from);
    expect(otherChange(from, head)).toEqual(expect.any(String));
  });
});

describe("more than stamps", () => {
  it.each([
    ["a probe", replaced("https://rounds.example.com/", "https://evil.example.com/")],
    ["a check", replaced("SELECT 1 FROM", "SELECT pg_sleep(9) FROM")],
    ["the server", replaced("host: db.example.com", "host: evil.example.com")],
    ["a stamp elsewhere", replaced("port: 5432", 'port: "2026-11-20"')],
    ["a comment", replaced("# in the dashboard's address", "# elsewhere")],
    ["a new key", `${base}  rollover:extra: 1\n`],
    ["another salt", `${base}encryptionsalt: v1:x\n`],
    ["another plugin", `${base}plugins: {}\n`],
    ["a removed credential", base.slice(0, base.indexOf("    rounds-db:"))],
    [
      "generation for generations",
      replaced('generations: ["2026-11-20"]\n      deliver', 'generation: "2026-11-20"\n      deliver'),
    ],
    ["an empty list", replaced('generations: ["2026-11-20"]', "generations: []")],
    ["no stamp", replaced('generations: ["2026-11-20"]', 'generations: ["2026-13-20"]')],
    ["a template for a stamp", replaced('generations: ["2026-11-20"]', 'generations: ["${secret}"]')],
    ["a mapping", replaced('generations: ["2026-11-20"]', "generations: { a: 2026-11-20 }")],
    ["an alias", replaced('generations: ["2026-11-20"]', "generations: *x")],
    ["a tag", replaced('generations: ["2026-11-20"]', "generations: !!binary 2026-11-20")],
    ["a second document", `${base}---\nconfig: {}\n`],
    ["a key twice", `${base}config: {}\n`],
    ["no YAML", "{"],
    ["nothing at all", ""],
    ["a link's text", "../../etc/passwd"],
  ])("%s", (_, head) => {
    expect(otherChange(base, head)).toEqual(expect.any(String));
  });

  it.each(["\u2028", "\u2029", "\u0085", "\r"])("a comment that another parser ends at %j", (end) => {
    const head = replaced("# first", `# first${end}      url: "https://evil.example.com/{password}"`, block);
    expect(otherChange(block, head)).toEqual(expect.any(String));
  });

  it("never repeats the file's text", () => {
    expect(otherChange(base, replaced("host: db.example.com", "host: evil"))).not.toContain("evil");
  });
});
