// Proves by properties that stamps, durations and login names round-trip, keep their order and never clash. Does not prove
// that Postgres takes the names.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration } from "../../components/rotation/duration";
import { loginName } from "../../components/rotation/login";
import { compareStamps, nextStamp, parseStamp, stampParts } from "../../components/rotation/stamp";

const day = fc
  .date({ min: new Date("1000-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));
const stamp = fc
  .tuple(day, fc.integer({ min: 1, max: 9999 }))
  .map(([date, counter]) => (counter === 1 ? date : `${date}.${counter}`));

describe("stamps", () => {
  it("are their own normal form", () => {
    fc.assert(
      fc.property(stamp, (text) => {
        const { date, counter } = stampParts(text);
        expect(parseStamp(text)).toBe(text);
        expect(counter === 1 ? date : `${date}.${counter}`).toBe(text);
      }),
    );
  });

  it("are read from the forms that YAML readers make of an unquoted date", () => {
    fc.assert(
      fc.property(day, (date) => {
        const midnight = new Date(`${date}T00:00:00Z`);
        const forms = [`${date} 00:00:00 +0000 UTC`, `${date}T00:00:00Z`, `${date}T00:00:00.000Z`, midnight];
        expect(forms.map(parseStamp)).toEqual([date, date, date, date]);
      }),
    );
  });

  it.each([
    ...["2026-02-29", "2026-13-01", "2026-00-10", "2026-11-31", "2026-11-20.0", "2026-11-20.1", "2026-11-20.01"],
    ...[
      "2026-11-20.",
      "2026-11-20.10000",
      "2026-11-20 ",
      "26-11-20",
      "2026-11-20 00:00:01 +0000 UTC",
      "",
      "2026-11-20\n",
    ],
    ...[20261120, null, undefined, new Date(Number.NaN), new Date("2026-11-20T01:00:00Z"), ["2026-11-20"]],
  ])("are not %j", (value) => {
    expect(parseStamp(value)).toBeUndefined();
  });

  it("are ordered by date, then by counter", () => {
    fc.assert(
      fc.property(stamp, stamp, (a, b) => {
        const [left, right] = [stampParts(a), stampParts(b)];
        const expected = left.date === right.date ? left.counter - right.counter : left.date < right.date ? -1 : 1;
        expect(Math.sign(compareStamps(a, b))).toBe(Math.sign(expected));
        expect(compareStamps(a, b) === 0).toBe(a === b);
      }),
    );
  });

  it("count up to a free one, newer than all of its day", () => {
    fc.assert(
      fc.property(day, fc.uniqueArray(fc.integer({ min: 1, max: 50 })), (date, counters) => {
        const taken = counters.map((counter) => (counter === 1 ? date : `${date}.${counter}`));
        const next = nextStamp(date, taken);
        expect(parseStamp(next)).toBe(next);
        expect(taken.every((other) => compareStamps(other, next) < 0)).toBe(true);
      }),
    );
  });
});

describe("login names", () => {
  it("look like this", () => {
    expect(loginName("rounds", "2026-11-20.2")).toBe("rounds_20261120_2");
    expect(loginName("rounds", "2026-11-20")).toBe("rounds_20261120");
  });

  it("differ where prefix or stamp differ", () => {
    // Prefixes that end like stamps are the ones that could clash.
    const prefix = fc
      .tuple(
        fc.stringMatching(/^[a-c]$/),
        fc.array(fc.constantFrom("_20261120", "_2", "_20261120_2"), { maxLength: 3 }),
      )
      .map(([first, rest]) => first + rest.join(""));
    const near = fc.constantFrom("2026-11-20", "2026-11-20.2", "2026-11-20.12", "2026-11-21", "2026-11-20.9999");
    fc.assert(
      fc.property(prefix, near, prefix, near, (a, s, b, t) => {
        expect(loginName(a, s) === loginName(b, t)).toBe(a === b && s === t);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("durations", () => {
  it("round-trip", () => {
    fc.assert(
      fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  it("are these", () => {
    const texts = ["90d", "24h", "5m", "60s", "500ms", "0s"];
    expect(texts.map(parseDuration)).toEqual([7_776_000_000, 86_400_000, 300_000, 60_000, 500, 0]);
    expect([7_776_000_000, 86_400_000, 300_000, 61_000, 500, 0].map(formatDuration)).toEqual([
      "90d",
      "1d",
      "5m",
      "61s",
      "500ms",
      "0s",
    ]);
  });

  it.each(["", "5", "5 m", "1.5h", "-1s", "5M", "1w", "999999999999999d", 5, null])("are not %j", (value) => {
    expect(parseDuration(value)).toBeUndefined();
  });
});
