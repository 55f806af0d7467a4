// Proves that the Worker of the local cloud reaches its local Turso with the token that it holds, and carries a load of reads and
// writes, and that one Turso has room for twenty groups and leaves no process behind. Not proven here: what the tokens allow and
// when they die (cloud-turso-tokens.test.ts), nor that the vendor bears such a load.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCloud, type LocalCloud } from "../../local/cloud";
import { bulk } from "../../local/cloud/client";
import { startLoad } from "../../local/load";
import { supervisor } from "../../local/cloud/supervise";
import { startTurso } from "../../local/cloud/turso";
import { callTurso, mintToken, runSql } from "../../local/cloud/turso/client";

describe("in the local cloud", { timeout: 60_000 }, () => {
  let cloud: LocalCloud;
  beforeAll(async () => {
    cloud = await startCloud({ needs: ["turso", "workers"] });
  }, 60_000);
  afterAll(() => cloud.stop(), 30_000);
  const ask = async (query = ""): Promise<unknown> =>
    (await fetch(`${cloud.workerUrl("rounds-api")}turso${query}`)).json();
  const deliver = async (query = ""): Promise<void> => {
    const TURSO_AUTH_TOKEN = await mintToken(cloud.turso, "databases/rounds", query);
    expect((await bulk(cloud.cloudflare, { TURSO_AUTH_TOKEN })).status).toBe(200);
  };

  it("the Worker uses the token that it holds, and tells how it is refused", async () => {
    expect(await ask()).toEqual({ ok: false, code: "no-turso" });
    await deliver("?authorization=read-only");
    expect(await ask()).toEqual({ ok: true, rounds: 1 });
    expect(await ask("?write=1")).toEqual({ ok: false, code: "SERVER_ERROR-403" });
    await deliver();
    expect(await ask("?write=1")).toEqual({ ok: true, rounds: 1 });
    const configure = async (block_writes: boolean): Promise<void> => {
      await callTurso(cloud.turso, "PATCH", "databases/rounds/configuration", { body: { block_writes } });
    };
    await configure(true);
    expect([await ask(), await ask("?write=1")]).toEqual([
      { ok: true, rounds: 1 },
      { ok: false, code: "BLOCKED" },
    ]);
    await configure(false);
    await callTurso(cloud.turso, "POST", "databases/rounds/auth/rotate");
    expect(await ask()).toEqual({ ok: false, code: "SERVER_ERROR-401" });
    await deliver();
    expect(await ask("?write=1")).toEqual({ ok: true, rounds: 1 });
  });

  it("is named in the config that a stack needs", () => {
    const { turso: settings, secrets } = cloud.config();
    const { apiUrl, platformToken } = cloud.turso;
    expect(settings).toEqual({ organization: "acme", apiUrl, databases: { rounds: { group: "default" } } });
    expect(secrets.tursoApiToken).toBe(platformToken);
  });

  it("carries a load of reads and writes without a failure", async () => {
    await deliver();
    for (const query of ["", "?write=1"]) {
      const load = startLoad({ url: `${cloud.workerUrl("rounds-api")}turso${query}` });
      await load.until(300);
      expect((await load.stop()).failures).toEqual([]);
    }
  });
});

describe("its size", { timeout: 60_000 }, () => {
  it("has room for twenty groups, and leaves no process behind", async () => {
    const names = Array.from({ length: 20 }, (_, index) => `group-${index}`);
    const before = supervisor().alive();
    const many = await startTurso({
      databases: Object.fromEntries(names.map((name) => [`of-${name}`, { group: name }])),
    });
    expect(supervisor().alive()).toHaveLength(before.length + 1);
    const tokens = await Promise.all(names.map((name) => mintToken(many, `groups/${name}`)));
    const rounds = (name: string, index: number): Promise<number | string> =>
      runSql(many, `of-${name}`, tokens[index] ?? "", "SELECT count(*) FROM rounds");
    expect(new Set(await Promise.all(names.map(rounds)))).toEqual(new Set([200]));
    const url = many.hostOf("of-group-0");
    await many.stop();
    expect(supervisor().alive()).toEqual(before);
    await expect(fetch(url)).rejects.toThrow("fetch failed");
  });
});
