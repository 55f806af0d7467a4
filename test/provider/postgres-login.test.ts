// Proves, on a real Postgres, that a login is made, proven and withdrawn as it should when connections break at each statement
// in turn, when somebody changes things by hand, and when a check tries to leave something behind. Not proven here: what the
// engine makes of it (test/engine), nor a server that stops answering in the middle of a statement (bounded to 35 s). A server that
// cannot be reached is postgres-unreachable.test.ts's.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { postgresLoginClaim } from "../../components/postgres/postgres-login-claim.provider";
import type { Outputs } from "../../components/postgres/postgres-login.provider";
import { markOf } from "../../components/postgres/retire";
import { scramVerifier } from "../../components/postgres/scram";
import { connected } from "../../components/postgres/sql";
import { type Logins, startLogins } from "./logins";

describe("a Postgres login on bad days", () => {
  let on: Logins;

  beforeAll(async () => {
    on = await startLogins();
  });
  afterAll(() => on.stop());
  beforeEach(() => {
    on.reset();
  });

  it("is made once, whichever statement of its making breaks the connection", async () => {
    const calls = await on.callsOf(() => on.create(on.news({ checks: ["INSERT INTO rounds VALUES (1)"] })));
    expect(calls).toEqual(["CREATE", "GRANT", "ALTER ROLE SET role", "COMMENT", "COMMIT", "INSERT"]);
    for (let at = 0; at < calls.length; at++) {
      for (const when of ["before", "after"] as const) {
        const inputs = on.news({ checks: ["INSERT INTO rounds VALUES (1)"] });
        let outs: Outputs | undefined;
        expect(await on.cutAt(at, when, async () => (outs = await on.create(inputs)))).toBe(calls[at]);
        expect(await on.acts(inputs)).toBe("rounds_owner");
        expect(await on.commentOf(inputs.login)).toBe(markOf({ urn: inputs.madeBy, tag: outs?.tag ?? "" }));
        expect(outs?.debts).not.toContain(inputs.login);
      }
    }
    expect(await on.rows()).toEqual([]);
  });

  it("is made when the server ends the admin's session meanwhile", async () => {
    const inputs = on.news();
    let ended = false;
    on.now.gate = async (label, phase) => {
      if (label !== "COMMIT" || phase !== "before" || ended) return "pass";
      ended = true;
      await on.sql("SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = $1", [
        on.postgres.admin.user,
      ]);
      return "pass";
    };
    await on.create(inputs);
    expect(ended).toBe(true);
    expect(await on.acts(inputs)).toBe("rounds_owner");
  });

  it("gives up after five attempts, with one clear error and no login", async () => {
    const inputs = on.news();
    let attempts = 0;
    on.now.gate = (_label, phase) => {
      if (phase === "before") attempts += 1;
      return Promise.resolve("drop");
    };
    const error = await on.failure(on.create(inputs));
    expect(error.fault).toBe("unreachable");
    expect(error.message).toMatch(
      /^postgres 127\.0\.0\.1:\d+, database postgres, login rollover_admin: no connection \(/,
    );
    expect(attempts).toBe(5);
    expect(await on.exists(inputs.login)).toBe(false);
  });

  it("is taken over and marked anew after a crash; the first making's delete no longer touches it", async () => {
    const inputs = on.news();
    const first = await on.create(inputs);
    const second = await on.create(inputs);
    expect(second.tag).not.toBe(first.tag);
    expect(await on.commentOf(inputs.login)).toBe(markOf({ urn: inputs.madeBy, tag: second.tag }));
    await on.remove(first);
    expect(await on.acts(inputs)).toBe("rounds_owner");
    await on.remove(second);
    expect(await on.exists(inputs.login)).toBe(false);
  });

  it("refuses a role of its name that somebody else made, and leaves it as it is", async () => {
    const inputs = on.news();
    await on.sql(`CREATE ROLE ${inputs.login} LOGIN CONNECTION LIMIT 3 PASSWORD 'of-somebody-else'`);
    const all = `SELECT to_jsonb(a) AS role FROM pg_authid a WHERE rolname = $1`;
    const before = (await on.sql(all, [inputs.login])).rows;
    const error = await on.failure(on.create(inputs));
    expect(error.message).toBe(
      `the role ${inputs.login} exists on 127.0.0.1:${on.proxy.port} and was not made by this resource; it was left untouched. ` +
        "Drop or rename it, or choose another `login` for rounds-db.",
    );
    await on.remove({ ...inputs, tag: "0123", debts: [] });
    expect((await on.sql(all, [inputs.login])).rows).toEqual(before);
    expect(await on.commentOf(inputs.login)).toBeNull();
  });

  it.each(["'reporting, ask Ada'", "NULL"])(
    "refuses to go while its comment was changed to %s by hand",
    async (comment) => {
      const outs = await on.create(on.news());
      await on.sql(`COMMENT ON ROLE ${outs.login} IS ${comment}`);
      expect((await on.failure(on.remove(outs))).message).toContain(
        `the login ${outs.login} of rounds-db works, but its comment, by which it is known, was changed. It was left as it is.`,
      );
      expect(await on.acts(outs)).toBe("rounds_owner");
    },
  );

  it("works on while its consumer is silent or holds it", async () => {
    const outs = await on.create(on.news());
    on.now.consumer = { state: "silent", why: "status 500" };
    expect((await on.failure(on.remove(outs))).message).toContain("does not say what it holds (status 500)");
    on.now.consumer = { state: "holds" };
    expect((await on.failure(on.remove(outs))).message).toContain("the Worker rounds-api still reports it as current");
    expect(await on.acts(outs)).toBe("rounds_owner");
  });

  it("goes once, whichever statement of its going breaks the connection; its sessions end", async () => {
    const start = async () => {
      const outs = await on.create(on.news());
      const session = await on.openSession(outs);
      return { outs, session };
    };
    const first = await start();
    const calls = await on.callsOf(() => on.remove(first.outs));
    expect(calls).toEqual(["COMMENT", "ALTER ROLE NOLOGIN", "pg_terminate_backend", "DROP", "COMMIT"]);
    expect(await first.session.ended).toBe("57P01");
    for (let at = 0; at < calls.length; at++) {
      for (const when of ["before", "after"] as const) {
        const { outs, session } = await start();
        expect(await on.cutAt(at, when, () => on.remove(outs))).toBe(calls[at]);
        expect(await session.ended).toBe("57P01");
        expect(await on.exists(outs.login)).toBe(false);
        expect(await on.acts(outs)).toBe("28P01");
      }
    }
  });

  it("that an interrupted call left blocked is taken up there, whoever asks for it meanwhile", async () => {
    const outs = await on.create(on.news());
    const session = await on.openSession(outs);
    await on.sql(`ALTER ROLE ${outs.login} NOLOGIN`);
    // Nobody can begin to use it any more, so nobody is asked.
    on.now.consumer = { state: "silent", why: "status 500" };
    await on.remove(outs);
    expect(await session.ended).toBe("57P01");
    expect(await on.exists(outs.login)).toBe(false);
    await on.remove(outs);
  });

  it.each([
    ["blocked", (outs: Outputs) => `${retiring(outs)}; ALTER ROLE ${outs.login} NOLOGIN`],
    ["about to be blocked", retiring],
    ["dropped", (outs: Outputs) => `DROP ROLE ${outs.login}`],
  ])("that an interrupted retirement left %s is brought back by the next edit that names it", async (_, left) => {
    const [one, inputs] = [on.start(), on.news()];
    const outs = await one.up(inputs);
    await on.sql(left(outs));
    expect((await one.up({ ...inputs, edit: "2" })).tag).toBe(outs.tag);
    expect(await on.acts(outs)).toBe("rounds_owner");
    expect(await on.commentOf(outs.login)).toBe(markOf({ urn: outs.madeBy, tag: outs.tag }));
    await one.remove();
    expect(await on.exists(outs.login)).toBe(false);
  });

  it("that somebody blocked by hand stays blocked, with a warning, and the update goes on", async () => {
    const [one, inputs] = [on.start(), on.news()];
    await one.up(inputs);
    await on.sql(`ALTER ROLE ${inputs.login} NOLOGIN`);
    await one.up({ ...inputs, current: false, edit: "2" });
    expect(await on.acts(inputs)).toBe("28000");
    expect(on.now.warnings.join()).toContain(
      `the login ${inputs.login} of rounds-db cannot log in, though config names it`,
    );
    await one.remove();
    expect(await on.exists(inputs.login)).toBe(false);
  });

  it("is not taken for gone because config names another server", async () => {
    const outs = await on.create(on.news());
    const elsewhere = { ...outs, server: "db.example.com:5432" };
    const { message } = await on.failure(on.remove(elsewhere));
    expect(message).toMatch(
      /is on db\.example\.com:5432, but rollover:postgres names 127\.0\.0\.1:\d+\. It was left as it is/,
    );
    expect(await on.acts(outs)).toBe("rounds_owner");
    await on.remove(outs);
  });

  it("gets a password that was minted anew, proven, under another tag, and the old making's delete leaves it", async () => {
    const [one, inputs] = [on.start(), on.news()];
    const outs = await one.up(inputs);
    const news = { ...inputs, password: on.news().password };
    expect(await one.preview(news)).toBe("replace it");
    // The new one is made, then the old one is deleted.
    expect((await one.up(news)).tag).not.toBe(outs.tag);
    expect([await on.acts(outs), await on.acts(news)]).toEqual(["28P01", "rounds_owner"]);
    await one.remove();
    expect(await on.exists(news.login)).toBe(false);
  });

  it("says that it was refused where it was tried, and only there", async () => {
    const [tried, dropped, remade, adopted] = [on.news(), on.news(), on.news(), on.news({ mode: "adopted" })];
    expect(await on.remove(await on.create(tried))).toEqual({ proven: true });
    const gone = await on.create(dropped);
    await on.sql(`DROP ROLE ${gone.login}`);
    expect(await on.remove(gone)).toEqual({ proven: false });
    const first = await on.create(remade);
    await on.create(remade);
    expect(await on.remove(first)).toEqual({ proven: false });
    const { server, login } = on.admin();
    await connected(server, login, (client) => client.query(`CREATE ROLE ${adopted.login} LOGIN PASSWORD 'of-others'`));
    expect(await on.remove(await on.create({ ...adopted, password: "" }))).toEqual({ proven: false });
  });

  it("is made from a verifier: the server never hears its password", async () => {
    const inputs = on.news();
    await on.create(inputs);
    const { rows } = await on.sql("SELECT rolpassword FROM pg_authid WHERE rolname = $1", [inputs.login]);
    expect(rows).toEqual([{ rolpassword: scramVerifier(inputs.password, inputs.madeBy) }]);
  });

  it("is not proven where it acts as another than its owner", async () => {
    const inputs = on.news({ mode: "inPlace", login: "rounds_of_its_own", checks: [] });
    await on.sql(`CREATE ROLE ${inputs.login} LOGIN PASSWORD '${inputs.password}'`);
    expect((await on.failure(on.create(inputs))).message).toContain(
      `the login ${inputs.login} acts as ${inputs.login}, not as its owner rounds_owner`,
    );
  });

  it("that becomes current again is proven again", async () => {
    await on.sql("CREATE TABLE granted (id int); GRANT SELECT ON granted TO rounds_owner");
    const inputs = on.news({ checks: ["SELECT count(*) FROM granted"] });
    const one = on.start();
    await one.up(inputs);
    await one.up({ ...inputs, current: false, edit: "2" });
    await on.sql("REVOKE SELECT ON granted FROM rounds_owner");
    await one.up({ ...inputs, current: false, edit: "3" });
    // Run again, it is as far as it was.
    for (let update = 0; update < 2; update++)
      expect((await on.failure(one.up({ ...inputs, edit: "4" }))).message).toContain(
        "rounds-db was not proven, so nothing was delivered.",
      );
    await on.sql("GRANT SELECT ON granted TO rounds_owner");
    expect(await one.up({ ...inputs, edit: "4" })).toMatchObject({ current: true });
  });

  it("is not delivered while its database, which is to be closed, is open to everybody", async () => {
    on.now.closed = ["rounds-db"];
    const inputs = on.news();
    expect((await on.failure(on.create(inputs))).message).toBe(
      "rounds-db was not proven, so nothing was delivered. the database rounds is open to everybody: it could not be closed, since rollover_admin may not act as its owner rounds_owner. " +
        'Run as a superuser: GRANT "rounds_owner" TO "rollover_admin"; REVOKE ALL ON DATABASE "rounds" FROM PUBLIC; then run the update again.',
    );
    await on.sql('GRANT "rounds_owner" TO "rollover_admin"; REVOKE ALL ON DATABASE "rounds" FROM PUBLIC');
    await on.create(inputs);
    expect(await on.acts(inputs)).toBe("rounds_owner");
  });

  it("names logins of its owner that no config names", async () => {
    const stranger = on.news().login;
    await on.sql(`CREATE ROLE ${stranger} LOGIN IN ROLE rounds_owner`);
    const [one, inputs] = [on.start(), on.news()];
    expect((await one.up(inputs)).debts).toContain(stranger);
    expect((await one.up({ ...inputs, siblings: [inputs.login, stranger] })).debts).not.toContain(stranger);
    // Of another credential of the same owner.
    const other = on.start();
    on.now.logins = [stranger];
    expect((await other.up(on.news())).debts).not.toContain(stranger);
    await on.sql(`DROP ROLE ${stranger}`);
  });

  it("names logins by what they may do, not by a row of the catalog: through a group, and not who only administers", async () => {
    await on.sql("CREATE ROLE of_group IN ROLE rounds_owner; CREATE ROLE of_a_group LOGIN IN ROLE of_group");
    await on.sql("CREATE ROLE who_sets LOGIN; GRANT rounds_owner TO who_sets WITH INHERIT FALSE, SET TRUE");
    await on.sql(
      "CREATE ROLE who_grants LOGIN; GRANT rounds_owner TO who_grants WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
    );
    const { debts } = await on.start().up(on.news());
    expect(debts).toEqual(expect.arrayContaining(["of_a_group", "who_sets"]));
    expect(debts).not.toContain("who_grants");
    await on.sql("DROP ROLE of_group, of_a_group, who_sets, who_grants");
  });

  it("works on while sessions with it begin, for as long as `quiet` says", async () => {
    const outs = await on.create(on.news({ quietMs: 15_000 }));
    const over = new AbortController();
    const refused = on.failure(on.remove(outs)).finally(() => {
      over.abort();
    });
    // One after the other: those of before the first look do not count.
    while (!over.signal.aborted) {
      const session = await on.openSession(outs);
      await session.client.end();
    }
    expect((await refused).message).toContain("was not withdrawn: somebody still logs in with it");
    expect(await on.acts(outs)).toBe("rounds_owner");
  });

  it("works on while a session that was open before is used: its clients may come and go behind a pooler", async () => {
    const outs = await on.create(on.news({ quietMs: 15_000 }));
    const session = await on.openSession(outs);
    const over = new AbortController();
    const refused = on.failure(on.remove(outs)).finally(() => {
      over.abort();
    });
    while (!over.signal.aborted) await session.client.query("SELECT 1");
    expect((await refused).message).toContain(
      "was not withdrawn: a session that was open already is still in use: pooler from 127.0.0.1. It works as before.",
    );
    await session.client.end();
    expect(await on.acts(outs)).toBe("rounds_owner");
  });

  it("goes while a query of an older session begins workers, which do not log in", async () => {
    const outs = await on.create(on.news({ quietMs: 500 }));
    const session = await on.openSession(outs);
    await session.client.query("SET debug_parallel_query = on");
    const counting = "DO $$ BEGIN FOR i IN 1..100000 LOOP PERFORM count(*) FROM rounds; END LOOP; END $$";
    const query = session.client.query(counting).catch((error: unknown) => error);
    const workers = "SELECT FROM pg_stat_activity WHERE usename = $1 AND backend_type = 'parallel worker'";
    await expect
      .poll(async () => (await on.sql(workers, [outs.login])).rows.length, { interval: 5 })
      .toBeGreaterThan(0);
    await on.remove(outs);
    expect(await query).toMatchObject({ code: "57P01" });
    expect(await on.exists(outs.login)).toBe(false);
  });

  it("stays where its password is still taken after it was blocked", async () => {
    const outs = await on.create(on.news());
    on.now.gate = async (label, phase) => {
      if (label === "pg_terminate_backend" || (label === "ALTER ROLE NOLOGIN" && phase === "after"))
        await on.sql(`ALTER ROLE ${outs.login} LOGIN`);
      return "pass";
    };
    expect((await on.failure(on.remove(outs))).message).toBe(
      `the login ${outs.login} of rounds-db still logs in after it was blocked`,
    );
    on.reset();
    expect(await on.acts(outs)).toBe("rounds_owner");
  });

  it("that was there before Rollover is blocked, and keeps what it owns", async () => {
    const adopted = on.news({ mode: "adopted" });
    const { server, login } = on.admin();
    const made = `CREATE ROLE ${adopted.login} LOGIN PASSWORD '${adopted.password}'`;
    await connected(server, login, (client) => client.query(made));
    await on.sql(`CREATE TABLE of_adopted (id int); ALTER TABLE of_adopted OWNER TO ${adopted.login}`);
    await on.remove(await on.create({ ...adopted, password: "" }));
    expect(await on.acts(adopted)).toBe("28000");
    const { rows: tables } = await on.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'of_adopted'");
    expect(tables).toEqual([{ tableowner: adopted.login }]);
  });

  it("that a crashed update made, and no edit names, goes by its claim; one that is in use stays", async () => {
    const outs = await on.create(on.news());
    const { login, server, owner, database, madeBy, credential, quietMs } = outs;
    const sweep = (urn = madeBy) => {
      const claim = { login, server, owner, database, madeBy: urn, credential, quietMs };
      return postgresLoginClaim(on.admin()).delete?.(login, claim) ?? expect.unreachable();
    };
    await sweep(`${madeBy}-of-another`);
    expect(await on.acts(outs)).toBe("rounds_owner");
    const session = await on.openSession(outs);
    expect((await on.failure(sweep())).message).toContain("was thought forgotten, but is in use; it was left as it is");
    await session.client.end();
    await sweep();
    expect(await on.exists(login)).toBe(false);
  });

  it("leaves what it made after SET ROLE NONE to its owner", async () => {
    const outs = await on.create(on.news());
    await on.sql("CREATE SCHEMA IF NOT EXISTS open; GRANT ALL ON SCHEMA open TO PUBLIC");
    const session = await on.openSession(outs);
    await session.client.query("SET ROLE NONE; CREATE TABLE open.left_behind AS SELECT 7 AS id");
    await session.client.query("GRANT SELECT ON open.left_behind TO PUBLIC");
    await session.client.end();
    await on.remove(outs);
    expect(await on.exists(outs.login)).toBe(false);
    const { rows: tables } = await on.sql(
      "SELECT tableowner, (SELECT id FROM open.left_behind) AS id FROM pg_tables WHERE tablename = 'left_behind'",
    );
    expect(tables).toEqual([{ tableowner: "rounds_owner", id: 7 }]);
  });

  it("leaves no row of its checks", async () => {
    await on.create(
      on.news({
        checks: [
          "INSERT INTO rounds VALUES (1)",
          "UPDATE rounds SET id = 2",
          "SELECT 1 / count(*) FROM rounds WHERE id = 2",
        ],
      }),
    );
    expect(await on.rows()).toEqual([]);
  });

  it.each([
    [
      "two statements",
      "INSERT INTO rounds VALUES (1); COMMIT",
      "cannot insert multiple commands into a prepared statement",
    ],
    [
      "a block that commits",
      "DO $$ BEGIN INSERT INTO rounds VALUES (1); COMMIT; END $$",
      "invalid transaction termination",
    ],
    ["a procedure that commits", "CALL keep()", "invalid transaction termination"],
  ])("fails a check of %s, and keeps none of its rows", async (_name, check, reason) => {
    await on.sql(
      "CREATE OR REPLACE PROCEDURE keep() LANGUAGE plpgsql AS 'BEGIN INSERT INTO rounds VALUES (1); COMMIT; END'",
    );
    const inputs = on.news({ checks: [check] });
    const error = await on.failure(on.create(inputs));
    expect(error.fault).toBe("privilege");
    expect(error.message).toContain(
      `the new login ${inputs.login} of rounds-db failed its check \`${check}\`: ${reason}.`,
    );
    expect(await on.rows()).toEqual([]);
  });

  it("does not blame a check for a connection that breaks at it each time", async () => {
    const inputs = on.news({ checks: ["INSERT INTO rounds VALUES (1)"] });
    on.now.gate = (label) => Promise.resolve(label === "INSERT" ? "drop" : "pass");
    const error = await on.failure(on.create(inputs));
    expect(error.fault).toBe("unreachable");
    expect(error.message).not.toContain("failed its check");
  });
});

/** What a retirement writes first. */
function retiring({ login, madeBy, tag }: Outputs): string {
  return `COMMENT ON ROLE ${login} IS '${markOf({ urn: madeBy, tag, isRetiring: true })}'`;
}
