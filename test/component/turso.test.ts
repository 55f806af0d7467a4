// Proves exactly what Turso's components register under mocks: children, names, parents, what is secret, what waits for what, and
// that a retired stamp has a resource and is not delivered. Not proven: what their providers do (test/provider, test/engine).
import * as random from "@pulumi/random";
import { expect, it } from "vitest";
import { TursoOrganization, TursoTokens } from "../../components";
import type { TursoAccount, TursoCredential } from "../../components";
import { type Registered, registeredBy, valueOf } from "./registered";

const credential: TursoCredential = {
  kind: "turso",
  name: "rounds-turso",
  target: { kind: "database", name: "rounds" },
  authorization: "full-access",
  expiration: "90d",
  permissions: [],
  attach: [],
  generations: ["2026-11-21", "2026-11-20"],
  retired: ["2026-11-19"],
  deliver: [{ worker: "rounds-api", as: "TURSO_AUTH_TOKEN" }],
  output: false,
};
const settings: TursoAccount = {
  organization: "acme",
  apiUrl: "https://api.turso.tech",
  groups: [
    { name: "default", settings: { deleteProtection: true } },
    { name: "idle", settings: {} },
  ],
  databases: [
    { name: "rounds", group: "default", settings: { blockWrites: true } },
    { name: "notes", group: "default", settings: {}, invalidated: "2026-11-21" },
  ],
};

const TOKEN = "pulumi-nodejs:dynamic/turso:TursoToken";
const SETTINGS = "pulumi-nodejs:dynamic/turso:TursoSettings";
const CANARY = "pulumi-nodejs:dynamic/turso:TursoCanary turso";
const INVALIDATION = "pulumi-nodejs:dynamic/turso:TursoInvalidation turso";
const BEFORE = "random:index/randomId:RandomId before";

it("makes one watch, one invalidation, settings where some are declared, and a token for each stamp", async () => {
  const { registered } = await declare();
  expect(registered.map(({ what, parent }) => `${what} < ${parent}`).sort()).toEqual([
    `${CANARY} < turso`,
    `${INVALIDATION} < turso`,
    `${SETTINGS} turso-database:rounds < turso`,
    `${SETTINGS} turso-group:default < turso`,
    `${TOKEN} rounds-turso@2026-11-19 < rounds-turso`,
    `${TOKEN} rounds-turso@2026-11-20 < rounds-turso`,
    `${TOKEN} rounds-turso@2026-11-21 < rounds-turso`,
    "rollover:turso:TursoOrganization turso < ",
    "rollover:turso:TursoTokens rounds-turso < ",
  ]);
});

it("gives each token its place, what it is minted with, and the standing of its target", async () => {
  const { registered } = await declare();
  const inputs = (stamp: string) => find(registered, `${TOKEN} rounds-turso@${stamp}`).inputs;
  expect(inputs("2026-11-21")).toEqual({
    credential: "rounds-turso",
    stamp: "2026-11-21",
    place: "current",
    organization: "acme",
    target: { kind: "database", name: "rounds" },
    group: "default",
    proveOn: "",
    minting: { authorization: "full-access", expiration: "90d", permissions: [], attach: [] },
    mark: "mark-of-rounds",
    readOnly: "",
  });
  expect([inputs("2026-11-20"), inputs("2026-11-19")]).toMatchObject([{ place: "previous" }, { place: "retired" }]);
});

it("invalidates last: after what it is told, after the watch and after every setting; tokens wait for it", async () => {
  const { registered } = await declare();
  expect(find(registered, CANARY).after).toEqual([BEFORE]);
  for (const name of ["turso-group:default", "turso-database:rounds"])
    expect(find(registered, `${SETTINGS} ${name}`).after).toEqual([CANARY]);
  expect(find(registered, INVALIDATION).after.sort()).toEqual(
    [BEFORE, CANARY, `${SETTINGS} turso-database:rounds`, `${SETTINGS} turso-group:default`].sort(),
  );
  for (const stamp of ["2026-11-21", "2026-11-20", "2026-11-19"])
    expect(find(registered, `${TOKEN} rounds-turso@${stamp}`).after).toEqual([INVALIDATION]);
});

it("tells watch and invalidation every target, sorted, and the scopes that config needs", async () => {
  const { registered } = await declare();
  const same = {
    organization: "acme",
    groups: ["default", "idle"],
    databases: { notes: "default", rounds: "default" },
    asked: { "database:notes": { stamp: "2026-11-21", readOnly: "", reason: "" } },
  };
  expect(find(registered, CANARY).inputs).toEqual({
    ...same,
    needs: ["read", "db:mint-token", "db:rotate-creds", "db:configure", "group:configure"],
  });
  expect(find(registered, INVALIDATION).inputs).toEqual({
    ...same,
    canaries: {},
    unwatched: {},
    before: {},
    edit: "edit-of-turso",
  });
  const reversed: TursoAccount = {
    ...settings,
    groups: [...settings.groups].reverse(),
    databases: [...settings.databases].reverse(),
  };
  const again = (await declare({}, reversed)).registered;
  expect(find(again, CANARY).inputs).toEqual(find(registered, CANARY).inputs);
});

it("leaves blocked writes to the incident while there is one", async () => {
  const incident = { reason: "a laptop is lost", readOnly: "7d" };
  const [first, ...rest] = settings.groups;
  if (!first) throw new Error("the organisation of this test has a group");
  const { registered } = await declare({}, { ...settings, groups: [{ ...first, incident }, ...rest] });
  expect(registered.filter(({ what }) => what.startsWith(SETTINGS)).map(({ what }) => what)).toEqual([
    `${SETTINGS} turso-group:default`,
  ]);
  expect(find(registered, CANARY).inputs).toMatchObject({
    asked: { "group:default": { stamp: "", readOnly: "7d", reason: "a laptop is lost" } },
  });
});

it("keeps tokens and canaries secret, hands out generations current first and retired stamps not at all", async () => {
  const { registered, tokens } = await declare();
  expect(registered.filter(({ what }) => what.startsWith(TOKEN)).map(({ secretOutputs }) => secretOutputs)).toEqual(
    Array.from({ length: 3 }, () => ["jwt", "replaced", "unproven"]),
  );
  for (const what of [CANARY, INVALIDATION]) expect(find(registered, what).secretOutputs).toEqual(["canaries"]);
  expect(find(registered, INVALIDATION).secrets).toEqual(["canaries"]);

  expect(tokens.generations.map(({ stamp }) => stamp)).toEqual(["2026-11-21", "2026-11-20"]);
  const [current] = tokens.generations;
  expect(current && (await valueOf(current.value))).toEqual({
    value: "token-of-rounds-turso@2026-11-21",
    secret: true,
  });
  expect(current && (await valueOf(current.tag))).toEqual({ value: "tag-of-rounds-turso@2026-11-21", secret: false });
});

it("lists when every stamp's token expires, the retired one's too, and what was replaced as a debt", async () => {
  const { tokens } = await declare();
  expect(await valueOf(tokens.expires)).toEqual({
    value: Object.fromEntries(
      ["2026-11-21", "2026-11-20", "2026-11-19"].map((stamp) => [stamp, `expiry-of-rounds-turso@${stamp}`]),
    ),
    secret: false,
  });
  expect((await valueOf(tokens.debts)).value).toEqual(
    ["2026-11-21", "2026-11-20", "2026-11-19"].map(
      (stamp) => `a token of ${stamp} that was replaced, until expiry-of-rounds-turso@${stamp}`,
    ),
  );
});

it("proves a group's token where config says, and knows the group", async () => {
  const { registered } = await declare({ target: { kind: "group", name: "default" }, proveOn: "notes" });
  expect(find(registered, `${TOKEN} rounds-turso@2026-11-21`).inputs).toMatchObject({
    target: { kind: "group", name: "default" },
    group: "default",
    proveOn: "notes",
  });
  expect(find(registered, CANARY).inputs["needs"]).toContain("group:mint-token");
  const groups = [{ name: "default", settings: {}, invalidated: "2026-11-21" }];
  const invalidated = (await declare({}, { ...settings, groups })).registered;
  expect(find(invalidated, CANARY).inputs["needs"]).toContain("group:rotate-creds");
});

async function declare(change: Partial<TursoCredential> = {}, organization = settings) {
  const made: TursoTokens[] = [];
  const registered = await registeredBy(() => {
    const one = { ...credential, ...change };
    const before = new random.RandomId("before", { byteLength: 4 });
    const turso = new TursoOrganization("turso", { organization, credentials: [one], after: [before] });
    made.push(new TursoTokens(one.name, { credential: one, settings: organization, organization: turso }));
  });
  const [tokens] = made;
  if (!tokens) throw new Error("no tokens were declared");
  return { registered: registered.filter(({ what }) => what !== BEFORE), tokens };
}

function find(registered: Registered[], what: string): Registered {
  const found = registered.find((one) => one.what === what);
  if (!found) throw new Error(`${what} is not registered`);
  return found;
}
