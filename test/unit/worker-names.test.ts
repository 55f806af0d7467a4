// Proves that a name of a Worker whose code this stack deploys is given once, and that there are at most 128. Does not prove
// that parseStack asks this rule, nor that Cloudflare refuses the same.
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import type { PlacedCredential } from "../../components/rotation/credential";
import { describe as describeProblem } from "../../components/rotation/problem";
import { workerNameRules } from "../../components/rotation/worker-names";
import { changed } from "./config-fixture";
import { CODE, ROUNDS, withLimits } from "./rate-limits-fixture";

describe("a Worker's names", () => {
  const workers = () => parseStack(changed(withLimits({ rounds: ROUNDS }, { ...CODE, vars: { REGION: "eu" } })));
  const placed = (names: string[]): PlacedCredential[] => [
    {
      ...{ name: "key", where: "rollover:credentials.key", credential: undefined },
      deliveries: names.map((as, index) => ({
        where: `rollover:credentials.key.deliver[${index}]`,
        delivery: { worker: "rounds-api", as },
      })),
    },
  ];
  const problemsOf = (names: string[]): string[] => {
    const model = workers();
    const found: string[] = [];
    workerNameRules(placed(names), model.workers, model.rateLimits, (problem) => found.push(describeProblem(problem)));
    return found;
  };

  it("are each a secret, a variable or a rate limit", () => {
    expect(problemsOf(["JWT_SECRET", "OTHER"])).toEqual([]);
    const taken = (index: number, by: string, name: string) =>
      [
        `rollover:credentials.key.deliver[${index}].as`,
        `  is taken already, by ${by}: "${name}"`,
        "  allowed: a name that is neither a variable nor a rate limit of that Worker",
        "  do: rename one of the two",
      ].join("\n");
    expect(problemsOf(["REGION", "RATE_LIMIT_START", "ROLLOVER_RATE_LIMITS"])).toEqual([
      taken(0, "rollover:workers.rounds-api.code.vars.REGION", "REGION"),
      taken(1, "rollover:rateLimits.rounds.routes.start", "RATE_LIMIT_START"),
      taken(2, "rollover:rateLimits.rounds", "ROLLOVER_RATE_LIMITS"),
    ]);
  });

  it("are 128 at most: here a variable, five of the limits and two of Rollover's own are among them", () => {
    const secrets = (count: number) => Array.from({ length: count }, (_, index) => `SECRET_${index}`);
    expect(problemsOf(secrets(120))).toEqual([]);
    expect(problemsOf(secrets(121))).toEqual([
      [
        "rollover:workers.rounds-api",
        "  would have 129 variables, rate limits and secrets, some of them Rollover's own",
        "  allowed: at most 128, and 64 on Cloudflare's free plan",
        "  do: remove some, or split the Worker",
      ].join("\n"),
    ]);
  });
});
