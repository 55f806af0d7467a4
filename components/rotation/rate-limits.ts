/**
 * Parses `rollover:rateLimits`. What its means cannot express is refused, with the nearest form that it can: nothing is
 * rounded in silence.
 */
import { formatDuration } from "./duration";
import type { BindingLimits, RateLimit, RateLimits, RulesetLimits, Worker } from "./model";
import { closest, listed, show, type Problem } from "./problem";
import { BINDING, formatRate, type Means, MOST_REQUESTS, nearestRate, PLAN_NAMES, rulesetOn } from "./rate-limit-means";
import { type Entry, entries, Fields, isSet, NAME, segment, type TextRule } from "./read";
import { VALUE_BYTES } from "./url";

const WHERE = "rollover:rateLimits";
const DAY = 86_400_000;

const ZONE: TextRule = {
  pattern: /^[0-9a-f]{32}$/,
  allowed: "the zone's 32 hexadecimal digits, in quotes, as on its overview in the dashboard",
};
const HOST: TextRule = {
  pattern: /^(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$/,
  allowed: "a host name in lower case, without scheme and port: api.example.com",
};
/** The path's characters need no escape in a ruleset's expression; `/./` and `/../` never reach a Worker. */
const ROUTE: TextRule = {
  pattern: /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|\*) (?!.*\/\.{1,2}(?:\/|$))\/[A-Za-z0-9._~/-]{0,255}$/,
  allowed: "a method, or * for every one, a space and a whole path without query: POST /v1/rounds/start",
};

export function parseRateLimits(raw: unknown, problems: Problem[]): RateLimits[] {
  return entries(WHERE, raw, problems).flatMap((entry) => parseSet(entry, problems) ?? []);
}

/** The name of the Worker's binding that counts a route. */
export function bindingName(route: string): string {
  return `RATE_LIMIT_${route.toUpperCase().replaceAll("-", "_")}`;
}

/** ROLLOVER_RATE_LIMITS: what components/cloudflare/rate-limit.ts reads. By name, so that reordering the config file deploys nothing. */
export function limitsText(routes: readonly RateLimit[]): string {
  const limits = [...routes]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, method, path, per, periodMs }) => ({
      route: `${method} ${path}`,
      binding: bindingName(name),
      per,
      periodSeconds: periodMs / 1000,
    }));
  return JSON.stringify(limits);
}

/** What takes a Worker or another set to see. */
export function rateLimitRules(limits: RateLimits[], workers: Worker[], refuse: (problem: Problem) => void): void {
  const bindings = limits.filter((set) => set.means === "binding");
  for (const set of bindings) {
    knownWorker(set, workers, refuse);
    textLength(set, refuse);
  }
  oneEach(
    bindings.map(({ name, worker }) => ({ name, key: "worker", value: worker })),
    "has limits already",
    "put all routes of that Worker into one entry",
    refuse,
  );
  oneEach(
    limits.flatMap((set) => (set.means === "ruleset" ? [{ name: set.name, key: "zone", value: set.zone }] : [])),
    "has a ruleset already, and Cloudflare takes one a zone",
    "put all routes of that zone into one entry",
    refuse,
  );
}

/** The list is a variable of the Worker, which has as much room as a secret. */
function textLength({ name, routes }: BindingLimits, refuse: (problem: Problem) => void): void {
  const bytes = Buffer.byteLength(limitsText(routes));
  if (bytes <= VALUE_BYTES) return;
  refuse({
    where: `${WHERE}.${segment(name)}.routes`,
    what: `gives a ROLLOVER_RATE_LIMITS of ${bytes} bytes`,
    allowed: `at most ${VALUE_BYTES} bytes (5 KB), which is what a Worker's variable may have`,
    fix: "limit fewer routes there; the others by a ruleset, or by another Worker",
  });
}

function knownWorker({ name, worker, routes }: BindingLimits, workers: Worker[], refuse: (problem: Problem) => void) {
  if (worker === "") return;
  const where = `${WHERE}.${segment(name)}.worker`;
  const names = workers.map((each) => each.name);
  const found = workers.find((each) => each.name === worker);
  if (!found) {
    const guess = closest(worker, names);
    const fix = guess === undefined ? "declare it under rollover:workers" : `write \`${guess}\` if that is meant`;
    refuse({ where, what: "is no declared Worker", value: show(worker), allowed: listed(names, "or"), fix });
  } else if (!found.code) {
    refuse({
      where,
      what: "is a Worker whose script is deployed elsewhere, so that this stack cannot give it bindings",
      value: show(worker),
      allowed: "a Worker with `code`",
      fix: `add rollover:workers.${segment(worker)}.code, or count by \`means: ruleset\``,
    });
  } else {
    const taken = routes
      .map((route) => bindingName(route.name))
      .find((binding) => found.code?.vars[binding] !== undefined);
    if (taken === undefined) return;
    const what = `is also the name of a route's binding in ${WHERE}.${segment(name)}`;
    refuse({ where: `rollover:workers.${segment(worker)}.code.vars.${taken}`, what, fix: "rename the variable" });
  }
}

function oneEach(
  claims: { name: string; key: string; value: string }[],
  what: string,
  fix: string,
  refuse: (problem: Problem) => void,
): void {
  claims.forEach(({ name, key, value }, index) => {
    const first = claims.slice(0, index).find((claim) => claim.value === value && value !== "");
    if (!first) return;
    const where = `${WHERE}.${segment(name)}.${key}`;
    refuse({ where, what: `${what}: ${WHERE}.${segment(first.name)}`, value: show(value), fix });
  });
}

function parseSet({ name, where, value }: Entry, problems: Problem[]): RateLimits | undefined {
  const fields = new Fields(where, value, problems);
  const means = fields.oneOf("means", ["binding", "ruleset"]);
  if (means === "ruleset") return parseRuleset(name, fields);
  fields.onlyKnown(["means", "worker", "routes", ...(means === undefined ? ["zone", "host", "plan"] : [])]);
  if (means === undefined) return undefined;
  const routes = parseRoutes(fields, BINDING);
  routes.forEach((route, index) => {
    const binding = bindingName(route.name);
    const first = routes.slice(0, index).find((other) => bindingName(other.name) === binding);
    if (!first) return;
    const what = `gives the binding ${binding}, as ${first.name} does`;
    fields.refuse(`routes.${segment(route.name)}`, { what, fix: "rename one of the two" });
  });
  return { name, means, worker: fields.text("worker", NAME), routes };
}

function parseRuleset(name: string, fields: Fields): RulesetLimits {
  fields.onlyKnown(["means", "zone", "host", "plan", "routes"]);
  // A plan that is not known is a problem already, and the widest one makes no more of them.
  const plan = fields.oneOf("plan", PLAN_NAMES) ?? "advanced";
  if (plan === "free" && fields.has("host")) {
    const what = "cannot be matched on plan free, whose rules see the path alone";
    fields.refuse("host", {
      what,
      allowed: "nothing",
      fix: "remove it: the limit then counts on every host of the zone",
    });
  }
  const host = plan === "free" ? "" : fields.text("host", HOST);
  return {
    name,
    means: "ruleset",
    zone: fields.text("zone", ZONE),
    host,
    plan,
    routes: parseRoutes(fields, rulesetOn(plan)),
  };
}

function parseRoutes(fields: Fields, means: Means): RateLimit[] {
  if (!isSet(fields.get("routes"))) {
    fields.refuse("routes", { what: "is missing", allowed: "a mapping of names to limits", fix: "add it" });
    return [];
  }
  const found = entries(fields.path("routes"), fields.get("routes"), fields.problems);
  if (found.length > means.limits) {
    const fix = means === BINDING ? "remove some" : "remove some, choose the plan that the zone has, or use bindings";
    const allowed = `at most ${means.limits}, which is what ${means.name} can hold`;
    fields.refuse("routes", { what: `has ${found.length} limits`, allowed, fix });
  }
  const routes = found.map(({ name, where, value }) =>
    parseRoute(name, new Fields(where, value, fields.problems), means),
  );
  samePaths(routes, fields);
  return routes;
}

function parseRoute(name: string, fields: Fields, means: Means): RateLimit {
  fields.onlyKnown(["route", "limit", "period", "per"]);
  const [method = "", path = ""] = fields.text("route", ROUTE).split(" ");
  if (method !== "" && method !== "*" && !means.methods) {
    const what = `names a method, which ${means.name} cannot match`;
    const fix = `write "* ${path}": every method then counts`;
    fields.refuse("route", { what, value: show(`${method} ${path}`), allowed: "* in place of the method", fix });
  }
  const per = fields.oneOf("per", ["client", "token"]) ?? "client";
  if (per === "token" && !means.tokens) {
    const what = `cannot be counted by ${means.name}`;
    const fix = "write client, or count this route by a binding";
    fields.refuse("per", { what, value: show(per), allowed: "client; token by a binding or on plan advanced", fix });
  }
  return { name, method, path, per, ...parseRate(fields, means) };
}

function parseRate(fields: Fields, means: Means): { limit: number; periodMs: number } {
  const [least, most] = [1000, 365 * DAY];
  const periods = listed(means.periodsMs.map(formatDuration), "or");
  for (const [key, allowed] of [
    ["limit", `a whole number from 1 to ${MOST_REQUESTS}`],
    ["period", periods],
  ] as const)
    if (!fields.has(key)) fields.refuse(key, { what: "is missing", allowed, fix: "add it" });
  const rate = {
    limit: fields.integer("limit", 1, MOST_REQUESTS, 0),
    periodMs: fields.duration("period", least, most, 0),
  };
  if (rate.periodMs === 0 || means.periodsMs.includes(rate.periodMs)) return rate;
  const what = `is no period that ${means.name} counts in`;
  const fix = rate.limit === 0 ? "write one of these" : nearestForm(rate, means);
  fields.refuse("period", { what, value: show(fields.get("period")), allowed: periods, fix });
  return rate;
}

function nearestForm(rate: { limit: number; periodMs: number }, means: Means): string {
  const { limit, periodMs, sameOnAverage } = nearestRate(rate, means);
  const form = `write \`limit: ${limit}, period: ${formatDuration(periodMs)}\``;
  if (!sameOnAverage) return `${form}, the nearest that it can count to ${formatRate(rate)}`;
  if (periodMs > rate.periodMs) return `${form}, the same on average: bursts of ${limit} are then allowed`;
  return `${form}, the same on average: no burst of more than ${limit} is then allowed`;
}

/** A Worker's request is counted once, so of two limits that both match the second would never be asked. */
function samePaths(routes: RateLimit[], fields: Fields): void {
  routes.forEach((route, index) => {
    const { method, path } = route;
    const first = routes
      .slice(0, index)
      .find(
        (other) =>
          path !== "" && other.path === path && (other.method === method || [method, other.method].includes("*")),
      );
    if (!first) return;
    const what = `matches requests that ${fields.path(`routes.${segment(first.name)}`)} limits already`;
    const value = show(`${method} ${path}`);
    fields.refuse(`routes.${segment(route.name)}.route`, { what, value, fix: "write one limit a route" });
  });
}
