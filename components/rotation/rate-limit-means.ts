/**
 * What each means of limiting rates can express, and the nearest form of a rate that it cannot. Bindings:
 * https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/ . Rulesets, by plan of the zone:
 * https://developers.cloudflare.com/waf/rate-limiting-rules/#availability
 */
import { formatDuration } from "./duration";
import type { RulesetLimits } from "./model";

export interface Means {
  /** For messages: "a binding", "a ruleset on plan pro". */
  name: string;
  /** The periods that it counts in, ascending. */
  periodsMs: readonly number[];
  /** How many limits it holds. */
  limits: number;
  /** Whether it can tell one method from another. */
  methods: boolean;
  /** Whether it can count by a token. */
  tokens: boolean;
}

/** Requests in one period. */
export interface Rate {
  limit: number;
  periodMs: number;
}

type Plan = RulesetLimits["plan"];

export const MOST_REQUESTS = 1_000_000;

/** Every binding takes one of the 128 names that a Worker may have. */
export const BINDING: Means = {
  name: "a binding",
  periodsMs: [10_000, 60_000],
  limits: 50,
  methods: true,
  tokens: true,
};

/** The vendor's pages name two lists of periods; these stand in both. On plan enterprise the contract may hold fewer rules. */
const PLANS: Record<Plan, Omit<Means, "name">> = {
  free: { periodsMs: seconds(10), limits: 1, methods: false, tokens: false },
  pro: { periodsMs: seconds(10, 60), limits: 2, methods: false, tokens: false },
  business: { periodsMs: seconds(10, 60, 120, 300, 600), limits: 5, methods: true, tokens: false },
  enterprise: { periodsMs: seconds(10, 60, 120, 300, 600, 3600), limits: 100, methods: true, tokens: false },
  advanced: { periodsMs: seconds(10, 60, 120, 300, 600, 3600), limits: 100, methods: true, tokens: true },
};

export const PLAN_NAMES = Object.keys(PLANS) as Plan[];

export function rulesetOn(plan: Plan): Means {
  return { name: `a ruleset on plan ${plan}`, ...PLANS[plan] };
}

/**
 * The rate that comes nearest to a wanted one: the same on average where there is one in whole requests, else the next one
 * below it, else one request in the longest period.
 */
export function nearestRate(wanted: Rate, means: Means): Rate & { sameOnAverage: boolean } {
  const forms = means.periodsMs
    .map((periodMs) => ({ periodMs, limit: (wanted.limit * periodMs) / wanted.periodMs }))
    .sort((a, b) => distance(a.periodMs, wanted.periodMs) - distance(b.periodMs, wanted.periodMs));
  const exact = forms.find(({ limit }) => Number.isInteger(limit) && limit >= 1 && limit <= MOST_REQUESTS);
  if (exact) return { ...exact, sameOnAverage: true };
  const below = forms.find(({ limit }) => limit >= 1);
  const limit = Math.min(MOST_REQUESTS, Math.floor(below?.limit ?? 1));
  return { periodMs: below?.periodMs ?? Math.max(...means.periodsMs), limit, sameOnAverage: false };
}

/** `10 in 10s` */
export function formatRate({ limit, periodMs }: Rate): string {
  return `${limit} in ${formatDuration(periodMs)}`;
}

function distance(a: number, b: number): number {
  return Math.abs(Math.log(a / b));
}

function seconds(...list: number[]): number[] {
  return list.map((each) => each * 1000);
}
