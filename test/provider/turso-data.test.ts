// Proves, with real tokens at a real libSQL server, that a token which can do what it claims is proven, that each missing or
// surplus right is named, that a look tells working, refused and unknown apart, and that nothing is left in the database. Not
// proven here: how Turso's cloud words a refusal of a fine-grained token (the local one guesses), nor what resources make of it.
import * as http from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TursoApi } from "../../components/turso/api";
import { askToken, expiryOf, proveToken, type TokenAccess, TokenProofError } from "../../components/turso/data";
import type { TableAction, TablePermissions } from "../../components/rotation/model";
import { close, listen } from "../../local/cloud/faults";
import { type LocalTurso, startTurso } from "../../local/cloud/turso";
import { html, json, marker, type Page } from "./strangers";

const target = { kind: "database", name: "rounds" } as const;
const reading: TableAction[] = ["data_read"];
const writing: TableAction[] = ["data_add", "data_update", "data_delete"];

describe("what a Turso token can do", () => {
  let turso: LocalTurso;
  let api: TursoApi;
  let url: string;

  beforeAll(async () => {
    turso = await startTurso({ databases: { rounds: { group: "default" }, other: { group: "default" } } });
    api = new TursoApi(turso, turso.platformToken);
    url = turso.hostOf("rounds");
    await turso.query("rounds", "CREATE TABLE comments (id integer PRIMARY KEY, words text NOT NULL)");
    await turso.query("rounds", `CREATE TABLE "odd ""name" ("a col" text PRIMARY KEY, b) WITHOUT ROWID`);
    await turso.query("rounds", "CREATE VIEW latest AS SELECT words FROM comments");
    await turso.query("rounds", "INSERT INTO comments VALUES (1, 'kept')");
  });
  afterAll(() => turso.stop());
  beforeEach(() => api.configure(target, { blockReads: false, blockWrites: false }));

  const mint = ({ authorization = "full-access", permissions = [] }: Partial<TokenAccess> = {}, expiration = "1d") =>
    api.mintToken(target, { authorization, permissions, expiration, attach: [] });
  const access = (given: Partial<TokenAccess> = {}): TokenAccess => ({
    authorization: "full-access",
    permissions: [],
    ...given,
  });
  const contents = async () => ({
    schema: await turso.query("rounds", "SELECT name FROM sqlite_schema ORDER BY name"),
    comments: await turso.query("rounds", "SELECT * FROM comments"),
    rounds: await turso.query("rounds", "SELECT * FROM rounds"),
  });

  /** How the proof fails; its text is checked for tokens and bodies. A proof that passes fails the test. */
  async function failure(
    jwt: string,
    claimed: TokenAccess,
    at = url,
    { writesBlocked = false, timeoutMs = 2000 } = {},
  ): Promise<string> {
    const proof = proveToken(at, jwt, claimed, { writesBlocked, timeoutMs });
    const error: unknown = await proof.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof TokenProofError)) throw new Error(`no TokenProofError, but ${String(error)}`);
    for (const secret of [jwt, jwt.slice(-20), marker, "<html"]) expect(error.message).not.toContain(secret);
    return `${error.fault}: ${error.message}`;
  }

  describe("a proof", () => {
    const comments: TablePermissions = { tables: ["comments"], actions: ["data_read", "data_add"] };
    const kinds: Record<string, Partial<TokenAccess>> = {
      "full-access": {},
      "read-only": { authorization: "read-only" },
      "reading all": { permissions: [{ actions: reading }] },
      "all data": { permissions: [{ actions: [...reading, ...writing] }] },
      "reading all, writing one": { permissions: [{ actions: reading }, { tables: ["comments"], actions: writing }] },
      "a table with a NOT NULL column": { permissions: [comments] },
      "a table without rowid": { permissions: [{ tables: ['odd "name'], actions: ["data_update"] }] },
      "a table in other letters": { permissions: [{ tables: ["COMMENTS"], actions: ["data_delete"] }] },
      "a view": { permissions: [{ tables: ["latest"], actions: reading }] },
      "making tables": { permissions: [{ actions: ["schema_add"] }] },
    };
    it.each(Object.entries(kinds))("passes for %s and leaves nothing behind", async (_name, given) => {
      const before = await contents();
      await proveToken(url, await mint(given), access(given), { writesBlocked: false });
      expect(await contents()).toEqual(before);
    });

    it.each(["full-access", "read-only"] as const)("passes for %s by a group's token", async (authorization) => {
      const jwt = await api.mintToken(
        { kind: "group", name: "default" },
        { authorization, permissions: [], expiration: "1d", attach: [] },
      );
      await proveToken(url, jwt, access({ authorization }), { writesBlocked: false });
      expect(await askToken(url, jwt)).toBe("works");
    });

    const one = (actions: TableAction[]): TokenAccess => access({ permissions: [{ tables: ["comments"], actions }] });
    const wrong: [string, TokenAccess, TokenAccess, string][] = [
      ["full", access({ authorization: "read-only" }), access(), "the token cannot write: it lacks the right"],
      ["read-only", access(), access({ authorization: "read-only" }), "a read-only token was not refused a write"],
      ...(["data_read", ...writing] as const).map((action): [string, TokenAccess, TokenAccess, string] => [
        `${action} minted`,
        one(["schema_update"]),
        one([action]),
        `permission ${action} on comments is missing: it lacks the right`,
      ]),
      ...(["data_read", ...writing] as const).map((action): [string, TokenAccess, TokenAccess, string] => [
        `no ${action} minted`,
        one([action]),
        one(["schema_update"]),
        `${action} on comments is allowed though it is not granted`,
      ]),
      [
        "all tables for one",
        access({ permissions: [{ actions: ["data_add"] }] }),
        one(["data_add"]),
        'data_add on odd "name is allowed though it is not granted',
      ],
      [
        "schema_add",
        access({ permissions: [{ actions: ["data_read"] }] }),
        access({ permissions: [{ actions: ["data_read", "schema_add"] }] }),
        "permission schema_add is missing: it lacks the right",
      ],
      [
        "no schema_add",
        access({ permissions: [{ actions: ["data_read", "schema_add"] }] }),
        access({ permissions: [{ actions: ["data_read"] }] }),
        "schema_add is allowed though it is not granted",
      ],
      [
        "a known table",
        access({ permissions: [{ actions: ["data_read"] }] }),
        access({ permissions: [{ tables: ["nowhere"], actions: ["data_read"] }] }),
        "permissions name the table nowhere, which the database has not",
      ],
      ["plain full access", access(), one([...reading, ...writing]), "is allowed though it is not granted"],
    ];
    it.each(wrong)("that claims %s wrongly names what is wrong", async (_name, minted, claimed, text) => {
      const before = await contents();
      const message = await failure(await mint(minted), claimed);
      expect(message).toMatch(/^access: /);
      expect(message).toContain(text);
      expect(await contents()).toEqual(before);
    });

    it("reads only where writes are blocked, and says so where it did not know", async () => {
      await api.configure(target, { blockWrites: true });
      for (const given of [{}, { authorization: "read-only" as const }, kinds["reading all, writing one"] ?? {}])
        await proveToken(url, await mint(given), access(given), { writesBlocked: true });
      expect(await failure(await mint(), access())).toBe(
        "unavailable: the token cannot write: the database blocks reads or writes; see its `settings`",
      );
      const named = one(reading);
      expect(await failure(await mint(one(["data_add"])), named, url, { writesBlocked: true })).toContain(
        "permission data_read on comments is missing",
      );
    });

    it("tells a refused token from one that lacks a right", async () => {
      const jwt = await mint();
      await api.rotate(target);
      expect(await failure(jwt, access())).toBe("refused: the database refuses the token (status 401)");
      expect(await failure(await mint(), access(), turso.hostOf("other"))).toMatch(/^refused: .*\(status 40[134]\)$/);
    });
  });

  describe("a look", () => {
    it("tells working from refused: garbage, another database's, invalidated, blocked", async () => {
      const jwt = await mint();
      expect(await askToken(url, jwt)).toBe("works");
      expect(await askToken(url, "garbage")).toBe("refused");
      expect(await askToken(turso.hostOf("other"), jwt)).toBe("refused");
      await api.configure(target, { blockReads: true });
      expect(await askToken(url, jwt)).toBe("works");
      await api.rotate(target);
      expect(await askToken(url, jwt)).toBe("refused");
    });
  });

  describe("at an address that misbehaves", () => {
    let server: http.Server;
    let at: string;
    let asked = 0;
    let answers: (Page | "reset" | "hang" | "on")[] = [];

    beforeAll(async () => {
      server = http.createServer((request, response) => {
        const answer = answers[Math.min(asked++, answers.length - 1)] ?? "reset";
        if (answer === "reset") request.socket.resetAndDestroy();
        else if (answer === "on") void handOn(request, response);
        else if (answer !== "hang") response.writeHead(answer.status, answer.headers).end(answer.body);
      });
      at = `http://127.0.0.1:${await listen(server)}`;
    });
    afterAll(() => close(server));
    const answer = (...list: typeof answers): void => {
      asked = 0;
      answers = list;
    };
    async function handOn(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      const { authorization = "" } = request.headers;
      const headers = { authorization, "content-type": "application/json" };
      const real = await fetch(`${url}${request.url ?? ""}`, { method: "POST", headers, body });
      response.writeHead(real.status).end(await real.text());
    }

    it.each<[string, (typeof answers)[number]]>([
      ["500", json({ error: marker }, 500)],
      ["429", json({ error: marker }, 429)],
      ["a reset", "reset"],
      ["silence", "hang"],
      ["a page with 404", html(404)],
      ["a page with 401", html(401)],
      ["a page with 200", html(200)],
      ["JSON of another shape", json({ results: [marker] })],
    ])("%s says nothing after three tries, and is survived once", async (_name, bad) => {
      const jwt = await mint();
      answer(bad);
      const told = await askToken(at, jwt, 300);
      expect(told).toEqual({
        unknown: expect.stringMatching(
          /^(status \d+|no answer within 300 ms|no answer \(the connection broke)/,
        ) as string,
      });
      expect(JSON.stringify(told)).not.toContain(marker);
      expect(asked).toBe(3);
      answer(bad);
      expect(await failure(jwt, access(), at, { timeoutMs: 300 })).toMatch(
        /^unavailable: the token is not proven: (status|no answer)/,
      );
      answer(bad, "on");
      expect(await askToken(at, jwt, 1000)).toBe("works");
      answer(bad, "on");
      await proveToken(at, jwt, access(), { writesBlocked: false, timeoutMs: 1000 });
    });

    it("a busy database or one that fails is no proof of a refusal", async () => {
      const jwt = await mint({ authorization: "read-only" });
      const failed = (code: string): Page => json({ results: [{ type: "error", error: { code, message: marker } }] });
      const claimed = access({ authorization: "read-only" });
      answer("on", failed("SQLITE_FULL"));
      expect(await failure(jwt, claimed, at)).toMatch(/^unavailable: .*another reason \(SQLITE_FULL\)/);
      answer("on", failed(`${marker} <html`));
      expect(await failure(jwt, claimed, at)).toMatch(/^unavailable: .*another reason \(unknown code\)/);
      answer("on", failed("SQLITE_BUSY"));
      expect(await failure(jwt, claimed, at)).toMatch(/^unavailable: .*the database is busy/);
      expect(asked).toBe(4);
      answer("on", failed("SQLITE_BUSY"), "on");
      await proveToken(at, jwt, claimed, { writesBlocked: false });
    });
  });

  describe("its expiry", () => {
    it("is read from the token, and is never for one that says none", async () => {
      const now = Date.now() / 1000;
      expect(expiryOf(await mint({}, "2w1d"))).toBeCloseTo(now + 15 * 86_400, -2);
      expect(expiryOf(await mint({}, "never"))).toBeUndefined();
    });

    it.each(["", "no.jwt", "a.b.c", `a.${Buffer.from('{"exp":"soon"}').toString("base64url")}.c`])(
      "is not guessed from what is no JWT (%#)",
      (text) => {
        expect(() => expiryOf(text)).toThrow(/^the token('s `exp`)? is no (JWT|number)/);
      },
    );
  });
});
