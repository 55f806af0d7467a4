// Proves, over real sockets, that each refusal and each fault of Turso's API ends in success or in one clear error, bounded in
// attempts and waits, that a rotate is never repeated where its effect is unknown, and that no token and no body stands in an
// error. Not proven here: that Turso's cloud fails so; the handlers are the tests' own.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TursoApi } from "../../components/turso/api";
import type { Fault } from "../../local/cloud/faults";
import { html, json, marker, type Page } from "./strangers";
import {
  sqlToken,
  database,
  group,
  spec,
  tokenPath,
  ok,
  refused,
  failure,
  type Platform,
  startPlatform,
} from "./turso-platform";

describe("Turso's platform API on bad days", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform.stop());
  beforeEach(() => {
    platform.reset();
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
      platform.routes[`POST ${tokenPath}`] = refused(status);
      const error = await failure(platform.client().mintToken(database, spec));
      expect(error).toMatchObject({ fault, status, message: `Turso, ${at}: status ${status}: ${text}` });
      expect(platform.seen).toHaveLength(1);
    });

    it("not found, where Turso's error is an object, and where the organisation alone is meant", async () => {
      platform.routes["GET /v1/organizations/acme/groups/default"] = refused(404, { message: marker });
      const error = await failure(platform.client().group("default"));
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
      platform.service.faults.set([{ kind: "status", status: 403, times: 99 }]);
      const error = await failure(ask(platform.client()));
      expect(error.fault).toBe("forbidden");
      expect(error.message).toContain(`lacks the scope \`${scope}\``);
      expect(platform.service.calls).toHaveLength(1);
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
      platform.service.faults.set([{ match: { method: "GET", path }, ...fault }]);
      const waits = fault.retryAfter === undefined ? {} : { longestPauseMs: 60_000 };
      const truth = await ask(platform.client({ timeoutMs: 1000, ...waits }));
      expect(truth).toEqual(await ask(platform.client()));
      const [first, second] = platform.service.calls;
      expect(platform.service.calls).toHaveLength(3);
      if (fault.retryAfter !== undefined) expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990);
    });

    it.each(strange)("survives %s", async (_page, page) => {
      platform.between.set({ method: "GET", path, page, times: 1 });
      expect(await ask(platform.client({ strange: true }))).toEqual(await ask(platform.client()));
      expect(platform.between.struck()).toBe(1);
    });
  });

  it.each(strange)("gives up on lasting %s after four attempts", async (_name, page) => {
    platform.between.set({ method: "GET", path: /./, page, times: 99 });
    const error = await failure(platform.client({ strange: true }).database("rounds"));
    expect(error.fault).toBe("unavailable");
    expect(platform.between.struck()).toBe(4);
  });

  describe("minting", () => {
    it.each<[string, Omit<Fault, "match">, string]>([
      ["429", { kind: "status", status: 429 }, "rate-limited"],
      ["500", { kind: "status" }, "unavailable"],
      ["resets", { kind: "reset-after" }, "unavailable"],
    ])("is asked at most four times on lasting %s", async (_name, fault, kind) => {
      platform.service.faults.set([{ ...fault, times: 99 }]);
      const error = await failure(platform.client().mintToken(database, spec));
      expect(error.fault).toBe(kind);
      expect(platform.service.calls).toHaveLength(4);
      platform.service.faults.set([fault]);
      expect(await platform.client().mintToken(database, spec)).toBe(sqlToken);
    });

    it.each([{}, { jwt: marker }, { jwt: 1 }])("does not take %o for a token", async (body) => {
      platform.routes[`POST ${tokenPath}`] = ok(body);
      expect((await failure(platform.client().mintToken(database, spec))).fault).toBe("unavailable");
    });

    it("waits no longer than its bound, whatever Retry-After says", async () => {
      platform.service.faults.set([{ kind: "status", status: 429, retryAfter: 86_400 }]);
      expect(await platform.client({ longestPauseMs: 300 }).mintToken(database, spec)).toBe(sqlToken);
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
      platform.service.faults.set([{ ...fault, times: 99 }]);
      const error = await failure(platform.client({ timeoutMs: 500 }).rotate(database));
      expect(error.fault).toBe("unavailable");
      expect(platform.service.calls).toHaveLength(1);
    });

    it("is asked once where a page of a stranger answers 404", async () => {
      platform.between.set({ method: "POST", path: /rotate$/, page: html(404), times: 99, applied: true });
      expect((await failure(platform.client({ strange: true }).rotate(group))).fault).toBe("unavailable");
      expect(platform.between.struck()).toBe(1);
    });

    it("is asked again after 429, which did nothing", async () => {
      platform.service.faults.set([{ kind: "status", status: 429, retryAfter: 1, times: 2 }]);
      await platform.client().rotate(group);
      expect(platform.service.calls).toHaveLength(3);
      expect(platform.seen).toHaveLength(1);
    });
  });
});
