/** Stack files, and the cases in which each alert has to fire or not, as promtool's unit tests take them. */
import { stringify } from "yaml";

/** A keyset in the middle of a roll, one of shape dual, and what the rules do not need: some of it wrong or encrypted. */
export const STACK = `config:
  rollover:postgresPassword: { secure: v1:ciphertext-marker }
  rollover:alertWebhook: { secure: v1:ciphertext-marker }
  rollover:workers: { rounds-api: { probe: https://rounds.example.com/secret-path-marker } }
  rollover:credentials:
    rounds-db: { kind: postgres, generations: [unfinished], url: "postgresql://{user}:{password}@marker" }
    rounds-signing:
      kind: signing-keyset
      maxTokenAge: 120s
      backup: { vault: { mount: secret, path: rollover/rounds } }
      generations: [2026-11-20.2, "2026-11-20", "2026-08-01"]
      deliver: [{ worker: rounds-api, as: JWT_KEYS }]
    pages-signing:
      kind: signing-keyset
      maxTokenAge: 1h
      generation: "2026-09-01"
      deliver: [{ worker: pages, as: JWT_KEYS }]
    legacy:
      kind: signing-keyset
      shape: dual
      maxTokenAge: 1h
      generations: ["2026-11-01", "2026-10-01"]
      deliver: [{ worker: mailer, as: JWT_SECRET, alsoAs: JWT_SECRET_NEW }]
    stored: { kind: encryption-keyset, maxTokenAge: 90d, generations: ["2026-11-02", "2026-07-01"] }
`;

export interface Case {
  what: string;
  alert: string;
  /** Samples a minute apart, or `every`, in promtool's notation: `0+1x10` is 0, 1, ... 10. */
  series: Record<string, string>;
  every?: string;
  /** When it must fire, and when it must not, from the first sample. */
  fires?: string[];
  silent?: string[];
  /** The stack whose rules are judged. @default STACK */
  stack?: string;
}

const dual = (generations: string) =>
  `config:\n  rollover:credentials:\n    legacy: { kind: signing-keyset, shape: dual, maxTokenAge: 1h, ${generations} }\n`;
/** Keys without kids: one, and two. */
export const ALONE = dual('generation: "2026-11-20"');
export const PAIR = dual('generations: ["2026-11-20", "2026-08-01"]');

export const failures = (reason = "signature", more = "") =>
  `token_verification_failures_total{job="api",reason="${reason}"${more}}`;
export const passed = (kid: string, more = "") => `token_verifications_total{job="api",kid="${kid}"${more}}`;
const limited = (route: string) => `rate_limit_exceeded_total{job="api",route="${route}"}`;
const [NOW, OLD, OLDEST, GONE] = ["2026-11-20.2", "2026-11-20", "2026-08-01", "2026-05-01"];
/** A counter that stands, and after an hour and a half gets `count` more within as many minutes. */
const later = (from: number, count: number) => `${from}x90 ${from + 1}+1x${count - 1} ${from + count}x1500`;
/** So many a minute, over an hour and a half. */
const rate = (each: number) => `0+${each}x100`;

/** A histogram of which `slow` of each 1000 requests take 0.5 to 1 s, the others less. */
const latency = (route: string, slow: number): Record<string, string> => {
  const bucket = (le: string) => `api_request_duration_seconds_bucket{job="api",le="${le}",route="${route}"}`;
  const quick = 1000 - slow;
  return { [bucket("0.5")]: rate(quick), [bucket("1")]: rate(1000), [bucket("+Inf")]: rate(1000) };
};

export const CASES: Case[] = [
  {
    what: "11 failures in a day, of two reasons",
    alert: "TokenVerificationFailuresDaily",
    series: { [failures()]: later(5, 6), [failures("expired")]: later(0, 5) },
    fires: ["2h", "24h"],
    silent: ["1h", "27h"],
  },
  {
    what: "10 failures in a day, of a counter that has counted for long",
    alert: "TokenVerificationFailuresDaily",
    series: { [failures()]: later(5000, 10) },
    silent: ["10m", "2h", "12h", "24h", "26h"],
  },
  {
    what: "10 failures in a day, where scrapes do not meet its begin",
    alert: "TokenVerificationFailuresDaily",
    series: { [failures()]: "5000x12 5001+1x9 5010x300" },
    every: "7m",
    silent: ["2h", "12h", "24h", "25h"],
  },
  {
    what: "11 isolates that count one failure each, all their life",
    alert: "TokenVerificationFailuresDaily",
    series: Object.fromEntries(
      Array.from({ length: 11 }, (_, n) => [failures("signature", `,instance="${n}"`), `_x${1600 + n} 1x5 _x200`]),
    ),
    fires: ["28h"],
    silent: ["1600m", "52h"],
  },
  {
    what: "20 failures in two days",
    alert: "TokenVerificationFailuresDaily",
    series: { [failures()]: `0x1500 1+1x8 9x1440 10+1x8 18x200` },
    silent: ["26h", "30h", "50h", "52h"],
  },
  {
    what: "11 failures of another job",
    alert: "TokenVerificationFailuresDaily",
    series: { 'token_verification_failures_total{job="other",reason="signature"}': later(0, 11) },
    silent: ["2h", "24h"],
  },
  {
    what: "2 % refused",
    alert: "TokenVerificationFailureRatio",
    series: { [passed(NOW)]: rate(98), [failures()]: rate(2) },
    fires: ["20m", "90m"],
    silent: ["1m"],
  },
  {
    what: "1 % refused",
    alert: "TokenVerificationFailureRatio",
    series: { [passed(NOW)]: rate(99), [failures()]: rate(1) },
    silent: ["20m", "2h", "90m"],
  },
  {
    what: "every token refused, none ever accepted",
    alert: "TokenVerificationFailureRatio",
    series: { [failures()]: rate(1) },
    fires: ["20m"],
  },
  {
    what: "5 refused in a quiet night",
    alert: "TokenVerificationFailureRatio",
    series: { [failures()]: "0x60 1+1x4 5x200" },
    fires: ["1h8m"],
    silent: ["1h", "1h6m", "1h20m"],
  },
  {
    what: "4 refused in a quiet night",
    alert: "TokenVerificationFailureRatio",
    series: { [failures()]: "0x60 1+1x3 4x200" },
    silent: ["1h3m", "1h5m", "1h8m", "1h20m"],
  },
  {
    what: "25 % of the tokens signed with the two older keys, all the time",
    alert: "OldKeyShare",
    series: { [passed(NOW)]: rate(75), [passed(OLD)]: rate(20), [passed(OLDEST)]: rate(5) },
    fires: ["15m", "90m"],
    silent: ["5m", "11m"],
  },
  {
    what: "20 % of the tokens signed with an older key",
    alert: "OldKeyShare",
    series: { [passed(NOW)]: rate(80), [passed(OLD)]: rate(20) },
    silent: ["15m", "2h", "90m"],
  },
  {
    what: "the begin of an overlap: two minutes all old, then all new",
    alert: "OldKeyShare",
    series: { [passed(OLD)]: "0+100x2 200x300", [passed(NOW)]: "0x2 100+100x298" },
    silent: ["5m", "8m", "12m", "13m", "15m", "90m"],
  },
  {
    what: "another keyset's tokens among them, which do not count",
    alert: "OldKeyShare",
    series: { [passed(NOW)]: rate(75), [passed(OLD)]: rate(25), [passed("2026-09-01")]: rate(900) },
    fires: ["15m"],
  },
  {
    what: "tokens of a retired key are accepted, one every five minutes",
    alert: "RetiredKeyAccepted",
    series: { [passed(NOW)]: rate(100), [passed(GONE)]: "_x60 1x4 2x4 3x4 4x100" },
    fires: ["1h10m", "1h20m"],
    silent: ["59m", "1h9m", "1h27m"],
  },
  {
    what: "one token of a retired key is accepted, and no other after it",
    alert: "RetiredKeyAccepted",
    series: { [passed(NOW)]: rate(100), [passed(GONE)]: "5000x60 5001x200", [passed("2026-05-02")]: "_x60 1x200" },
    silent: ["1h2m", "1h9m", "1h10m", "1h11m", "90m"],
  },
  {
    what: "tokens of a key whose stamp only begins like a live one",
    alert: "RetiredKeyAccepted",
    series: { [passed("2026-11-20.22")]: "0x60 1+1x200" },
    fires: ["1h15m"],
    silent: ["1h10m"],
  },
  {
    what: "tokens of live keys of every keyset, and of one that has no name",
    alert: "RetiredKeyAccepted",
    series: Object.fromEntries(
      [NOW, OLD, OLDEST, "2026-09-01", "primary", "other", ""].map((kid) => [passed(kid), rate(10)]),
    ),
    silent: ["5m", "1h", "90m"],
  },
  {
    what: "a second key without kid goes on being accepted, and config has one",
    alert: "RetiredKeyAccepted",
    series: { [passed("primary")]: rate(100), [passed("other")]: "_x60 1+1x200" },
    fires: ["1h15m"],
    silent: ["1h9m"],
    stack: ALONE,
  },
  {
    what: "a second key without kid is accepted, and config has two",
    alert: "RetiredKeyAccepted",
    series: { [passed("primary")]: rate(100), [passed("other")]: rate(1) },
    silent: ["1h", "90m"],
    stack: PAIR,
  },
  {
    what: "25 % of the tokens signed with the second of two keys without kids",
    alert: "OldKeyShare",
    series: { [passed("primary")]: rate(75), [passed("other")]: rate(25) },
    fires: ["75m", "90m"],
    silent: ["65m"],
    stack: PAIR,
  },
  {
    what: "20 % of them",
    alert: "OldKeyShare",
    series: { [passed("primary")]: rate(80), [passed("other")]: rate(20) },
    silent: ["75m", "90m"],
    stack: PAIR,
  },
  {
    what: "one token names a key that is not live",
    alert: "RetiredKeyPresented",
    series: { [failures("unknown-key")]: "_x60 1x200" },
    fires: ["1h2m"],
    silent: ["59m", "1h12m"],
  },
  {
    what: "tokens are refused for another reason",
    alert: "RetiredKeyPresented",
    series: { [failures("expired")]: rate(100) },
    silent: ["5m", "1h"],
  },
  {
    what: "2 % of one route's requests take more than half a second",
    alert: "ApiRequestLatency",
    series: { ...latency("/v1/rounds/next", 20), ...latency("/v1/manifest", 0) },
    fires: ["20m", "90m"],
    silent: ["3m"],
  },
  {
    what: "1 % of them",
    alert: "ApiRequestLatency",
    series: { ...latency("/v1/rounds/next", 10), ...latency("/v1/manifest", 0) },
    silent: ["20m", "90m"],
  },
  {
    what: "101 requests over a limit in a day, of two routes",
    alert: "RateLimitExceededDaily",
    series: { [limited("/v1/rounds/start")]: later(0, 51), [limited("/v1/metrics")]: later(900, 50) },
    fires: ["3h", "24h"],
    silent: ["1h", "28h"],
  },
  {
    what: "100 requests over a limit in a day",
    alert: "RateLimitExceededDaily",
    series: { [limited("/v1/rounds/start")]: later(0, 100) },
    silent: ["3h", "24h"],
  },
];

/** A file for `promtool test rules`, of cases of one stack. `opposite` expects of each what it does not do. */
export function promtoolTests(rules: string, cases: Case[], opposite = false): string {
  const tests = cases.map(({ what, alert, series, every = "1m", fires = [], silent = [] }) => ({
    name: `${alert}: ${what}`,
    interval: every,
    input_series: Object.entries({ 'up{job="api"}': "1x4000", ...series }).map(([name, values]) => ({
      series: name,
      values,
    })),
    promql_expr_test: [...fires, ...silent].map((at) => ({
      expr: `(count(ALERTS{alertname="${alert}",alertstate="firing"}) > bool 0) or vector(0)`,
      eval_time: at,
      exp_samples: [{ labels: "{}", value: fires.includes(at) !== opposite ? 1 : 0 }],
    })),
  }));
  // Days are judged every 10 minutes: it takes a tenth of the time.
  const interval = cases.every(({ alert }) => alert.endsWith("Daily")) ? "10m" : "1m";
  return stringify({ rule_files: [rules], evaluation_interval: interval, tests });
}
