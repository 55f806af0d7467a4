// Proves what the probe answers, and that it answers nobody without the token. Does not prove that it runs in workerd:
// test/provider/cloud-switch.test.ts and the engine's tests do.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { carriesProbeToken, rolloverProbe } from "../../components/cloudflare/probe";

const ENV = {
  ROLLOVER_PROBE_TOKEN: "probe-token",
  ROLLOVER_GENERATIONS: JSON.stringify({ "rounds-db": [{ stamp: "2026-11-20", tag: "9f" }] }),
};

function ask(env: object, authorization?: string, path = "/.well-known/rollover"): Response | undefined {
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
  return rolloverProbe(new Request(`https://rounds.example.com${path}`, { headers }), env);
}

describe("rolloverProbe", () => {
  it("answers the generations to its token, not to be stored", async () => {
    const response = ask(ENV, "Bearer probe-token");
    expect(response?.status).toBe(200);
    expect(response?.headers.get("cache-control")).toBe("no-store");
    expect(await response?.json()).toEqual({ generations: { "rounds-db": [{ stamp: "2026-11-20", tag: "9f" }] } });
  });

  it("leaves every other path to the Worker", () => {
    for (const path of ["/", "/.well-known/rollover/", "/.well-known/rollover2", "/x/.well-known/rollover"])
      expect(ask(ENV, "Bearer probe-token", path)).toBeUndefined();
    expect(ask(ENV, "Bearer probe-token", "/.well-known/rollover?x=1")?.status).toBe(200);
  });

  it.each([
    ["no header", undefined],
    ["another token", "Bearer probe-tokem"],
    ["a part of it", "Bearer probe-toke"],
    ["more than it", "Bearer probe-tokenx"],
    ["no scheme", "probe-token"],
    ["another scheme", "Basic probe-token"],
    ["an empty header", ""],
  ])("answers 404 to %s", async (_what, authorization) => {
    const response = ask(ENV, authorization);
    expect(response?.status).toBe(404);
    expect(await response?.text()).toBe("Not Found");
  });

  it.each([undefined, "", 0, null, {}])("answers 404 to everybody where the token is %j", (token) => {
    for (const authorization of [undefined, "", "Bearer ", "Bearer", "Bearer undefined", "Bearer null"])
      expect(ask({ ...ENV, ROLLOVER_PROBE_TOKEN: token }, authorization)?.status).toBe(404);
  });

  it("answers nobody but the holder of the token", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string(), (token, given) => {
        fc.pre(token !== given && /^[\x21-\x7e]*$/.test(given));
        expect(ask({ ...ENV, ROLLOVER_PROBE_TOKEN: token }, `Bearer ${given}`)?.status).toBe(404);
      }),
    );
  });

  it.each([undefined, "", "not JSON", "null", "[]", "5", '{"rounds-db":5}', '{"rounds-db":[null]}'])(
    "does not say what it holds where they are %j, which is no answer to whether it holds something",
    async (generations) => {
      const response = ask({ ...ENV, ROLLOVER_GENERATIONS: generations }, "Bearer probe-token");
      expect(await response?.json()).toEqual({});
    },
  );

  it("says that it holds nothing where nothing was delivered", async () => {
    const response = ask({ ...ENV, ROLLOVER_GENERATIONS: "{}" }, "Bearer probe-token");
    expect(await response?.json()).toEqual({ generations: {} });
  });

  it("hands on stamps and tags only", async () => {
    const generations = JSON.stringify({ a: [{ stamp: "2026-11-20", tag: "9f", value: "secret" }] });
    const response = ask({ ...ENV, ROLLOVER_GENERATIONS: generations }, "Bearer probe-token");
    expect(await response?.text()).toBe('{"generations":{"a":[{"stamp":"2026-11-20","tag":"9f"}]}}');
  });

  it("hands on since when the Worker signs with a key, where that is a text", async () => {
    const held = { stamp: "2026-11-20", tag: "9f" };
    const since = "2026-11-20T08:00:00.000Z";
    for (const [given, expected] of [
      [
        { ...held, since },
        { ...held, since },
      ],
      [{ ...held, since: 5 }, held],
      [{ ...held, since: null }, held],
    ]) {
      const response = ask({ ...ENV, ROLLOVER_GENERATIONS: JSON.stringify({ keys: [given] }) }, "Bearer probe-token");
      expect(await response?.json()).toEqual({ generations: { keys: [expected] } });
    }
  });

  it("adds what the Worker knows of its signing keys, to the token's holder only", async () => {
    const request = (authorization: string): Request =>
      new Request("https://rounds.example.com/.well-known/rollover", { headers: { authorization } });
    const extra = { signedWith: { "rounds-signing": { "2026-11-20": 0.9, "2026-08-01": 0.1 } } };
    const answer: unknown = await rolloverProbe(request("Bearer probe-token"), ENV, extra)?.json();
    expect(answer).toEqual({
      generations: { "rounds-db": [{ stamp: "2026-11-20", tag: "9f" }] },
      signedWith: { "rounds-signing": { "2026-11-20": 0.9, "2026-08-01": 0.1 } },
    });
    const refused = rolloverProbe(request("Bearer wrong"), ENV, extra);
    expect([refused?.status, await refused?.text()]).toEqual([404, "Not Found"]);
  });
});

describe("carriesProbeToken", () => {
  const carries = (env: object, headers: Record<string, string>): boolean =>
    carriesProbeToken(new Request("https://rounds.example.com/metrics", { headers }), env);

  it("knows the token on any path, and no other", () => {
    expect(carries(ENV, { authorization: "Bearer probe-token" })).toBe(true);
    for (const headers of [{}, { authorization: "Bearer probe-tokem" }, { authorization: "probe-token" }])
      expect(carries(ENV, headers)).toBe(false);
    for (const token of [undefined, "", null])
      expect(carries({ ROLLOVER_PROBE_TOKEN: token }, { authorization: "Bearer " })).toBe(false);
  });
});
