// Proves that nobody gets a login that cannot do what it is for: a new login without a declared privilege, a rollback to a
// login whose privilege was lost, and a role of somebody else's under the new login's name each stop the update before any
// delivery, under load, and the repaired update finishes (G3, G2). Not proven here: a random secret, which nobody can try.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must, type Scene, startScene } from "../../local/scene";
import { held, loginsLike, secretOf, servedAs, tryLogin, underLoad, usualCredentials } from "./rounds";

const ledgerCheck = "SELECT count(*) FROM ledger";

describe("a login that is not proven is not delivered", () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await startScene({ needs: ["postgres", "workers"], credentials: usualCredentials("2026-11-20") });
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    await sql("CREATE ROLE accountant NOLOGIN");
    await sql("CREATE TABLE ledger (id int)");
    await sql("ALTER TABLE ledger OWNER TO accountant");
  });
  afterAll(() => scene.end());

  it("stops a roll to a login that lacks a declared privilege; the grant lets it finish", async () => {
    scene.edit(["rollover:credentials", "rounds-db", "checks"], ["SELECT count(*) FROM rounds", ledgerCheck]);
    // The session key is delivered by the same update, and must wait for the login too.
    for (const credential of ["rounds-db", "session-key"]) scene.generations(credential, ["2026-11-21", "2026-11-20"]);
    const text = await stoppedBeforeDelivery();
    expect(text).toContain(`the new login rounds_20261121 of rounds-db failed its check \`${ledgerCheck}\``);
    expect(text).toContain("permission denied for table ledger");
    expect(text).toContain("Grant what is missing to rounds_owner");

    await sql("GRANT SELECT ON ledger TO rounds_owner");
    await underLoad(scene, () => must(scene.stack.up()));
    expect(await servedAs(scene)).toBe("rounds_20261121");
    expect(await loginsLike(scene, "rounds")).toEqual(["rounds_20261120", "rounds_20261121"]);
  });

  it("stops a rollback to a login that lost its owner; the grant lets it finish", async () => {
    await sql("REVOKE rounds_owner FROM rounds_20261120 GRANTED BY rollover_admin");
    scene.generations("rounds-db", ["2026-11-20", "2026-11-21"]);
    const text = await stoppedBeforeDelivery();
    // The owner may connect to the database, nobody else.
    expect(text).toContain('login rounds_20261120: permission denied for database "rounds"');

    await sql("GRANT rounds_owner TO rounds_20261120");
    await underLoad(scene, () => must(scene.stack.up()));
    expect(await servedAs(scene)).toBe("rounds_20261120");
  });

  it("stops a rollback to a login that acts as itself, and takes the edit back", async () => {
    await sql("ALTER ROLE rounds_20261121 RESET role");
    scene.generations("rounds-db", ["2026-11-21", "2026-11-20"]);
    const text = await stoppedBeforeDelivery();
    expect(text).toContain("the login rounds_20261121 acts as rounds_20261121, not as its owner rounds_owner");

    scene.generations("rounds-db", ["2026-11-20", "2026-11-21"]);
    await underLoad(scene, () => must(scene.stack.up()));
    expect(await servedAs(scene)).toBe("rounds_20261120");
  });

  it("leaves a role of that name that somebody else made as it is, and so does taking the edit back", async () => {
    await sql("CREATE ROLE rounds_20261122 LOGIN CONNECTION LIMIT 3 PASSWORD 'of-somebody-else'");
    await sql("COMMENT ON ROLE rounds_20261122 IS 'reporting, ask Ada'");
    await sql("ALTER ROLE rounds_20261122 SET statement_timeout TO '7s'");
    await sql("GRANT accountant TO rounds_20261122");
    const before = await everythingOf("rounds_20261122");
    const stranger = new URL(secretOf(scene, "DATABASE_URL"));
    stranger.username = "rounds_20261122";
    stranger.password = "of-somebody-else";
    stranger.pathname = "/postgres";

    scene.generations("rounds-db", ["2026-11-22", "2026-11-20", "2026-11-21"]);
    const text = await stoppedBeforeDelivery();
    expect(text).toMatch(
      /the role rounds_20261122 exists on \S+ and was not made by this resource; it was left untouched/,
    );
    expect(await everythingOf("rounds_20261122")).toEqual(before);

    scene.generations("rounds-db", ["2026-11-20", "2026-11-21"]);
    await must(scene.stack.up());
    expect(await everythingOf("rounds_20261122")).toEqual(before);
    expect(await tryLogin(stranger.href)).toBe("rounds_20261122 as rounds_20261122");
  });

  /** Runs an update that must fail under load without a delivery, and returns what it printed. */
  async function stoppedBeforeDelivery(): Promise<string> {
    const { cloudflare } = scene.cloud;
    const before = held(scene);
    const calls = cloudflare.calls.length;
    let printed = "";
    await underLoad(scene, async () => {
      const { code, stdout, stderr } = await scene.stack.up();
      printed = stdout + stderr;
      expect(code, printed).not.toBe(0);
    });
    expect(held(scene)).toEqual(before);
    expect(cloudflare.calls.slice(calls).filter(({ method }) => method !== "GET")).toEqual([]);
    expect(await tryLogin(before.secrets["DATABASE_URL"] ?? "")).toMatch(/ as rounds_owner$/);
    return printed;
  }

  /** All that the catalog knows of a role: attributes, password, comment, settings, memberships. */
  async function everythingOf(name: string): Promise<unknown> {
    const { rows } = await scene.cloud.postgres.query(
      `SELECT to_jsonb(a) AS role, shobj_description(a.oid, 'pg_authid') AS comment,
              (SELECT jsonb_agg(to_jsonb(s)) FROM pg_db_role_setting s WHERE s.setrole = a.oid) AS settings,
              (SELECT jsonb_agg(to_jsonb(m)) FROM pg_auth_members m WHERE m.member = a.oid OR m.roleid = a.oid) AS members
         FROM pg_authid a WHERE rolname = $1`,
      [name],
    );
    expect(rows).toHaveLength(1);
    return rows[0];
  }

  async function sql(statement: string): Promise<void> {
    await scene.cloud.postgres.query(statement, undefined, "rounds");
  }
});
