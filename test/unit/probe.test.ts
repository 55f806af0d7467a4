// Proves what the probe answers, and that it answers nobody without the token. Does not prove that it runs in workerd:
// test/provider/cloud-switch.test.ts and the engine's tests do.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rolloverProbe } from "../../components/cloudflare/probe";

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
});
