// Proves that a live system is taken over without a failed request: its one role, which owns the database and is the Worker's
// login, is first joined by a login of Rollover's, then retired, and keeps what it owns. And that `inPlace`, for a role whose
// name may not change, breaks at once as it says, but delivers only what is proven. Not proven here: the official Role plugin.
//
// What the admin must be granted on a role that it did not make (PostgreSQL 16 and later), by the role's owner or a superuser:
//   GRANT app TO rollover_admin WITH ADMIN OPTION;
// ADMIN lets it grant `app` to new logins and block it. To see the sessions of `app` it needs INHERIT, which it has by this
// grant's default, and also by way of its own logins where createrole_self_grant has `inherit`.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bulk } from "../../local/cloud/client";
import { startLoad } from "../../local/load";
import { must, type Scene, startScene } from "../../local/scene";
import { held, loginsLike, openSession, secretOf, servedAs, tryLogin, underLoad } from "./rounds";

const adopting = {
  kind: "postgres",
  database: "shop",
  owner: "app",
  existing: true,
  adopted: "app",
  login: "shop",
  quiet: "300ms",
  checks: ["SELECT count(*) FROM rounds", "CREATE TABLE proof (id int)"],
  generation: "2026-11-20",
  deliver: [{ worker: "rounds-api", as: "DATABASE_URL" }],
};

const inPlace = {
  kind: "postgres",
  database: "rounds",
  owner: "rounds_owner",
  login: "rounds_fixed",
  inPlace: true,
  quiet: "300ms",
  generation: "2026-11-20",
  deliver: [{ worker: "reports-api", as: "DATABASE_URL" }],
};

describe("a live system", () => {
  let scene: Scene;
  /** What the Worker used before Rollover. */
  let before: string;

  beforeAll(async () => {
    scene = await startScene({
      needs: ["postgres", "workers"],
      credentials: { "shop-db": adopting },
      cloud: { cloudflare: { scripts: { "rounds-api": {}, "reports-api": {} } } },
    });
    const password = randomBytes(18).toString("hex");
    const { host, port } = scene.cloud.postgres;
    before = `postgresql://app:${password}@${host}:${port}/shop?sslmode=disable`;
    // Within a DO: the log shows every other DDL whole, and no secret of a scene may stand in it.
    await sql(`DO $$ BEGIN CREATE ROLE app LOGIN PASSWORD '${password}'; END $$`);
    await sql("CREATE DATABASE shop OWNER app");
    await scene.cloud.seedDatabase({ owner: "app", database: "shop" });
    const { success } = await bulk(scene.cloud.cloudflare, { DATABASE_URL: before });
    expect(success).toBe(true);
  });
  afterAll(() => scene.end());

  it("is left as it is while the admin has no right to its role", async () => {
    const live = held(scene);
    let printed = "";
    await underLoad(scene, async () => {
      const { code, stdout, stderr } = await scene.stack.up();
      printed = stdout + stderr;
      expect(code, printed).not.toBe(0);
    });
    expect(printed).toContain('permission denied to grant role "app"');
    expect(held(scene)).toEqual(live);
    expect(await loginsLike(scene, "shop")).toEqual([]);
  });

  it("gets its first login by an update, beside the adopted one", async () => {
    await sql("GRANT app TO rollover_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
    await underLoad(scene, () => must(scene.stack.up()));
    expect(await servedAs(scene)).toBe("shop_20261120");
    expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toBe("shop_20261120 as app");
    expect(await tryLogin(before)).toBe("app as app");
    expect((await scene.stack.outputs())["debts"]).toEqual({ "shop-db": [] });
  });

  it("keeps the adopted login while the admin cannot see its sessions, and then has it retired, not dropped", async () => {
    const session = await openSession(before);
    try {
      scene.edit(["rollover:credentials", "shop-db", "adopted"], undefined);
      await sql("GRANT shop_20261120 TO rollover_admin WITH INHERIT FALSE GRANTED BY rollover_admin");
      const blind = await scene.stack.up();
      expect(blind.code).not.toBe(0);
      expect(blind.stdout + blind.stderr).toContain("GRANT app TO rollover_admin WITH INHERIT TRUE");
      expect(await tryLogin(before)).toBe("app as app");
      expect(session.state()).toBe("open");

      await sql("GRANT app TO rollover_admin WITH INHERIT TRUE");
      await underLoad(scene, () => must(scene.stack.up()));
      await expect.poll(session.state).toBe("57P01");
    } finally {
      await session.end();
    }
    expect(await tryLogin(before)).toBe("28000");
    expect(await servedAs(scene)).toBe("shop_20261120");
    const { rows } = await scene.cloud.postgres.query(
      "SELECT tableowner, rolcanlogin FROM pg_tables JOIN pg_roles ON rolname = tableowner WHERE tablename = 'rounds'",
      undefined,
      "shop",
    );
    expect(rows).toEqual([{ tableowner: "app", rolcanlogin: false }]);
  });

  it("starts an inPlace role for another Worker beside it", async () => {
    scene.edit(["rollover:credentials", "rounds-db"], inPlace);
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    expect(await servedAs(scene, "reports-api")).toBe("rounds_fixed");
  });

  it("breaks at once by inPlace, for as long as the delivery takes, and then works", async () => {
    const old = secretOf(scene, "DATABASE_URL", "reports-api");
    scene.edit(["rollover:credentials", "rounds-db", "generation"], "2026-11-21");
    const load = startLoad({ url: scene.cloud.workerUrl("reports-api") });
    try {
      await load.until(40);
      await must(scene.stack.up());
      const { failed, failures, requests } = load.mark();
      console.log(`inPlace: ${failed} of ${requests} requests failed while it rolled`);
      // Nothing else than the password that is no longer right.
      expect(failures.filter(({ reason }) => !reason.includes('"code":"28P01"'))).toEqual([]);
      await load.until(60);
      expect(load.result()).toMatchObject({ failed: 0 });
    } finally {
      await load.stop();
    }
    expect(await tryLogin(old)).toBe("28P01");
    expect(await tryLogin(secretOf(scene, "DATABASE_URL", "reports-api"))).toBe("rounds_fixed as rounds_owner");
  });

  it("delivers by inPlace only what is proven", async () => {
    const live = held(scene, "reports-api");
    scene.edit(["rollover:credentials", "rounds-db", "generation"], "2026-11-22");
    scene.edit(["rollover:credentials", "rounds-db", "checks"], ["SELECT count(*) FROM ledger"]);
    const { code, stdout, stderr } = await scene.stack.up();
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("rounds_fixed of rounds-db failed its check `SELECT count(*) FROM ledger`");
    expect(held(scene, "reports-api")).toEqual(live);
    // The price of one name: its password has changed already, and stays undelivered until the proof succeeds.
    expect(await tryLogin(live.secrets["DATABASE_URL"] ?? "")).toBe("28P01");

    await sql("CREATE TABLE ledger (id int)", "rounds");
    await sql("GRANT SELECT ON ledger TO rounds_owner", "rounds");
    await must(scene.stack.up());
    expect(await servedAs(scene, "reports-api")).toBe("rounds_fixed");
    expect(secretOf(scene, "DATABASE_URL", "reports-api")).not.toBe(live.secrets["DATABASE_URL"]);
  });

  async function sql(statement: string, database = "postgres"): Promise<void> {
    await scene.cloud.postgres.query(statement, undefined, database);
  }
});
