// Proves how the local cloud switches a Worker's version: an unfaulted switch under load fails no request, old and new
// really answer side by side while it spreads, a sticky client stays where it is, a set of secrets is never torn, and
// no process is left over. Does not prove how long the vendor's own spreading takes: nobody publishes that.
import { createHash } from "node:crypto";
import * as http from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startCloud, type LocalCloud } from "../../local/cloud";
import { bulk } from "../../local/cloud/client";
import type { LocalCloudflare, ScriptState } from "../../local/cloud/cloudflare";
import { startLoad } from "../../local/load";

let cloud: LocalCloud;
let cf: LocalCloudflare;
let databaseUrl = "";

beforeAll(async () => {
  cloud = await startCloud({ needs: ["postgres", "workers"] });
  cf = cloud.cloudflare;
  const { query, port } = cloud.postgres;
  await query("CREATE ROLE rounds_owner NOLOGIN");
  await query("CREATE DATABASE rounds OWNER rounds_owner");
  await query("CREATE ROLE rounds_1 LOGIN PASSWORD 'a/b+c=@:#?%&~é ' IN ROLE rounds_owner");
  await query("ALTER ROLE rounds_1 SET role TO rounds_owner");
  await cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  databaseUrl = `postgresql://rounds_1:${encodeURIComponent("a/b+c=@:#?%&~é ")}@127.0.0.1:${port}/rounds`;
}, 60_000);
afterAll(() => cloud.stop(), 30_000);
beforeEach(() => {
  cf.setPropagation({ mode: "instant" });
});

const state = (): ScriptState => cf.state("rounds-api");

/** Which version answers a client of this name. */
async function servedTo(vantage: string): Promise<string> {
  const response = await fetch(`${cloud.workerUrl("rounds-api")}secrets?names=A`, {
    headers: { "x-vantage": vantage },
  });
  await response.text();
  return response.headers.get("x-served-version") ?? "";
}

/** Waits until every slot serves the live version and the older processes have ended. */
async function settled(): Promise<void> {
  await expect.poll(() => [new Set(state().served).size, state().instances], { timeout: 10_000 }).toEqual([1, 1]);
}

describe("a Worker on a real database", () => {
  it("queries as the owner, and tells only a code when it cannot", async () => {
    const ask = async (): Promise<unknown> => {
      const response = await fetch(cloud.workerUrl("rounds-api"));
      return [response.status, await response.json()];
    };
    await bulk(cf, { DATABASE_URL: null });
    expect(await ask()).toEqual([500, { ok: false, code: "no-database-url" }]);
    await bulk(cf, { DATABASE_URL: databaseUrl.replace("rounds_1:", "rounds_1:wrong") });
    expect(await ask()).toEqual([500, { ok: false, code: "28P01" }]);
    await bulk(cf, { DATABASE_URL: databaseUrl });
    expect(await ask()).toEqual([200, { ok: true, user: "rounds_1", role: "rounds_owner", rounds: 1 }]);
  });

  it("fails no request while its version is switched under load", async () => {
    await bulk(cf, { DATABASE_URL: databaseUrl });
    const load = startLoad({ url: cloud.workerUrl("rounds-api"), check: (_, body) => body.includes('"ok":true') });
    try {
      for (const text of ["1", "2", "3", "4"]) {
        await load.until(100);
        expect((await bulk(cf, { TURN: text })).status).toBe(200);
        await load.until(load.result().requests + 100);
        expect(load.mark()).toMatchObject({ failed: 0, failures: [] });
      }
    } finally {
      await load.stop();
    }
    await settled();
  });

  it("answers a slow request from the old version after the switch, and then ends that version's process", async () => {
    await bulk(cf, { DATABASE_URL: databaseUrl });
    const old = state().liveVersionId;
    const slow = fetch(`${cloud.workerUrl("rounds-api")}?slow=2500`);
    const running = "SELECT FROM pg_stat_activity WHERE usename = 'rounds_1' AND query LIKE '%pg_sleep%'";
    await expect.poll(async () => (await cloud.postgres.query(running)).rowCount).toBe(1);
    await bulk(cf, { TURN: "slow" });
    expect(state()).toMatchObject({ instances: 2 });
    expect(await servedTo("anyone")).not.toBe(old);
    const response = await slow;
    expect([response.status, response.headers.get("x-served-version")]).toEqual([200, old]);
    await response.text();
    await settled();
  });
});

describe("propagation", () => {
  it("random: old and new answer side by side, and only the new one after the time is over", async () => {
    const half = Array.from({ length: 8 }, (_, slot) => (slot < 4 ? 0 : 600_000));
    cf.setPropagation({ mode: "random", withinMs: 600_000, delaysMs: half });
    const old = state().liveVersionId;
    await bulk(cf, { TURN: "random" });
    const current = state().liveVersionId;
    const answers: string[] = [];
    // Mixed, not one after the other: an old answer comes after a new one.
    const isMixed = () => answers.includes(current) && answers.lastIndexOf(old) > answers.indexOf(current);
    while (!isMixed() && answers.length < 200) answers.push(await servedTo("anyone"));
    expect([isMixed(), new Set(answers)]).toEqual([true, new Set([old, current])]);
    cf.setPropagation({ mode: "random", withinMs: 500 });
    const begun = performance.now();
    await bulk(cf, { TURN: "over" });
    await expect.poll(() => state().served.includes(current), { timeout: 30_000 }).toBe(false);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(499);
    for (let count = 0; count < 30; count++) expect(await servedTo("anyone")).toBe(state().liveVersionId);
    await settled();
  });

  it("random: no reader ever meets half of a set that changes together", async () => {
    const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
    const sets = ["x", "y", "z"].map((text) => JSON.stringify({ A: digest(`a${text}`), B: digest(`b${text}`) }));
    await bulk(cf, { A: "ax", B: "bx" });
    cf.setPropagation({ mode: "random", withinMs: 400 });
    const seen = new Set<string>();
    const load = startLoad({
      url: `${cloud.workerUrl("rounds-api")}secrets?names=A,B`,
      clients: 4,
      check: (status, body) => {
        seen.add(body);
        return status === 200 && sets.includes(body);
      },
    });
    try {
      for (const text of ["y", "z"]) {
        await bulk(cf, { A: `a${text}`, B: `b${text}` });
        await settled();
      }
    } finally {
      expect(await load.stop()).toMatchObject({ failed: 0, failures: [] });
    }
    expect(seen).toEqual(new Set(sets));
  });

  it("sticky: a client always meets the same pool, which switches at its own moment", async () => {
    const dealt = async (late: number): Promise<string> => {
      cf.setPropagation({ mode: "sticky", withinMs: late, pools: 2, delaysMs: [0, late] });
      await servedTo("early");
      return servedTo("late");
    };
    const old = state().liveVersionId;
    expect(await dealt(600_000)).toBe(old);
    await bulk(cf, { TURN: "sticky" });
    const current = state().liveVersionId;
    for (let round = 0; round < 4; round++) {
      expect(await servedTo("late")).toBe(old);
      expect(await servedTo("early")).toBe(current);
    }
    expect(await dealt(300)).toBe(current);
    const begun = performance.now();
    await bulk(cf, { TURN: "its moment" });
    await expect.poll(() => state().served.includes(current), { timeout: 30_000 }).toBe(false);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(299);
    expect(await servedTo("late")).toBe(state().liveVersionId);
  });

  it("sticky: without the header the client is known by its User-Agent, else by its connection", async () => {
    cf.setPropagation({ mode: "sticky", withinMs: 600_000, pools: 2, delaysMs: [0, 600_000] });
    const url = `${cloud.workerUrl("rounds-api")}secrets?names=TURN`;
    const old = state().liveVersionId;
    const asFetch = async (): Promise<string | null> => {
      const response = await fetch(url);
      await response.text();
      return response.headers.get("x-served-version");
    };
    expect(await asFetch()).toBe(old);
    await bulk(cf, { TURN: "agent" });
    const answers = await Promise.all([asFetch(), asFetch(), asFetch(), asFetch()]);
    expect(answers).toEqual(Array.from({ length: 4 }, () => state().liveVersionId));
    // No User-Agent: two connections, dealt to the second and to the first pool; each stays where it is.
    const agents = [1, 2].map(() => new http.Agent({ keepAlive: true, maxSockets: 1 }));
    const byConnection = (agent: http.Agent) =>
      new Promise<unknown>((resolve, reject) => {
        const request = http.get(url, { agent }, (response) => {
          response.resume().on("end", () => {
            resolve(response.headers["x-served-version"]);
          });
        });
        request.on("error", reject);
      });
    try {
      for (let round = 0; round < 4; round++)
        for (const [index, agent] of agents.entries())
          expect(await byConnection(agent)).toBe(index === 0 ? old : state().liveVersionId);
    } finally {
      for (const agent of agents) agent.destroy();
    }
    cf.setPropagation({ mode: "instant" });
    await settled();
  });

  it("jumps to the newest version when another change comes during a switch", async () => {
    cf.setPropagation({ mode: "random", withinMs: 60_000 });
    await bulk(cf, { TURN: "first" });
    await bulk(cf, { TURN: "second" });
    expect(state().instances).toBeLessThanOrEqual(3);
    cf.setPropagation({ mode: "instant" });
    expect(state().served).toEqual([state().liveVersionId]);
    await settled();
  });
});
