// Proves that `--reason` and `--ticket` arrive in an entry as they were given, whatever they hold, in every style of entry, and go
// with the next edit; and that what looks like a credential is refused. Not where they are recorded and told.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { editStackFile, Refusal } from "../../operations/stack-file";
import { whyProblem } from "../../operations/stack-file/why";
import { DUE_FILE } from "./due-fixture";

const NAMES = ["flow", "block", "spread", "tokens", "single", "signing"];
const entryOf = (text: string, name: string) =>
  (parse(text) as { config: { "rollover:credentials": Record<string, Record<string, unknown>> } }).config[
    "rollover:credentials"
  ][name] ?? {};
const rotate = (text: string, why = {}, names = NAMES) =>
  editStackFile(text, names, "rotate", "2026-02-27", false, undefined, why).text;

const TRICKS = [
  'he said "no"',
  "it's",
  "back\\slash\\",
  "# no comment",
  " - a list",
  "{ a: 1 }",
  "[x",
  "&a *b !c",
  "key: value",
  "> |",
  "---",
  "%TAG",
  "${secret}",
  "null",
  "2026-11-20",
  "yes",
  "Größe 😀",
  "a\u2028b",
  "a\u2029b: c",
  "\ufeffx",
  "a\u200bb",
  "'",
  '"',
  "\\",
  "\\n",
];

describe("reason and ticket", () => {
  it.each(TRICKS)("hold %j as it is, in every style, on one line", (reason) => {
    expect(whyProblem({ reason })).toBeUndefined();
    const text = rotate(DUE_FILE, { reason, ticket: "OPS-12" });
    for (const name of NAMES) expect(entryOf(text, name)).toMatchObject({ reason, ticket: "OPS-12" });
    expect(text.split("\n")).toHaveLength(DUE_FILE.split("\n").length + 2 * 4 + 2);
    expect(text).not.toMatch(/[\u2028\u2029\u0085\ufeff]/);
    // The next edit is another one's.
    const next = rotate(text, { ticket: "OPS-13" });
    for (const name of NAMES)
      expect([entryOf(next, name)["reason"], entryOf(next, name)["ticket"]]).toEqual([undefined, "OPS-13"]);
    const bare = rotate(next);
    expect(bare).not.toMatch(/reason: "|ticket:/);
    for (const comment of DUE_FILE.match(/#.*/g) ?? []) expect(bare).toContain(comment);
  });

  it("hold any text that is taken, and nothing else of the file changes", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", minLength: 1, maxLength: 60 }),
        fc.constantFrom(...NAMES),
        (reason, name) => {
          if (whyProblem({ reason }) !== undefined) return;
          const text = rotate(DUE_FILE, { reason }, [name]);
          expect(entryOf(text, name)["reason"]).toBe(reason);
          for (const other of NAMES.filter((one) => one !== name))
            expect(entryOf(text, other)).toEqual(entryOf(DUE_FILE, other));
        },
      ),
      { numRuns: 100 },
    );
  });

  it("replaces one that was written by hand, in place, and refuses what it does not understand", () => {
    const by = (line: string) => DUE_FILE.replace("      kind: postgres #", `      ${line}\n      kind: postgres #`);
    expect(rotate(by("reason: old # by hand"), { reason: "new" }, ["block"])).toContain(
      '      reason: "new" # by hand\n',
    );
    expect(rotate(by("reason: 'former'"), {}, ["block"])).not.toContain("former");
    expect(rotate(by("reason: |\n        old"), {}, ["block"])).toContain("    block:\n      kind: postgres");
    for (const line of ["reason: |\n        old", "reason: &a old"])
      expect(() => rotate(by(line), { reason: "new" }, ["block"])).toThrow(Refusal);
    const merged = DUE_FILE.replace("    block:\n", "    block:\n      <<: { reason: inherited }\n");
    expect(() => rotate(merged, {}, ["block"])).toThrow(
      "its reason is written in a form that this command cannot edit",
    );
  });

  it.each([
    ["two lines", "a\nb: c"],
    ["a control character", "a\u0085b"],
    ["nothing", " "],
    ["too much", "x".repeat(501)],
    ["a URL with a password", "was postgres://app:hunter2@db.example.com/x"],
    ["a token", "leaked eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"],
    ["a long key", "leaked sk_live_51H8abcDEF99ghIJKlmnOPqrSTuv"],
    // Of pieces, so that no scanner takes this file for a leak.
    ["a URL whose password has a slash", `in postgres://u:${["hunter2", "w"].join("/")}@h/db`],
    ["a URL with a password alone", "redis://:hunter2@cache.example.com:6379/0"],
    ["a Slack webhook", `see ${["https://hooks.slack.com", "services", "T0", "B0", "xxxx"].join("/")}`],
    ["a Slack token", `leaked ${["xoxb", "12345678", "xxxxxxxx"].join("-")}`],
    ["an AWS access key", `leaked ${["AKIA", "IOSFODNN7", "EXAMPLE"].join("")} today`],
    ["an AWS secret key", `leaked ${["wJalrXUtnFEMI", "K7MDENG", "bPxRfiCYEXAMPLEKEY"].join("/")}`],
    ["a key in a link", `https://x.example.com/a?key=${["wJalrXUtnFEMI", "K7MDENG", "bPxRfiCYEXAMPLEKEY"].join("/")}`],
    ["a key of base64", `leaked ${["q83vEjRWeJq", "N7xI0VniQq83vEjR", "eJCrze8="].join("/")}`],
  ])("refuses %s, without repeating it", (_, reason) => {
    const problem = whyProblem({ reason });
    expect(problem).toMatch(/^--reason (is no text of one line|holds what looks like a credential)/);
    for (const word of ["hunter2", "eyJ", "sk_live", "xxx", "FEMI", "IOSFO", "q83"])
      expect(problem).not.toContain(word);
  });

  it.each([
    "commit 9e1fed1b0c4d5a6f7e8d9c0b1a2f3e4d5c6b7a89",
    "run 0f8fad5b-d9cb-469f-a165-70867728950e",
    "https://ci.example.com/runs/123",
    "https://github.com/Acme/Rollover-Stacks/actions/runs/12345678901/job/98765432109",
    "https://ci.example.com:8443/job/Roll/12, ask ann@example.com",
    "https://acme.slack.com/archives/C02ABCDEF/p1700000000000000",
    "https://acme.atlassian.net/browse/OPS-12?focusedCommentId=10023#comment-10023",
    "an xoxb- token and an AKIA key were in a log",
    "see docs/runbooks/2026/leaked-password/steps and components/rotation/v2/credential.ts",
    "10:30 to 11:00 by ann@example.com",
  ])("takes %j, which is no credential", (reason) => {
    expect(whyProblem({ reason, ticket: "OPS/12#3" })).toBeUndefined();
  });
});
