// Proves, against the local Turso over real sockets, that whatever its API can tell of a wrong platform token, a missing scope or a
// wrong name is one failure of the check that a preview makes too, and that the check asks for nothing but what it may read. Not
// proven: that the engine stops there (test/engine/turso-groups.test.ts), which scopes config needs (test/component/turso.test.ts),
// nor what Turso's cloud answers in words of its own.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TursoApi } from "../../components/turso/api";
import { askToken } from "../../components/turso/data";
import { type Inputs, tursoCanary } from "../../components/turso/turso-canary.provider";
import type { Inputs as TokenInputs } from "../../components/turso/turso-token.provider";
import { type LocalTurso, SCOPES, type Scope, startTurso } from "../../local/cloud/turso";
import { must, startUpdates, tokenInputs, tokensBy } from "./turso-updates";

const databases = { rounds: { group: "default" }, notes: { group: "other" } };
const asks = { stamp: "2026-11-21", readOnly: "", reason: "" };
const roll = ["read", "db:mint-token"];
const invalidation = ["read", "db:mint-token", "db:rotate-creds", "group:mint-token", "group:rotate-creds"];
let turso: LocalTurso;

beforeAll(async () => {
  turso = await startTurso({ databases });
});
afterAll(() => turso.stop());

const news = (change: Partial<Inputs> = {}): Inputs => ({
  ...{ organization: "acme", groups: ["default", "other"], databases: { rounds: "default", notes: "other" } },
  ...{ asked: { "group:default": asks }, needs: invalidation, ...change },
});

/** What the checks of canaries and of a new token say. They change nothing at Turso. */
async function failuresOf(
  inputs: Inputs,
  platformToken = turso.platformToken,
  token = tokenInputs("database:rounds", {}),
) {
  const before = [turso.events(), turso.calls.filter(({ method }) => method !== "GET")];
  const api = new TursoApi({ ...turso, organization: inputs.organization }, platformToken);
  const canary = await must(tursoCanary(api, () => undefined).check)({} as Inputs, inputs);
  const minted = await must(tokensBy(api).check)({} as TokenInputs, token);
  expect([turso.events(), turso.calls.filter(({ method }) => method !== "GET")]).toEqual(before);
  return { canary: canary.failures ?? [], token: minted.failures ?? [] };
}

const without = (scope: Scope) => turso.mintPlatform({ scopes: SCOPES.filter((one) => one !== scope) });
const revoked = (): string => {
  const token = turso.mintPlatform();
  turso.revokePlatform(token);
  return token;
};
const SET = "`pulumi config set --secret tursoApiToken`";

it("finds nothing wrong where nothing is", async () => {
  expect(await failuresOf(news())).toEqual({ canary: [], token: [] });
});

describe("a platform token that is", () => {
  it.each([
    ["expired", () => turso.mintPlatform({ expired: true })],
    ["revoked", revoked],
  ])("%s is one failure, of a roll and of an invalidation", async (_name, platformToken) => {
    for (const needs of [roll, invalidation]) {
      const { canary, token } = await failuresOf(news({ needs }), platformToken());
      for (const failures of [canary, token]) {
        expect(failures).toEqual([{ property: "organization", reason: expect.any(String) as string }]);
        expect(failures[0]?.reason).toContain(
          "the platform token is wrong, revoked or expired; mint one (`turso auth api-tokens mint`",
        );
        expect(failures[0]?.reason).toContain(SET);
      }
    }
  });
});

describe("a platform token without the scope", () => {
  it.each<[Scope, string[]]>([
    ["db:mint-token", roll],
    ["group:rotate-creds", invalidation],
    ["db:configure", [...invalidation, "db:configure"]],
  ])("%s is one failure that names it", async (scope, needs) => {
    const { canary, token } = await failuresOf(news({ needs }), without(scope));
    const lacks = { property: "needs", reason: expect.stringContaining(SET) as string };
    expect(canary).toEqual([lacks]);
    expect(canary[0]?.reason).toContain(`the platform token lacks the scope \`${scope}\``);
    expect(token).toEqual(scope === "db:mint-token" ? [lacks] : []);
  });

  it("read can look at nothing: one failure, of a roll and of an invalidation", async () => {
    for (const needs of [roll, invalidation]) {
      const { canary, token } = await failuresOf(news({ needs }), without("read"));
      for (const failures of [canary, token]) {
        expect(failures).toHaveLength(1);
        expect(failures[0]?.reason).toContain("the platform token lacks the scope `read`");
        expect(failures[0]?.reason).toContain(SET);
      }
    }
  });
});

describe("a wrong name", () => {
  it("of the organisation is said once for all", async () => {
    const [failure, ...more] = (await failuresOf(news({ organization: "nosuch" }))).canary;
    expect(more).toEqual([]);
    expect(failure?.reason).toContain("no such");
    expect(failure?.reason).toContain("or no organisation nosuch (rollover:turso.organization)");
    expect(failure?.reason).toContain("so it is with all 4 groups and databases");
  });

  it.each<[string, Partial<Inputs>, string, string]>([
    [
      "group",
      { groups: ["default", "other", "nosuch"], asked: { "group:nosuch": asks } },
      "groups",
      "no such group nosuch (rollover:turso.groups.nosuch)",
    ],
    [
      "database",
      { databases: { rounds: "default", nosuch: "default" } },
      "databases",
      "no such database nosuch (rollover:turso.databases.nosuch)",
    ],
    [
      "database in that group",
      { databases: { rounds: "default", notes: "default" } },
      "databases",
      "the database notes is in the group other, but rollover:turso.databases.notes.group is default",
    ],
  ])("of a %s is one failure", async (name, change, property, words) => {
    const { canary } = await failuresOf(news(change));
    expect(canary).toEqual([{ property, reason: expect.stringContaining(words) as string }]);
    if (name === "group") expect(canary[0]?.reason).toContain("check the names, or create what is missing at Turso");
  });

  it("of a new token's database is one failure", async () => {
    const { token } = await failuresOf(news(), turso.platformToken, tokenInputs("database:nosuch", {}));
    expect(token).toEqual([
      { property: "target", reason: expect.stringContaining("no such database nosuch") as string },
    ]);
  });
});

it("of a rotate that only the call itself can show is found by the call: it names the scope, and the old token works on", async () => {
  const on = await startUpdates({ rounds: { group: "default" } }, ["database:rounds"]);
  try {
    const old = on.tokens["database:rounds"];
    const platformToken = on.turso.mintPlatform({ scopes: SCOPES.filter((one) => one !== "group:rotate-creds") });
    // Then nobody can tell what the token may do.
    on.turso.faults.set([{ match: { method: "GET", path: /\/api-tokens$/ }, kind: "status", status: 403, times: 100 }]);
    const asked = news({ groups: ["default"], databases: { rounds: "default" } });
    const check = must(tursoCanary(new TursoApi(on.turso, platformToken), () => undefined).check);
    expect((await check({} as Inputs, asked)).failures).toEqual([]);
    on.callWith(platformToken);
    await on.up({ "group:default": "2026-11-21" });
    expect(on.invalidation().failures["group:default"]).toMatch(
      /^group default \(rollover:turso\.groups\.default\): .* lacks the scope `group:rotate-creds`/,
    );
    expect(on.tokens["database:rounds"]?.jwt).toBe(old?.jwt);
    expect(await askToken(old?.url ?? "", old?.jwt ?? "")).toBe("works");
    expect(on.turso.rotations()).toEqual([]);
  } finally {
    await on.stop();
  }
});
