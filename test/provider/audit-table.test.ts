// Proves against a real Postgres: who may only add can neither read, change nor forge; the owner cannot change by accident;
// concurrent writers make one chain; what a superuser rewrote is found, also beside a row that is no record. Does not prove that a
// superuser who rewrites all of it is found: only a head that was noted elsewhere tells.
import { once } from "node:events";
import * as net from "node:net";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hashOf } from "../../components/audit/chain";
import { journal, newTurns } from "../../components/audit/journal";
import { readAudit, verifyChain } from "../../components/audit/read";
import { insertRecords } from "../../components/audit/table";
import { verify, verifiedText } from "../../operations/report/verify";
import { type LocalPostgres, startPostgres } from "../../local/cloud/postgres";
import { machineNow } from "../../local/engine/as-of";
import { type AuditDatabase, recordOf, startAudit } from "./audits";

let postgres: LocalPostgres;
let table: AuditDatabase;

beforeAll(async () => {
  postgres = await startPostgres();
  table = await startAudit(postgres);
});

afterAll(() => postgres.stop());

const write = (records = [recordOf()], attempts = 1) =>
  insertRecords(table.audit.server, table.writer.password, records, attempts);
const read = () => readAudit(table.audit, "", table.reader);

/** What becomes of a statement: its rows, or the SQLSTATE and message of the refusal. */
async function as(user: string, password: string, sql: string): Promise<unknown> {
  const client = new Client({ host: "127.0.0.1", port: postgres.port, user, password, database: "audit" });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return `${code}: ${message}`;
  } finally {
    await client.end();
  }
}

it("keeps what was written, in one chain whose hashes SQL and JavaScript agree on", async () => {
  const records = [
    recordOf(),
    recordOf({ reason: 'Überprüfung 試験 🔑 \u0000 \ud800 "quoted" \\ back\nline', error: "' OR 1=1 --" }),
    recordOf({ credential: "x".repeat(5000) }),
  ];
  await write(records.slice(0, 1));
  await write(records.slice(1));
  const rows = await read();
  expect(rows.map(({ record }) => record)).toEqual(records);
  expect(rows.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(Math.abs(machineNow() - Date.parse(rows[0]?.at ?? ""))).toBeLessThan(60_000); // Postgres has the machine's clock
  expect(verifyChain(rows)).toEqual({ ok: true, head: rows[2]?.hash });
  // Whatever a session's time zone and date style are.
  await table.sql("ALTER ROLE audit_in SET timezone TO 'Asia/Kolkata'; ALTER ROLE audit_in SET datestyle TO 'German'");
  await table.sql(
    "ALTER ROLE audit_out SET timezone TO 'America/St_Johns'; ALTER ROLE audit_out SET datestyle TO 'SQL, DMY'",
  );
  await write();
  expect(verifyChain(await read())).toMatchObject({ ok: true });
});

describe("the login that adds", () => {
  const DENIED = /^42501: permission denied for table rollover_audit$/;
  it.each([
    "SELECT * FROM rollover_audit",
    "SELECT max(seq) FROM rollover_audit",
    "UPDATE rollover_audit SET record = '{}'",
    "DELETE FROM rollover_audit",
    "TRUNCATE rollover_audit",
    "INSERT INTO rollover_audit (record, hash) VALUES ('{}', 'forged')",
    "INSERT INTO rollover_audit (seq, record) VALUES (99, '{}')",
    "INSERT INTO rollover_audit (at, record) VALUES ('1999-01-01', '{}')",
    "INSERT INTO rollover_audit (previous, record) VALUES ('forged', '{}')",
    "INSERT INTO rollover_audit (record) VALUES ('{}') RETURNING hash",
  ])("is refused: %s", async (sql) => {
    expect(await as("audit_in", table.writer.password, sql)).toMatch(DENIED);
  });

  const entry = (text: string): string => `INSERT INTO rollover_audit (record) VALUES ('${text}')`;
  it.each([
    ["to drop the table", "DROP TABLE rollover_audit", /^42501: must be owner/],
    ["to turn triggers off", "ALTER TABLE rollover_audit DISABLE TRIGGER ALL", /^42501: must be owner/],
    ["to act as a replica", "SET session_replication_role = 'replica'", /^42501: /],
    ["to add no JSON", entry("none"), /^22P02: /],
    ["to add no object", entry("[1]"), /^P0001: an audit record is one JSON object/],
    ["to add no record", entry("{}"), /^P0001: an audit record is one JSON object .* with the keys time, stack, /],
    ["to add one by keys within", entry(`{"a":${JSON.stringify(recordOf())}}`), /^P0001: an audit record is one JSON/],
    ["to add too much", entry(`{"a":"${"x".repeat(10_000)}"}`), /^P0001: .* at most 10000/],
  ])("is refused %s", async (_, sql, words) => {
    expect(await as("audit_in", table.writer.password, sql)).toMatch(words);
  });

  it("cannot put a table of its own in the way of the trigger's", async () => {
    const sql = `CREATE TEMP TABLE rollover_audit (seq bigint, hash text); INSERT INTO rollover_audit VALUES (500, 'forged');
      INSERT INTO public.rollover_audit (record) VALUES ('${JSON.stringify(recordOf())}')`;
    const before = (await read()).length;
    expect(await as("audit_in", table.writer.password, sql)).not.toBeTypeOf("string");
    const rows = await read();
    expect(rows).toHaveLength(before + 1);
    expect(verifyChain(rows)).toMatchObject({ ok: true });
  });
});

it("the login that reads cannot add", async () => {
  const { PGUSER, PGPASSWORD } = table.reader;
  const sql = "INSERT INTO rollover_audit (record) VALUES ('{}')";
  expect(await as(PGUSER, PGPASSWORD, sql)).toMatch(/^42501: permission denied/);
});

it.each([
  "UPDATE rollover_audit SET record = '{}'",
  "DELETE FROM rollover_audit WHERE seq < 0",
  "TRUNCATE rollover_audit",
])("is append-only to its owner too: %s", async (sql) => {
  const before = await read();
  await expect(table.sql(`SET ROLE audit_owner; ${sql}`)).rejects.toThrow(/rollover_audit is append-only/);
  expect(await read()).toEqual(before);
});

it("can be set up again, and keeps its rows", async () => {
  const before = await read();
  await table.setUp();
  expect(await read()).toEqual(before);
  await write();
  expect(verifyChain(await read())).toMatchObject({ ok: true });
});

it("chains what twenty writers add at once", async () => {
  const before = (await read()).length;
  await Promise.all(Array.from({ length: 20 }, (_, at) => write([recordOf({ credential: `c${at}` }), recordOf()], 3)));
  const rows = await read();
  expect(rows.length).toBe(before + 40);
  expect(new Set(rows.slice(before).map(({ record }) => record.credential)).size).toBe(21);
  expect(verifyChain(rows)).toMatchObject({ ok: true });
});

it("a write that waits for somebody's lock gives up for good: no row of it comes later", async () => {
  const before = await read();
  const { PGUSER: user, PGPASSWORD: password } = table.reader;
  const holder = new Client({ host: "127.0.0.1", port: postgres.port, user, password, database: "audit" });
  await holder.connect();
  try {
    await holder.query("SELECT pg_advisory_lock(hashtextextended('public.rollover_audit', 0))");
    await expect(write()).rejects.toThrow(/SQLSTATE 57014.*see that the audit's database answers/);
  } finally {
    await holder.end();
  }
  await write([recordOf({ credential: "next" })]);
  expect((await read()).slice(before.length).map(({ record }) => record.credential)).toEqual(["next"]);
});

describe("a superuser who turns the triggers off", () => {
  const off = (work: string) =>
    table.sql(`ALTER TABLE rollover_audit DISABLE TRIGGER ALL; ${work}; ALTER TABLE rollover_audit ENABLE TRIGGER ALL`);
  const restored = async <T>(work: () => Promise<T>): Promise<T> => {
    await table.sql("CREATE TABLE kept AS SELECT * FROM rollover_audit");
    try {
      return await work();
    } finally {
      await off("DELETE FROM rollover_audit; INSERT INTO rollover_audit SELECT * FROM kept");
      await table.sql("DROP TABLE kept");
    }
  };
  const tampered = (sql: string): Promise<unknown> =>
    restored(async () => {
      await off(sql);
      return verifyChain(await read());
    });

  it.each([
    ["UPDATE rollover_audit SET record = replace(record, 'a@example.com', 'b@example.com') WHERE seq = 3", 3],
    ["UPDATE rollover_audit SET at = at + interval '1 microsecond' WHERE seq = 4", 4],
    ["DELETE FROM rollover_audit WHERE seq = 5", 5],
    ["UPDATE rollover_audit SET record = 'no JSON' WHERE seq = 6", 6],
    ["UPDATE rollover_audit SET record = replace(record, ':', ': ') WHERE seq = 7", 7],
    ["DELETE FROM rollover_audit WHERE seq < 3", 1],
  ])("is found at the first broken row: %s", async (sql, seq) => {
    expect(await tampered(sql)).toMatchObject({ ok: false, seq });
    expect(verifyChain(await read())).toMatchObject({ ok: true });
  });

  it("moves the break by one row where he writes the hash anew", async () => {
    const [, row] = await read();
    if (!row) throw new Error("no row");
    const record = JSON.stringify({ ...row.record, actor: "nobody" });
    const hash = hashOf(row.previous, row.seq, row.at, record);
    expect(
      await tampered(`UPDATE rollover_audit SET record = $r$${record}$r$, hash = '${hash}' WHERE seq = 2`),
    ).toMatchObject({ ok: false, seq: 3 });
  });

  it("is found beside a row that is no record, and so is what was cut off behind it", async () => {
    await restored(async () => {
      await off("DELETE FROM rollover_audit WHERE seq > 2");
      const nothing = JSON.stringify(Object.fromEntries(Object.keys(recordOf()).map((key) => [key, null])));
      const add = `INSERT INTO rollover_audit (record) VALUES ('${nothing}')`;
      expect(await as("audit_in", table.writer.password, add)).toEqual([]);
      await write([recordOf({ credential: "fourth" }), recordOf()]);
      const [, second, , fourth, last] = await read();
      const head = last?.hash ?? "";
      const said = async (noted?: string) =>
        verifiedText(verify(await read(), noted))
          .trimEnd()
          .split("\n");
      // Nobody tampered with the chain, and the row does not hide the others.
      expect(fourth?.record.credential).toBe("fourth");
      expect(await said()).toEqual([
        `The chain of the audit is whole, and not all in it is its own: 5 rows, head ${head}`,
        expect.stringMatching(/^At row 3: row 3 holds no record of Rollover's, .* may add/),
        expect.stringMatching(/note the head elsewhere/),
      ]);
      // Whoever noted a head behind it knows of it.
      expect(verify(await read(), second?.hash).ok).toBe(false);
      expect(await said(head)).toEqual([
        `The audit is whole: 5 rows, head ${head}`,
        expect.stringMatching(/^Known since that head was noted, at row 3: row 3 holds no record/),
      ]);
      const forged = JSON.stringify({ ...second?.record, actor: "nobody" });
      const hash = hashOf(second?.previous ?? "", 2, second?.at ?? "", forged);
      await off(`UPDATE rollover_audit SET record = $r$${forged}$r$, hash = '${hash}' WHERE seq = 2`);
      expect(verify(await read(), head)).toMatchObject({ ok: false, seq: 3, known: [] });
      expect((await said(head))[0]).toMatch(
        /^The audit is broken at row 3 of 5: row 3 does not follow the row before it/,
      );
      await off("DELETE FROM rollover_audit WHERE seq > 3");
      expect(await said(head)).toEqual([
        expect.stringMatching(/^The audit is broken at row 3 of 3: row 3 does not follow/),
        expect.stringMatching(/^And the head that was noted is not in it: .*cut off at its end/),
        expect.stringMatching(/^The hash of its last row is [0-9a-f]{64}$/),
      ]);
    });
  });
});

describe("what cannot be written or read says what to do, without the password", () => {
  const refusal = async (run: Promise<unknown>): Promise<string> => {
    const message = await run.then(
      () => "it was done",
      (error: unknown) => (error as Error).message,
    );
    expect(message).not.toContain(table.writer.password);
    return message;
  };

  it("a wrong password, a login without the role, no such table, no server", async () => {
    const { server } = table.audit;
    const insert = (over: Partial<typeof server>, password = table.writer.password) =>
      refusal(insertRecords({ ...server, ...over }, password, [recordOf()], 1));
    expect(await insert({}, "wrong-password")).toMatch(/SQLSTATE 28P01.*config set --secret auditPassword/);
    expect(await insert({ username: "audit_out" })).toMatch(/42501.*grant rollover_audit_writer/);
    await table.sql("GRANT CONNECT ON DATABASE postgres TO audit_in");
    expect(await insert({ database: "postgres" })).toMatch(/42P01.*run components\/audit\/rollover_audit.sql/);
    expect(await insert({ port: 9 })).toMatch(/ECONNREFUSED.*see that the audit's database answers/);
    expect(await refusal(readAudit(table.audit, "", {}))).toMatch(/set PGUSER and PGPASSWORD/);
    const asWriter = { PGUSER: "audit_in", PGPASSWORD: table.writer.password };
    expect(await refusal(readAudit(table.audit, "", asWriter))).toMatch(/42501.*grant rollover_audit_reader/);
  });
});

it("a database that is silent holds up one write for seconds, and the next ones not at all for a minute", async () => {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const silent = net.createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => undefined);
  });
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  try {
    const { port } = silent.address() as net.AddressInfo;
    let now = 0;
    const turns = newTurns(() => now);
    const on = (at: number) =>
      journal({ required: true, server: { ...table.audit.server, port: at } }, table.writer.password, "", turns);
    const timed = async (write: Promise<void>) => {
      const begun = performance.now();
      await expect(write).rejects.toThrow(/no connection/);
      return performance.now() - begun;
    };
    expect(await timed(on(port).write([recordOf()]))).toBeLessThan(5000);
    expect(connections).toBe(1);
    now = 59_000;
    expect(await timed(on(port).write([recordOf()]))).toBeLessThan(500);
    await expect(on(postgres.port).write([recordOf()])).rejects.toThrow("(not tried again for 60 s)");
    expect(connections).toBe(1);
    now = 61_000;
    const before = (await read()).length;
    await on(postgres.port).write([recordOf()]);
    expect(await read()).toHaveLength(before + 1);
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});
