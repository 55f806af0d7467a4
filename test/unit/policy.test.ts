// Proves what the plan warns of where intervals do not go together. What is refused is in bad.yaml, when something is due in
// due.test.ts.
import { describe, expect, it } from "vitest";
import type { Policy } from "../../components/rotation/model";
import { lintOf, maxAgeOf, STANDARD_POLICY } from "../../components/rotation/policy";

const DAY = 86_400_000;
const policy: Policy = { ...STANDARD_POLICY, maxAgeMs: { default: 90 * DAY, signingKeys: 180 * DAY } };
const random = (...generations: string[]) => ({ kind: "random" as const, generations });

describe("a policy", () => {
  it("limits a credential by its own maxAge, then by its kind's, then by default", () => {
    expect(maxAgeOf({ kind: "random", maxAgeMs: DAY }, policy)).toBe(DAY);
    expect(maxAgeOf({ kind: "signing-keyset" }, policy)).toBe(180 * DAY);
    expect(maxAgeOf({ kind: "encryption-keyset" }, policy)).toBe(90 * DAY);
    expect(maxAgeOf({ kind: "random" }, undefined)).toBeUndefined();
  });

  it("warns of a second roll inside an overlap, and of no first one", () => {
    expect(lintOf(random("2026-11-26", "2026-11-20", "2026-08-01"), policy)).toEqual([
      "was rolled again within the overlap of 7d and holds 3 generations; retire 2026-08-01 before the next roll",
    ]);
    expect(lintOf(random("2026-11-27", "2026-11-20", "2026-08-01"), policy)).toEqual([]);
    expect(lintOf(random("2026-11-26", "2026-11-20"), policy)).toEqual([]);
  });

  it("warns of tokens that expire hardly later than they are overdue", () => {
    const turso = (expiration: string) => ({ kind: "turso" as const, generations: ["2026-11-20"], expiration });
    expect(lintOf(turso("90d"), policy)).toEqual([
      "has tokens that expire 0s after they are overdue, so a roll that is late is an outage; an expiration of 97d leaves an overlap",
    ]);
    expect(lintOf(turso("96d"), policy)).toEqual([expect.stringContaining("expire 6d after they are overdue")]);
    expect([lintOf(turso("97d"), policy), lintOf(turso("never"), policy), lintOf(turso("1d"), undefined)]).toEqual([
      [],
      [],
      [],
    ]);
  });
});
