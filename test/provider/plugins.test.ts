// Proves, over the wire and on a real Postgres 18: what the stand-in for postgresql refuses, compares, writes, reads back
// and deletes, as superuser and as an admin that is none; that no error carries a password; that it ends with its engine.
// Does not prove: that the official plugin does the same (test/engine/official-state.test.ts does, for one program).
import { pbkdf2Sync, createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { PluginClient } from "../../local/plugins/client";
import type { Login, LocalPostgres } from "../../local/cloud/postgres";
import { startPostgres } from "../../local/cloud/postgres";

const ROLE = "postgresql:Role";
const DATABASE = "postgresql:Database";
const GRANT = "postgresql:Grant";

describe("postgresql", () => {
  let postgres: LocalPostgres;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(() => postgres.stop());

  describe.each(["superuser", "admin"] as const)("as %s", (kind) => {
    let plugin: PluginClient;
    beforeAll(async () => {
      plugin = await PluginClient.start("postgresql");
      await plugin.configure(configOf(postgres[kind], String(kind === "superuser")));
    });
    afterAll(() => plugin.stop());
    const named = (name: string) => `${kind}_${name}`;

    it("writes, reads back, changes and renames a role", async () => {
      await plugin.create(ROLE, { name: named("group") });
      const inputs = {
        name: named("role"),
        login: true,
        password: "first-1",
        roles: [named("group")],
        connectionLimit: 7,
      };
      const more = {
        assumeRole: named("group"),
        createDatabase: true,
        statementTimeout: 9000,
        searchPaths: ["a", "b"],
      };
      const made = await plugin.create(ROLE, { ...inputs, ...more, validUntil: "2030-01-01 00:00:00+00" });
      expect(made.values).toMatchObject({ ...inputs, ...more, id: named("role"), inherit: true, superuser: false });
      expect(await plugin.read(ROLE, made.id, made.values)).toEqual(made.values);
      expect(await whoIs(named("role"), "first-1")).toBe(named("group"));

      const news = { ...inputs, name: named("renamed"), password: "second-2", login: true };
      const { paths, replaces } = await plugin.diff(ROLE, made.values, news);
      const gone = ["assumeRole", "createDatabase", "searchPaths", "statementTimeout", "validUntil"];
      expect([paths.sort(), replaces]).toEqual([[...gone, "name", "password"].sort(), []]);
      const changed = await plugin.update(ROLE, made.values, news);
      expect(changed).toMatchObject({ ...news, assumeRole: "", statementTimeout: 0, validUntil: "infinity" });
      expect(await whoIs(named("renamed"), "second-2")).toBe(named("renamed"));
      await expect(whoIs(named("role"), "first-1")).rejects.toMatchObject({ code: "28P01" });
      await plugin.remove(ROLE, made.id, changed);
      expect(await plugin.read(ROLE, named("renamed"), changed)).toBeUndefined();
    });

    it("takes a SCRAM verifier as password", async () => {
      const password = verifier("of-the-verifier");
      const made = await plugin.create(ROLE, { name: named("scram"), login: true, password });
      expect(made.values["password"]).toBe(password);
      expect(await whoIs(named("scram"), "of-the-verifier")).toBe(named("scram"));
      // Only a superuser can see that a verifier was changed by hand.
      await postgres.query(`ALTER ROLE ${named("scram")} PASSWORD 'by-hand'`);
      const found = await plugin.read(ROLE, made.id, made.values);
      if (kind === "superuser") expect(found?.["password"]).not.toBe(password);
      else expect(found?.["password"]).toBe(password);
    });

    it("deletes a role that owns objects, which go to the admin; a role to be kept stays", async () => {
      const made = await plugin.create(ROLE, { name: named("owning") });
      const place = kind === "superuser" ? "postgres" : named("owned");
      if (kind === "admin") await plugin.create(DATABASE, { name: place });
      await postgres.query(
        `CREATE TABLE ${named("owned_table")} (); ALTER TABLE ${named("owned_table")} OWNER TO ${made.id}`,
      );
      await plugin.remove(ROLE, made.id, made.values);
      const owner = await postgres.query("SELECT tableowner FROM pg_tables WHERE tablename = $1", [
        named("owned_table"),
      ]);
      expect(owner.rows).toEqual([{ tableowner: postgres[kind].user }]);
      const kept = await plugin.create(ROLE, { name: named("kept"), skipDropRole: true });
      await plugin.remove(ROLE, kept.id, kept.values);
      expect((await postgres.query("SELECT FROM pg_roles WHERE rolname = $1", [named("kept")])).rows).toHaveLength(1);
    });

    it("makes a database, changes it, and drops it with its sessions", async () => {
      for (const owner of ["owner_a", "owner_b"]) await plugin.create(ROLE, { name: named(owner) });
      const [name, owner] = [named("db"), named("owner_a")];
      const made = await plugin.create(DATABASE, { name, owner, isTemplate: true });
      expect(made.values).toMatchObject({ name, owner, encoding: "UTF8", template: "template0", isTemplate: true });
      await postgres.query(`CREATE TABLE things (); ALTER TABLE things OWNER TO ${owner}`, [], name);
      const news = { name, owner: named("owner_b"), connectionLimit: 5, alterObjectOwnership: true };
      const changed = await plugin.update(DATABASE, made.values, news);
      expect(changed).toMatchObject({ ...news, isTemplate: true });
      const [table] = (await postgres.query("SELECT tableowner FROM pg_tables WHERE tablename = 'things'", [], name))
        .rows;
      expect(table).toEqual({ tableowner: named("owner_b") });
      expect(await plugin.diff(DATABASE, changed, { ...news, template: "template1" })).toMatchObject({
        replaces: ["template"],
      });

      // The admin that is no superuser may not end a superuser's session, so it is that of a plain login.
      const login = await plugin.create(ROLE, { name: named("session"), login: true, password: "session-1" });
      const open = client({ user: login.id, password: "session-1" }, name);
      const ended = new Promise((resolve) => open.on("error", resolve));
      await open.connect();
      await plugin.remove(DATABASE, name, changed);
      expect(await ended).toMatchObject({ code: "57P01" });
      expect(await plugin.read(DATABASE, name, changed)).toBeUndefined();
    });

    it("grants on database, schema, tables and sequences, and sees what was changed by hand", async () => {
      const [owner, reader, database] = [named("objects"), named("reader"), named("granted")];
      await plugin.create(ROLE, { name: owner });
      await plugin.create(ROLE, { name: reader, login: true, password: "reader-1" });
      await plugin.create(DATABASE, { name: database, owner });
      await postgres.query(`SET ROLE ${owner}; CREATE TABLE one (id serial); CREATE TABLE two ()`, [], database);
      const base = { database, role: reader };
      const may = async (what: string) => {
        const { rows } = await postgres.query(`SELECT has_${what} AS may`, [], database);
        return (rows as { may: boolean }[])[0]?.may;
      };

      const schema = await plugin.create(GRANT, {
        ...base,
        objectType: "schema",
        schema: "public",
        privileges: ["USAGE"],
      });
      expect(schema.id).toBe(`${reader}_${database}_public_schema`);
      const inputs = { ...base, objectType: "table", schema: "public", privileges: ["SELECT", "INSERT"] };
      const all = await plugin.create(GRANT, inputs);
      expect(all.values["privileges"]).toEqual(["INSERT", "SELECT"]);
      expect(await plugin.diff(GRANT, all.values, inputs)).toMatchObject({ changed: false });
      expect(await may(`table_privilege('${reader}', 'two', 'INSERT')`)).toBe(true);

      const fewer = await plugin.update(GRANT, all.values, { ...inputs, privileges: ["SELECT"] });
      expect(await may(`table_privilege('${reader}', 'two', 'INSERT')`)).toBe(false);
      await postgres.query(`REVOKE SELECT ON two FROM ${reader}`, [], database);
      const found = await plugin.read(GRANT, all.id, fewer);
      expect(found?.["privileges"]).toEqual([]);
      expect(await plugin.diff(GRANT, found ?? {}, { ...inputs, privileges: ["SELECT"] })).toMatchObject({
        changed: true,
      });
      await plugin.update(GRANT, found ?? {}, { ...inputs, privileges: ["SELECT"] });
      expect(await may(`table_privilege('${reader}', 'two', 'SELECT')`)).toBe(true);
      await plugin.remove(GRANT, all.id, fewer);
      expect(await may(`table_privilege('${reader}', 'one', 'SELECT')`)).toBe(false);

      const one = { ...inputs, objects: ["one"], withGrantOption: true, privileges: ["ALL"] };
      const named_ = await plugin.create(GRANT, one);
      expect(await plugin.diff(GRANT, named_.values, one)).toMatchObject({ changed: false });
      expect(await may(`table_privilege('${reader}', 'one', 'DELETE WITH GRANT OPTION')`)).toBe(true);
      expect(await may(`table_privilege('${reader}', 'two', 'SELECT')`)).toBe(false);
      expect((await plugin.diff(GRANT, named_.values, { ...one, objects: ["two"] })).replaces).toEqual(["objects"]);
      await plugin.create(GRANT, { ...base, objectType: "sequence", schema: "public", privileges: ["USAGE"] });
      expect(await may(`sequence_privilege('${reader}', 'one_id_seq', 'USAGE')`)).toBe(true);

      expect(await may(`database_privilege('${reader}', '${database}', 'CONNECT')`)).toBe(true);
      const nobody = { database, role: "public", objectType: "database" };
      const none = await plugin.create(GRANT, { ...nobody, privileges: [] });
      expect(await may(`database_privilege('${reader}', '${database}', 'CONNECT')`)).toBe(false);
      await plugin.update(GRANT, none.values, { ...nobody, privileges: ["CONNECT"] });
      expect(await may(`database_privilege('${reader}', '${database}', 'CONNECT')`)).toBe(true);
      await plugin.remove(DATABASE, database, { name: database, owner });
      expect(await plugin.read(GRANT, all.id, all.values)).toBeUndefined();
    });

    it("names no password in an error", async () => {
      const inputs = { name: named("twice"), login: true, password: "never-in-a-text" };
      await plugin.create(ROLE, inputs);
      await expect(plugin.create(ROLE, inputs)).rejects.toThrow(
        `creating role "${named("twice")}": role "${named("twice")}" already exists (SQLSTATE 42710)`,
      );
      const hostile = { ...inputs, name: named("other"), roles: ["never-in-a-text"] };
      const error: unknown = await plugin.create(ROLE, hostile).catch((reason: unknown) => reason);
      expect(String(error)).toContain('role "[secret]" does not exist');
      expect(String(error)).not.toContain("never-in-a-text");
    });
  });

  it("finishes what it has begun when its stdin closes, then ends", async () => {
    const plugin = await PluginClient.start("postgresql");
    await plugin.configure(configOf(postgres.superuser, "true"));
    const { values } = await plugin.create(ROLE, { name: "locked" });
    const blocker = client(postgres.superuser);
    await blocker.connect();
    await blocker.query("BEGIN; SELECT pg_advisory_xact_lock(oid::bigint) FROM pg_roles WHERE rolname = 'locked'");
    const update = plugin.update(ROLE, values, { name: "locked", connectionLimit: 3 });
    const waiting =
      "SELECT FROM pg_stat_activity WHERE application_name = 'pulumi-stand-in' AND wait_event = 'advisory'";
    await vi.waitUntil(async () => (await postgres.query(waiting)).rows.length === 1, { timeout: 20_000 });
    const stopped = plugin.stop();
    await blocker.query("COMMIT");
    await blocker.end();
    expect(await update).toMatchObject({ connectionLimit: 3 });
    expect(await stopped).toBe(0);
  });

  it("ends on SIGINT with code 0", async () => {
    const plugin = await PluginClient.start("postgresql");
    plugin.child.kill("SIGINT");
    expect(await once(plugin.child, "exit")).toEqual([0, null]);
  });

  it("reports all that is wrong with a grant before anything is done", async () => {
    const plugin = await PluginClient.start("postgresql");
    const grant = { database: "d", role: "r", objectType: "table", privileges: ["CONNECT"] };
    expect(await plugin.check(GRANT, grant)).toEqual([
      'privileges: "CONNECT" is not a privilege on a table; allowed are ALL, SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER',
      'schema: "schema" is required where objectType is table',
    ]);
    expect(await plugin.check(GRANT, { ...grant, objectType: "function" })).toEqual([
      'objectType: "function" is not served by the stand-in, which has database, schema, table, sequence',
    ]);
    expect(await plugin.check(ROLE, { login: true })).toEqual(['name: "name" is required: give it a string']);
    await plugin.stop();
  });

  it("refuses a server that is not of this machine, by name, before it connects", async () => {
    const plugin = await PluginClient.start("postgresql");
    const config = { ...configOf(postgres.superuser, "true"), host: "db.example.com" };
    const reason = 'talks to loopback addresses only, and the host is "db.example.com"';
    expect((await plugin.checkConfig(config)).join()).toContain(reason);
    await expect(plugin.configure(config)).rejects.toThrow(reason);
    await expect(plugin.create(ROLE, { name: "nowhere" })).rejects.toThrow("loopback addresses only");
    await plugin.stop();
  });

  it("names no admin password when the server refuses it", async () => {
    const plugin = await PluginClient.start("postgresql");
    await plugin.configure(configOf({ user: "postgres", password: "wrong-and-secret" }, "true"));
    const error: unknown = await plugin.create(ROLE, { name: "nobody" }).catch((reason: unknown) => reason);
    expect(String(error)).toContain("(SQLSTATE 28P01)");
    expect(String(error)).not.toContain("wrong-and-secret");
    await plugin.stop();
  });

  function configOf({ user, password }: Login, superuser: string) {
    return {
      host: postgres.host,
      port: String(postgres.port),
      username: user,
      password,
      sslmode: "disable",
      superuser,
    };
  }

  function client({ user, password }: Login, database = "postgres"): Client {
    return new Client({ host: postgres.host, port: postgres.port, user, password, database });
  }

  async function whoIs(user: string, password: string): Promise<string | undefined> {
    const session = client({ user, password });
    try {
      await session.connect();
      return (await session.query<{ who: string }>("SELECT current_user AS who")).rows[0]?.who;
    } finally {
      await session.end();
    }
  }
});

/** https://www.postgresql.org/docs/current/catalog-pg-authid.html */
function verifier(password: string): string {
  const salt = Buffer.from("a salt of a test");
  const salted = pbkdf2Sync(password, salt, 4096, 32, "sha256");
  const key = (text: string) => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(key("Client Key")).digest("base64");
  return `SCRAM-SHA-256$4096:${salt.toString("base64")}$${stored}:${key("Server Key").toString("base64")}`;
}
