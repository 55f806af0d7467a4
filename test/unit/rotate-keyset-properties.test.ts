// Proves by properties that any edits of keysets by `npm run rotate`, one after the other, leave exactly the wanted lists, every comment
// and everything else, and refuse exactly what they should. Not the texts of the refusals (rotate-keyset.test.ts), and not that an
// update then does what the file says.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Action, Refusal } from "../../operations/stack-file";
import { edit, entriesOf, FILE, listsOf } from "./rotate-keyset-fixture";

const backedUp = ["flow", "block", "spread", "listed", "single", "dual"];

describe("any edits, one after the other", () => {
  const rows = fc.array(
    fc.tuple(
      fc.constantFrom(...backedUp),
      fc.constantFrom<Action>("rotate", "rotate", "retire", "rollback", "restore", "restore", "emergency"),
      fc.integer({ min: 1, max: 28 }),
    ),
    { minLength: 40, maxLength: 40 },
  );
  // Those behind a stamp go with it, those in a block of `restore` with the whole of it.
  const comments = (FILE.match(/#.*/g) ?? []).filter((text) => !/by |June|July|why/.test(text));

  it.each(["\n", "\r\n"])(
    "leave exactly the wanted lists, and every comment (line ends %j)",
    { timeout: 60_000 },
    (eol) => {
      expect(comments).toHaveLength(12);
      const done = new Map<Action, number>();
      const file = FILE.replaceAll("\n", eol);
      fc.assert(
        fc.property(rows, (steps) => {
          let text = file;
          for (const [name, action, day] of steps) {
            const stamp = `2026-${action === "restore" ? "05" : "09"}-${String(day).padStart(2, "0")}`;
            const was = listsOf(text, name);
            if (action === "rotate" && was.live.length > 6) continue;
            const others = Object.entries(entriesOf(text)).filter(([other]) => other !== name);
            try {
              text = edit(name, action, stamp, text).text;
            } catch (error) {
              if (!(error instanceof Refusal)) throw error;
              expect(isRefused(name, action, stamp, was), error.message).toBe(true);
              continue;
            }
            done.set(action, (done.get(action) ?? 0) + 1);
            const now = listsOf(text, name);
            expect(now).toEqual(wanted(action, stamp, was, now.live[0] ?? ""));
            if (action === "rotate" || action === "emergency") {
              expect(now.live[0]?.startsWith(stamp) && !was.live.includes(now.live[0])).toBe(true);
            }
            expect(Object.entries(entriesOf(text)).filter(([other]) => other !== name)).toEqual(others);
            for (const comment of comments) expect(text).toContain(comment);
            expect(text.split(eol).join("")).not.toMatch(/[\r\n]/);
          }
        }),
        { numRuns: 8 },
      );
      for (const action of ["rotate", "retire", "rollback", "restore", "emergency"] as const) {
        expect(done.get(action) ?? 0).toBeGreaterThan(5);
      }
    },
  );

  type Lists = ReturnType<typeof listsOf>;

  function wanted(action: Action, stamp: string, { live, restore, atOnce }: Lists, added: string): Lists {
    const last = live.at(-1);
    switch (action) {
      case "rotate":
        return { live: atOnce ? [added] : [added, ...live], restore, atOnce };
      case "retire":
        return { live: live.slice(0, -1), restore: restore.filter((one) => one !== last), atOnce };
      case "rollback":
        return { live: [live[1] ?? "", live[0] ?? "", ...live.slice(2)], restore, atOnce };
      case "restore":
        return { live: [...live, stamp], restore: [...restore, stamp], atOnce: false };
      case "emergency":
        return { live: [added], restore: [], atOnce: true };
    }
  }

  function isRefused(name: string, action: Action, stamp: string, { live }: Lists): boolean {
    if (action === "retire" || action === "rollback") return live.length < 2;
    const isThird = name === "dual" && live.length === 2;
    return action === "rotate" ? isThird : action === "restore" && (isThird || live.includes(stamp));
  }
});
