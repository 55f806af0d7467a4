// Proves by properties that parseStack takes any valid config, refuses every single mutation of it, and throws nothing but
// ConfigError; also what raw config and defaults become. Not what is inside a check or a template (config-texts.test.ts), nor that
// Pulumi hands config over so: it runs none.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { ConfigError } from "../../components/rotation/problem";
import { rawConfig, SECRETS } from "../../components/rotation/raw-config";
import { changed, goodConfig, rawOf, type Mapping } from "./config-fixture";

const stamps = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 28 }), fc.integer({ min: 1, max: 12 })), {
    minLength: 1,
    maxLength: 6,
    selector: ([dayOfMonth, counter]) => `${dayOfMonth}.${counter}`,
  })
  .map((pairs) =>
    pairs.map(([d, counter]) => `2026-11-${String(d).padStart(2, "0")}${counter === 1 ? "" : `.${counter}`}`),
  );
const PROBE = "https://rounds.example.com/.well-known/rollover";
const duration = fc.integer({ min: 1, max: 3600 }).map((seconds) => `${seconds}s`);

/** Names, consumers and secret names carry the index, so that nothing clashes by chance. */
const credential = (index: number): fc.Arbitrary<Mapping> => {
  const deliver = [{ worker: "w0", as: `SECRET_${index}` }];
  const random = fc.record(
    {
      kind: fc.constant("random"),
      generations: stamps,
      length: fc.integer({ min: 16, max: 5120 }),
      output: fc.boolean(),
      deliver: fc.constantFrom<Mapping[]>([], deliver, [{ worker: "w0", as: `S_${index}`, previousAs: `P_${index}` }]),
    },
    { requiredKeys: ["kind", "generations"] },
  );
  const both = {
    kind: fc.constant("postgres"),
    generations: stamps,
    owner: fc.constant(`owner_${index}`),
    checks: fc.constantFrom(["SELECT 1"], ["INSERT INTO t VALUES (';') -- x", "UPDATE t SET a = $$;COMMIT$$"]),
    url: fc.constant("postgres://{user}:{password}@pool.example.com/{database}"),
    quiet: duration,
    deliver: fc.constantFrom<Mapping[]>([], deliver),
  };
  const grants = fc.constantFrom<Mapping[]>([], [{ objectType: "table", schema: "public", privileges: ["SELECT"] }]);
  const managed = fc.record(
    { ...both, database: fc.constant(`managed_${index}`), grants },
    { requiredKeys: ["kind", "generations"] },
  );
  const takenOver = fc.record(
    { ...both, existing: fc.constant(true), adopted: fc.constant(`App ${index}`) },
    { requiredKeys: ["kind", "generations", "existing"] },
  );
  const turso = fc.record(
    {
      ...{ kind: fc.constant("turso"), generations: stamps, group: fc.constant(`group-${index}`) },
      expiration: fc.constantFrom("90d", "2w1d30m", "30s"),
      attach: fc.constantFrom(["other"], []),
      deliver: fc.constantFrom<Mapping[]>([], deliver, [...deliver, { file: `${index}.env`, as: "TOKEN" }]),
    },
    { requiredKeys: ["kind", "generations", "group", "expiration"] },
  );
  const keyset = fc.record(
    {
      ...{ kind: fc.constantFrom("signing-keyset", "encryption-keyset"), generations: stamps, maxTokenAge: duration },
      ...{ drain: duration, retireBelow: fc.double({ min: 0, max: 1, noNaN: true }) },
      deliver: fc.constantFrom<Mapping[]>([], deliver),
    },
    { requiredKeys: ["kind", "generations", "maxTokenAge"] },
  );
  return fc.oneof(random, managed, takenOver, turso, keyset);
};

const validConfig: fc.Arbitrary<Mapping> = fc
  .tuple(
    fc.integer({ min: 1, max: 6 }),
    fc.record({ answers: fc.integer({ min: 1, max: 1000 }), settle: duration, probe: fc.constant(PROBE) }),
  )
  .chain(([count, worker]) =>
    fc.tuple(...Array.from({ length: count }, (_, index) => credential(index))).map((list) => ({
      postgres: { host: "127.0.0.1", username: "rollover_admin", sslmode: "disable" },
      cloudflare: { accountId: "0123456789abcdef0123456789abcdef", apiUrl: "http://127.0.0.1:1/client/v4" },
      turso: { organization: "acme", databases: { rounds: { group: "production" } } },
      workers: { w0: worker },
      credentials: Object.fromEntries(list.map((entry, index) => [`c${index}`, entry])),
    })),
  );

type Mutation = (config: Mapping, credential: Mapping) => void;
/** Each makes any valid config invalid. */
const mutations: Record<string, Mutation> = {
  "a bad stamp": (_, c) => (c.generations as unknown[]).push("2026-02-30"),
  "a stamp twice": (_, c) => (c.generations as unknown[]).push((c.generations as unknown[])[0]),
  "no stamps": (_, c) => (c.generations = []),
  "generation too": (_, c) => (c.generation = "2026-11-20"),
  "an unknown key": (_, c) => (c.unknown = 1),
  "no kind": (_, c) => delete c.kind,
  "a setting of the other kind": (_, c) => (c[c.kind === "random" ? "quiet" : "length"] = 20),
  "an unknown consumer": (_, c) => (c.deliver = [{ worker: "w1", as: "X" }]),
  "a reserved name": (_, c) => (c.deliver = [{ worker: "w0", as: "ROLLOVER_PROBE_TOKEN" }]),
  "a name twice": (_, c) => (c.deliver = [1, 2].map(() => ({ worker: "w0", as: "X" }))),
  "too many names": (_, c) => (c.deliver = Array.from({ length: 99 }, (_item, i) => ({ worker: "w0", as: `X${i}` }))),
  "a text for a flag": (_, c) => (c.output = "true"),
  "a mapping for a list": (_, c) => (c.deliver = {}),
  "an unknown setting of Postgres": (config) => ((config.postgres as Mapping).pasword = "x"),
  "no host": (config) => delete (config.postgres as Mapping).host,
  "a far API": (config) => ((config.cloudflare as Mapping).apiUrl = "https://api.example.com/client/v4"),
  "a far API of Turso": (config) => ((config.turso as Mapping).apiUrl = "https://api.example.com"),
  "a database without a group": (config) => ((config.turso as Mapping).databases = { rounds: {} }),
  "a file in production": (config, c) => {
    config.production = true;
    c.deliver = [{ file: ".env", as: "X" }];
  },
  "a bad name": (config, c) => ((config.credentials as Mapping)["Not good"] = { ...c, deliver: [] }),
  "no consumers": (config, c) => {
    c.deliver = [{ worker: "w0", as: "X" }];
    delete config.workers;
  },
};

describe("parseStack", () => {
  it("takes any valid config, and keeps stamps and names", () => {
    fc.assert(
      fc.property(validConfig, (config) => {
        const model = parseStack(rawOf(config));
        const declared = Object.entries(config.credentials as Record<string, Mapping>);
        expect(model.credentials.map(({ name, generations }) => [name, generations])).toEqual(
          declared.map(([name, entry]) => [name, entry.generations]),
        );
      }),
      { numRuns: 300 },
    );
  });

  it.each(Object.entries(mutations))("refuses any valid config with %s", { timeout: 60_000 }, (_name, mutate) => {
    fc.assert(
      fc.property(validConfig, fc.nat(), (config, pick) => {
        const bad = structuredClone(config);
        const entries = Object.values(bad.credentials as Record<string, Mapping>);
        mutate(bad, entries[pick % entries.length] ?? {});
        expect(() => parseStack(rawOf(bad))).toThrow(ConfigError);
      }),
      { numRuns: 50 },
    );
  });

  it("throws nothing but ConfigError, whatever stands in the config", { timeout: 60_000 }, () => {
    const words =
      "kind random postgres turso generations retired deliver worker file as url grants objectType group".split(" ");
    words.push(..."expiration permissions tables actions incident readOnly invalidated".split(" "));
    const key = fc.oneof(
      fc.constantFrom(...words, "table", "schema", "privileges", "checks", "__proto__"),
      fc.string(),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(fc.jsonValue({ maxDepth: 1 }), key, fc.constant("2026-11-20")),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(key, tie("value"), { maxKeys: 6 }),
      ),
    }));
    const [named, production] = [fc.dictionary(key, value), fc.oneof(fc.boolean(), value)];
    const turso = fc.oneof(value, fc.record({ organization: value, groups: named, databases: named }));
    const raw = fc.record({
      keys: fc.array(fc.string()),
      settings: fc.record({
        ...{ production, turso, postgres: value, cloudflare: value, workers: value, abandon: value },
        credentials: named,
      }),
      secrets: fc.subarray([...SECRETS]),
    });
    let refused = 0;
    fc.assert(
      fc.property(raw, (config) => {
        try {
          parseStack(config);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          refused++;
        }
      }),
      { numRuns: 2000 },
    );
    expect(refused).toBeGreaterThan(1000);
  });

  it("fills in every default", () => {
    const model = parseStack(changed({}));
    expect(model.postgres).toEqual({
      ...{ host: "db.example.com", port: 5432, database: "postgres", username: "rollover_admin" },
      ...{ sslmode: "verify-full", superuser: false },
    });
    expect(model.cloudflare?.apiUrl).toBe("https://api.cloudflare.com/client/v4");
    expect(model.workers[1]).toEqual({
      name: "pages",
      script: "pages",
      answers: 20,
      withinMs: 300_000,
      settleMs: 60_000,
    });
    expect(model.credentials[0]).toMatchObject({ kind: "random", length: 48, output: false });
    expect(model.credentials[1]).toEqual({
      ...{ name: "rounds-db", kind: "postgres", generations: ["2026-11-20"], output: false },
      ...{ deliver: [{ worker: "rounds-api", as: "DATABASE_URL" }], database: "rounds", owner: "rounds_owner" },
      ...{ existing: false, login: "rounds", inPlace: false, checks: [], grants: [], quietMs: 60_000 },
      ...{ url: "postgresql://{user}:{password}@{host}:{port}/{database}?sslmode=verify-full", dropOnDestroy: false },
    });
  });
});

describe("rawConfig", () => {
  const read = (texts: Record<string, string>, isSecret?: (key: string) => boolean) =>
    rawConfig((key) => texts[key], Object.keys(texts), isSecret);

  it("reads what Pulumi hands over as JSON", () => {
    const { postgres, cloudflare, ...rest } = goodConfig();
    const texts = Object.fromEntries(
      Object.entries({ postgres, cloudflare, ...rest }).map(([k, v]) => [k, JSON.stringify(v)]),
    );
    const raw = read({ ...texts, postgresPassword: "x", cloudflareApiToken: "y", tursoApiToken: "z" });
    expect(parseStack(raw)).toEqual(parseStack(rawOf(goodConfig())));
  });

  it("counts the schema's defaults as not set", () => {
    const raw = read({
      ...{ production: "false", postgres: "{}", cloudflare: "{}", turso: "{}", abandon: "[]" },
      ...{ postgresPassword: "", cloudflareApiToken: "", tursoApiToken: "" },
    });
    expect(raw.secrets).toEqual([]);
    const { alerts, ...model } = parseStack(raw);
    expect(model).toEqual({ production: false, workers: [], credentials: [], rateLimits: [], abandon: [] });
    expect(alerts).toEqual(parseStack(rawOf({})).alerts);
  });

  it("names a text in the place of a mapping without showing it, and a secret in plain text", () => {
    const raw = read({ postgres: "hunter2", cloudflareApiToken: "hunter2" }, () => false);
    expect(() => parseStack(raw)).toThrow(
      /cloudflareApiToken\n {2}stands in plain text[^]*rollover:postgres\n {2}is no mapping: a text/,
    );
    expect(() => parseStack(raw)).not.toThrow(/hunter2/);
  });
});
