// Proves that the local Turso's tokens are really checked, by a libSQL server, and that they die with a rotation, in both
// blast radii, at once or later. Not proven here: a Worker and a load that use them (cloud-turso-load.test.ts), nor that the
// vendor behaves so: which radius is its own, and how it refuses what fine-grained permissions do not give, are not documented.
import type { Client } from "@libsql/client" with { "resolution-mode": "import" };
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTurso, type LocalTurso } from "../../local/cloud/turso";
import { callTurso, claimsOf, mintToken, runSql, type TursoAnswer } from "../../local/cloud/turso/client";

let turso: LocalTurso;
beforeAll(async () => {
  turso = await startTurso({
    databases: { rounds: { group: "default" }, notes: { group: "default" }, other: { group: "elsewhere" } },
  });
}, 60_000);
afterAll(() => turso.stop(), 30_000);
beforeEach(() => {
  turso.setBlastRadius("group");
  turso.setEffectDelay(0);
});

const api = (method: string, path: string, options?: { body?: unknown; token?: string }): Promise<TursoAnswer> =>
  callTurso(turso, method, path, options);
const mint = (target: string, query?: string, body?: unknown): Promise<string> => mintToken(turso, target, query, body);
const run = (database: string, token: string, ...statements: string[]): Promise<number | string> =>
  runSql(turso, database, token, ...statements);
const works = (database: string, token: string): Promise<number | string> => run(database, token, "SELECT 1");

async function rotate(target: string): Promise<void> {
  expect(await api("POST", `${target}/auth/rotate`)).toMatchObject({ status: 200, text: "" });
}

async function client(kind: "http" | "ws", database: string, authToken: string): Promise<Client> {
  const { createClient } = kind === "http" ? await import("@libsql/client/http") : await import("@libsql/client/ws");
  return createClient({ url: turso.hostOf(database).replace("http", kind), authToken });
}

describe("its tokens", { timeout: 30_000 }, () => {
  it("carry Turso's claims, with an expiry only where one was asked for", async () => {
    const { body } = await api("GET", "databases/rounds");
    const { DbId: id } = (body as { database: { DbId: string } }).database;
    const token = await mint("databases/rounds", "?expiration=2w1d30m&authorization=read-only");
    const { iat, exp, p, rid } = claimsOf(token);
    expect(Number(exp) - Number(iat)).toBe(15 * 86_400 + 1800);
    expect({ p, rid }).toEqual({ p: { ro: { ns: [id] } }, rid: expect.stringMatching(/^[0-9a-f-]{36}$/) as string });
    expect(claimsOf(await mint("databases/rounds"))).not.toHaveProperty("exp");
    expect(turso.tokensMinted()).toContain(token);
  });

  it("open their own databases alone, by HTTP and by WebSocket", async () => {
    const token = await mint("databases/rounds");
    const group = await mint("groups/default");
    expect(await works("rounds", token)).toBe(200);
    expect(await works("notes", token)).toBe(401);
    expect([await works("rounds", group), await works("notes", group), await works("other", group)]).toEqual([
      200, 200, 401,
    ]);
    await turso.createDatabase("late", { group: "default" });
    expect(await works("late", group)).toBe(200);
    await turso.destroyDatabase("late");
    for (const kind of ["http", "ws"] as const) {
      const db = await client(kind, "rounds", token);
      expect((await db.execute("SELECT count(*) AS n FROM rounds")).rows[0]?.n).toBe(1);
      db.close();
    }
    expect(await works("rounds", "nonsense")).toBe(401);
    const anonymous = await fetch(`${turso.hostOf("rounds")}/v2/pipeline`, { method: "POST", body: "{}" });
    expect(anonymous.status).toBe(401);
  });

  it("read only where they are read-only, and attach what they may", async () => {
    for (const target of ["databases/rounds", "groups/default"]) {
      const token = await mint(target, "?authorization=read-only");
      expect(await run("rounds", token, "SELECT count(*) FROM rounds")).toBe(200);
      expect(await run("rounds", token, "INSERT INTO rounds VALUES (2)")).toBe(403);
    }
    const { body } = await api("GET", "databases/notes");
    const attach = `ATTACH "${(body as { database: { DbId: string } }).database.DbId}" AS notes`;
    expect(await run("rounds", await mint("databases/rounds"), attach)).toBe(403);
    const permissions = { read_attach: { databases: ["notes"] } };
    const token = await mint("databases/rounds", "", { permissions });
    expect(await run("rounds", token, attach, "SELECT count(*) FROM notes.rounds")).toBe(200);
  });

  it("meet blocks of writes and reads at once", async () => {
    const token = await mint("databases/rounds");
    const insert = ["BEGIN", "INSERT INTO rounds VALUES (9)", "ROLLBACK"];
    expect(await run("rounds", token, ...insert)).toBe(200);
    await api("PATCH", "databases/rounds/configuration", { body: { block_writes: true } });
    expect(await run("rounds", token, ...insert)).toBe("BLOCKED");
    expect(await works("rounds", token)).toBe(200);
    await rotate("databases/rounds");
    const fresh = await mint("databases/rounds");
    expect(await run("rounds", fresh, ...insert)).toBe("BLOCKED");
    await api("PATCH", "databases/rounds/configuration", { body: { block_reads: true } });
    expect(await works("rounds", fresh)).toBe("BLOCKED");
    await api("PATCH", "databases/rounds/configuration", { body: { block_reads: false, block_writes: false } });
    expect(await run("rounds", fresh, ...insert)).toBe(200);
    expect(await turso.query("rounds", "SELECT id FROM rounds")).toEqual([{ id: 1 }]);
  });
});

describe("a rotation", { timeout: 30_000 }, () => {
  const all = ["databases/rounds", "databases/notes", "groups/default", "databases/other"];
  const dead = async (tokens: string[]): Promise<boolean[]> => {
    const statuses = await Promise.all(
      tokens.map((token, index) => works(["rounds", "notes", "rounds", "other"][index] ?? "", token)),
    );
    expect(statuses.every((status) => status === 200 || status === 401)).toBe(true);
    return statuses.map((status) => status === 401);
  };

  it.each([
    ["group", "databases/rounds", [true, true, true, false]],
    ["database", "databases/rounds", [true, false, false, false]],
    ["group", "groups/default", [true, true, true, false]],
    ["database", "groups/default", [true, true, true, false]],
  ] as const)("with radius %s of %s kills what it says", async (radius, target, expected) => {
    turso.setBlastRadius(radius);
    const old = await Promise.all(all.map((one) => mint(one)));
    expect(await dead(old)).toEqual([false, false, false, false]);
    await rotate(target);
    expect(await dead(old)).toEqual(expected);
    const fresh = await Promise.all(all.map((one) => mint(one)));
    expect(await dead(fresh)).toEqual([false, false, false, false]);
  });

  it("may take effect after its answer; what is minted until then dies with the old keys", async () => {
    const old = await mint("databases/rounds");
    const from = turso.events().length;
    turso.setEffectDelay(300);
    await rotate("groups/default");
    const early = await mint("databases/rounds");
    expect([await works("rounds", old), await works("rounds", early)]).toEqual([200, 200]);
    await expect.poll(() => works("rounds", old), { timeout: 5000, interval: 10 }).toBe(401);
    expect(await works("rounds", early)).toBe(401);
    expect(await works("rounds", await mint("databases/rounds"))).toBe(200);
    const events = turso.events().slice(from);
    expect(events.map(({ kind, target }) => `${kind} ${target.kind} ${target.name}`)).toEqual([
      "rotate group default",
      "mint database rounds",
      "effective group default",
      "mint database rounds",
    ]);
    expect((events[2]?.at ?? 0) - (events[0]?.at ?? 0)).toBeGreaterThanOrEqual(299);
    expect(turso.rotations().at(-1)).toEqual(events[0]);
  });

  it("ends the WebSockets of the databases that it reaches, and no others", async () => {
    const old = await mint("databases/rounds");
    const clients = {
      rounds: await client("ws", "rounds", old),
      notes: await client("ws", "notes", await mint("databases/notes")),
    };
    const open = { rounds: await clients.rounds.transaction("read"), notes: await clients.notes.transaction("read") };
    for (const transaction of Object.values(open)) await transaction.execute("SELECT 1");
    turso.setBlastRadius("database");
    await rotate("databases/rounds");
    await expect(open.rounds.execute("SELECT 1")).rejects.toMatchObject({ code: "HRANA_WEBSOCKET_ERROR" });
    expect((await open.notes.execute("SELECT 1 AS one")).rows[0]?.one).toBe(1);
    open.notes.close();
    // The client connects anew, with what it holds.
    await expect(clients.rounds.execute("SELECT 1")).rejects.toMatchObject({ code: "AUTH_JWT_INVALID" });
    for (const one of Object.values(clients)) one.close();
  });
});

describe("fine-grained permissions", { timeout: 30_000 }, () => {
  const permit = (...rules: [string[] | null, string[]][]): Promise<string> =>
    mint("databases/rounds", "", { fine_grained_permissions: rules.map(([t, a]) => ({ t, a })) });

  it("allow what they name and refuse the rest, each action by itself", async () => {
    await turso.query("rounds", "CREATE TABLE comments (id integer PRIMARY KEY, text)");
    const statements: Record<string, string> = {
      data_read: "SELECT * FROM comments AS c, main.comments WHERE c.id = 1",
      data_add: "INSERT INTO comments DEFAULT VALUES",
      data_update: 'UPDATE OR IGNORE "comments" SET text = 1 WHERE 0',
      data_delete: "DELETE FROM comments WHERE 0",
      schema_add: "CREATE TABLE IF NOT EXISTS comments (x)",
      schema_update: "ALTER TABLE comments ADD COLUMN late",
      schema_delete: "DROP TABLE comments",
    };
    for (const action of Object.keys(statements)) {
      const token = await permit([["comments"], [action]]);
      for (const [tried, sql] of Object.entries(statements))
        expect([action, tried, await run("rounds", token, "BEGIN", sql, "ROLLBACK")]).toEqual([
          action,
          tried,
          action === tried ? 200 : 403,
        ]);
    }
  });

  it("count per table, for all tables with null, and nothing for an action that does not exist", async () => {
    const token = await permit([null, ["data_read"]], [["comments"], ["data_add", "data_delte"]]);
    const tries: [string, number][] = [
      ["SELECT 1", 200],
      ["SELECT * FROM rounds JOIN comments USING (id)", 200],
      ["INSERT INTO comments SELECT id, 'x' FROM rounds", 200],
      ["INSERT INTO rounds VALUES (5)", 403],
      ["INSERT OR REPLACE INTO comments VALUES (1, 'x')", 403],
      ["INSERT INTO comments VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET text = 'y'", 403],
      ["DELETE FROM comments", 403],
      ["SELECT 1 /* ; */; DROP TABLE rounds", 403],
      ["PRAGMA user_version = 3", 403],
    ];
    for (const [sql, expected] of tries)
      expect([sql, await run("rounds", token, "BEGIN", sql, "ROLLBACK")]).toEqual([sql, expected]);
    const adder = await permit([["comments"], ["data_add"]]);
    expect(await run("rounds", adder, "SELECT name FROM sqlite_schema")).toBe(200);
    expect(await run("rounds", adder, "INSERT INTO comments SELECT id, 'x' FROM rounds")).toBe(403);
    expect(await run("rounds", adder, "SELECT * FROM (SELECT id FROM rounds) AS r")).toBe(403);
    expect(await turso.query("rounds", "SELECT id FROM comments")).toEqual([]);
  });

  it("hold for clients too, by HTTP alone; and a dead token is told that it is dead", async () => {
    const token = await permit([["rounds"], ["data_read"]]);
    const http = await client("http", "rounds", token);
    expect((await http.execute("SELECT count(*) AS n FROM rounds")).rows[0]?.n).toBe(1);
    const refused = { code: "SERVER_ERROR", cause: { status: 403 } };
    await expect(http.execute("DELETE FROM rounds")).rejects.toMatchObject(refused);
    await expect(http.batch(["SELECT 1", "DELETE FROM rounds"], "write")).rejects.toMatchObject(refused);
    await expect(http.executeMultiple("SELECT 1; DELETE FROM rounds")).rejects.toMatchObject(refused);
    http.close();
    const ws = await client("ws", "rounds", token);
    await expect(ws.execute("SELECT 1")).rejects.toMatchObject({ code: "HRANA_WEBSOCKET_ERROR" });
    ws.close();
    await rotate("databases/rounds");
    expect(await run("rounds", token, "DELETE FROM rounds")).toBe(401);
    expect(await turso.query("rounds", "SELECT count(*) AS n FROM rounds")).toEqual([{ n: 1 }]);
  });
});
