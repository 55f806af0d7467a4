/** The seed's four limits, and the config that has them. */
import { parseStack } from "../../components/rotation/config";
import type { RateLimits } from "../../components/rotation/model";
import { ConfigError } from "../../components/rotation/problem";
import { changed, type Change } from "./config-fixture";

export const CODE = { file: "dist/worker.mjs", compatibilityDate: "2026-07-01", compatibilityFlags: ["nodejs_compat"] };
export const START = { route: "POST /v1/rounds/start", limit: 10, period: "10s", per: "client" };
export const NEXT = { route: "POST /v1/rounds/next", limit: 10, period: "60s", per: "token" };
export const METRICS = { route: "POST /v1/metrics", limit: 100, period: "60s", per: "client" };
export const MANIFEST = { route: "GET /v1/manifest", limit: 1, period: "60s", per: "client" };
export const SEED = { start: START, next: NEXT, metrics: METRICS, manifest: MANIFEST };
export const BY_CLIENT = { start: START, metrics: METRICS, manifest: MANIFEST };
export const ROUNDS = { means: "binding", worker: "rounds-api", routes: SEED };
export const EDGE = { means: "ruleset", zone: "0123456789abcdef0123456789abcdef", host: "api.example.com" };

/** Limits beside a Worker `rounds-api` with code and one `pages` without. */
export function withLimits(rateLimits: unknown, code: object = CODE): Change {
  return { set: { rateLimits, "workers/rounds-api/code": code } };
}

export function limitsOf(rateLimits: unknown): RateLimits[] {
  return parseStack(changed(withLimits(rateLimits))).rateLimits;
}

/** What is said, without the first line. */
export function refusal(rateLimits: unknown, code: object = CODE): string[] {
  try {
    parseStack(changed(withLimits(rateLimits, code)));
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n").slice(1);
    throw error;
  }
  return [];
}
