// Proves that each fault of the local cloud strikes the call it was set on, and has or has not the effect it says; and
// that the load generator counts what a user would notice. Does not prove that anything of ours copes with them.
import * as fs from "node:fs";
import * as http from "node:http";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bulk, callApi } from "../../local/cloud/client";
import { startCloudflare, type LocalCloudflare } from "../../local/cloud/cloudflare";
import { close, listen, type CallEvent } from "../../local/cloud/faults";
import { startLoad } from "../../local/load";
import { supervisor } from "../../local/cloud/supervise";

describe("faults", { timeout: 60_000 }, () => {
  let cf: LocalCloudflare;
  beforeAll(async () => {
    cf = await startCloudflare();
  }, 60_000);
  afterAll(() => cf.stop(), 30_000);
  beforeEach(() => {
    cf.faults.set([]);
    cf.onCall(undefined);
    cf.calls.length = 0;
  });

  const secret = (): string | undefined => cf.state("rounds-api").secrets.A;
  let counter = 0;
  const fresh = (): string => `value-${counter++}`;

  it("status: answers in the vendor's envelope, with Retry-After, and changes nothing", async () => {
    const before = secret();
    cf.faults.set([{ kind: "status", status: 429, code: 10429, retryAfter: 2 }]);
    const refused = await bulk(cf, { A: fresh() });
    expect(refused).toMatchObject({ status: 429, success: false, result: null, codes: [10429] });
    expect(refused.headers.get("retry-after")).toBe("2");
    expect(secret()).toBe(before);
    expect((await bulk(cf, { A: fresh() })).status).toBe(200);
    expect(cf.faults.fired()).toEqual([1]);
  });

  it("strikes the nth matching call, as often as it says, and no other", async () => {
    cf.faults.set([{ match: { method: "GET", path: /\/secrets$/ }, nth: 2, times: 2, kind: "status", status: 503 }]);
    const statuses: number[] = [];
    for (let count = 0; count < 4; count++) {
      statuses.push((await callApi(cf)).status);
      expect((await callApi(cf, { path: "rounds-api/versions" })).status).toBe(200);
    }
    expect(statuses).toEqual([200, 503, 503, 200]);
    expect(cf.faults.fired()).toEqual([2]);
  });

  it("reset-before has no effect, reset-after has its effect; neither answers", async () => {
    const before = secret();
    cf.faults.set([{ kind: "reset-before" }, { nth: 2, kind: "reset-after" }]);
    await expect(bulk(cf, { A: fresh() })).rejects.toMatchObject({ cause: { code: "ECONNRESET" } });
    expect(secret()).toBe(before);
    const value = fresh();
    await expect(bulk(cf, { A: value })).rejects.toMatchObject({ cause: { code: "ECONNRESET" } });
    expect(secret()).toBe(value);
    expect(cf.calls.map(({ outcome }) => outcome)).toEqual(["reset-before", "reset-after"]);
  });

  it("late applies although its client has given up; hang does not", async () => {
    const value = fresh();
    cf.faults.set([
      { kind: "late", ms: 5000 },
      { nth: 2, kind: "hang" },
    ]);
    await expect(bulk(cf, { A: value }, { timeoutMs: 2000 })).rejects.toMatchObject({ name: "TimeoutError" });
    expect(secret()).toBe(value);
    await expect(bulk(cf, { A: fresh() }, { timeoutMs: 500 })).rejects.toMatchObject({ name: "TimeoutError" });
    expect(secret()).toBe(value);
  });

  it("tells a listener before and after each change, and logs every call", async () => {
    const events: [CallEvent["phase"], string | undefined][] = [];
    const value = fresh();
    const before = secret();
    cf.onCall(async ({ phase }) => {
      await new Promise((resolve) => setImmediate(resolve));
      events.push([phase, secret()]);
    });
    await bulk(cf, { A: value });
    await callApi(cf);
    expect(events).toEqual([
      ["before", before],
      ["after", value],
    ]);
    const base = `/client/v4/accounts/${cf.accountId}/workers/scripts/rounds-api`;
    expect(cf.calls.map(({ method, path, outcome }) => [method, path, outcome])).toEqual([
      ["PATCH", `${base}/secrets-bulk`, 200],
      ["GET", `${base}/secrets`, 200],
    ]);
    expect(JSON.stringify(cf.calls)).not.toContain(value);
  });

  it("refuses a version that cannot start, and keeps the live one", async () => {
    const before = cf.state("rounds-api");
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-broken-"));
    try {
      const entry = path.join(dir, "worker.js");
      fs.writeFileSync(entry, 'throw new Error("at start"); export default {};');
      const id = await cf.upload("rounds-api", { entry });
      const body = { strategy: "percentage", versions: [{ version_id: id, percentage: 100 }] };
      const answer = await callApi(cf, { method: "POST", path: "rounds-api/deployments", body });
      expect(answer).toMatchObject({ status: 400, success: false, codes: [10021] });
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
    expect(cf.state("rounds-api").liveVersionId).toBe(before.liveVersionId);
    // Those of earlier versions may still be ending.
    await expect.poll(() => [cf.state("rounds-api").instances, supervisor().alive().length]).toEqual([1, 1]);
    expect((await fetch(`${cf.workerUrl("rounds-api")}/secrets?names=A`)).status).toBe(200);
  });
});

describe("load", { timeout: 30_000 }, () => {
  let server: http.Server;
  let url = "";
  let answer: (request: http.IncomingMessage, response: http.ServerResponse, count: number) => void;
  beforeEach(async () => {
    let count = 0;
    server = http.createServer((request, response) => {
      answer(request, response, ++count);
    });
    url = `http://127.0.0.1:${await listen(server)}/`;
    return () => close(server);
  });
  const ok = (response: http.ServerResponse): unknown => response.end("ok");

  it("counts every request once and no failure where there is none", async () => {
    let served = 0;
    answer = (_, response) => {
      served += 1;
      ok(response);
    };
    const load = startLoad({ url, clients: 4 });
    await load.until(50);
    const first = load.mark();
    await load.until(50);
    const last = await load.stop();
    expect(first.requests + last.requests).toBe(served);
    expect([first.failed, last.failed]).toEqual([0, 0]);
  });

  it("counts wrong statuses, refused bodies, resets and time-outs as failures, with their reason, and never retries", async () => {
    answer = (request, response, count) => {
      if (count === 2) response.writeHead(500).end("broken");
      else if (count === 3) request.socket.resetAndDestroy();
      else if (count === 5) response.end("half a set");
      else if (count === 4) return;
      else ok(response);
    };
    const load = startLoad({
      url,
      clients: 1,
      timeoutMs: 200,
      maxRequests: 6,
      check: (status, body) => status === 200 && body === "ok",
    });
    await load.until(6);
    const { requests, failed, failures } = await load.stop();
    expect([requests, failed]).toEqual([6, 4]);
    expect(failures.map(({ reason }) => reason)).toEqual([
      "status 500: broken",
      "ECONNRESET",
      "no answer in 200 ms",
      "status 200: half a set",
    ]);
  });

  it("fails an answer that stops half-way", async () => {
    answer = (_, response, count) => {
      if (count > 1) {
        ok(response);
        return;
      }
      response.writeHead(200, { "content-length": "100" });
      response.write("only this");
    };
    const load = startLoad({ url, clients: 1, timeoutMs: 200, maxRequests: 2 });
    await load.until(2);
    expect(await load.stop()).toMatchObject({ requests: 2, failed: 1 });
  });

  it("measures the worst gap between successes, over all clients", async () => {
    let blocked = false;
    const kept: http.ServerResponse[] = [];
    answer = (_, response) => {
      if (blocked) kept.push(response);
      else ok(response);
    };
    const load = startLoad({ url, clients: 3 });
    await load.until(30);
    load.mark();
    await load.until(30);
    blocked = true;
    await expect.poll(() => kept.length).toBe(3);
    const from = performance.now();
    await expect.poll(() => performance.now() - from, { timeout: 2000 }).toBeGreaterThanOrEqual(400);
    blocked = false;
    for (const response of kept) ok(response);
    await load.until(load.result().requests + 30);
    const { failed, worstGapMs, elapsedMs } = await load.stop();
    expect(failed).toBe(0);
    expect(worstGapMs).toBeGreaterThanOrEqual(400);
    expect(worstGapMs).toBeLessThan(elapsedMs);
  });

  it("ends by itself at its bounds, and says so to those that wait for more", async () => {
    answer = (_, response) => ok(response);
    const load = startLoad({ url, clients: 2, maxRequests: 10 });
    await expect(load.until(11)).rejects.toThrow("the load ended after 10 requests of its section; 11 were awaited");
    expect((await load.stop()).requests).toBe(10);
    const timed = startLoad({ url, clients: 2, maxMs: 100 });
    await expect(timed.until(1_000_000)).rejects.toThrow("the load ended after");
  });
});
