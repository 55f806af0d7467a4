// Proves by properties that rate limits which parse are what their means can express, and that each form that a refusal names is
// taken. Does not prove that Cloudflare takes them.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EDGE, limitsOf, refusal } from "./rate-limits-fixture";

/** By plan: rules, longest period in seconds, methods, tokens; the vendor's table, written a second time. */
const TABLE = {
  free: [1, 10, false, false],
  pro: [2, 60, false, false],
  business: [5, 600, true, false],
  enterprise: [100, 3600, true, false],
  advanced: [100, 3600, true, true],
} as const;

describe("whatever parses", () => {
  const route = fc.record({
    route: fc
      .tuple(fc.constantFrom("POST", "*", "*"), fc.constantFrom("/a", "/b", "/c", "/d", "/e", "/f"))
      .map((parts) => parts.join(" ")),
    limit: fc.integer({ min: 1, max: 2000 }),
    period: fc.constantFrom("10s", "10s", "10s", "60s", "1m", "2m", "10m", "1h", "1d", "45s", "1s"),
    per: fc.constantFrom("client", "client", "client", "token"),
  });
  const routes = fc.dictionary(fc.constantFrom("a", "b", "c", "d", "e", "f"), route, {
    minKeys: 1,
    maxKeys: 3,
    noNullPrototype: true,
  });
  const mostly = fc.constantFrom(true, true, true, false);
  const plan = fc.constantFrom(...(Object.keys(TABLE) as (keyof typeof TABLE)[]));

  it("is what a zone's plan can express, and each form that a refusal names is taken", { timeout: 60_000 }, () => {
    let taken = 0;
    fc.assert(
      fc.property(plan, routes, mostly, (on, given, fits) => {
        const { host, ...edge } = EDGE;
        const set = { ...edge, ...(fits === (on !== "free") && { host }), plan: on, routes: given };
        const lines = refusal({ edge: set });
        if (lines.length > 0) {
          formsAreTaken(lines, (routeName, form) => ({
            ...set,
            routes: { [routeName]: { ...given[routeName], ...form } },
          }));
          return;
        }
        taken++;
        const [rules, longest, methods, tokens] = TABLE[on];
        const [found] = limitsOf({ edge: set });
        expect(found).toMatchObject({ host: on === "free" ? "" : host });
        expect(found?.routes.length).toBeLessThanOrEqual(rules);
        for (const { method, per, periodMs } of found?.routes ?? []) {
          expect([10, 60, 120, 300, 600, 3600].filter((each) => each <= longest)).toContain(periodMs / 1000);
          if (!methods) expect(method).toBe("*");
          if (!tokens) expect(per).toBe("client");
        }
      }),
      { numRuns: 300 },
    );
    expect(taken).toBeGreaterThan(10);
  });

  it("is what a binding can express", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(routes, (given) => {
        const set = { means: "binding", worker: "rounds-api", routes: given };
        const lines = refusal({ rounds: set });
        formsAreTaken(lines, (name, form) => ({ ...set, routes: { [name]: { ...given[name], ...form } } }));
        if (lines.length > 0) return;
        for (const { periodMs } of limitsOf({ rounds: set })[0]?.routes ?? [])
          expect([10_000, 60_000]).toContain(periodMs);
      }),
      { numRuns: 150 },
    );
  });
});

/** Every `write \`limit: N, period: P\`` of a refusal, put in place, is not refused for its period or limit again. */
function formsAreTaken(lines: string[], put: (route: string, form: object) => unknown): void {
  lines.forEach((line, index) => {
    const form = /^ {2}do: write `limit: (\d+), period: (\w+)`/.exec(line);
    if (!form) return;
    const [, name = ""] = /\.routes\.(\w+)\.period$/.exec(lines[index - 3] ?? "") ?? [];
    const again = refusal({ rounds: put(name, { limit: Number(form[1]), period: form[2] }) });
    expect(again.filter((each) => /\.(period|limit)$/.test(each))).toEqual([]);
  });
}
