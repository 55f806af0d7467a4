// Proves that the local Turso's platform API answers in the vendor's documented shapes and refuses what the vendor
// refuses. Does not prove that the vendor does so, least of all where its pages are silent: the texts of 401 and 403, and
// how a token that is pinned to a group is refused elsewhere.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTurso, type LocalTurso, type Scope } from "../../local/cloud/turso";
import { callTurso, claimsOf, mintToken, runSql, type TursoAnswer } from "../../local/cloud/turso/client";

let turso: LocalTurso;
beforeAll(async () => {
  turso = await startTurso({
    databases: { rounds: { group: "default" }, notes: { group: "default" }, other: { group: "elsewhere" } },
  });
}, 60_000);
afterAll(() => turso.stop(), 30_000);

const api = (method: string, path: string, options?: { body?: unknown; token?: string }): Promise<TursoAnswer> =>
  callTurso(turso, method, path, options);

describe("the platform API", { timeout: 30_000 }, () => {
  it("describes databases and groups", async () => {
    const { body } = await api("GET", "databases/rounds");
    expect(body).toEqual({
      database: {
        Name: "rounds",
        DbId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        Hostname: turso.hostOf("rounds").replace("http://", ""),
        block_reads: false,
        block_writes: false,
        allow_attach: true,
        regions: ["aws-eu-west-1"],
        primaryRegion: "aws-eu-west-1",
        group: "default",
        delete_protection: false,
        parent: null,
      },
    });
    const group = await api("GET", "groups/default");
    expect(group.body).toMatchObject({
      group: { name: "default", uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as string, delete_protection: false },
    });
    const names = async (path: string): Promise<string[]> =>
      Object.values((await api("GET", path)).body as Record<string, { Name?: string; name?: string }[]>)
        .flat()
        .map((one) => one.Name ?? one.name ?? "");
    expect(await names("groups")).toEqual(["default", "elsewhere"]);
    expect(await names("databases")).toEqual(["rounds", "notes", "other"]);
    expect(await names("databases?group=elsewhere")).toEqual(["other"]);
  });

  it("reads and changes settings: what is left out stays, null empties a list, unknown fields are ignored", async () => {
    const before = {
      size_limit: "",
      allow_attach: true,
      block_reads: false,
      block_writes: false,
      delete_protection: false,
      allowed_ips: [],
      allowed_aws_vpc_ids: [],
    };
    expect((await api("GET", "databases/notes/configuration")).body).toEqual(before);
    const patch = async (body: unknown): Promise<unknown> =>
      (await api("PATCH", "databases/notes/configuration", { body })).body;
    const set = { delete_protection: true, size_limit: "500mb", allowed_ips: ["192.0.2.1"] };
    expect(await patch({ ...set, unheard_of: 1 })).toEqual({ ...before, ...set });
    expect(await patch({ delete_protection: false })).toEqual({ ...before, ...set, delete_protection: false });
    expect(await patch({ allowed_ips: null, size_limit: "" })).toEqual(before);
    expect(await api("PATCH", "databases/notes/configuration", { body: { block_reads: "yes" } })).toMatchObject({
      status: 400,
    });
    expect((await api("GET", "groups/default/configuration")).body).toEqual({ delete_protection: false });
    const group = await api("PATCH", "groups/default/configuration", { body: { delete_protection: true } });
    expect(group.body).toEqual({ delete_protection: true });
    expect((await api("GET", "groups/default")).body).toMatchObject({ group: { delete_protection: true } });
    await api("PATCH", "groups/default/configuration", { body: { delete_protection: false } });
  });

  it("refuses unknown names and expirations in the documented words", async () => {
    const unknown = { error: "could not find database with name [nosuch]: record not found" };
    for (const [method, path] of [
      ["GET", "databases/nosuch"],
      ["GET", "databases/nosuch/configuration"],
      ["PATCH", "databases/nosuch/configuration"],
      ["POST", "databases/nosuch/auth/tokens"],
      ["POST", "databases/nosuch/auth/rotate"],
    ] as const)
      expect(await api(method, path)).toMatchObject({ status: 404, body: unknown });
    for (const [method, path] of [
      ["GET", "groups/nosuch"],
      ["GET", "groups/nosuch/configuration"],
      ["POST", "groups/nosuch/auth/tokens"],
      ["POST", "groups/nosuch/auth/rotate"],
    ] as const)
      expect(await api(method, path)).toMatchObject({ status: 404, body: { error: "group not found" } });
    expect((await api("GET", "/v1/organizations/nosuch/groups")).status).toBe(404);
    for (const bad of ["1x", "90", "d", "0d", "1d2w"])
      for (const target of ["databases/rounds", "groups/default"])
        expect(await api("POST", `${target}/auth/tokens?expiration=${bad}`)).toMatchObject({
          status: 400,
          body: { error: "Invalid expiration format" },
        });
    expect((await api("POST", "databases/rounds/auth/tokens?authorization=admin")).status).toBe(400);
    expect(turso.rotations()).toEqual([]);
  });

  it("knows platform tokens, their expiry and their scopes, and does not tell which one is missing", async () => {
    for (const token of ["nonsense", turso.mintPlatform({ expired: true })])
      for (const path of ["/v1/auth/validate", "groups"]) expect((await api("GET", path, { token })).status).toBe(401);
    expect((await api("GET", "/v1/auth/validate")).body).toEqual({ exp: -1 });
    const hour = turso.mintPlatform({ name: "hour", expiresInSeconds: 3600 });
    expect((await api("GET", "/v1/auth/validate", { token: hour })).body).toEqual({ exp: claimsOf(hour).exp });
    turso.revokePlatform(hour);
    expect((await api("GET", "/v1/auth/validate", { token: hour })).status).toBe(401);

    const calls: [Scope, string, string][] = [
      ["read", "GET", "databases/rounds"],
      ["read", "GET", "databases/rounds/configuration"],
      ["read", "GET", "databases"],
      ["read", "GET", "groups"],
      ["read", "GET", "groups/default"],
      ["read", "GET", "groups/default/configuration"],
      ["read", "GET", "api-tokens"],
      ["read", "GET", "/v1/auth/api-tokens"],
      ["db:mint-token", "POST", "databases/rounds/auth/tokens"],
      ["db:rotate-creds", "POST", "databases/rounds/auth/rotate"],
      ["db:configure", "PATCH", "databases/rounds/configuration"],
      ["group:mint-token", "POST", "groups/default/auth/tokens"],
      ["group:rotate-creds", "POST", "groups/default/auth/rotate"],
      ["group:configure", "PATCH", "groups/default/configuration"],
    ];
    const scopes = [...new Set(calls.map(([scope]) => scope))];
    const before = turso.rotations().length;
    for (const [scope, method, path] of calls) {
      const without = turso.mintPlatform({ scopes: scopes.filter((one) => one !== scope), group: "default" });
      const refused = await api(method, path, { token: without });
      expect([path, refused.status]).toEqual([path, 403]);
      expect(refused.text).not.toContain(scope);
    }
    expect(turso.rotations()).toHaveLength(before);
    for (const [scope, method, path] of calls) {
      const token = turso.mintPlatform({ scopes: [scope], group: "default" });
      expect([path, (await api(method, path, { token, body: method === "PATCH" ? {} : undefined })).status]).toEqual([
        path,
        200,
      ]);
    }
  });

  it("keeps a token that is pinned to a group to that group, and lists it", async () => {
    const token = turso.mintPlatform({ name: "pinned", scopes: ["read", "db:mint-token"], group: "elsewhere" });
    expect((await api("GET", "databases/other", { token })).status).toBe(200);
    for (const path of ["databases/rounds", "groups/default"])
      expect((await api("GET", path, { token })).status).toBe(403);
    expect((await api("GET", "groups", { token })).body).toMatchObject({ groups: [{ name: "elsewhere" }] });
    const listed = (await api("GET", "api-tokens")).body as { tokens: Record<string, unknown>[] };
    expect(listed.tokens.find(({ id }) => id === claimsOf(token).jti)).toMatchObject({
      name: "pinned",
      organization: "acme",
      group: "elsewhere",
      scopes: ["read", "db:mint-token"],
    });
    expect(listed.tokens.find(({ name }) => name === "rollover")).not.toHaveProperty("scopes");
  });

  it("strikes with faults: a rotation that was reset has taken effect", async () => {
    const token = await mintToken(turso, "databases/other");
    turso.faults.set([{ match: { path: /rotate$/ }, kind: "reset-after" }]);
    await expect(api("POST", "databases/other/auth/rotate")).rejects.toMatchObject({ cause: { code: "ECONNRESET" } });
    expect(await runSql(turso, "other", token, "SELECT 1")).toBe(401);
    turso.faults.set([{ match: { path: /rotate$/ }, kind: "status", status: 429, retryAfter: 1 }]);
    expect(await api("POST", "databases/other/auth/rotate")).toMatchObject({
      status: 429,
      body: { error: "too many requests" },
    });
  });
});
