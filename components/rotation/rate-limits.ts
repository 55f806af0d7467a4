/** Parses `rollover:rateLimits`. */
import type { RateLimits, Worker } from "./model";
import type { Problem } from "./problem";
import { entries } from "./read";

export function parseRateLimits(raw: unknown, problems: Problem[]): RateLimits[] {
  entries("rollover:rateLimits", raw, problems);
  return [];
}

export function rateLimitRules(limits: RateLimits[], workers: Worker[], refuse: (problem: Problem) => void): void {
  void limits;
  void workers;
  void refuse;
}
