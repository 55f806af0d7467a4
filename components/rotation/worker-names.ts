/**
 * The names that a Worker's code is given, where this stack deploys it: a secret and a variable cannot share one (Cloudflare
 * answers 10053), and an upload would put the one in the place of the other.
 */
import type { PlacedCredential } from "./credential";
import type { BindingLimits, RateLimits, Worker } from "./model";
import { show, type Problem } from "./problem";
import { bindingName } from "./rate-limits";
import { segment } from "./read";
import { namesOf } from "./rules";

/** https://developers.cloudflare.com/workers/platform/limits/#environment-variables ; 64 on the free plan. */
const NAMES = 128;
/** ROLLOVER_GENERATIONS and ROLLOVER_PROBE_TOKEN. */
const OWN_SECRETS = 2;

export function workerNameRules(
  placed: PlacedCredential[],
  workers: Worker[],
  limits: RateLimits[],
  refuse: (problem: Problem) => void,
): void {
  for (const worker of workers.filter(({ code }) => code !== undefined)) {
    const taken = plainNamesOf(worker, limits);
    const secrets = placed.flatMap(({ deliveries }) =>
      deliveries
        .filter(({ delivery }) => delivery.worker === worker.name)
        .flatMap(({ where, delivery }) => namesOf(delivery).map(([key, name]) => ({ where: `${where}.${key}`, name })))
        .filter(({ name }) => name !== ""),
    );
    for (const { where, name } of secrets) {
      const by = taken.get(name);
      if (by === undefined) continue;
      const allowed = "a name that is neither a variable nor a rate limit of that Worker";
      refuse({ where, what: `is taken already, by ${by}`, value: show(name), allowed, fix: "rename one of the two" });
    }
    const count = taken.size + new Set(secrets.map(({ name }) => name)).size + OWN_SECRETS;
    if (count <= NAMES) continue;
    const what = `would have ${count} variables, rate limits and secrets, some of them Rollover's own`;
    const allowed = `at most ${NAMES}, and 64 on Cloudflare's free plan`;
    refuse({
      where: `rollover:workers.${segment(worker.name)}`,
      what,
      allowed,
      fix: "remove some, or split the Worker",
    });
  }
}

/** What takes each name that is no secret, by its place in config. */
function plainNamesOf({ name, code }: Worker, limits: RateLimits[]): Map<string, string> {
  const own = limits.filter((set): set is BindingLimits => set.means === "binding" && set.worker === name);
  return new Map([
    ...Object.keys(code?.vars ?? {}).map((key): [string, string] => [
      key,
      `rollover:workers.${segment(name)}.code.vars.${segment(key)}`,
    ]),
    ...own.flatMap((set): [string, string][] => {
      const where = `rollover:rateLimits.${segment(set.name)}`;
      const routes = set.routes.map((route): [string, string] => [
        bindingName(route.name),
        `${where}.routes.${segment(route.name)}`,
      ]);
      return [["ROLLOVER_RATE_LIMITS", where], ...routes];
    }),
  ]);
}
