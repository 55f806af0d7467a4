// Proves that many needles are found in one pass wherever they stand, and nothing else is; against a plain search, by properties.
// What is sought in a scene, and where, is proven in engine/leaks.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Needles } from "../../local/search";

const found = (needles: string[], text: string): string[] =>
  [...new Needles(needles.map((one) => ({ text: one, of: one }))).in(Buffer.from(text))].sort();

describe("a search for many needles", () => {
  it("finds each where it stands: at the start, at the end, within and beside one another", () => {
    expect(found(["abcdef", "cdef", "defghi", "zzzz"], "abcdefghi")).toEqual(["abcdef", "cdef", "defghi"]);
    expect(found(["päß&wörd"], "x päß&wörd")).toEqual(["päß&wörd"]);
    expect(found(["abcdef"], "abcde")).toEqual([]);
  });

  it("agrees with a plain search, whatever is sought and read", () => {
    // Two letters only, so that needles overlap and are nearly there.
    const text = (most: number) => fc.string({ unit: fc.constantFrom("a", "b"), minLength: 4, maxLength: most });
    fc.assert(
      fc.property(fc.uniqueArray(text(8), { maxLength: 12 }), text(60), (needles, read) => {
        expect(found(needles, read)).toEqual(needles.filter((needle) => read.includes(needle)).sort());
      }),
    );
  });

  it("refuses a needle that would be found anywhere", () => {
    expect(() => found(["abc"], "")).toThrow("a needle of 3 bytes is found anywhere");
  });
});
