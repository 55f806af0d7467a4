// Proves, through workerd, that the seed's API works with the keys that Rollover delivers, in both shapes, and refuses each
// other token; that its counters are read by the probe's token only, and hold no secret. Does not prove how keys roll (the
// engine's tests do), nor that an isolate outlives its secrets as Cloudflare's may: test/unit/jws-rounds.test.ts.
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bulk } from "../../local/cloud/client";
import { startCloudflare, type LocalCloudflare } from "../../local/cloud/cloudflare";
import { keysOf, signingText } from "../unit/jws-keys";

const { "2026-11-20": NEW, "2026-08-01": OLD } = keysOf("2026-11-20", "2026-08-01");
const PROBE = { authorization: "Bearer probe-token" };
const NONE = { JWT_KEYS: null, JWT_SECRET: null, JWT_SECRET_NEW: null };

let cf: LocalCloudflare;

beforeAll(async () => {
  cf = await startCloudflare({
    scripts: { "rounds-api": { secrets: { JWT_KEYS: signingText(OLD), ROLLOVER_PROBE_TOKEN: "probe-token" } } },
  });
}, 60_000);
afterAll(() => cf.stop(), 30_000);

interface Answer {
  status: number;
  token: string;
  code?: string;
  round?: { rid: string; idx: number; total: number };
}

const url = (path: string): string => new URL(path, cf.workerUrl("rounds-api")).href;

async function post(path: string, token?: string): Promise<Answer> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(url(path), { method: "POST", headers });
  return { status: response.status, token: "", ...((await response.json()) as object) };
}
const start = (): Promise<Answer> => post("/v1/rounds/start");
const next = (token: string): Promise<Answer> => post("/v1/rounds/next", token);

async function deliver(changes: Record<string, string | null>): Promise<void> {
  expect((await bulk(cf, { ...NONE, ...changes })).status).toBe(200);
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
function read(token: string): { header: Record<string, unknown>; payload: Record<string, unknown> } {
  const [header, payload] = token.split(".").map((text) => Buffer.from(text, "base64url").toString());
  const parse = (text = ""): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
  return { header: parse(header), payload: parse(payload) };
}
/** A token made without the Worker's code. */
function forge(header: object, hex: string, hash = "sha256"): string {
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part(header)}.${part({ rid: "forged", idx: 0, iat: now, exp: now + 60 })}`;
  return `${signed}.${createHmac(hash, Buffer.from(hex, "hex")).update(signed).digest("base64url")}`;
}

describe("rounds", () => {
  beforeAll(() => deliver({ JWT_KEYS: signingText(NEW, OLD) }));

  it("start gives a token of the seed's form, and next the one that follows", async () => {
    const first = await start();
    expect(first).toMatchObject({ status: 200, round: { idx: 0, total: 10 } });
    const { header, payload } = read(first.token);
    expect(header).toEqual({ alg: "HS256", typ: "JWT", kid: "2026-11-20" });
    const keys = ["rid", "idx", "total", "seed", "filtersHash", "filtersKey", "ver", "iat", "exp"];
    expect(Object.keys(payload)).toEqual(keys);
    expect(payload).toMatchObject({ rid: first.round?.rid, idx: 0, total: 10, ver: 1, filtersHash: "44136fa3" });
    expect(Number(payload["exp"]) - Number(payload["iat"])).toBe(120);

    const second = await next(first.token);
    expect(second).toMatchObject({ status: 200, round: { rid: first.round?.rid, idx: 1 } });
    expect(Object.keys(read(second.token).payload)).toEqual(keys);
    expect(await next(second.token)).toMatchObject({ status: 200, round: { rid: first.round?.rid, idx: 2 } });
    expect((await start()).round?.rid).not.toBe(first.round?.rid);
  });

  it("accepts a token that the older key signed", async () => {
    const token = forge({ alg: "HS256", typ: "JWT", kid: "2026-08-01" }, OLD.hex);
    expect(await next(token)).toMatchObject({ status: 200, round: { rid: "forged", idx: 1 } });
  });

  it.each([
    [
      "another algorithm of the same key",
      "algorithm",
      () => forge({ alg: "HS512", kid: "2026-11-20" }, NEW.hex, "sha512"),
    ],
    [
      "alg RS256, made with the secret as the key",
      "algorithm",
      () => forge({ alg: "RS256", kid: "2026-11-20" }, NEW.hex),
    ],
    ["alg none", "algorithm", () => `${part({ alg: "none" })}.${part({ rid: "x", iat: 1, exp: 9999999999 })}.`],
    ["a kid that is not in the keyset", "unknown-key", () => forge({ alg: "HS256", kid: "2026-05-01" }, NEW.hex)],
    ["the kid of another key", "signature", () => forge({ alg: "HS256", kid: "2026-08-01" }, NEW.hex)],
    ["a key of nobody", "signature", () => forge({ alg: "HS256", kid: "2026-11-20" }, "00".repeat(32))],
    ["the key undefined", "signature", () => forge({ alg: "HS256" }, Buffer.from("undefined").toString("hex"))],
    ["an empty key", "signature", () => forge({ alg: "HS256" }, "")],
    ["no token at all", "malformed", () => "x"],
  ])("refuses %s", async (_what, code, token) => {
    expect(await next(token())).toMatchObject({ status: 401, ok: false, code });
  });

  it("asks for a token", async () => {
    expect(await post("/v1/rounds/next")).toMatchObject({ status: 401, code: "no-token" });
  });

  it("refuses a changed token", async () => {
    const [header = "", , signature = ""] = (await start()).token.split(".");
    const { payload } = read((await start()).token);
    const token = `${header}.${part({ ...payload, idx: 9 })}.${signature}`;
    expect(await next(token)).toMatchObject({ status: 401, code: "signature" });
  });
});

describe("a change of the secrets", () => {
  it("takes effect at once: a dropped key's tokens are refused, a new one signs", async () => {
    await deliver({ JWT_KEYS: signingText(OLD) });
    const old = await start();
    await deliver({ JWT_KEYS: signingText(NEW, OLD) });
    const fresh = await start();
    expect(read(fresh.token).header).toMatchObject({ kid: "2026-11-20" });
    expect((await next(old.token)).status).toBe(200);
    await deliver({ JWT_KEYS: signingText(NEW) });
    expect(await next(old.token)).toMatchObject({ status: 401, code: "unknown-key" });
    expect((await next(fresh.token)).status).toBe(200);
  });

  it("two secrets: the first signs, both are accepted", async () => {
    await deliver({ JWT_SECRET: OLD.hex });
    const old = await start();
    expect(read(old.token).header).toEqual({ alg: "HS256", typ: "JWT" });
    // As the seed makes and checks it: the HMAC of the secret's text.
    const [header, payload, signature] = old.token.split(".");
    expect(createHmac("sha256", OLD.hex).update(`${header}.${payload}`).digest("base64url")).toBe(signature);
    await deliver({ JWT_SECRET: OLD.hex, JWT_SECRET_NEW: NEW.hex });
    expect((await next(old.token)).status).toBe(200);
    await deliver({ JWT_SECRET: NEW.hex, JWT_SECRET_NEW: OLD.hex });
    const fresh = await start();
    for (const { token } of [old, fresh]) expect((await next(token)).status).toBe(200);
    await deliver({ JWT_SECRET: NEW.hex });
    expect((await next(fresh.token)).status).toBe(200);
    expect(await next(old.token)).toMatchObject({ status: 401, code: "signature" });
  });

  it.each([
    ["no keyset", {}],
    ["only the second of two", { JWT_SECRET_NEW: NEW.hex }],
    ["a short key", { JWT_SECRET: "undefined" }],
    ["a keyset that is none, beside a good secret", { JWT_KEYS: "undefined", JWT_SECRET: NEW.hex }],
  ])("with %s it signs and accepts nothing: 503", async (_what, secrets) => {
    await deliver(secrets);
    expect(await start()).toMatchObject({ status: 503, code: "no-keyset" });
    for (const key of ["undefined", "", NEW.hex])
      expect((await next(forge({ alg: "HS256" }, Buffer.from(key).toString("hex")))).status).toBe(503);
  });

  it("a token expires with the time that it was made for", async () => {
    const uploaded = await cf.upload("rounds-api", { vars: { TOKEN_TTL_SECONDS: "1" } });
    await cf.deploy("rounds-api", uploaded);
    await deliver({ JWT_KEYS: signingText(NEW) });
    const { token } = await start();
    const { payload } = read(token);
    expect(Number(payload["exp"]) - Number(payload["iat"])).toBe(1);
    await expect.poll(async () => (await next(token)).code, { timeout: 5000 }).toBe("expired");
    await cf.deploy("rounds-api", await cf.upload("rounds-api", { vars: {} }));
  });
});

describe("what it reports", () => {
  it("takes metrics of at most 64 kB, and gives a manifest", async () => {
    const send = async (length: number): Promise<number> =>
      (await fetch(url("/v1/metrics"), { method: "POST", body: "x".repeat(length) })).status;
    expect([await send(0), await send(65_536), await send(65_537)]).toEqual([204, 204, 413]);
    const manifest = await fetch(url("/v1/manifest"));
    expect([manifest.status, await manifest.json()]).toMatchObject([200, { schema: 1 }]);
    for (const [method, path] of [
      ["GET", "/v1/rounds/start"],
      ["POST", "/v1/manifest"],
      ["POST", "/v1/other"],
    ] as const)
      expect((await fetch(url(path), { method })).status).toBe(404);
  });

  it("shows counters and shares to the probe's token only, and no secret", async () => {
    const generations = { "rounds-signing": [{ stamp: "2026-11-20", tag: "9f" }] };
    await deliver({ JWT_KEYS: signingText(NEW, OLD), ROLLOVER_GENERATIONS: JSON.stringify(generations) });
    const probe = async (): Promise<unknown> => (await fetch(url("/.well-known/rollover"), { headers: PROBE })).json();
    expect(await probe()).toEqual({ generations });
    const { token } = await start();
    const old = forge({ alg: "HS256", kid: "2026-08-01" }, OLD.hex);
    const statuses = [];
    for (const one of [token, token, token, old, "x"]) statuses.push((await next(one)).status);
    expect(statuses).toEqual([200, 200, 200, 200, 401]);
    const shares = { "2026-11-20": 0.75, "2026-08-01": 0.25 };
    expect(await probe()).toEqual({ generations, signedWith: { "rounds-signing": shares } });

    expect((await fetch(url("/metrics"))).status).toBe(404);
    expect((await fetch(url("/metrics"), { headers: { authorization: "Bearer wrong" } })).status).toBe(404);
    const response = await fetch(url("/metrics"), { headers: PROBE });
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    const text = await response.text();
    for (const line of [
      'token_verifications_total{kid="2026-11-20"} 3',
      'token_verifications_total{kid="2026-08-01"} 1',
      'token_verification_failures_total{reason="malformed"} 1',
      'token_verification_failures_total{reason="signature"} 0',
      'token_age_seconds_count{kid="2026-11-20"} 3',
      'api_request_duration_seconds_count{route="POST /v1/rounds/next"} 5',
      'api_request_duration_seconds_count{route="POST /v1/rounds/start"} 1',
    ])
      expect(text.split("\n")).toContain(line);
    for (const secret of [...token.split("."), ...old.split("."), NEW.hex, OLD.hex, "probe-token"])
      expect(text).not.toContain(secret);
    for (const { hex } of [NEW, OLD]) expect(text).not.toContain(Buffer.from(hex, "hex").toString("base64url"));
  });
});
