/**
 * The Prometheus rule file of a stack: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ .
 *
 * What it cannot tell: keys of shape `dual` have no kid, so two such keysets are counted together, as are two keysets that
 * share a stamp, unless each has a scrape job and a rule file of its own (`--job`); and a token of a dropped key of shape
 * `dual` is refused like a forged one. The counters are one isolate's: each isolate must be a series of its own, or their
 * sums be scraped elsewhere; one address that a different isolate answers each time gives counters that jump.
 *
 * The metrics, as components/jws/metrics.ts counts them: token_verifications_total{kid}, those that were accepted;
 * token_verification_failures_total{reason}; rate_limit_exceeded_total{route}; api_request_duration_seconds_bucket{route,le},
 * whose highest finite bucket (there 2.5 s) must lie above `latencyP99`.
 */
import { Document } from "yaml";
import { formatDuration } from "../../components/rotation/duration";
import type { KeysetCredential } from "../../components/rotation/model";
import { listed } from "../../components/rotation/problem";
import { counted, is, isNoneOf, isOneOf } from "./promql";
import type { Watched } from "./read";

export interface Scope {
  /** Goes into a label and into the commands that the texts name. */
  stack?: string;
  /** The scrape job of the Workers; left out: any. */
  job?: string;
}

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: { summary: string; description: string };
}

type Severity = "critical" | "warning";

/** What is judged now, and not over a day, is judged over this. */
const WINDOW = "10m";
const WINDOW_MS = 600_000;
const MINUTE = 60_000;

/** Anybody can have a token refused, and in a quiet night one is a large share: so many within WINDOW at the least. */
const FEWEST_FAILURES = 5;

/** What the label `kid` holds in place of kids: the key that signs, and the other one. */
const DUAL = ["primary", "other"];
const STAMP = "[0-9]{4}-[0-9]{2}-[0-9]{2}([.][0-9]+)?";

const HEADER = ` Alerting rules for Prometheus, made by \`npm run alerts\` from the stack's config; not to be edited.
 They name the live keys: make them again before the update that adds a key, after one that drops a key, and after each
 change of rollover:alerts.`;

/** The rule file, YAML. */
export function ruleFile(watched: Watched, scope: Scope): string {
  const groups = [
    { name: "rollover-tokens", rules: tokenRules(watched, scope) },
    { name: "rollover-keys", rules: keyRules(watched, scope) },
    { name: "rollover-api", rules: apiRules(watched, scope) },
  ];
  const document = new Document({ groups: groups.filter(({ rules }) => rules.length > 0) });
  document.commentBefore = HEADER;
  return document.toString({ lineWidth: 0 });
}

function tokenRules({ alerts, signing }: Watched, scope: Scope): Rule[] {
  const failed = (window: string) => counted("token_verification_failures_total", window, matchers(scope));
  const passed = counted("token_verifications_total", WINDOW, matchers(scope));
  const names = signing.map(({ name }) => name);
  const [keyset = "NAME"] = names.length > 1 ? [] : names;
  const back =
    `If it began with a change of ${names.length === 0 ? "the keys" : listed(names, "or")}, roll back, unless the older key has leaked: ` +
    `${rotate(keyset, "--rollback", scope)}, then \`pulumi up\`. The older key signs again, and both go on verifying; one that is retired already has to be brought back first (\`--restore STAMP\`, out of its backup). ` +
    "Then find who still holds what is refused: a client's stored token is the usual cause.";
  return [
    {
      alert: "TokenVerificationFailuresDaily",
      // Extrapolation makes 10.02 of 10.
      expr: `round(${failed("1d")}) > ${alerts.dailyVerificationFailures}`,
      ...labelled("warning", scope),
      annotations: {
        summary: `{{ $value | humanize }} tokens were refused within a day, more than ${alerts.dailyVerificationFailures}`,
        description: `Look at token_verification_failures_total by its label \`reason\`: \`expired\` is clients that wait too long, \`signature\` and \`unknown-key\` are keys. ${back}`,
      },
    },
    {
      alert: "TokenVerificationFailureRatio",
      // Where nothing is accepted at all, the second sum is empty.
      expr: `(${failed(WINDOW)} >= ${FEWEST_FAILURES})\n/ (${failed(WINDOW)} + (${passed} or vector(0)))\n> ${alerts.verificationFailureRatio}`,
      for: "2m",
      ...labelled("critical", scope),
      annotations: {
        summary: `{{ $value | humanizePercentage }} of the tokens are refused, more than ${percent(alerts.verificationFailureRatio)}`,
        description: `Look at token_verification_failures_total by its label \`reason\` first: anyone can make tokens that are refused as \`malformed\`, \`algorithm\` or \`unknown-key\`, and where no honest client is refused no key is at fault. ${back}`,
      },
    },
  ];
}

function keyRules({ alerts, signing }: Watched, scope: Scope): Rule[] {
  if (signing.length === 0) return [];
  const live = [...new Set(signing.flatMap(({ generations }) => generations))];
  const backedUp = signing.find(({ backup }) => backup !== undefined);
  const restore = backedUp
    ? ` Where those tokens must work, bring the key back (${rotate(backedUp.name, "--restore STAMP", scope)}, then \`pulumi up\`).`
    : " Where those tokens must work and the key is not backed up, its holders need new tokens.";
  const rules: Rule[] = [
    ...signing
      .filter(({ generations }) => generations.length > 1)
      .map((one) => oldKeyRule(one, alerts.oldKeyRatio, scope)),
    {
      alert: "RetiredKeyAccepted",
      expr: `${counted("token_verifications_total", WINDOW, matchers(scope), retiredKids(signing), ["kid"])} > 0`,
      // Not shorter than the window: what was accepted up to the update, and still lies in the window after it, is no fault.
      for: WINDOW,
      ...labelled("critical", scope),
      annotations: {
        summary: "Tokens of the key `{{ $labels.kid }}` are accepted, which is no live generation any more",
        description: `Live are ${listed(live)}. A Worker still holds the old set: compare the probes of all that verify, run \`pulumi up\`, and deliver by hand to Workers outside the stack. If the key was added after these rules were made, make them again.`,
      },
    },
  ];
  if (signing.every(({ shape }) => shape === "dual")) return rules;
  const unknown = counted("token_verification_failures_total", WINDOW, matchers(scope), [is("reason", "unknown-key")]);
  const presented: Rule = {
    alert: "RetiredKeyPresented",
    expr: `round(${unknown}) > 0`,
    ...labelled("warning", scope),
    annotations: {
      summary: "{{ $value | humanize }} tokens name a key that is not live, and were refused",
      description: `Live are ${listed(live)}. After a retirement: some client or cache still holds tokens of the old key, or they are forged.${restore}`,
    },
  };
  return [...rules, presented];
}

/** What the tokens of its live keys are counted under, the current one's first. */
function kids({ shape, generations }: KeysetCredential): string[] {
  return shape === "dual" ? DUAL.slice(0, generations.length) : generations;
}

/** Matchers for keys that once were live. A Worker outside the stack may count without kids too, so `other` is judged only where config says. */
function retiredKids(signing: KeysetCredential[]): string[] {
  const shapes = signing.map(({ shape }) => shape);
  const ever = [...(shapes.includes("keyset") ? [STAMP] : []), ...(shapes.includes("dual") ? DUAL.slice(1) : [])];
  return [`kid=~"${ever.join("|")}"`, isNoneOf("kid", [...new Set(signing.flatMap(kids))])];
}

/** Right after a roll most tokens are old: it counts only once all of them must have expired. */
function oldKeyRule(credential: KeysetCredential, limit: number, scope: Scope): Rule {
  const { name, generations, maxTokenAgeMs } = credential;
  const [current = "", ...previous] = generations;
  const all = kids(credential);
  const metric = "token_verifications_total";
  const share = (some: string[]) => counted(metric, WINDOW, matchers(scope), [isOneOf("kid", some)]);
  const expired = Math.ceil(maxTokenAgeMs / MINUTE) * MINUTE + WINDOW_MS;
  return {
    alert: "OldKeyShare",
    expr: `${share(all.slice(1))}\n/ ${share(all)}\n> ${limit}`,
    for: formatDuration(expired),
    ...labelled("warning", scope, { credential: name }),
    annotations: {
      summary: `{{ $value | humanizePercentage }} of the tokens of ${name} are signed with an older key than ${current}, more than ${percent(limit)}`,
      description: `Prolong the overlap: leave ${listed(previous)} in generations of rollover:credentials.${name}. Tokens live ${formatDuration(maxTokenAgeMs)}, so somebody still signs with an older key: compare the probes of its Workers, and look for a client or a cache that hands out old tokens.`,
    },
  };
}

function apiRules({ alerts }: Watched, scope: Scope): Rule[] {
  const buckets = counted("api_request_duration_seconds_bucket", WINDOW, matchers(scope), [], ["le", "route"]);
  const limit = formatDuration(alerts.latencyP99Ms);
  return [
    {
      alert: "ApiRequestLatency",
      expr: `histogram_quantile(0.99, ${buckets}) > ${alerts.latencyP99Ms / 1000}`,
      for: "5m",
      ...labelled("warning", scope),
      annotations: {
        summary: `p99 of {{ $labels.route }} is {{ $value | humanizeDuration }}, more than ${limit}`,
        description:
          "If it began with a roll, verification may be trying several keys: tokens with a kid need one try, so look whether clients send tokens without. Otherwise look at what the route itself waits for.",
      },
    },
    {
      alert: "RateLimitExceededDaily",
      expr: `round(${counted("rate_limit_exceeded_total", "1d", matchers(scope))}) > ${alerts.dailyRateLimited}`,
      ...labelled("warning", scope),
      annotations: {
        summary: `{{ $value | humanize }} requests were over a rate limit within a day, more than ${alerts.dailyRateLimited}`,
        description:
          "Look at rate_limit_exceeded_total by its label `route`: one client that loops, or a limit under rollover:rateLimits that is too low for honest ones.",
      },
    },
  ];
}

function matchers({ job }: Scope): string[] {
  return job === undefined ? [] : [is("job", job)];
}

function labelled(severity: Severity, { stack }: Scope, more: Record<string, string> = {}): Pick<Rule, "labels"> {
  return { labels: { severity, ...(stack === undefined ? {} : { stack }), ...more } };
}

function rotate(name: string, action: string, { stack = "STACK" }: Scope): string {
  return `\`npm run rotate -- ${name} ${action} --stack ${stack}\``;
}

/** Without the tail of a binary fraction: 0.07 is 7 %. */
function percent(share: number): string {
  return `${Number((share * 100).toPrecision(12))} %`;
}
