// Proves what the program itself orders, of a stack with every kind: what waits for the announcement, who is delivered to when all is
// ready, that an invalidation comes last, and that the completion comes after everything. Under mocks. Not proven: what each resource
// does (test/provider), nor that the engine keeps the order (test/engine).
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, it } from "vitest";
import { type Registered, registeredBy } from "./registered";

const DYNAMIC = "pulumi-nodejs:dynamic";
const ANNOUNCED = `${DYNAMIC}/notify:Announcement update`;
const STAMPS = ["2026-11-20", "2026-08-01"];

const probe = "https://rounds.example.com/.well-known/rollover";
const config = {
  postgres: { host: "db.example.com", username: "rollover_admin" },
  cloudflare: { accountId: "0123456789abcdef0123456789abcdef" },
  turso: { organization: "acme", databases: { rounds: { group: "production" } } },
  audit: { file: "audit/prod.jsonl" },
  workers: { "rounds-api": { probe }, "rounds-verify": { probe } },
  credentials: {
    "session-key": { kind: "random", generations: STAMPS, deliver: [{ worker: "rounds-api", as: "SESSION_KEY" }] },
    "rounds-db": {
      ...{ kind: "postgres", database: "rounds", generations: STAMPS },
      ...{ deliver: [{ worker: "rounds-api", as: "DATABASE_URL" }], afterRoll: "./test/fixtures/after-roll/hook.mjs" },
    },
    "rounds-signing": {
      ...{ kind: "signing-keyset", maxTokenAge: "120s", generations: STAMPS },
      deliver: [
        { worker: "rounds-api", as: "JWT_KEYS" },
        { worker: "rounds-verify", as: "JWT_KEYS", verifyOnly: true },
      ],
    },
    "rounds-turso": {
      ...{ kind: "turso", database: "rounds", expiration: "90d", generations: ["2026-11-20"] },
      deliver: [
        { worker: "rounds-api", as: "TURSO_AUTH_TOKEN" },
        { file: ".env.local", as: "TURSO_AUTH_TOKEN" },
      ],
    },
  },
};

let registered: Registered[];

beforeAll(async () => {
  const secrets = ["postgresPassword", "cloudflareApiToken", "tursoApiToken"];
  const texts = [
    ...Object.entries(config).map(([key, value]) => [`rollover:${key}`, JSON.stringify(value)]),
    ...secrets.map((key) => [`rollover:${key}`, "a secret"]),
  ];
  const encrypted = secrets.map((key) => `rollover:${key}`);
  process.env["PULUMI_CONFIG_SECRET_KEYS"] = JSON.stringify(encrypted);
  pulumi.runtime.setAllConfig(Object.fromEntries(texts) as Record<string, string>, encrypted);
  registered = await registeredBy(() => import("../../index.js"));
});

it("announces before it mints, claims, delivers or invalidates anything", () => {
  // An owner and its database hold no secret, and a probe's token opens nothing but the probe.
  const apart = /^(?:rollover:|pulumi:providers:|postgresql:)|:WorkerDelivery |-probe$|:Announcement /;
  const all = registered.map(({ what }) => what).filter((what) => !apart.test(what));
  expect(all).toHaveLength(24);
  expect(all.filter((what) => !before(what).has(ANNOUNCED))).toEqual([]);
});

it("intends each delivery before it mints what is delivered", () => {
  for (const stamp of STAMPS) {
    expect(before(`random:index/randomPassword:RandomPassword session-key@${stamp}`)).toContain(intended("rounds-api"));
    expect(before(`${DYNAMIC}/postgres:PostgresLogin rounds-db@${stamp}`)).toContain(intended("rounds-api"));
    for (const worker of ["rounds-api", "rounds-verify"])
      expect(before(`random:index/randomPassword:RandomPassword rounds-signing@${stamp}`)).toContain(intended(worker));
  }
});

it("delivers when everything is proven, to who verifies before who signs", () => {
  const proven = [
    ...STAMPS.map((stamp) => `${DYNAMIC}/postgres:PostgresLogin rounds-db@${stamp}`).slice(0, 1),
    `${DYNAMIC}/turso:TursoToken rounds-turso@2026-11-20`,
  ];
  for (const what of [...proven, deliveredTo("rounds-verify")])
    expect(before(deliveredTo("rounds-api"))).toContain(what);
  expect(before(deliveredTo("rounds-verify"))).not.toContain(deliveredTo("rounds-api"));
  expect(before(`${DYNAMIC}/file:EnvFile .env.local`)).toContain(`${DYNAMIC}/turso:TursoToken rounds-turso@2026-11-20`);
});

it("invalidates when all else is minted: from then on consumers wait for their tokens", () => {
  const invalidation = before(`${DYNAMIC}/turso:TursoInvalidation turso`);
  const minted = /:PostgresLogin |:RandomPassword (?!.*-probe$)|:WorkerDelivery /;
  const all = registered.map(({ what }) => what).filter((what) => minted.test(what));
  expect(all).toHaveLength(10);
  expect(all.filter((what) => !invalidation.has(what))).toEqual([]);
  expect(before(`${DYNAMIC}/turso:TursoToken rounds-turso@2026-11-20`)).toContain(
    `${DYNAMIC}/turso:TursoInvalidation turso`,
  );
});

it("fails of an invalidation, runs its programs and tells of the end when everybody is delivered to", () => {
  const outcome = `${DYNAMIC}/turso:TursoOutcome turso`;
  const program = "command:local:Command rounds-db";
  const delivered = [deliveredTo("rounds-api"), deliveredTo("rounds-verify"), `${DYNAMIC}/file:EnvFile .env.local`];
  for (const what of delivered) {
    expect(before(outcome)).toContain(what);
    expect(before(program)).toContain(what);
  }
  for (const what of [...delivered, outcome, program])
    expect(before(`${DYNAMIC}/notify:Completion update`)).toContain(what);
});

function intended(worker: string): string {
  return `${DYNAMIC}/cloudflare:WorkerDelivery ${worker}`;
}

function deliveredTo(worker: string): string {
  return `${DYNAMIC}/cloudflare:WorkerSecretSet ${worker}`;
}

/** All that has to be done before it, by however many steps. */
function before(what: string): Set<string> {
  const found = new Set<string>();
  const open = [what];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [one] = registered.filter((each) => each.what === next);
    if (!one) throw new Error(`${next} is not registered`);
    for (const other of one.after) if (!found.has(other)) open.push(other);
    one.after.forEach((other) => found.add(other));
  }
  return found;
}
