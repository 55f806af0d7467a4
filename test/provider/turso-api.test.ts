// Proves, over real sockets, that each call asks for what Turso documents and reads what it documents, that settings are changed
// only as given, that the platform token's scopes are found, and that no token is sent to a stranger's address. Not proven here:
// that Turso's cloud answers so, the handlers are the tests' own; faults are in turso-api-faults.test.ts.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { missingScopes } from "../../components/turso/api";
import type { Fault } from "../../local/cloud/faults";
import {
  jwtOf,
  platformToken,
  sqlToken,
  database,
  group,
  spec,
  settings,
  tokenPath,
  ok,
  refused,
  failure,
  type Platform,
  startPlatform,
  wire,
} from "./turso-platform";

describe("Turso's platform API", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform.stop());
  beforeEach(() => {
    platform.reset();
  });

  const urls = (): string[] => platform.seen.map(({ method, url }) => `${method} ${url}`);

  describe("asks as documented", () => {
    it("for a database's token, without a body where none is needed", async () => {
      expect(await platform.client().mintToken(database, spec)).toBe(sqlToken);
      const [call] = platform.seen;
      expect(call).toEqual({
        method: "POST",
        url: `${tokenPath}?expiration=90d&authorization=full-access`,
        body: "",
        authorization: `Bearer ${platformToken}`,
      });
    });

    it("for a group's read-only token with permissions and databases to attach", async () => {
      const permissions = [
        { actions: ["data_read" as const] },
        { tables: ["comments"], actions: ["data_add" as const, "data_update" as const] },
      ];
      await platform.client().mintToken(group, {
        authorization: "read-only",
        expiration: "2w1d",
        permissions,
        attach: ["other"],
      });
      expect(platform.seen[0]?.url).toBe(
        "/v1/organizations/acme/groups/default/auth/tokens?expiration=2w1d&authorization=read-only",
      );
      expect(JSON.parse(platform.seen[0]?.body ?? "")).toEqual({
        permissions: { read_attach: { databases: ["other"] } },
        fine_grained_permissions: [
          { t: null, a: ["data_read"] },
          { t: ["comments"], a: ["data_add", "data_update"] },
        ],
      });
    });

    it("for an invalidation, and reads nothing of its answer", async () => {
      await platform.client().rotate(database);
      await platform.client().rotate(group);
      platform.between.set({
        method: "POST",
        path: /rotate$/,
        page: { status: 200, body: "" },
        times: 1,
        applied: true,
      });
      await platform.client({ strange: true }).rotate(database);
      expect(urls()).toEqual([
        "POST /v1/organizations/acme/databases/rounds/auth/rotate",
        "POST /v1/organizations/acme/groups/default/auth/rotate",
        "POST /v1/organizations/acme/databases/rounds/auth/rotate",
      ]);
    });

    it("for databases, groups and their settings", async () => {
      const rounds = { name: "rounds", id: "db-1", hostname: "rounds-acme.turso.io", group: "default" };
      const flags = { blockReads: false, blockWrites: true, deleteProtection: false };
      expect(await platform.client().database("rounds")).toEqual({ ...rounds, ...flags });
      expect(await platform.client().group("default")).toEqual({ name: "default", id: "g-1", deleteProtection: true });
      expect(await platform.client().configuration(database)).toEqual({
        blockReads: false,
        blockWrites: false,
        deleteProtection: false,
      });
      expect(await platform.client().configuration(group)).toEqual({ deleteProtection: false });
    });

    it("for every page of a group's databases, and for no database of another group", async () => {
      const named = (name: string, of = "default") => ({ ...wire, Name: name, DbId: name, group: of });
      platform.routes["GET /v1/organizations/acme/databases"] = ({ url }) =>
        new URL(url, "http://x").searchParams.get("cursor") === "c 2"
          ? ok({ databases: [named("c")] })
          : ok({ databases: [named("a"), named("b", "other")], pagination: { next: "c 2" } });
      expect((await platform.client().databasesOf("default")).map(({ name }) => name)).toEqual(["a", "c"]);
      expect(urls()).toEqual([
        "GET /v1/organizations/acme/databases?group=default",
        "GET /v1/organizations/acme/databases?group=default&cursor=c+2",
      ]);
      platform.routes["GET /v1/organizations/acme/databases"] = ok({ databases: [], pagination: { next: "again" } });
      expect((await failure(platform.client().databasesOf("default"))).message).toContain("over 200 pages");
    });

    it("with names that need quoting in a path", async () => {
      await failure(platform.client().database("a/../b ?"));
      expect(platform.seen[0]?.url).toBe("/v1/organizations/acme/databases/a%2F..%2Fb%20%3F");
    });

    it("for the expiry of the platform token", async () => {
      expect(await platform.client().validate()).toEqual({ exp: undefined });
      platform.routes["GET /v1/auth/validate"] = ok({ exp: 1_800_000_000 });
      expect(await platform.client().validate()).toEqual({ exp: 1_800_000_000 });
    });
  });

  describe("settings", () => {
    const path = "/v1/organizations/acme/databases/rounds/configuration";
    let kept = settings;
    beforeEach(() => {
      kept = settings;
      platform.routes[`PATCH ${path}`] = ({ body }) => {
        kept = { ...kept, ...(JSON.parse(body) as object) };
        return ok(kept);
      };
      platform.routes[`GET ${path}`] = () => ok(kept);
    });
    const patched = (): unknown[] =>
      platform.seen.filter(({ method }) => method === "PATCH").map(({ body }): unknown => JSON.parse(body));

    it("are changed where they are given, and never sent as null", async () => {
      const after = await platform.client().configure(database, { blockWrites: true, deleteProtection: true });
      expect(after).toEqual({ blockReads: false, blockWrites: true, deleteProtection: true });
      expect(patched()).toEqual([{ block_writes: true, delete_protection: true }]);
      expect(await platform.client().configure(database, {})).toEqual(after);
      expect(patched()).toHaveLength(1);
    });

    it.each<Omit<Fault, "match">>([
      { kind: "reset-after" },
      { kind: "reset-before" },
      { kind: "status" },
      { kind: "hang" },
    ])("are looked up after %o, and changed once", async (fault) => {
      platform.service.faults.set([{ match: { method: "PATCH" }, ...fault }]);
      expect(await platform.client({ timeoutMs: 1000 }).configure(database, { blockReads: true })).toMatchObject({
        blockReads: true,
      });
      expect(patched()).toEqual([{ block_reads: true }]);
      expect(kept.block_reads).toBe(true);
    });

    it("that an answer does not confirm are not taken for changed", async () => {
      platform.routes[`PATCH ${path}`] = ok(settings);
      const error = await failure(platform.client().configure(database, { blockWrites: true }));
      expect(error.fault).toBe("unavailable");
      expect(patched()).toHaveLength(4);
    });

    it("that a group does not have are not taken for set", async () => {
      platform.routes["PATCH /v1/organizations/acme/groups/default/configuration"] = ok({ delete_protection: false });
      expect((await failure(platform.client().configure(group, { blockWrites: true }))).fault).toBe("unavailable");
    });
  });

  describe("the scopes of the platform token", () => {
    const listing = "GET /v1/organizations/acme/api-tokens";
    const user = "GET /v1/auth/api-tokens";
    const own = { name: "rollover", id: "own-id", scopes: ["read", "db:mint-token"] };
    const other = { name: "ci", id: "other-id", scopes: ["full-access"] };

    it("are found in the organisation's listing, or else in the user's own", async () => {
      platform.routes[listing] = ok({ tokens: [other, own] });
      expect(await platform.client().ownScopes()).toEqual(["read", "db:mint-token"]);
      expect(urls()).toEqual([listing]);
      platform.routes[listing] = refused(403);
      platform.routes[user] = ok({ tokens: [own] });
      expect(await platform.client().ownScopes()).toEqual(["read", "db:mint-token"]);
    });

    it("are taken from the token itself where it says them, in either form", async () => {
      for (const scopes of [["read"], { scopes: ["read"] }])
        expect(await platform.client({ token: jwtOf({ scopes }) }).ownScopes()).toEqual(["read"]);
      expect(platform.seen).toEqual([]);
    });

    it("are unknown for no JWT, where listings are closed or do not hold it, and where nothing restricts it", async () => {
      platform.routes[listing] = ok({ tokens: [{ name: "rollover", id: "own-id" }] });
      expect(await platform.client().ownScopes()).toBeUndefined();
      expect(await platform.client({ token: "opaque" }).ownScopes()).toBeUndefined();
      platform.routes[listing] = ok({ tokens: [other] });
      platform.routes[user] = refused(404);
      expect(await platform.client().ownScopes()).toBeUndefined();
      platform.routes[listing] = refused(403);
      expect(await platform.client().ownScopes()).toBeUndefined();
      platform.routes[listing] = refused(401);
      expect((await failure(platform.client().ownScopes())).fault).toBe("unauthorised");
    });

    it("are compared with what is needed", () => {
      const needed = ["read", "db:mint-token", "group:rotate-creds"];
      expect(missingScopes(["read", "db:mint-token"], needed)).toEqual(["group:rotate-creds"]);
      expect(missingScopes(["read-only"], needed)).toEqual(["db:mint-token", "group:rotate-creds"]);
      expect(missingScopes(["full-access"], needed)).toEqual([]);
      expect(missingScopes([], needed)).toEqual(needed);
    });
  });

  describe("where a token may be sent", () => {
    const cloud = () => platform.client({ apiUrl: "https://api.turso.tech" });
    it("is Turso's own domain off loopback, and loopback on it", () => {
      expect(cloud().dataUrl("rounds-acme.turso.io")).toBe("https://rounds-acme.turso.io");
      expect(cloud().dataUrl("rounds-acme.aws-eu-west-1.turso.io")).toBe("https://rounds-acme.aws-eu-west-1.turso.io");
      expect(platform.client().dataUrl("127.0.0.1:8080")).toBe("http://127.0.0.1:8080");
    });

    it.each([
      "evil.example",
      "turso.io",
      "evilturso.io",
      "rounds.turso.io.evil.example",
      "rounds.turso.io:8443",
      "evil.example/rounds.turso.io",
      "user@rounds.turso.io",
      "evil.example#.turso.io",
      "evil.example?.turso.io",
      "evil.example\\.turso.io",
      "127.0.0.1:8080",
      " rounds.turso.io",
      "",
    ])("is not %j", async (hostname) => {
      const refusal = await failure(Promise.resolve().then(() => cloud().dataUrl(hostname)));
      expect(refusal.message).toContain("allowed: one below turso.io or turso.tech");
    });

    it.each(["rounds-acme.turso.io", "127.0.0.1.evil.example", "user@127.0.0.1:80", "127.0.0.1:80/x", "10.0.0.1"])(
      "is not %j for an API on loopback",
      async (hostname) => {
        const refusal = await failure(Promise.resolve().then(() => platform.client().dataUrl(hostname)));
        expect(refusal.message).toContain("allowed: one on loopback");
      },
    );
  });
});
