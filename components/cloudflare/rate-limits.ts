import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { RateLimit, RulesetLimits } from "../rotation/model";

export interface RateLimitsArgs {
  limits: RulesetLimits;
  provider: cloudflare.Provider;
}

/**
 * The rate limits of one API, as the one ruleset of its zone in phase `http_ratelimit`: they count before the Worker is
 * reached.
 *
 * It cannot limit a Worker at `*.workers.dev`, share a zone with rules that are made elsewhere (Cloudflare refuses a second
 * ruleset: import the one that is there, or use bindings), count over several locations of the edge, or set Retry-After. It
 * counts in periods of 10 s and 60 s, on plan business to 10 min and above that to 1 h; a client over its limit is refused
 * for one whole period from then on, not to the end of the one it is in. Plan free matches the path alone, on every host,
 * and answers with Cloudflare's own page; pro matches no method; a limit by token needs Advanced Rate Limiting, counts by
 * the whole header `authorization`, and does not count requests without one. If an update dies while the ruleset is made,
 * Cloudflare may have one that state does not know, and refuses the next update (20217): `pulumi import` it.
 *
 * ```yaml
 * rollover:rateLimits:
 *   edge:
 *     means: ruleset
 *     zone: 0123456789abcdef0123456789abcdef
 *     host: api.example.com
 *     plan: business
 *     routes:
 *       start: { route: POST /v1/rounds/start, limit: 10, period: 10s, per: client }
 * ```
 */
export class RateLimits extends pulumi.ComponentResource {
  readonly rulesetId: pulumi.Output<string>;

  constructor(name: string, args: RateLimitsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:cloudflare:RateLimits", name, {}, opts);
    const { limits, provider } = args;
    const ruleset = new cloudflare.Ruleset(
      name,
      {
        zoneId: limits.zone,
        name: `rollover ${name}`,
        kind: "zone",
        phase: "http_ratelimit",
        // Sorted, so that reordering the config file changes nothing.
        rules: [...limits.routes].sort((a, b) => (a.name < b.name ? -1 : 1)).map((route) => ruleOf(route, limits)),
      },
      { parent: this, provider },
    );
    this.rulesetId = ruleset.id;
    this.registerOutputs({ rulesetId: this.rulesetId });
  }
}

/** https://developers.cloudflare.com/waf/rate-limiting-rules/parameters/ */
function ruleOf(route: RateLimit, { host, plan }: RulesetLimits): cloudflare.types.input.RulesetRule {
  const period = route.periodMs / 1000;
  const expression = expressionOf(route, host);
  const authorization = `http.request.headers["authorization"]`;
  const response = { statusCode: 429, contentType: "application/json", content: `{"error":"rate_limited"}` };
  return {
    // Keeps the rule's id, and with it its counters, over changes of the others.
    ref: route.name,
    description: `${route.method} ${route.path}: ${route.limit} in ${period} s per ${route.per}`,
    enabled: true,
    expression,
    action: "block",
    // Plan free is left with the default answer: whether it may have another is not documented.
    ...(plan === "free" ? {} : { actionParameters: { response } }),
    ratelimit: {
      characteristics: ["cf.colo.id", route.per === "client" ? "ip.src" : authorization],
      ...(route.per === "token" && { countingExpression: `${expression} and len(${authorization}) > 0` }),
      period,
      requestsPerPeriod: route.limit,
      mitigationTimeout: period,
    },
  };
}

/** Config allows no character in host, path or method that would need an escape. */
function expressionOf({ method, path }: RateLimit, host: string): string {
  const parts = [
    ...(host === "" ? [] : [`http.host eq "${host}"`]),
    `http.request.uri.path eq "${path}"`,
    ...(method === "*" ? [] : [`http.request.method eq "${method}"`]),
  ];
  return parts.join(" and ");
}
