// Proves exactly what a PostgresRole registers in each of its forms, what of it is secret, what waits for what, and the URL
// it hands out, under mocks. Not proven: SQL, proofs and retirement (test/engine), nor the official plugin.
import * as postgresql from "@pulumi/postgresql";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { expect, it } from "vitest";
import { PostgresRole } from "../../components";
import type { PostgresCredential, PostgresServer } from "../../components";
import { type Registered, registeredBy, valueOf } from "./registered";

const server: PostgresServer = {
  host: "db.example.com",
  port: 5432,
  database: "postgres",
  username: "rollover_admin",
  sslmode: "verify-full",
  superuser: false,
};
const credential: PostgresCredential = {
  kind: "postgres",
  name: "rounds-db",
  database: "rounds",
  owner: "rounds_owner",
  existing: false,
  login: "rounds",
  inPlace: false,
  checks: ["SELECT count(*) FROM rounds"],
  grants: [],
  url: "postgresql://{user}:{password}@{host}:{port}/{database}?sslmode=verify-full",
  quietMs: 60_000,
  dropOnDestroy: false,
  generations: ["2026-11-21", "2026-11-20"],
  deliver: [{ worker: "rounds-api", as: "DATABASE_URL" }],
  output: false,
};
const consumer = {
  worker: "rounds-api",
  script: "rounds-api",
  url: "https://rounds.example.com/probe",
  token: "token",
};

const LOGIN = "pulumi-nodejs:dynamic/postgres:PostgresLogin";
const CLAIM = "pulumi-nodejs:dynamic/postgres:PostgresLoginClaim";
const PASSWORD = "random:index/randomPassword:RandomPassword";
const EDIT = "random:index/randomId:RandomId rounds-db-edit";

it("makes owner, database and, for each generation, password, claim and login", async () => {
  const { children } = await declare({});
  expect(children.map(({ what }) => what).sort()).toEqual([
    "postgresql:index/database:Database rounds-db-database",
    "postgresql:index/grant:Grant rounds-db-public",
    "postgresql:index/role:Role rounds-db-owner",
    `${LOGIN} rounds-db@2026-11-20`,
    `${LOGIN} rounds-db@2026-11-21`,
    `${CLAIM} rounds-db@rounds_20261120`,
    `${CLAIM} rounds-db@rounds_20261121`,
    EDIT,
    `${PASSWORD} rounds-db@2026-11-20`,
    `${PASSWORD} rounds-db@2026-11-21`,
  ]);
  expect(new Set(children.map(({ parent }) => parent))).toEqual(new Set(["rounds-db"]));
  expect(find(children, `${PASSWORD} rounds-db@2026-11-21`)).toMatchObject({
    inputs: { length: 32, special: false },
    ignored: ["length", "special"],
  });
});

it("declares each login with what proves and what retires it; password and consumers are secret", async () => {
  const { children } = await declare({});
  const urn = "urn:pulumi:test::rollover::rollover:postgres:PostgresRole$pulumi-nodejs:dynamic/postgres:PostgresLogin";
  const claimed = (stamp: string, login: string) => ({
    login,
    server: "db.example.com:5432",
    owner: "rounds_owner",
    database: "rounds",
    credential: "rounds-db",
    quietMs: 60_000,
    madeBy: `${urn}::rounds-db@${stamp}`,
  });
  const declared = (stamp: string, login: string) => ({
    ...claimed(stamp, login),
    mode: "login",
    password: `password-of-rounds-db@${stamp}`,
    checks: ["SELECT count(*) FROM rounds"],
    edit: "tag-of-rounds-db-edit",
    consumers: [consumer],
  });
  expect(find(children, `${CLAIM} rounds-db@rounds_20261121`).inputs).toEqual(claimed("2026-11-21", "rounds_20261121"));
  const current = find(children, `${LOGIN} rounds-db@2026-11-21`);
  expect(current.inputs).toEqual({
    ...declared("2026-11-21", "rounds_20261121"),
    current: true,
    siblings: ["rounds_20261121", "rounds_20261120"],
  });
  const previous = find(children, `${LOGIN} rounds-db@2026-11-20`);
  expect(previous.inputs).toEqual({
    ...declared("2026-11-20", "rounds_20261120"),
    current: false,
    siblings: [],
  });
  for (const { secrets, secretOutputs } of [current, previous]) {
    expect([...secrets].sort()).toEqual(["consumers", "password"]);
    expect([...secretOutputs].sort()).toEqual(["consumers", "password"]);
  }
});

it("makes a login after its claim and after the last grant, and each grant after the one before", async () => {
  const table = { objectType: "table" as const, schema: "public", privileges: ["SELECT"] };
  const { children } = await declare({
    grants: [
      { ...table, objects: ["ledger"] },
      { ...table, objects: ["audit"] },
    ],
  });
  const first = find(children, "postgresql:index/grant:Grant rounds-db-grant-table-public-ledger");
  const second = find(children, "postgresql:index/grant:Grant rounds-db-grant-table-public-audit");
  expect(first.inputs).toEqual({ ...table, objects: ["ledger"], database: "rounds", role: "rounds_owner" });
  expect(first.after).toContain("postgresql:index/grant:Grant rounds-db-public");
  expect(second.after).toContain("postgresql:index/grant:Grant rounds-db-grant-table-public-ledger");
  expect(find(children, `${LOGIN} rounds-db@2026-11-21`).after).toEqual(
    expect.arrayContaining([
      "postgresql:index/grant:Grant rounds-db-grant-table-public-audit",
      `${CLAIM} rounds-db@rounds_20261121`,
      `${PASSWORD} rounds-db@2026-11-21`,
    ]),
  );
});

it("leaves owner and database when it goes, unless they are to be dropped", async () => {
  const retained = async (dropOnDestroy: boolean) =>
    (await declare({ dropOnDestroy })).children.filter((child) => child.retained).map(({ what }) => what);
  expect((await retained(false)).sort()).toEqual([
    "postgresql:index/database:Database rounds-db-database",
    "postgresql:index/grant:Grant rounds-db-public",
    "postgresql:index/role:Role rounds-db-owner",
  ]);
  expect(await retained(true)).toEqual([]);
});

it("manages no owner that exists, and records the adopted login without a password", async () => {
  const { children } = await declare({ existing: true, owner: "app", adopted: "app", generations: ["2026-11-20"] });
  expect(children.map(({ what }) => what).sort()).toEqual([
    `${LOGIN} rounds-db@2026-11-20`,
    `${LOGIN} rounds-db@adopted`,
    `${CLAIM} rounds-db@rounds_20261120`,
    EDIT,
    `${PASSWORD} rounds-db@2026-11-20`,
  ]);
  expect(find(children, EDIT).inputs["keepers"]).toEqual({ live: "2026-11-20,app" });
  expect(find(children, `${LOGIN} rounds-db@adopted`).inputs).toMatchObject({
    mode: "adopted",
    login: "app",
    owner: "app",
    password: "",
    checks: [],
    current: false,
    consumers: [consumer],
  });
  expect(find(children, `${LOGIN} rounds-db@2026-11-20`).inputs["siblings"]).toEqual(["rounds_20261120", "app"]);
});

it("gives an inPlace role a verifier for a password, secret, and proves it after that", async () => {
  const { children } = await declare({ inPlace: true, generations: ["2026-11-20"] });
  const role = find(children, "postgresql:index/role:Role rounds-db-login");
  const { password, ...inputs } = role.inputs;
  expect(inputs).toEqual({
    name: "rounds",
    login: true,
    roles: ["rounds_owner"],
    assumeRole: "rounds_owner",
    skipReassignOwned: true,
  });
  expect(password).toMatch(/^SCRAM-SHA-256\$4096:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$/);
  expect(role.secrets).toEqual(["password"]);
  expect(role.retained).toBe(false);
  const login = find(children, `${LOGIN} rounds-db@2026-11-20`);
  expect(login.inputs).toMatchObject({ mode: "inPlace", login: "rounds", current: true });
  expect(login.after).toContain("postgresql:index/role:Role rounds-db-login");
  expect(children.filter(({ what }) => what.startsWith(CLAIM))).toEqual([]);
});

it("hands out the filled template as a secret, percent-encoded, and public tags", async () => {
  const { role } = await declare({ database: "my rounds", generations: ["2026-11-20"] });
  const [generation] = role.generations;
  expect(generation && (await valueOf(generation.value))).toEqual({
    value:
      "postgresql://rounds_20261120:password-of-rounds-db%402026-11-20@db.example.com:5432/my%20rounds?sslmode=verify-full",
    secret: true,
  });
  expect(generation && (await valueOf(generation.tag))).toEqual({
    value: "tag-of-rounds-db@2026-11-20",
    secret: false,
  });
});

it("hands out each URL no sooner than its own login is proven, which is when its resource is made", async () => {
  const { children } = await declare({}, (role) => {
    for (const { stamp, value } of role.generations)
      new random.RandomId(`consumer-${stamp}`, { byteLength: 8, keepers: { value } }, { parent: role });
  });
  for (const stamp of credential.generations)
    expect(find(children, `random:index/randomId:RandomId consumer-${stamp}`).after).toEqual([
      `${LOGIN} rounds-db@${stamp}`,
      `${PASSWORD} rounds-db@${stamp}`,
    ]);
});

it("mints and claims nothing before what it is to wait for", async () => {
  const registered = await registeredBy(() => {
    const provider = new postgresql.Provider("postgres", { host: server.host });
    const before = new random.RandomId("before", { byteLength: 1 });
    return new PostgresRole("rounds-db", { credential, server, consumers: [consumer], provider, after: [before] });
  });
  const minted = registered.filter(({ what }) => what === EDIT || [PASSWORD, CLAIM].includes(what.split(" ")[0] ?? ""));
  expect(minted).toHaveLength(5);
  for (const { after } of minted) expect(after).toContain("random:index/randomId:RandomId before");
});

/** Registers the usual credential with a change; the component itself and the provider are left out of `children`. */
async function declare(
  change: Partial<PostgresCredential>,
  also: (role: PostgresRole) => void = () => undefined,
): Promise<{ role: PostgresRole; children: Registered[] }> {
  const made: PostgresRole[] = [];
  const registered = await registeredBy(() => {
    const provider = new postgresql.Provider("postgres", { host: server.host });
    const consumers = pulumi.output([consumer]);
    const args = { credential: { ...credential, ...change }, server, consumers, provider };
    const role = new PostgresRole("rounds-db", args);
    also(role);
    made.push(role);
  });
  const [role] = made;
  if (!role) throw new Error("no component was made");
  const own = registered.filter(({ what }) => what === "rollover:postgres:PostgresRole rounds-db");
  expect(own).toHaveLength(1);
  return { role, children: registered.filter(({ parent }) => parent !== "") };
}

function find(registered: Registered[], what: string): Registered {
  const found = registered.filter((one) => one.what === what);
  expect(found, what).toHaveLength(1);
  return found[0] ?? expect.unreachable();
}
