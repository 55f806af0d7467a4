/**
 * The rulesets of one zone, kept and given back, in phase `http_ratelimit`: https://developers.cloudflare.com/ruleset-engine/rulesets-api/
 * They limit nothing here. Code 20217 is the vendor's (facts/cloudflare.md 4); the others could not be checked against it.
 */
import { randomBytes } from "node:crypto";
import { parseObject, Refusal } from "./refusal";

export interface Ruleset {
  id: string;
  version: string;
  last_updated: string;
  name: string;
  kind: string;
  phase: string;
  rules: Record<string, unknown>[];
}

/** By id. */
export type Rulesets = Map<string, Ruleset>;

const PERIODS = [10, 60, 120, 300, 600, 3600];
const hex = (): string => randomBytes(16).toString("hex");

/** `id` is what follows `/rulesets/`. */
export function answerRulesets(rulesets: Rulesets, method: string, id: string | undefined, body: string): unknown {
  if (id === undefined && method === "POST") return create(rulesets, body);
  if (id === undefined && method === "GET")
    return [...rulesets.values()].map((ruleset) => ({ ...ruleset, rules: undefined }));
  const found = rulesets.get(id ?? "");
  if (!found) throw new Refusal(404, 10001, "could not find ruleset");
  if (method === "GET") return found;
  if (method === "PUT") return replace(rulesets, found, body);
  if (method !== "DELETE") throw new Refusal(405, 10405, "Method not allowed for this authentication scheme");
  rulesets.delete(found.id);
  return null;
}

function create(rulesets: Rulesets, body: string): Ruleset {
  const { name, kind, phase, rules } = parseObject(body);
  if (typeof name !== "string" || kind !== "zone" || phase !== "http_ratelimit")
    throw new Refusal(400, 20001, "name, kind zone and phase http_ratelimit are what the local cloud takes");
  if ([...rulesets.values()].some((other) => other.phase === phase))
    throw new Refusal(400, 20217, `exceeded maximum number of zone rulesets for phase ${phase}`);
  const ruleset = { id: hex(), version: "1", last_updated: now(), name, kind, phase, rules: rulesOf(rules, []) };
  rulesets.set(ruleset.id, ruleset);
  return ruleset;
}

function replace(rulesets: Rulesets, old: Ruleset, body: string): Ruleset {
  const { name = old.name, rules } = parseObject(body);
  if (typeof name !== "string") throw new Refusal(400, 20001, "name must be a text");
  const version = String(Number(old.version) + 1);
  const ruleset = { ...old, name, version, last_updated: now(), rules: rulesOf(rules, old.rules) };
  rulesets.set(old.id, ruleset);
  return ruleset;
}

/** A rule keeps its id over changes by its ref. */
function rulesOf(rules: unknown, olds: Ruleset["rules"]): Ruleset["rules"] {
  return ((rules ?? []) as Record<string, unknown>[]).map((rule) => {
    check(rule);
    const id = olds.find((old) => old["ref"] !== undefined && old["ref"] === rule["ref"])?.["id"] ?? hex();
    return { enabled: true, ref: id, ...rule, id, version: "1", last_updated: now() };
  });
}

function check({ action, expression, ratelimit, action_parameters }: Record<string, unknown>): void {
  const limit = (ratelimit ?? {}) as Record<string, unknown>;
  const { response } = (action_parameters ?? {}) as { response?: { status_code?: unknown } };
  const status = response?.status_code ?? 429;
  if (action !== "block" || typeof expression !== "string" || expression === "")
    throw new Refusal(400, 20015, "a rule needs an expression, and action block");
  if (!((limit["characteristics"] ?? []) as unknown[]).includes("cf.colo.id"))
    throw new Refusal(400, 20118, "cf.colo.id must be one of the characteristics");
  if (!PERIODS.includes(limit["period"] as number))
    throw new Refusal(400, 20120, `period must be one of ${PERIODS.join(", ")}`);
  if (!((limit["requests_per_period"] as number) >= 1))
    throw new Refusal(400, 20121, "requests_per_period must be 1 or more");
  if (![0, ...PERIODS, 86400].includes(limit["mitigation_timeout"] as number))
    throw new Refusal(400, 20122, "mitigation_timeout is not available");
  if (typeof status !== "number" || status < 400 || status > 499)
    throw new Refusal(400, 20123, "status_code must be from 400 to 499");
}

function now(): string {
  return new Date().toISOString();
}
