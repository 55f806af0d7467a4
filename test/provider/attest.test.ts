// Proves that only a row of good answers attests, and that no strange answer of a probe, nor of the API that is asked beside it,
// lets a credential be withdrawn. Not proven here: propagation over several isolates (test/engine/attest.test.ts).
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CloudflareApi } from "../../components/cloudflare/api";
import { askProbe, attest, consumerAsker, type Report } from "../../components/cloudflare/attest";
import { bulk } from "../../local/cloud/client";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { type Between, endpoints, html, json, marker, pages, type Probe, startBetween, startProbe } from "./strangers";

const probeToken = "probe-token-0123456789abcdef";

describe("a probe", () => {
  let cf: LocalCloudflare;
  let between: Between;
  let probe: Probe;
  const generations = (tag: string) => json({ generations: { "rounds-db": [{ stamp: "2026-11-20", tag }] } });
  const isNew = (report: Report) => "generations" in report && report.generations["rounds-db"]?.[0]?.tag === "new";

  beforeAll(async () => {
    cf = await startCloudflare();
    between = await startBetween(cf.apiUrl);
    probe = await startProbe();
    // What a delivery leaves at Cloudflare: the script still carries ours.
    expect((await bulk(cf, { ROLLOVER_GENERATIONS: "{}", ROLLOVER_PROBE_TOKEN: probeToken })).status).toBe(200);
  });
  afterAll(async () => {
    await probe.stop();
    await between.stop();
    await cf.stop();
  });
  beforeEach(() => {
    cf.faults.set([]);
    between.set(undefined);
  });

  const client = (apiUrl = cf.apiUrl) => new CloudflareApi({ accountId: cf.accountId, apiUrl }, cf.token, 4000);
  const record = (script: string) => ({ worker: "rounds", script, url: probe.url, token: probeToken });
  const ask = (api = client(), script = "rounds-api") => consumerAsker(api, 3)(record(script), "rounds-db", "old");

  it("attests only by a row of answers; one old answer begins it anew", async () => {
    probe.answer(["new", "new", "old", "new", "new", "new", "old"].map(generations));
    expect(await attest({ url: probe.url, token: probeToken }, isNew, { answers: 3, withinMs: 5000 })).toBeUndefined();
    expect(probe.asked()).toBe(6);
  });

  it("that keeps changing between old and new never attests", async () => {
    probe.answer(Array.from({ length: 2000 }, (_, at) => generations(at % 3 === 2 ? "old" : "new")));
    const short = await attest({ url: probe.url, token: probeToken }, isNew, { answers: 3, withinMs: 600 });
    expect(short).toEqual({ row: 2, last: { generations: { "rounds-db": [{ stamp: "2026-11-20", tag: "old" }] } } });
  });

  it("holds, or is free, by the tag that it reports as current", async () => {
    probe.answer([generations("new"), generations("old")]);
    expect(await ask()).toEqual({ state: "holds" });
    probe.answer([generations("new")]);
    expect(await ask()).toEqual({ state: "free" });
  });

  it.each(
    Object.entries({
      ...pages,
      "404": json("Not Found", 404),
      "an empty answer": { status: 200, body: "" },
      null: json(null),
      "no generations": json({ generations: null }),
      "generations that are a list": json({ generations: [] }),
      "generations that are a text": json({ generations: marker }),
      "a credential that is an object": json({ generations: { "rounds-db": {} } }),
      "a credential without any generation": json({ generations: { "rounds-db": [] } }),
      "a tag that is a number": json({ generations: { "rounds-db": [{ stamp: "2026-11-20", tag: 1 }] } }),
      "a redirect to a good answer": { status: 302, body: "", headers: { location: "/good" } },
      "a good answer of 4 MB": json({ generations: { "rounds-db": [{ stamp: "x".repeat(4e6), tag: "new" }] } }),
    }),
  )("that answers with %s is silent, never free", async (_name, page) => {
    probe.answer([page]);
    const answer = await ask();
    expect(answer).toMatchObject({ state: "silent" });
    expect(JSON.stringify(answer)).not.toContain(marker);
  });

  it("that reports nothing of a credential is free of any generation, but may use what was there before Rollover", async () => {
    const other = json({ generations: { "session-key": [{ stamp: "2026-11-20", tag: "new" }] } });
    probe.answer([other]);
    expect(await ask()).toEqual({ state: "free" });
    probe.answer([other]);
    expect(await consumerAsker(client(), 3)(record("rounds-api"), "rounds-db", undefined)).toEqual({
      state: "silent",
      why: "it reports nothing of rounds-db",
    });
  });

  it("that breaks off is silent", async () => {
    probe.answer([{ status: 200, body: "", headers: { "content-length": "100" } }]);
    expect(await ask()).toMatchObject({ state: "silent" });
  });

  it("that gives no answer is told with the cause", async () => {
    probe.answer([{ status: 302, body: "", headers: { location: "/elsewhere" } }]);
    expect(await askProbe({ url: probe.url, token: probeToken })).toEqual({ why: "it redirects elsewhere" });
    probe.answer([html(200)]);
    expect(await askProbe({ url: probe.url, token: probeToken })).toEqual({ why: "an answer that is not JSON" });
    const gone = await startProbe();
    await gone.stop();
    expect(await askProbe({ url: gone.url, token: probeToken })).toEqual({ why: "connection refused, ECONNREFUSED" });
  });

  it("that knows no token is believed when Cloudflare says so, not when it says nothing", async () => {
    probe.answer([json("Not Found", 404)]);
    expect(await ask()).toMatchObject({ state: "silent" });
    cf.faults.set([{ match: endpoints.secrets, kind: "status", times: 99 }]);
    expect(await ask()).toMatchObject({ state: "silent" });
    cf.faults.set([]);
    for (const page of [html(404), json({ success: false, errors: [{ code: 7003 }] }, 404)]) {
      between.set({ ...endpoints.secrets, page, times: 99 });
      expect(await ask(client(between.apiUrl))).toMatchObject({ state: "silent" });
    }
    expect(await ask(client(), "no-such")).toEqual({ state: "free" });
    expect((await bulk(cf, { ROLLOVER_GENERATIONS: null })).status).toBe(200);
    expect(await ask()).toMatchObject({ state: "silent" });
    expect((await bulk(cf, { ROLLOVER_PROBE_TOKEN: null })).status).toBe(200);
    expect(await ask()).toEqual({ state: "free" });
  });
});
