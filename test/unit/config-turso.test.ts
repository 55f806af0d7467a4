// Proves by properties how kind turso, its organisation and env files are parsed: stamps split between two lists, expirations,
// file paths, groups that are only named. Does not prove that Turso takes what is allowed here.
import * as fc from "fast-check";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { parseExpiration } from "../../components/rotation/expiration";
import type { TursoCredential } from "../../components/rotation/model";
import { ConfigError } from "../../components/rotation/problem";
import { changed, type Change } from "./config-fixture";

const CREDENTIAL = "credentials/rounds-turso";
const day = fc.date({ min: new Date("2020-01-01"), max: new Date("2039-12-31"), noInvalidDate: true });
const stamp = fc
  .tuple(day, fc.integer({ min: 1, max: 9999 }))
  .map(([date, counter]) => `${date.toISOString().slice(0, 10)}${counter === 1 ? "" : `.${counter}`}`);
/** A shuffled list of stamps and how many of them are live. */
const split = fc
  .uniqueArray(stamp, { minLength: 1, maxLength: 12 })
  .chain((stamps) => fc.tuple(fc.constant(stamps), fc.integer({ min: 1, max: stamps.length })));

const SIZES = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };
const UNITS = ["w", "d", "h", "m", "s"] as const;
const parts = fc
  .record({ w: count(400), d: count(400), h: count(400), m: count(999), s: count(999) }, { requiredKeys: [] })
  .filter((given) => UNITS.some((unit) => (given[unit] ?? 0) > 0));

function count(max: number): fc.Arbitrary<number> {
  return fc.integer({ min: 0, max });
}

function credentialOf(change: Change, name = "rounds-turso"): TursoCredential {
  const found = parseStack(changed(change)).credentials.find((credential) => credential.name === name);
  if (found?.kind !== "turso") throw new Error(`${name} is no credential of kind turso`);
  return found;
}

function text(given: Partial<Record<keyof typeof SIZES, number>>, order: readonly (keyof typeof SIZES)[]): string {
  return order.flatMap((unit) => (given[unit] === undefined ? [] : `${given[unit]}${unit}`)).join("");
}

describe("stamps of a Turso credential", () => {
  it("are taken however they are split between generations and retired", () => {
    fc.assert(
      fc.property(split, ([stamps, live]) => {
        const [generations, retired] = [stamps.slice(0, live), stamps.slice(live)];
        const set = { [`${CREDENTIAL}/generations`]: generations, [`${CREDENTIAL}/retired`]: retired };
        expect(credentialOf({ set })).toMatchObject({ generations, retired });
      }),
    );
  });

  it("are refused where one stands in both lists", () => {
    fc.assert(
      fc.property(split, fc.nat(), ([stamps, live], pick) => {
        const generations = stamps.slice(0, live);
        const retired = [...stamps.slice(live), generations[pick % live]];
        const set = { [`${CREDENTIAL}/generations`]: generations, [`${CREDENTIAL}/retired`]: retired };
        expect(() => parseStack(changed({ set }))).toThrow(/stands in `generations` too/);
      }),
    );
  });
});

describe("an expiration", () => {
  it("reads back as the sum of its parts, and config keeps its text", () => {
    fc.assert(
      fc.property(parts, (given) => {
        const expiration = text(given, UNITS);
        const ms = UNITS.reduce((sum, unit) => sum + (given[unit] ?? 0) * SIZES[unit], 0);
        expect(parseExpiration(expiration)).toBe(ms);
        expect(credentialOf({ set: { [`${CREDENTIAL}/expiration`]: expiration } }).expiration).toBe(expiration);
      }),
    );
  });

  it("is none with its units in another order or twice", () => {
    const several = parts.filter((given) => Object.values(given).length > 1);
    fc.assert(
      fc.property(several, (given) => {
        expect(parseExpiration(text(given, [...UNITS].reverse()))).toBeUndefined();
        expect(parseExpiration(`${text(given, UNITS)}${text(given, UNITS)}`)).toBeUndefined();
      }),
    );
  });

  it.each(["", "0d", "never", "90", "1.5d", "-1d", " 1d", "1d ", "1D", "1y", "1mo", "500ms", "3651d", "1d\n"])(
    "is none: %j",
    (given) => {
      expect(parseExpiration(given)).toBeUndefined();
    },
  );

  it("may be never only where that is accepted", () => {
    const set = { [`${CREDENTIAL}/expiration`]: "never", [`${CREDENTIAL}/acceptNeverExpires`]: true };
    expect(credentialOf({ set }).expiration).toBe("never");
  });
});

describe("an env file's path", () => {
  const deliverTo = (file: string): Change => ({
    set: { [`${CREDENTIAL}/deliver`]: [{ file, as: "TURSO_AUTH_TOKEN" }] },
  });

  it.each([".env", ".env.local", "production.env", "app/.env", "a/b.c/..x/.env.test", "space in/.env"])(
    "%s is taken",
    (file) => {
      expect(credentialOf(deliverTo(file)).deliver).toEqual([{ file, as: "TURSO_AUTH_TOKEN" }]);
    },
  );

  it("that is taken lies inside the project and has one text", { timeout: 60_000 }, () => {
    const segment = fc.oneof(fc.constantFrom("..", ".", "", "a", ".env", "x.env", "C:", "\\"), fc.string());
    let taken = 0;
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const file = segments.join("/");
        try {
          parseStack(changed(deliverTo(file)));
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          return;
        }
        taken++;
        expect(path.posix.normalize(file)).toBe(file);
        expect(path.isAbsolute(file) || file.split("/").includes("..")).toBe(false);
        expect(path.basename(file)).toMatch(/^\.env|\.env$/);
      }),
      // So many that a hundred are taken whatever is drawn.
      { numRuns: 3000 },
    );
    expect(taken).toBeGreaterThan(100);
  });
});

describe("an organisation", () => {
  it("has every group that is named anywhere, by name, with only what is declared", () => {
    const { turso } = parseStack(
      changed({ set: { "credentials/all-turso/group": "analytics" }, unset: ["credentials/all-turso/proveOn"] }),
    );
    expect(turso?.groups).toEqual([
      { name: "analytics", settings: {} },
      { name: "production", settings: { deleteProtection: true }, invalidated: "2026-11-20" },
      { name: "staging", settings: {} },
    ]);
    expect(turso?.databases[0]).toEqual({ name: "rounds", group: "production", settings: { blockWrites: false } });
    expect(turso).toMatchObject({ organization: "acme", apiUrl: "https://api.turso.tech" });
  });

  it("may be reached on loopback, and takes an incident", () => {
    const incident = { reason: "token in a public log", readOnly: "7d" };
    const set = { "turso/apiUrl": "http://127.0.0.1:8787/", "turso/databases/rounds/incident": incident };
    const { turso } = parseStack(changed({ set }));
    expect(turso?.apiUrl).toBe("http://127.0.0.1:8787");
    expect(turso?.databases[0]?.incident).toEqual(incident);
  });

  it("may have incidents in two groups at once", () => {
    const incident = { reason: "a leak", readOnly: "30d" };
    const set = { "turso/databases/rounds/incident": incident, "turso/databases/sandbox/incident": incident };
    expect(parseStack(changed({ set })).turso?.databases.filter((database) => database.incident)).toHaveLength(2);
  });

  it("needs a token as soon as it declares a database, and none before", () => {
    const credentials = ["credentials/rounds-turso", "credentials/all-turso"];
    const bare = { unset: [...credentials, "turso/databases", "turso/groups"], missing: ["tursoApiToken" as const] };
    expect(parseStack(changed(bare)).turso).toMatchObject({ groups: [], databases: [] });
  });
});

describe("a stack", () => {
  it("that delivers only into files needs no account of Cloudflare", () => {
    const without = ["credentials/session-key", "credentials/rounds-db", "cloudflare", "workers"];
    const model = parseStack(changed({ unset: without, missing: ["cloudflareApiToken"] }));
    expect(model.cloudflare).toBeUndefined();
    expect(model.production).toBe(false);
  });

  it.each([true, "true"])("is marked production by %j", (production) => {
    const set = { production, [`${CREDENTIAL}/deliver`]: [{ worker: "pages", as: "TURSO_AUTH_TOKEN" }] };
    expect(parseStack(changed({ set })).production).toBe(true);
  });
});
