// Proves that a Worker whose isolate is reused when only its secrets change uses the changed keys at once: the same module
// is asked with one set after another; and by what its rate limits count. Does not prove it in workerd, where the local
// cloud starts each set in a new process, and where the limits are real.
import { describe, expect, it } from "vitest";
import { roundsApi, type Env } from "../../local/cloud/worker/rounds-api";
import { keysOf, signingText } from "./jws-keys";

const { new: NEW, old: OLD } = keysOf("new", "old");

interface Answer {
  status: number;
  token?: string;
  code?: string;
}

async function post(env: Env, path: string, token?: string, client?: string): Promise<Answer> {
  const headers = new Headers(client === undefined ? {} : { "x-client-id": client });
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  const response = await roundsApi(
    new Request(`https://x.example/v1/rounds/${path}`, { method: "POST", headers }),
    env,
  );
  return { status: response?.status ?? 0, ...((await response?.json()) as object) };
}

describe("an isolate that outlives its secrets", () => {
  it("signs and verifies with the keyset of the request", async () => {
    const first = await post({ JWT_KEYS: signingText(OLD) }, "start");
    expect((await post({ JWT_KEYS: signingText(OLD) }, "next", first.token)).status).toBe(200);
    expect((await post({ JWT_KEYS: signingText(NEW, OLD) }, "next", first.token)).status).toBe(200);
    expect(await post({ JWT_KEYS: signingText(NEW) }, "next", first.token)).toMatchObject({ code: "unknown-key" });
    const sameName = { JWT_KEYS: signingText({ stamp: OLD.stamp, hex: NEW.hex }) };
    expect(await post(sameName, "next", first.token)).toMatchObject({ status: 401, code: "signature" });
    expect(await post({}, "next", first.token)).toMatchObject({ status: 503, code: "no-keyset" });
    expect((await post({ JWT_KEYS: signingText(OLD) }, "next", first.token)).status).toBe(200);
  });

  it("does so with two secrets, and falls back to them only where JWT_KEYS is absent", async () => {
    const first = await post({ JWT_SECRET: OLD.hex }, "start");
    expect((await post({ JWT_SECRET: NEW.hex, JWT_SECRET_NEW: OLD.hex }, "next", first.token)).status).toBe(200);
    expect(await post({ JWT_SECRET: NEW.hex }, "next", first.token)).toMatchObject({ status: 401, code: "signature" });
    for (const JWT_KEYS of ["", "undefined", "{}"])
      expect(await post({ JWT_KEYS, JWT_SECRET: OLD.hex }, "next", first.token)).toMatchObject({ status: 503 });
  });
});

describe("rate limits", () => {
  /** An environment with a binding that allows two requests a key, as workerd's does within one period. */
  function limited(route: string, per: "client" | "token"): Env {
    const counts = new Map<string, number>();
    const limit = ({ key }: { key: string }): Promise<{ success: boolean }> => {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return Promise.resolve({ success: (counts.get(key) ?? 0) <= 2 });
    };
    const limits = [{ route, per, binding: "LIMIT", periodSeconds: 10 }];
    const env = { JWT_KEYS: signingText(NEW), ROLLOVER_RATE_LIMITS: JSON.stringify(limits), LIMIT: { limit } };
    return env as unknown as Env;
  }

  it("counts the start of a round by the client", async () => {
    const env = limited("POST /v1/rounds/start", "client");
    const statuses = [];
    for (const client of ["a", "a", "b", "a", "b", "b", undefined])
      statuses.push((await post(env, "start", undefined, client)).status);
    expect(statuses).toEqual([200, 200, 200, 429, 200, 429, 200]);
  });

  it("counts the questions of a round together, and not what is no token", async () => {
    const env = limited("POST /v1/rounds/next", "token");
    const first = await post(env, "start");
    for (const token of ["x", "x", "x"]) expect((await post(env, "next", token)).status).toBe(401);
    const second = await post(env, "next", first.token);
    const third = await post(env, "next", second.token);
    expect([second.status, third.status]).toEqual([200, 200]);
    expect((await post(env, "next", third.token)).status).toBe(429);
    expect((await post(env, "next", (await post(env, "start")).token)).status).toBe(200);
    const counters = await roundsApi(
      new Request("https://x.example/metrics", { headers: { authorization: "Bearer probe" } }),
      { ROLLOVER_PROBE_TOKEN: "probe" },
    );
    expect(await counters?.text()).toContain('rate_limit_exceeded_total{route="POST /v1/rounds/next"} 1\n');
  });
});
