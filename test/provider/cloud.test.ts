// Proves that the local cloud's API refuses and stores what Cloudflare does, over the wire, and that its Postgres demands
// SCRAM and gives a limited admin. Does not prove that the vendor answers so: facts/cloudflare.md says what was seen.
import * as fs from "node:fs";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startCloud, type LocalCloud } from "../../local/cloud";
import { bulk, callApi } from "../../local/cloud/client";
import type { LocalCloudflare } from "../../local/cloud/cloudflare";

let cloud: LocalCloud;
let cf: LocalCloudflare;

beforeAll(async () => {
  // Without Turso no variable of the local cloud itself is among the names that are counted.
  cloud = await startCloud({
    needs: ["postgres", "workers"],
    cloudflare: { scripts: { "rounds-api": { vars: { PLAIN: "plain" } } } },
  });
  cf = cloud.cloudflare;
}, 60_000);
afterAll(() => cloud.stop(), 30_000);

const secrets = (): Record<string, string> => cf.state("rounds-api").secrets;
const versions = (): string[] => cf.state("rounds-api").versionIds;

describe("Cloudflare API: who and where", () => {
  it("refuses a wrong token with code 10000 and changes nothing", async () => {
    const before = versions();
    expect(await bulk(cf, { A: "a" }, { token: "wrong" })).toMatchObject({
      status: 403,
      success: false,
      codes: [10000],
    });
    expect(versions()).toEqual(before);
  });

  it.each([
    ["script", { path: "other/secrets" }],
    ["account", { accountId: "0".repeat(32) }],
  ])("answers 404 with code 10007 for an unknown %s", async (_what, request) => {
    expect(await callApi(cf, request)).toMatchObject({ status: 404, success: false, result: null, codes: [10007] });
  });
});

describe("Cloudflare API: secrets", { timeout: 60_000 }, () => {
  beforeEach(async () => {
    const names = Object.keys(secrets());
    if (names.length > 0) await bulk(cf, Object.fromEntries(names.map((name) => [name, null])));
  });

  it("applies a merge patch as one version: text sets, null deletes, a name left out stays", async () => {
    await bulk(cf, { KEEP: "1", OLD: "2" });
    const before = versions();
    const answer = await bulk(cf, { NEW: "3", OLD: null, NEVER: null });
    expect(answer).toMatchObject({ status: 200, success: true, codes: [] });
    expect(answer.result).toEqual({
      KEEP: { name: "KEEP", type: "secret_text" },
      NEW: { name: "NEW", type: "secret_text" },
    });
    expect(secrets()).toEqual({ KEEP: "1", NEW: "3" });
    expect(versions().slice(1)).toEqual(before);
    expect((await callApi(cf)).result).toEqual([
      { name: "KEEP", type: "secret_text" },
      { name: "NEW", type: "secret_text" },
    ]);
  });

  it("demands the content type of a merge patch", async () => {
    const answer = await bulk(cf, { A: "a" }, { contentType: "application/json" });
    expect(answer.status).toBe(415);
    expect(secrets()).toEqual({});
  });

  it("takes 100 operations and refuses 101", async () => {
    const many = (count: number): Record<string, string | null> =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`S${index}`, index < 50 ? "x" : null]));
    expect((await bulk(cf, many(101))).status).toBe(400);
    expect(secrets()).toEqual({});
    expect((await bulk(cf, many(100))).status).toBe(200);
    expect(Object.keys(secrets())).toHaveLength(50);
  });

  it("takes a value of 5 KB, counted in bytes, and refuses one more", async () => {
    expect((await bulk(cf, { A: "é".repeat(2560) })).status).toBe(200);
    expect((await bulk(cf, { A: "é".repeat(2560) + "x" })).status).toBe(400);
    expect(secrets().A).toHaveLength(2560);
  });

  it("takes 128 names, plain variables included, and refuses one more", async () => {
    const names = (from: number, to: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: to - from }, (_, index) => [`S${from + index}`, "x"]));
    expect((await bulk(cf, names(0, 100))).status).toBe(200);
    expect((await bulk(cf, names(100, 127))).status).toBe(200);
    expect((await bulk(cf, { ONE_MORE: "x" })).status).toBe(400);
    expect(Object.keys(secrets())).toHaveLength(127);
    await bulk(cf, Object.fromEntries(Object.keys(names(0, 100)).map((name) => [name, null])));
  });

  it.each([
    ["a name that is no identifier", { "A-B": { name: "A-B", type: "secret_text", text: "x" } }],
    ["a name that differs from its key", { A: { name: "B", type: "secret_text", text: "x" } }],
    ["another type", { A: { name: "A", type: "plain_text", text: "x" } }],
    ["no text", { A: { name: "A", type: "secret_text" } }],
  ])("refuses %s", async (_what, body) => {
    const answer = await bulk(cf, {}, { body: { secrets: body } });
    expect(answer).toMatchObject({ status: 400, success: false });
    expect(secrets()).toEqual({});
  });

  it("puts, gets and deletes one secret, each change a version of its own", async () => {
    const before = versions().length;
    const put = await callApi(cf, { method: "PUT", body: { name: "ONE", type: "secret_text", text: "1" } });
    expect(put).toMatchObject({ status: 200, result: { name: "ONE", type: "secret_text" } });
    expect((await callApi(cf, { path: "rounds-api/secrets/ONE" })).result).toEqual({
      name: "ONE",
      type: "secret_text",
    });
    expect((await callApi(cf, { method: "DELETE", path: "rounds-api/secrets/ONE" })).status).toBe(200);
    expect((await callApi(cf, { path: "rounds-api/secrets/ONE" })).status).toBe(404);
    expect((await callApi(cf, { method: "DELETE", path: "rounds-api/secrets/ONE" })).status).toBe(404);
    expect(versions()).toHaveLength(before + 2);
  });
});

describe("Cloudflare API: versions and deployments", { timeout: 60_000 }, () => {
  const deployments = "rounds-api/deployments";
  const deployOf = (id: string): unknown => ({
    strategy: "percentage",
    versions: [{ version_id: id, percentage: 100 }],
  });

  it("lists both newest first, without a secret's text", async () => {
    await bulk(cf, { A: "text-of-a-secret" });
    const { items } = (await callApi(cf, { path: "rounds-api/versions" })).result as { items: { id: string }[] };
    expect(items.map(({ id }) => id)).toEqual(versions());
    const listed = (await callApi(cf, { path: deployments })).result as {
      deployments: { versions: { version_id: string; percentage: number }[] }[];
    };
    expect(listed.deployments[0]?.versions).toEqual([{ version_id: versions()[0], percentage: 100 }]);
    const version = await callApi(cf, { path: `rounds-api/versions/${versions()[0] ?? ""}` });
    expect(JSON.stringify(version.result)).toContain('{"name":"A","type":"secret_text"}');
    expect(JSON.stringify([items, listed, version.result])).not.toContain("text-of-a-secret");
  });

  it("refuses secret edits with 10215 while the newest version is not deployed, until it is", async () => {
    const uploaded = await cf.upload("rounds-api", { vars: { PLAIN: "other" } });
    const before = secrets();
    expect(await bulk(cf, { B: "b" })).toMatchObject({ status: 400, codes: [10215] });
    expect(await callApi(cf, { method: "DELETE", path: "rounds-api/secrets/A" })).toMatchObject({ codes: [10215] });
    expect(secrets()).toEqual(before);
    expect((await callApi(cf, { method: "POST", path: deployments, body: deployOf(uploaded) })).status).toBe(200);
    expect((await bulk(cf, { B: "b" })).status).toBe(200);
  });

  it("re-serves the old secrets after a rollback, which demands force (10220)", async () => {
    const read = async (): Promise<unknown> =>
      (await fetch(`${cloud.workerUrl("rounds-api")}secrets?names=ROLLED`)).json();
    await bulk(cf, { ROLLED: "old" });
    const [old = ""] = versions();
    const oldDigest = await read();
    await bulk(cf, { ROLLED: "new" });
    expect(await read()).not.toEqual(oldDigest);

    const refused = await callApi(cf, { method: "POST", path: deployments, body: deployOf(old) });
    expect(refused).toMatchObject({ status: 400, codes: [10220] });
    const forced = await callApi(cf, { method: "POST", path: `${deployments}?force=true`, body: deployOf(old) });
    expect(forced.status).toBe(200);
    expect(await read()).toEqual(oldDigest);
    expect(cf.state("rounds-api").liveVersionId).toBe(old);

    await cf.deploy("rounds-api", versions()[0] ?? "");
    expect(await read()).not.toEqual(oldDigest);
  });
});

describe("Postgres", () => {
  const connect = async (user: string, password: string): Promise<Client> => {
    const client = new Client({ host: "127.0.0.1", port: cloud.postgres.port, database: "postgres", user, password });
    await client.connect();
    return client;
  };

  it("is version 18 and listens on loopback only, without a socket file", async () => {
    const { rows } = await cloud.postgres.query(
      `SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('listen_addresses') AS host,
        current_setting('unix_socket_directories') AS sockets, current_setting('log_statement') AS logged`,
    );
    expect(rows).toEqual([{ version: 18, host: "127.0.0.1", sockets: "", logged: "ddl" }]);
  });

  it("authenticates by SCRAM alone, and refuses a wrong password", async () => {
    const { admin, superuser, query, logFile } = cloud.postgres;
    const { rows } = await query("SELECT DISTINCT auth_method FROM pg_hba_file_rules");
    expect(rows).toEqual([{ auth_method: "scram-sha-256" }]);
    await expect(connect(admin.user, "wrong")).rejects.toMatchObject({ code: "28P01" });
    await (await connect(admin.user, admin.password)).end();
    const log = fs.readFileSync(logFile, "utf8");
    expect(log).toContain('identity="rollover_admin" method=scram-sha-256');
    for (const { password } of [admin, superuser]) expect(log).not.toContain(password);
  });

  it("gives an admin that is no superuser, yet makes roles, databases and ends their sessions", async () => {
    const { admin, query } = cloud.postgres;
    const client = await connect(admin.user, admin.password);
    try {
      await expect(client.query("SELECT rolpassword FROM pg_authid")).rejects.toMatchObject({ code: "42501" });
      await client.query("CREATE ROLE rounds_owner NOLOGIN");
      await client.query("CREATE DATABASE rounds OWNER rounds_owner");
      await client.query("CREATE ROLE rounds_1 LOGIN PASSWORD 'for-the-log' IN ROLE rounds_owner");
      const session = await connect("rounds_1", "for-the-log");
      const ended = new Promise<string>((resolve) => {
        session.on("error", (error) => {
          resolve((error as { code?: string }).code ?? error.message);
        });
      });
      await client.query("SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = 'rounds_1'");
      expect(await ended).toBe("57P01");
    } finally {
      await client.end();
    }
    // The log shows what DDL carried: the leak that a tool must not cause.
    expect(fs.readFileSync(cloud.postgres.logFile, "utf8")).toContain("for-the-log");
    const { rows } = await query("SELECT rolsuper FROM pg_roles WHERE rolname = 'rollover_admin'");
    expect(rows).toEqual([{ rolsuper: false }]);
  });
});

describe("what a stack needs", () => {
  it("names the servers that run", async () => {
    const { postgres, cloudflare, workers, secrets: own } = cloud.config();
    const client = new Client({
      host: postgres?.host,
      port: postgres?.port,
      database: postgres?.database,
      user: postgres?.username,
      password: own.postgresPassword,
    });
    await client.connect();
    await client.end();
    const answer = await fetch(
      `${cloudflare?.apiUrl ?? ""}/accounts/${cloudflare?.accountId ?? ""}/workers/scripts/rounds-api/secrets`,
      {
        headers: { authorization: `Bearer ${own.cloudflareApiToken}` },
      },
    );
    expect(answer.status).toBe(200);
    expect((await fetch(workers["rounds-api"]?.probe ?? "")).status).toBe(404);
  });
});
