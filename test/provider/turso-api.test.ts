// Proves, over real sockets, that each call asks for what Turso documents, that an answer of another shape and each fault end in
// success or in one clear error, bounded in attempts and waits, that a rotate is never repeated where its effect is unknown, and
// that no token and no body stands in an error. Not proven here: that Turso's cloud answers so; the handlers are the tests' own.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { missingScopes, TursoApi, TursoError } from "../../components/turso/api";
import { type Answer, type Fault, type Service, startService } from "../cloud/faults";
import { type Between, html, json, marker, type Page, startBetween } from "./strangers";

const claimsOf = (claims: object): string => Buffer.from(JSON.stringify(claims)).toString("base64url");
const jwtOf = (claims: object): string => `aGVhZA.${claimsOf(claims)}.c2lnbmF0dXJl`;
const platformToken = jwtOf({ jti: "own-id", org_id: 7 });
const sqlToken = jwtOf({ exp: 1_800_000_000, mark: "sql-token" });
const database = { kind: "database", name: "rounds" } as const;
const group = { kind: "group", name: "default" } as const;
const plain = { authorization: "full-access", expiration: "90d", permissions: [], attach: [] } as const;
const spec = { ...plain, permissions: [], attach: [] };
const wire = { Name: "rounds", DbId: "db-1", Hostname: "rounds-acme.turso.io", group: "default", block_writes: true };
const settings = { block_reads: false, block_writes: false, delete_protection: false, size_limit: "500mb" };
const tokenPath = "/v1/organizations/acme/databases/rounds/auth/tokens";

interface Seen {
  method: string;
  url: string;
  body: string;
  authorization: string;
}

/** By `METHOD path`: what is answered, or how. */
type Routes = Record<string, Answer | ((seen: Seen) => Answer)>;
const ok = (body: unknown): Answer => ({ status: 200, body });
const refused = (status: number, error: unknown = marker): Answer => ({ status, body: { error } });

describe("Turso's platform API", () => {
  let service: Service;
  let between: Between;
  let routes: Routes = {};
  const seen: Seen[] = [];

  beforeAll(async () => {
    service = await startService(
      (request, url, body) => {
        const { method = "", headers } = request;
        const one = { method, url: `${url.pathname}${url.search}`, body, authorization: headers.authorization ?? "" };
        seen.push(one);
        const route = routes[`${method} ${url.pathname}`] ?? refused(404, "no such call in this test");
        return Promise.resolve(typeof route === "function" ? route(one) : route);
      },
      (status) => ({ error: `${marker} ${status}` }),
    );
    between = await startBetween(`http://127.0.0.1:${service.port}`);
  });
  afterAll(async () => {
    await between.stop();
    await service.stop();
  });
  beforeEach(() => {
    service.faults.set([]);
    service.calls.length = 0;
    between.set(undefined);
    seen.length = 0;
    routes = {
      [`POST ${tokenPath}`]: ok({ jwt: sqlToken }),
      "POST /v1/organizations/acme/databases/rounds/auth/rotate": { status: 200, body: undefined },
      "POST /v1/organizations/acme/groups/default/auth/tokens": ok({ jwt: sqlToken }),
      "POST /v1/organizations/acme/groups/default/auth/rotate": ok(marker),
      "GET /v1/organizations/acme/databases/rounds": ok({ database: wire }),
      "GET /v1/organizations/acme/groups/default": ok({
        group: { name: "default", uuid: "g-1", delete_protection: true },
      }),
      "GET /v1/organizations/acme/databases/rounds/configuration": ok(settings),
      "GET /v1/organizations/acme/groups/default/configuration": ok({ delete_protection: false }),
      "GET /v1/auth/validate": ok({ exp: -1 }),
    };
  });

  const client = ({ timeoutMs = 30_000, longestPauseMs = 60_000, token = platformToken, apiUrl = "" } = {}) =>
    new TursoApi(
      { organization: "acme", apiUrl: apiUrl || `http://127.0.0.1:${service.port}` },
      token,
      timeoutMs,
      longestPauseMs,
    );
  const urls = (): string[] => seen.map(({ method, url }) => `${method} ${url}`);

  /** The TursoError that ends the work; anything else, success included, fails the test. Its text is checked for leaks. */
  async function failure(work: Promise<unknown>): Promise<TursoError> {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof TursoError)) throw new Error(`no TursoError, but ${String(error)}`);
    for (const secret of [platformToken, sqlToken, claimsOf({ jti: "own-id", org_id: 7 }), marker, "<html"])
      expect(error.message).not.toContain(secret);
    return error;
  }

  describe("asks as documented", () => {
    it("for a database's token, without a body where none is needed", async () => {
      expect(await client().mintToken(database, spec)).toBe(sqlToken);
      const [call] = seen;
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
      await client().mintToken(group, {
        authorization: "read-only",
        expiration: "2w1d",
        permissions,
        attach: ["other"],
      });
      expect(seen[0]?.url).toBe(
        "/v1/organizations/acme/groups/default/auth/tokens?expiration=2w1d&authorization=read-only",
      );
      expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
        permissions: { read_attach: { databases: ["other"] } },
        fine_grained_permissions: [
          { t: null, a: ["data_read"] },
          { t: ["comments"], a: ["data_add", "data_update"] },
        ],
      });
    });

    it("for an invalidation, and reads nothing of its answer", async () => {
      await client().rotate(database);
      await client().rotate(group);
      between.set({ method: "POST", path: /rotate$/, page: { status: 200, body: "" }, times: 1, applied: true });
      await client({ apiUrl: new URL(between.apiUrl).origin }).rotate(database);
      expect(urls()).toEqual([
        "POST /v1/organizations/acme/databases/rounds/auth/rotate",
        "POST /v1/organizations/acme/groups/default/auth/rotate",
        "POST /v1/organizations/acme/databases/rounds/auth/rotate",
      ]);
    });

    it("for databases, groups and their settings", async () => {
      const rounds = { name: "rounds", id: "db-1", hostname: "rounds-acme.turso.io", group: "default" };
      const flags = { blockReads: false, blockWrites: true, deleteProtection: false };
      expect(await client().database("rounds")).toEqual({ ...rounds, ...flags });
      expect(await client().group("default")).toEqual({ name: "default", id: "g-1", deleteProtection: true });
      expect(await client().configuration(database)).toEqual({
        blockReads: false,
        blockWrites: false,
        deleteProtection: false,
      });
      expect(await client().configuration(group)).toEqual({ deleteProtection: false });
    });

    it("for every page of a group's databases, and for no database of another group", async () => {
      const named = (name: string, of = "default") => ({ ...wire, Name: name, DbId: name, group: of });
      routes["GET /v1/organizations/acme/databases"] = ({ url }) =>
        new URL(url, "http://x").searchParams.get("cursor") === "c 2"
          ? ok({ databases: [named("c")] })
          : ok({ databases: [named("a"), named("b", "other")], pagination: { next: "c 2" } });
      expect((await client().databasesOf("default")).map(({ name }) => name)).toEqual(["a", "c"]);
      expect(urls()).toEqual([
        "GET /v1/organizations/acme/databases?group=default",
        "GET /v1/organizations/acme/databases?group=default&cursor=c+2",
      ]);
      routes["GET /v1/organizations/acme/databases"] = ok({ databases: [], pagination: { next: "again" } });
      expect((await failure(client().databasesOf("default"))).message).toContain("over 200 pages");
    });

    it("with names that need quoting in a path", async () => {
      await failure(client().database("a/../b ?"));
      expect(seen[0]?.url).toBe("/v1/organizations/acme/databases/a%2F..%2Fb%20%3F");
    });

    it("for the expiry of the platform token", async () => {
      expect(await client().validate()).toEqual({ exp: undefined });
      routes["GET /v1/auth/validate"] = ok({ exp: 1_800_000_000 });
      expect(await client().validate()).toEqual({ exp: 1_800_000_000 });
    });
  });

  describe("settings", () => {
    const path = "/v1/organizations/acme/databases/rounds/configuration";
    let kept = settings;
    beforeEach(() => {
      kept = settings;
      routes[`PATCH ${path}`] = ({ body }) => {
        kept = { ...kept, ...(JSON.parse(body) as object) };
        return ok(kept);
      };
      routes[`GET ${path}`] = () => ok(kept);
    });
    const patched = (): unknown[] =>
      seen.filter(({ method }) => method === "PATCH").map(({ body }): unknown => JSON.parse(body));

    it("are changed where they are given, and never sent as null", async () => {
      const after = await client().configure(database, { blockWrites: true, deleteProtection: true });
      expect(after).toEqual({ blockReads: false, blockWrites: true, deleteProtection: true });
      expect(patched()).toEqual([{ block_writes: true, delete_protection: true }]);
      expect(await client().configure(database, {})).toEqual(after);
      expect(patched()).toHaveLength(1);
    });

    it.each<Omit<Fault, "match">>([
      { kind: "reset-after" },
      { kind: "reset-before" },
      { kind: "status" },
      { kind: "hang" },
    ])("are looked up after %o, and changed once", async (fault) => {
      service.faults.set([{ match: { method: "PATCH" }, ...fault }]);
      expect(await client({ timeoutMs: 1000 }).configure(database, { blockReads: true })).toMatchObject({
        blockReads: true,
      });
      expect(patched()).toEqual([{ block_reads: true }]);
      expect(kept.block_reads).toBe(true);
    });

    it("that an answer does not confirm are not taken for changed", async () => {
      routes[`PATCH ${path}`] = ok(settings);
      const error = await failure(client().configure(database, { blockWrites: true }));
      expect(error.fault).toBe("unavailable");
      expect(patched()).toHaveLength(4);
    });

    it("that a group does not have are not taken for set", async () => {
      routes["PATCH /v1/organizations/acme/groups/default/configuration"] = ok({ delete_protection: false });
      expect((await failure(client().configure(group, { blockWrites: true }))).fault).toBe("unavailable");
    });
  });

  describe("refusals are told once, in words that say what to do", () => {
    const at = "POST /v1/organizations/acme/databases/rounds/auth/tokens";
    const set = "set it with `pulumi config set --secret tursoApiToken`";
    const page = "`turso auth api-tokens mint`, https://docs.turso.tech/cli/auth/api-tokens/mint";
    const both =
      "database rounds (rollover:turso.databases.rounds), or no organisation acme (rollover:turso.organization)";
    it.each([
      ["not found", "not-found", 404, `no such ${both}; check the names, or create what is missing at Turso first`],
      [
        "a wrong platform token",
        "unauthorised",
        401,
        `the platform token is wrong, revoked or expired; mint one (${page}) and ${set}`,
      ],
      [
        "permission: a missing scope",
        "forbidden",
        403,
        `the platform token lacks the scope \`db:mint-token\`, or is bound to another group; mint one with that scope (${page}) and ${set}`,
      ],
      [
        "a bad request",
        "rejected",
        400,
        "the API refused the request for database rounds (rollover:turso.databases.rounds); check what the config asks for there, and that the organisation's plan allows it",
      ],
    ] as const)("%s", async (_name, fault, status, text) => {
      routes[`POST ${tokenPath}`] = refused(status);
      const error = await failure(client().mintToken(database, spec));
      expect(error).toMatchObject({ fault, status, message: `Turso, ${at}: status ${status}: ${text}` });
      expect(seen).toHaveLength(1);
    });

    it("not found, where Turso's error is an object, and where the organisation alone is meant", async () => {
      routes["GET /v1/organizations/acme/groups/default"] = refused(404, { message: marker });
      const error = await failure(client().group("default"));
      expect(error.message).toContain("no such group default (rollover:turso.groups.default), or no organisation acme");
      expect(error.fault).toBe("not-found");
    });

    const calls: [string, (api: TursoApi) => Promise<unknown>][] = [
      ["db:mint-token", (api) => api.mintToken(database, spec)],
      ["group:mint-token", (api) => api.mintToken(group, spec)],
      ["db:rotate-creds", (api) => api.rotate(database)],
      ["group:rotate-creds", (api) => api.rotate(group)],
      ["db:configure", (api) => api.configure(database, { blockWrites: true })],
      ["group:configure", (api) => api.configure(group, { deleteProtection: true })],
      ["read", (api) => api.database("rounds")],
      ["read", (api) => api.databasesOf("default")],
      ["read", (api) => api.group("default")],
      ["read", (api) => api.configuration(group)],
    ];
    it.each(calls)("permission: %s is named (%#)", async (scope, ask) => {
      service.faults.set([{ kind: "status", status: 403, times: 99 }]);
      const error = await failure(ask(client()));
      expect(error.fault).toBe("forbidden");
      expect(error.message).toContain(`lacks the scope \`${scope}\``);
      expect(service.calls).toHaveLength(1);
    });
  });

  const reads: [string, RegExp, (api: TursoApi) => Promise<unknown>][] = [
    ["a database", /databases\/rounds$/, (api) => api.database("rounds")],
    ["a group", /groups\/default$/, (api) => api.group("default")],
    ["settings", /configuration$/, (api) => api.configuration(group)],
    ["the platform token", /validate$/, (api) => api.validate()],
  ];
  const strange: [string, Page][] = [
    ["an HTML page with 502", html(502)],
    ["an HTML page with 404", html(404)],
    ["an HTML page with 200", html(200)],
    ["JSON without Turso's error", json({ code: 1 }, 404)],
    ["JSON of another shape", json({ database: { Name: "rounds" }, group: { name: marker }, exp: marker })],
    ["a redirect", { status: 302, body: "", headers: { location: "http://127.0.0.1:9/" } }],
  ];
  describe.each(reads)("reading %s", (_name, path, ask) => {
    it.each<[string, Omit<Fault, "match">]>([
      ["429 with Retry-After", { kind: "status", status: 429, retryAfter: 1 }],
      ["500", { kind: "status" }],
      ["silence", { kind: "hang" }],
      ["a reset", { kind: "reset-after" }],
    ])("survives %s", async (_fault, fault) => {
      service.faults.set([{ match: { method: "GET", path }, ...fault }]);
      const truth = await ask(client({ timeoutMs: 1000 }));
      expect(truth).toEqual(await ask(client()));
      const [first, second] = service.calls;
      expect(service.calls).toHaveLength(3);
      if (fault.retryAfter !== undefined) expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990);
    });

    it.each(strange)("survives %s", async (_page, page) => {
      between.set({ method: "GET", path, page, times: 1 });
      expect(await ask(client({ apiUrl: new URL(between.apiUrl).origin }))).toEqual(await ask(client()));
      expect(between.struck()).toBe(1);
    });
  });

  it.each(strange)("gives up on lasting %s after four attempts", async (_name, page) => {
    between.set({ method: "GET", path: /./, page, times: 99 });
    const error = await failure(client({ apiUrl: new URL(between.apiUrl).origin }).database("rounds"));
    expect(error.fault).toBe("unavailable");
    expect(between.struck()).toBe(4);
  });

  describe("minting", () => {
    it.each<[string, Omit<Fault, "match">, string]>([
      ["429", { kind: "status", status: 429 }, "rate-limited"],
      ["500", { kind: "status" }, "unavailable"],
      ["resets", { kind: "reset-after" }, "unavailable"],
    ])("is asked at most four times on lasting %s", async (_name, fault, kind) => {
      service.faults.set([{ ...fault, times: 99 }]);
      const error = await failure(client().mintToken(database, spec));
      expect(error.fault).toBe(kind);
      expect(service.calls).toHaveLength(4);
      service.faults.set([fault]);
      expect(await client().mintToken(database, spec)).toBe(sqlToken);
    });

    it.each([{}, { jwt: marker }, { jwt: 1 }])("does not take %o for a token", async (body) => {
      routes[`POST ${tokenPath}`] = ok(body);
      expect((await failure(client().mintToken(database, spec))).fault).toBe("unavailable");
    });

    it("waits no longer than its bound, whatever Retry-After says", async () => {
      service.faults.set([{ kind: "status", status: 429, retryAfter: 86_400 }]);
      expect(await client({ longestPauseMs: 300 }).mintToken(database, spec)).toBe(sqlToken);
    });
  });

  describe("an invalidation", () => {
    const faults: [string, Omit<Fault, "match">][] = [
      ["500", { kind: "status" }],
      ["408", { kind: "status", status: 408 }],
      ["silence", { kind: "hang" }],
      ["a reset before the effect", { kind: "reset-before" }],
      ["a reset after the effect", { kind: "reset-after" }],
    ];
    it.each(faults)("is asked once where its effect is unknown: %s", async (_name, fault) => {
      service.faults.set([{ ...fault, times: 99 }]);
      const error = await failure(client({ timeoutMs: 500 }).rotate(database));
      expect(error.fault).toBe("unavailable");
      expect(service.calls).toHaveLength(1);
    });

    it("is asked once where a page of a stranger answers 404", async () => {
      between.set({ method: "POST", path: /rotate$/, page: html(404), times: 99, applied: true });
      expect((await failure(client({ apiUrl: new URL(between.apiUrl).origin }).rotate(group))).fault).toBe(
        "unavailable",
      );
      expect(between.struck()).toBe(1);
    });

    it("is asked again after 429, which did nothing", async () => {
      service.faults.set([{ kind: "status", status: 429, retryAfter: 1, times: 2 }]);
      await client().rotate(group);
      expect(service.calls).toHaveLength(3);
      expect(seen).toHaveLength(1);
    });
  });

  describe("the scopes of the platform token", () => {
    const listing = "GET /v1/organizations/acme/api-tokens";
    const user = "GET /v1/auth/api-tokens";
    const own = { name: "rollover", id: "own-id", scopes: ["read", "db:mint-token"] };
    const other = { name: "ci", id: "other-id", scopes: ["full-access"] };

    it("are found in the organisation's listing, or else in the user's own", async () => {
      routes[listing] = ok({ tokens: [other, own] });
      expect(await client().ownScopes()).toEqual(["read", "db:mint-token"]);
      expect(urls()).toEqual([listing]);
      routes[listing] = refused(403);
      routes[user] = ok({ tokens: [own] });
      expect(await client().ownScopes()).toEqual(["read", "db:mint-token"]);
    });

    it("are taken from the token itself where it says them, in either form", async () => {
      for (const scopes of [["read"], { scopes: ["read"] }])
        expect(await client({ token: jwtOf({ scopes }) }).ownScopes()).toEqual(["read"]);
      expect(seen).toEqual([]);
    });

    it("are unknown for no JWT, where listings are closed or do not hold it, and where nothing restricts it", async () => {
      routes[listing] = ok({ tokens: [{ name: "rollover", id: "own-id" }] });
      expect(await client().ownScopes()).toBeUndefined();
      expect(await client({ token: "opaque" }).ownScopes()).toBeUndefined();
      routes[listing] = ok({ tokens: [other] });
      routes[user] = refused(404);
      expect(await client().ownScopes()).toBeUndefined();
      routes[listing] = refused(403);
      expect(await client().ownScopes()).toBeUndefined();
      routes[listing] = refused(401);
      expect((await failure(client().ownScopes())).fault).toBe("unauthorised");
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
    const cloud = () => client({ apiUrl: "https://api.turso.tech" });
    it("is Turso's own domain off loopback, and loopback on it", () => {
      expect(cloud().dataUrl("rounds-acme.turso.io")).toBe("https://rounds-acme.turso.io");
      expect(cloud().dataUrl("rounds-acme.aws-eu-west-1.turso.io")).toBe("https://rounds-acme.aws-eu-west-1.turso.io");
      expect(client().dataUrl("127.0.0.1:8080")).toBe("http://127.0.0.1:8080");
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
        const refusal = await failure(Promise.resolve().then(() => client().dataUrl(hostname)));
        expect(refusal.message).toContain("allowed: one on loopback");
      },
    );
  });
});
