// Proves, over the wire and on the local cloud: what the stand-in for cloudflare refuses, compares, uploads, keeps, reads
// back and deletes; that no error carries the token; that it ends with its engine. Does not prove: that the official plugin
// does the same, of which no recorded state is at hand; facts/cloudflare.md 1 and 4 are what it was written from.
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { bulk, callApi } from "../../local/cloud/client";
import { PluginClient } from "../../local/plugins/client";

const SCRIPT = "cloudflare:WorkersScript";
const RULESET = "cloudflare:Ruleset";
const START = { limit: 2, period: 60 };

let cf: LocalCloudflare;
let plugin: PluginClient;
let dir: string;
beforeAll(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "plugins-cloudflare-"));
  cf = await startCloudflare({ scripts: {} });
  plugin = await PluginClient.start("cloudflare");
  await plugin.configure({ apiToken: cf.token, baseUrl: cf.apiUrl });
}, 60_000);
afterAll(async () => {
  await plugin.stop();
  await cf.stop();
  fs.rmSync(dir, { recursive: true });
}, 30_000);

describe("WorkersScript", { timeout: 60_000 }, () => {
  it("makes a script, with variables and limits that count", async () => {
    const made = await plugin.create(SCRIPT, script("one", "first"));
    expect(made).toMatchObject({ id: "one", values: { scriptName: "one", hasModules: true } });
    expect(made.secrets).toEqual(new Set());
    expect(made.values["etag"]).toBe(cf.state("one").liveVersionId);
    expect(await told("one")).toEqual(["first", "plain"]);
    expect(await told("one")).toEqual(["first", "plain"]);
    expect(await told("one")).toBe(429);
    expect(await plugin.read(SCRIPT, "one", made.values)).toEqual(made.values);
    expect((await plugin.diff(SCRIPT, made.values, script("one", "first"))).changed).toBe(false);
  });

  it("updates code in one deployed version and keeps the secrets that it is told to", async () => {
    const made = await plugin.create(SCRIPT, script("two", "first"));
    expect((await bulk(cf, { KEPT: "secret-1" }, { path: "two/secrets-bulk" })).success).toBe(true);
    const news = script("two", "second", { keepBindings: ["secret_text", "secret_key"] });
    const { changed, replaces, paths } = await plugin.diff(SCRIPT, made.values, news);
    expect([changed, replaces, paths.sort()]).toEqual([true, [], ["contentFile", "contentSha256", "keepBindings"]]);
    const before = cf.state("two").versionIds.length;
    const updated = await plugin.update(SCRIPT, made.values, news);
    expect(cf.state("two").versionIds).toHaveLength(before + 1);
    expect(await told("two")).toEqual(["second", "plain"]);
    expect(cf.state("two").secrets).toEqual({ KEPT: "secret-1" });

    await plugin.update(SCRIPT, updated, script("two", "second", { keepBindings: [] }));
    expect(cf.state("two").secrets).toEqual({});
  });

  it("lists what is bound, of a secret the name alone", async () => {
    await plugin.create(SCRIPT, script("three", "first"));
    await bulk(cf, { HIDDEN: "secret-2" }, { path: "three/secrets-bulk" });
    const { result } = await callApi(cf, { path: "three/settings" });
    expect(result).toMatchObject({
      compatibility_date: "2026-07-01",
      compatibility_flags: ["nodejs_compat"],
      bindings: [
        { type: "plain_text", name: "WORD", text: "plain" },
        { type: "secret_text", name: "HIDDEN" },
        { type: "ratelimit", name: "LIMIT", namespace_id: "17", simple: START },
      ],
    });
    expect(JSON.stringify(result)).not.toContain("secret-2");
  });

  it("gives a name once: not to a secret what a variable has, and to a variable what a secret had", async () => {
    await plugin.create(SCRIPT, script("seven", "first"));
    const refused = await bulk(cf, { WORD: "secret-3" }, { path: "seven/secrets-bulk" });
    expect(refused).toMatchObject({ status: 400, codes: [10053] });
    await bulk(cf, { ONE: "secret-4", TWO: "secret-5" }, { path: "seven/secrets-bulk" });
    const { bindings } = script("seven", "first");
    const more = {
      keepBindings: ["secret_text"],
      bindings: [...bindings, { type: "plain_text", name: "ONE", text: "1" }],
    };
    await plugin.create(SCRIPT, script("seven", "first", more));
    expect(cf.state("seven").secrets).toEqual({ TWO: "secret-5" });
  });

  it("makes another where account or name change, and deletes one that may be gone", async () => {
    const made = await plugin.create(SCRIPT, script("four", "first"));
    expect((await plugin.diff(SCRIPT, made.values, script("five", "first"))).replaces).toEqual(["scriptName"]);
    const moved = { ...script("four", "first"), accountId: "f".repeat(32) };
    expect((await plugin.diff(SCRIPT, made.values, moved)).replaces).toEqual(["accountId"]);
    await plugin.remove(SCRIPT, "four", made.values);
    expect(await plugin.read(SCRIPT, "four", made.values)).toBeUndefined();
    await plugin.remove(SCRIPT, "four", made.values);
  });

  it("refuses a file that is not the one that was digested, a limit that Cloudflare has not, and code that does not start", async () => {
    const good = script("six", "first");
    await expect(plugin.create(SCRIPT, { ...good, contentSha256: "0".repeat(64) })).rejects.toThrow(
      /it was changed meanwhile/,
    );
    const bindings = [{ type: "ratelimit", name: "LIMIT", namespaceId: "1", simple: { limit: 1, period: 1 } }];
    await expect(plugin.create(SCRIPT, { ...good, bindings })).rejects.toThrow("period must be 10 or 60 (code 10021)");
    const twice = [...good.bindings, ...good.bindings];
    await expect(plugin.create(SCRIPT, { ...good, bindings: twice })).rejects.toThrow(/stands there twice/);
    await expect(plugin.create(SCRIPT, file("six", "throw new Error('at start')"))).rejects.toThrow(/did not start/);
    expect((await callApi(cf, { path: "six/settings" })).codes).toEqual([10007]);
    expect(await plugin.check(SCRIPT, { ...good, mainModule: undefined })).toEqual([
      'mainModule: "mainModule" is required: give it a string',
    ]);
  });
});

describe("Ruleset", () => {
  it("is made, read back, changed with its rules' ids kept, and deleted", async () => {
    const made = await plugin.create(RULESET, ruleset([rule("start"), rule("next")]));
    expect((await plugin.diff(RULESET, made.values, ruleset([rule("start"), rule("next")]))).changed).toBe(false);
    const [kept] = cf.rulesets()[0]?.rules ?? [];
    expect(kept).toMatchObject({
      ref: "start",
      action_parameters: { response: { status_code: 429, content_type: "application/json" } },
      ratelimit: { characteristics: ["cf.colo.id", "ip.src"], requests_per_period: 10, mitigation_timeout: 10 },
    });

    const news = ruleset([rule("start", 60)]);
    const { changed, replaces, paths } = await plugin.diff(RULESET, made.values, news);
    expect([changed, replaces, paths]).toEqual([true, [], ["rules"]]);
    const updated = await plugin.update(RULESET, made.values, news);
    expect(updated).toMatchObject({ version: "2", id: made.id });
    expect(cf.rulesets()[0]?.rules).toMatchObject([{ id: kept?.["id"], ratelimit: { period: 60 } }]);
    expect(await plugin.read(RULESET, made.id, updated)).toEqual(updated);

    await plugin.remove(RULESET, made.id, updated);
    expect(cf.rulesets()).toEqual([]);
    expect(await plugin.read(RULESET, made.id, updated)).toBeUndefined();
    await plugin.remove(RULESET, made.id, updated);
  });

  it("is one a zone, and makes another where the zone changes", async () => {
    const made = await plugin.create(RULESET, ruleset([rule("start")]));
    await expect(plugin.create(RULESET, ruleset([rule("start")]))).rejects.toThrow(/\(code 20217\)$/);
    const moved = { ...ruleset([rule("start")]), zoneId: "f".repeat(32) };
    expect((await plugin.diff(RULESET, made.values, moved)).replaces).toEqual(["zoneId"]);
    await plugin.remove(RULESET, made.id, made.values);
  });

  it("is refused with a period or a characteristic that Cloudflare has not", async () => {
    await expect(plugin.create(RULESET, ruleset([rule("start", 1)]))).rejects.toThrow(/period must be one of 10, 60/);
    const uncounted = { ...rule("start"), ratelimit: { ...rule("start").ratelimit, characteristics: ["ip.src"] } };
    await expect(plugin.create(RULESET, ruleset([uncounted]))).rejects.toThrow(/cf\.colo\.id must be one/);
  });
});

describe("the provider", () => {
  it("refuses an API that is not of this machine, by name, before it connects", async () => {
    const other = await PluginClient.start("cloudflare");
    const reason = "talks to loopback addresses only, and the API's host is";
    for (const baseUrl of ["https://api.cloudflare.com/client/v4", "http://127.0.0.1.example.com/client/v4"]) {
      expect((await other.checkConfig({ apiToken: "t", baseUrl })).join()).toContain(reason);
      await expect(other.configure({ apiToken: "t", baseUrl })).rejects.toThrow(reason);
    }
    await expect(other.configure({ apiToken: "t" })).rejects.toThrow(`${reason} not given`);
    expect((await other.checkConfig({ baseUrl: cf.apiUrl, apiKey: "k" })).join()).toContain(
      'no provider input "apiKey"',
    );
    expect(await other.stop()).toBe(0);
  });

  it("names no token when the API refuses it or is gone, and waits where it is told to", async () => {
    const other = await PluginClient.start("cloudflare");
    await other.configure({ apiToken: "wrong-and-secret", baseUrl: cf.apiUrl });
    const refused: unknown = await other.create(RULESET, ruleset([])).catch((reason: unknown) => reason);
    expect(String(refused)).toContain("(code 10000)");
    await other.configure({ apiToken: "wrong-and-secret", baseUrl: "http://127.0.0.1:1/client/v4" });
    const gone: unknown = await other.create(RULESET, ruleset([])).catch((reason: unknown) => reason);
    expect(String(gone)).toContain("no answer");
    expect(`${String(refused)}${String(gone)}`).not.toContain("wrong-and-secret");
    await other.stop();

    cf.faults.set([{ kind: "status", status: 429, retryAfter: 1, match: { method: "POST" } }]);
    const made = await plugin.create(RULESET, ruleset([]));
    expect(cf.faults.fired()).toEqual([1]);
    await plugin.remove(RULESET, made.id, made.values);
  });
});

/** A Worker that answers its edition and its variable, and 429 beyond its limit. */
function script(name: string, edition: string, more: Record<string, unknown> = {}) {
  const code = `export default { async fetch(request, env) {
    if (new URL(request.url).pathname.startsWith("/.")) return new Response();
    const { success } = await env.LIMIT.limit({ key: "all" });
    return success ? Response.json([${JSON.stringify(edition)}, env.WORD]) : new Response("", { status: 429 });
  } }`;
  return { ...file(name, code), ...more };
}

function file(name: string, code: string) {
  const contentSha256 = createHash("sha256").update(code).digest("hex");
  const contentFile = path.join(dir, `${contentSha256.slice(0, 8)}.mjs`);
  fs.writeFileSync(contentFile, code);
  return {
    accountId: cf.accountId,
    scriptName: name,
    contentFile,
    contentSha256,
    mainModule: "worker.mjs",
    compatibilityDate: "2026-07-01",
    compatibilityFlags: ["nodejs_compat"],
    bindings: [
      { type: "ratelimit", name: "LIMIT", namespaceId: "17", simple: START },
      { type: "plain_text", name: "WORD", text: "plain" },
    ],
  };
}

async function told(name: string): Promise<unknown> {
  const response = await fetch(cf.workerUrl(name));
  return response.status === 200 ? response.json() : response.status;
}

function ruleset(rules: object[]) {
  return { zoneId: cf.zoneId, name: "rollover edge", kind: "zone", phase: "http_ratelimit", rules };
}

function rule(ref: string, period = 10) {
  const response = { statusCode: 429, contentType: "application/json", content: "{}" };
  const ratelimit = {
    characteristics: ["cf.colo.id", "ip.src"],
    period,
    requestsPerPeriod: 10,
    mitigationTimeout: period,
  };
  const expression = `http.request.uri.path eq "/${ref}"`;
  return { ref, enabled: true, action: "block", expression, actionParameters: { response }, ratelimit };
}
