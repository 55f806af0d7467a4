// Proves what the counters count, for how long a key counts as used, and the text for Prometheus. Does not prove that
// Prometheus reads it: its own parser is not here.
import { describe, expect, it } from "vitest";
import { dualKeys, JwsMetrics, sign, signingKeys, verify } from "../../components/jws/worker";
import { keysOf, refused, signingText } from "./jws-keys";

const { "2026-11-20": NEW, "2026-08-01": OLD } = keysOf("2026-11-20", "2026-08-01");
const LIVE = signingKeys(signingText(NEW, OLD));
const TTL = { ttlSeconds: 120 };

/** Metrics with a clock of their own, in seconds. */
function clocked(options: { turnMs?: number } = {}): {
  metrics: JwsMetrics;
  at: (seconds: number) => void;
  use: (kid: string, times?: number) => void;
} {
  let now = 0;
  const metrics = new JwsMetrics({ now: () => now, ...options });
  return {
    metrics,
    at: (seconds) => (now = seconds * 1000),
    use(kid, times = 1) {
      for (let count = 0; count < times; count++) metrics.verified({ kid, isPrimary: true }, now / 1000);
    },
  };
}

/** The samples of a text for Prometheus, by name and labels. */
function samples(metrics: JwsMetrics): Record<string, number> {
  const lines = metrics.prometheus().split("\n");
  expect(lines.pop()).toBe("");
  return Object.fromEntries(
    lines
      .filter((line) => !line.startsWith("# "))
      .map((line) => {
        const [, name = "", value] = /^([a-z_]+\{[^{}]*\}) (\S+)$/.exec(line) ?? [];
        expect(name).not.toBe("");
        return [name, Number(value)];
      }),
  );
}

describe("signedWith", () => {
  it("gives each key's share of what was accepted", () => {
    const { metrics, use } = clocked();
    expect(metrics.signedWith()).toEqual({});
    use("new", 3);
    use("old");
    expect(metrics.signedWith()).toEqual({ new: 0.75, old: 0.25 });
  });

  it("forgets after one minute at least and two at most", () => {
    const { metrics, use, at } = clocked();
    at(59);
    use("old");
    at(60);
    use("new");
    expect(metrics.signedWith()).toEqual({ old: 0.5, new: 0.5 });
    at(119);
    expect(metrics.signedWith()).toEqual({ old: 0.5, new: 0.5 });
    at(120);
    expect(metrics.signedWith()).toEqual({ new: 1 });
    at(180);
    expect(metrics.signedWith()).toEqual({});
  });

  it.each([
    ["where nobody asked meanwhile", []],
    ["where it was asked late in a turn", [119]],
    ["where it was asked in each turn", [60, 119]],
  ])("forgets what is two minutes old, %s", (_what, asked) => {
    const { metrics, use, at } = clocked();
    use("old");
    for (const seconds of asked) {
      at(seconds);
      expect(metrics.signedWith()).toEqual({ old: 1 });
    }
    at(120);
    expect(metrics.signedWith()).toEqual({});
    use("new");
    expect(metrics.signedWith()).toEqual({ new: 1 });
  });
});

describe("turnMs", () => {
  it("shortens how long a key counts as used", () => {
    const { metrics, use, at } = clocked({ turnMs: 1000 });
    use("old");
    at(1.9);
    expect(metrics.signedWith()).toEqual({ old: 1 });
    at(2.9);
    expect(metrics.signedWith()).toEqual({});
  });
});

describe("verify with metrics", () => {
  it("counts by kid and by reason", async () => {
    const metrics = new JwsMetrics();
    const token = await sign(LIVE, {}, TTL);
    await verify(LIVE, token, { metrics });
    await verify(LIVE, token, { metrics });
    await verify(LIVE, await sign(signingKeys(signingText(OLD)), {}, TTL), { metrics });
    expect(await refused(verify(signingKeys(signingText(OLD)), token, { metrics }))).toBe("unknown-key");
    expect(await refused(verify(LIVE, "x", { metrics }))).toBe("malformed");
    expect(samples(metrics)).toMatchObject({
      'token_verifications_total{kid="2026-11-20"}': 2,
      'token_verifications_total{kid="2026-08-01"}': 1,
      'token_verification_failures_total{reason="unknown-key"}': 1,
      'token_verification_failures_total{reason="malformed"}': 1,
      'token_verification_failures_total{reason="signature"}': 0,
      'token_verification_failures_total{reason="expired"}': 0,
    });
    expect(metrics.signedWith()).toEqual({ "2026-11-20": 2 / 3, "2026-08-01": 1 / 3 });
    for (const part of token.split(".")) expect(metrics.prometheus()).not.toContain(part);
  });

  it("counts keys without a kid as the primary and the other, and reports no share of them", async () => {
    const metrics = new JwsMetrics();
    const keys = dualKeys(NEW.hex, OLD.hex);
    await verify(keys, await sign(keys, {}, TTL), { metrics });
    await verify(keys, await sign(dualKeys(OLD.hex), {}, TTL), { metrics });
    expect(samples(metrics)).toMatchObject({
      'token_verifications_total{kid="primary"}': 1,
      'token_verifications_total{kid="other"}': 1,
    });
    expect(metrics.signedWith()).toEqual({});
  });
});

describe("prometheus", () => {
  it("shows histograms with cumulative buckets", () => {
    const { metrics, at } = clocked();
    at(1000);
    for (const age of [0, 5, 5.5, 119, 121, -3]) metrics.verified({ kid: "k", isPrimary: true }, 1000 - age);
    expect(samples(metrics)).toMatchObject({
      'token_age_seconds_bucket{kid="k",le="5"}': 3,
      'token_age_seconds_bucket{kid="k",le="15"}': 4,
      'token_age_seconds_bucket{kid="k",le="30"}': 4,
      'token_age_seconds_bucket{kid="k",le="60"}': 4,
      'token_age_seconds_bucket{kid="k",le="120"}': 5,
      'token_age_seconds_bucket{kid="k",le="+Inf"}': 6,
      'token_age_seconds_count{kid="k"}': 6,
      'token_age_seconds_sum{kid="k"}': 250.5,
    });
  });

  it("counts requests by route, in seconds, and those over a limit", () => {
    const metrics = new JwsMetrics();
    metrics.requestTook("POST /v1/rounds/start", 500);
    metrics.requestTook("POST /v1/rounds/start", 501);
    metrics.rateLimited("POST /v1/rounds/start");
    expect(samples(metrics)).toMatchObject({
      'api_request_duration_seconds_bucket{route="POST /v1/rounds/start",le="0.25"}': 0,
      'api_request_duration_seconds_bucket{route="POST /v1/rounds/start",le="0.5"}': 1,
      'api_request_duration_seconds_bucket{route="POST /v1/rounds/start",le="1"}': 2,
      'api_request_duration_seconds_count{route="POST /v1/rounds/start"}': 2,
      'rate_limit_exceeded_total{route="POST /v1/rounds/start"}': 1,
    });
  });

  it("names each metric with its type once, and escapes what a label may not hold", () => {
    const metrics = new JwsMetrics();
    metrics.rateLimited('a"b\\c\nd');
    const text = metrics.prometheus();
    expect(text.match(/^# TYPE .*$/gm)).toEqual([
      "# TYPE token_verification_failures_total counter",
      "# TYPE token_verifications_total counter",
      "# TYPE token_age_seconds histogram",
      "# TYPE rate_limit_exceeded_total counter",
      "# TYPE api_request_duration_seconds histogram",
    ]);
    expect(text).toContain('rate_limit_exceeded_total{route="a\\"b\\\\c\\nd"} 1');
  });
});
