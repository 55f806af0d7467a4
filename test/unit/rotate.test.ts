// Proves that editing a stack file changes nothing but stamps, and refuses what it should with its reason. Does not prove
// that an update then does what the stamps say; the command around it is in rotate-command.test.ts.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lineDiff } from "../../operations/line-diff";
import { type Action, editStackFile, Refusal } from "../../operations/stack-file";
import { FILE, stampsOf } from "./stack-file-fixture";

/** Everything but stamps and the lines, quotes and commas that carry only them. */
function restOf(text: string): string {
  return text
    .split("\n")
    .filter((line) => !/^ +(- )?["']?2026-\d\d-\d\d(\.\d+)?["']?,?\s*(#.*)?$/.test(line))
    .map((line) => line.replace(/generations: \["2026.*?\]/, "generations: []").replace(/(generation: )\S+/, "$1"))
    .join("\n");
}

describe("editStackFile", () => {
  it("adds today's stamp in front, quoted, in flow and block lists", () => {
    const { text, diff } = editStackFile(FILE, ["block", "flow", "spread"], "rotate", "2026-11-20");
    expect(text).toBe(
      FILE.replace(
        'flow: {kind: random, generations: ["2026-08-01"]',
        'flow: {kind: random, generations: ["2026-11-20", "2026-08-01"]',
      )
        .replace('        - "2026-08-01" # by Ann', '        - "2026-11-20"\n        - "2026-08-01" # by Ann')
        .replace('        "2026-08-01", # by Ann', '        "2026-11-20",\n        "2026-08-01", # by Ann'),
    );
    expect(diff.split("\n").filter((line) => /^[+-]/.test(line))).toEqual([
      '-    flow: {kind: random, generations: ["2026-08-01"], deliver: []} # one line',
      '+    flow: {kind: random, generations: ["2026-11-20", "2026-08-01"], deliver: []} # one line',
      '+        - "2026-11-20"',
      '+        "2026-11-20",',
    ]);
  });

  it("counts up where the day is taken", () => {
    const once = editStackFile(FILE, ["flow"], "rotate", "2026-08-01").text;
    const twice = editStackFile(once, ["flow"], "rotate", "2026-08-01").text;
    expect(stampsOf(twice, "flow")).toEqual(["2026-08-01.3", "2026-08-01.2", "2026-08-01"]);
  });

  it("retires the last stamp with its line's comment and no other", () => {
    const { text, notes } = editStackFile(FILE, ["block", "spread"], "retire", "2026-11-20");
    expect(text).toBe(
      FILE.replace("        - 2026-07-01   # by Bob\n", "").replace("        '2026-07-01', # by Bob\n", ""),
    );
    expect(notes).toEqual([
      "block: 2026-07-01 is withdrawn by the next update",
      "spread: 2026-07-01 is withdrawn by the next update",
    ]);
  });

  it("rolls back by moving the second to the front, in a block list with its comment", () => {
    const { text } = editStackFile(FILE, ["block", "spread"], "rollback", "2026-11-20");
    expect(text).toContain(
      '        # newest first\n        - 2026-07-01   # by Bob\n        - "2026-08-01" # by Ann\n',
    );
    expect(stampsOf(text, "spread")).toEqual(["2026-07-01", "2026-08-01"]);
    expect(restOf(text)).toBe(restOf(FILE));
  });

  it("replaces a single generation and one altered in place, and says that they break at once", () => {
    const { text, notes } = editStackFile(FILE, ["single", "fixed"], "rotate", "2026-11-20");
    expect(stampsOf(text, "single")).toEqual(["2026-11-20"]);
    expect(stampsOf(text, "fixed")).toEqual(["2026-11-20"]);
    expect(notes.every((note) => note.includes("breaks at once"))).toBe(true);
    expect(text).toContain('generation: "2026-11-20" # one');
  });

  it("keeps Windows line ends", () => {
    const { text } = editStackFile(FILE.replaceAll("\n", "\r\n"), ["block", "spread"], "rotate", "2026-11-20");
    expect(text.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
  });

  it.each<[string, string[], Action, string]>([
    [
      "the only stamp",
      ["flow"],
      "retire",
      "flow: its only stamp cannot be retired; rotate first, or remove the credential's whole entry",
    ],
    [
      "the stamp of `generation`",
      ["single"],
      "retire",
      "single: its only stamp cannot be retired; rotate first, or remove the credential's whole entry",
    ],
    ["no previous", ["flow"], "rollback", "flow: there is no previous stamp to go back to; rotate instead"],
    ["an unknown name", ["blok"], "rotate", "blok is no credential of this stack; did you mean block?"],
    [
      "a strange name",
      ["zzzzzz"],
      "rotate",
      "zzzzzz is no credential of this stack; known: flow, block, spread, single and fixed",
    ],
    ["a name twice", ["flow", "flow"], "rotate", "flow is named twice; name it once"],
    [
      "one bad name of two",
      ["flow", "nothing-like-it"],
      "rotate",
      "nothing-like-it is no credential of this stack; known: flow, block, spread, single and fixed",
    ],
  ])("refuses %s", (_what, names, action, message) => {
    expect(() => editStackFile(FILE, names, action, "2026-11-20")).toThrow(new Refusal(message));
  });

  it.each([
    ["stamps by key", '{a: "2026-08-01"}', "flow keeps its stamps by key"],
    ["an alias for the list", "*list", "flow: generations is no list that can be edited"],
    ["an alias for a stamp", "[*stamp]", "flow: a stamp is no plain text"],
    ["what is no stamp", "[soon]", "flow: its list holds something that is no stamp"],
  ])("refuses %s", (_what, value, message) => {
    const anchors = 'salt: [&list ["2026-08-01"], &stamp "2026-08-01"]';
    const file = FILE.replace('["2026-08-01"], deliver', `${value}, deliver`).replace("salt: v1:abc=", anchors);
    expect(() => editStackFile(file, ["flow"], "rotate", "2026-11-20")).toThrow(message);
  });

  it("refuses what the model refuses, but not what it cannot read", () => {
    const far = FILE.replace("host: db.example.com", "host: db.example.com, port: 99999");
    expect(() => editStackFile(far, ["flow"], "rotate", "2026-11-20")).toThrow(
      /rollover:postgres\.port\n {2}is out of range: 99999/,
    );
    const hidden = FILE.replace("accountId: 0123456789abcdef0123456789abcdef", "accountId: {secure: v1:cipher}");
    expect(stampsOf(editStackFile(hidden, ["flow"], "rotate", "2026-11-20").text, "flow")[0]).toBe("2026-11-20");
  });

  it("refuses a stamp given by hand that is taken, and takes one that is free", () => {
    expect(() => editStackFile(FILE, ["flow"], "rotate", "2026-08-01", true)).toThrow(
      "2026-08-01 stands in its list already",
    );
    expect(stampsOf(editStackFile(FILE, ["flow"], "rotate", "2026-11-20.7", true).text, "flow")[0]).toBe(
      "2026-11-20.7",
    );
  });

  it("keeps comments, order and meaning through 200 edits, three times", { timeout: 60_000 }, () => {
    const names = ["flow", "block", "spread", "single", "fixed"];
    const step = fc.tuple(
      fc.subarray(names, { minLength: 1 }),
      fc.constantFrom<Action>("rotate", "rotate", "retire", "rollback"),
      fc.integer({ min: 1, max: 28 }),
    );
    const comments = FILE.match(/#.*(see|odd|one line|newest|after|one$|the end).*/gm) ?? [];
    expect(comments).toHaveLength(7);
    let [done, refused] = [0, 0];
    const edits = fc.array(step, { minLength: 200, maxLength: 200 });
    fc.assert(
      fc.property(edits, (steps) => {
        let text = FILE;
        const lists = new Map(names.map((name) => [name, stampsOf(FILE, name)]));
        for (const [chosen, action, dayOfMonth] of steps) {
          // Long lists would reach the limits of the model, and nobody has them.
          const picked = chosen.filter((name) => action !== "rotate" || (lists.get(name) ?? []).length < 6);
          const today = `2026-09-${String(dayOfMonth).padStart(2, "0")}`;
          try {
            const edited = editStackFile(text, picked, action, today);
            expect(applyDiff(text, edited.diff)).toBe(edited.text);
            text = edited.text;
            done++;
          } catch (error) {
            if (!(error instanceof Refusal)) throw error;
            refused++;
            continue;
          }
          for (const name of picked) {
            const list = lists.get(name) ?? [];
            const now = stampsOf(text, name);
            const [added = ""] = now;
            if (action === "retire") expect(now).toEqual(list.slice(0, -1));
            if (action === "rollback") expect(now).toEqual([list[1], list[0], ...list.slice(2)]);
            if (action === "rotate") {
              expect(now).toEqual(["single", "fixed"].includes(name) ? [added] : [added, ...list]);
              expect(added.startsWith(today) && !list.includes(added)).toBe(true);
            }
            lists.set(name, now);
          }
          for (const name of names) expect(stampsOf(text, name)).toEqual(lists.get(name));
          for (const comment of comments) expect(text).toContain(comment);
          expect(restOf(text)).toBe(restOf(FILE));
        }
      }),
      { numRuns: 3 },
    );
    expect(done).toBeGreaterThan(150);
    expect(refused).toBeGreaterThan(20);
  });
});

/** Applies a unified diff without file names. */
function applyDiff(text: string, diff: string): string {
  const lines = text.split("\n");
  const out: string[] = [];
  let at = 0;
  for (const line of diff.split("\n").slice(0, -1)) {
    const start = /^@@ -(\d+),/.exec(line)?.[1];
    if (start !== undefined) {
      out.push(...lines.slice(at, Number(start) - 1));
      at = Number(start) - 1;
    } else if (line.startsWith("+")) out.push(line.slice(1));
    else {
      expect(lines[at]).toBe(line.slice(1));
      if (line.startsWith(" ")) out.push(line.slice(1));
      at++;
    }
  }
  return [...out, ...lines.slice(at)].join("\n");
}

describe("lineDiff", () => {
  it("can be applied, whatever the texts", () => {
    const text = fc.array(fc.constantFrom("a", "b", "c", ""), { maxLength: 30 }).map((lines) => lines.join("\n"));
    fc.assert(
      fc.property(text, text, (before, after) => {
        const diff = lineDiff(before, after);
        expect(applyDiff(before, diff)).toBe(after);
        expect(diff === "").toBe(before === after);
      }),
      { numRuns: 500 },
    );
  });
});
