/**
 * Counters of what a Worker verified, for the probe and for Prometheus. Copy it with worker.ts; it imports nothing.
 *
 * What it cannot do: it counts for one isolate, from its start, and a request meets any of them, so a scrape of
 * Cloudflare's edge is a sample and not a sum; on one workerd it is the sum. Cloudflare's clock stands still while code
 * computes (https://developers.cloudflare.com/workers/reference/security-model/), so durations there are times of
 * waiting. It keeps kids, routes and numbers, never a key or a token.
 */

/** Why a token was refused: a `TokenFault`. */
const REASONS = ["expired", "not-yet-valid", "signature", "malformed", "unknown-key", "algorithm"];
/** Seconds; a round's token lives 120. */
const AGES = [5, 15, 30, 60, 120];
/** Seconds. */
const DURATIONS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export interface MetricsOptions {
  /** `signedWith` tells of the last one to two turns, in ms; half a token's life is a good one. @default 60000 */
  turnMs?: number;
  /** The clock, in ms. @default Date.now */
  now?: () => number;
}

export class JwsMetrics {
  readonly #failures = new Counter("token_verification_failures_total", "Tokens refused.", "reason", REASONS);
  readonly #verifications = new Counter(
    "token_verifications_total",
    "Tokens accepted, by the key that verified.",
    "kid",
  );
  readonly #ages = new Histogram("token_age_seconds", "Age of accepted tokens.", "kid", AGES);
  readonly #limited = new Counter("rate_limit_exceeded_total", "Requests answered 429.", "route");
  readonly #durations = new Histogram("api_request_duration_seconds", "Time to an answer.", "route", DURATIONS);
  /** Tokens by kid in this turn and in the one before. */
  #turns = [new Map<string, number>(), new Map<string, number>()] as const;
  #turnBegan: number;
  readonly #turnMs: number;
  readonly #now: () => number;

  constructor({ turnMs = 60_000, now = Date.now }: MetricsOptions = {}) {
    this.#turnMs = turnMs;
    this.#now = now;
    this.#turnBegan = now();
  }

  /**
   * A token was accepted; `verify` calls it.
   *
   * @param key the kid, or where keys have none `primary` or `other`: the first key, or a later one
   * @param issuedAt the token's `iat`, in seconds
   */
  verified(key: { kid: string | undefined; isPrimary: boolean }, issuedAt: number): void {
    const label = key.kid ?? (key.isPrimary ? "primary" : "other");
    this.#verifications.add(label);
    this.#ages.add(label, Math.max(0, this.#now() / 1000 - issuedAt));
    if (key.kid === undefined) return;
    this.#turn();
    const [current] = this.#turns;
    current.set(key.kid, (current.get(key.kid) ?? 0) + 1);
  }

  /** A token was refused; `verify` calls it. */
  failed(reason: string): void {
    this.#failures.add(reason);
  }

  /** A request was answered 429. @param route few and fixed: `POST /v1/rounds/start` */
  rateLimited(route: string): void {
    this.#limited.add(route);
  }

  /** @param route few and fixed, not a path that anybody may make up: each has counters for ever */
  requestTook(route: string, milliseconds: number): void {
    this.#durations.add(route, milliseconds / 1000);
  }

  /**
   * Of the tokens accepted within the last one to two turns (minutes), the share (0 to 1) that each kid made: what the probe
   * reports, so that a key in use is not dropped. `{}` where there were none, and always for keys without a kid.
   */
  signedWith(): Record<string, number> {
    this.#turn();
    const counts = new Map<string, number>();
    for (const turn of this.#turns) for (const [kid, count] of turn) counts.set(kid, (counts.get(kid) ?? 0) + count);
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    return Object.fromEntries([...counts].map(([kid, count]) => [kid, count / total]));
  }

  /** Text for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4) */
  prometheus(): string {
    const all = [this.#failures, this.#verifications, this.#ages, this.#limited, this.#durations];
    return `${all.flatMap((metric) => metric.lines()).join("\n")}\n`;
  }

  #turn(): void {
    const passed = this.#now() - this.#turnBegan;
    if (passed < this.#turnMs) return;
    this.#turns = [new Map<string, number>(), passed < 2 * this.#turnMs ? this.#turns[0] : new Map<string, number>()];
    // By whole turns, so that a late look does not lengthen the next one.
    this.#turnBegan += passed - (passed % this.#turnMs);
  }
}

class Counter {
  readonly #counts = new Map<string, number>();

  /** @param known values of the label that are shown from the start: an increase from nothing is none to Prometheus */
  constructor(
    readonly name: string,
    readonly help: string,
    readonly label: string,
    known: readonly string[] = [],
  ) {
    for (const value of known) this.#counts.set(value, 0);
  }

  add(value: string): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + 1);
  }

  lines(): string[] {
    const samples = [...this.#counts].map(([value, count]) => `${this.name}{${quote(this.label, value)}} ${count}`);
    return [`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} counter`, ...samples];
  }
}

class Histogram {
  /** For each value of the label how many lay in each bucket, the last one being without a bound, and their sum. */
  readonly #series = new Map<string, { counts: number[]; sum: number }>();

  constructor(
    readonly name: string,
    readonly help: string,
    readonly label: string,
    readonly bounds: readonly number[],
  ) {}

  add(value: string, amount: number): void {
    const series = this.#series.get(value) ?? { counts: [...this.bounds.map(() => 0), 0], sum: 0 };
    this.#series.set(value, series);
    const found = this.bounds.findIndex((bound) => amount <= bound);
    const bucket = found === -1 ? this.bounds.length : found;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += amount;
  }

  lines(): string[] {
    const lines = [`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} histogram`];
    for (const [value, { counts, sum }] of this.#series) {
      const label = quote(this.label, value);
      let below = 0;
      counts.forEach((count, index) => {
        below += count;
        lines.push(`${this.name}_bucket{${label},le="${this.bounds[index] ?? "+Inf"}"} ${below}`);
      });
      lines.push(`${this.name}_sum{${label}} ${sum}`, `${this.name}_count{${label}} ${below}`);
    }
    return lines;
  }
}

function quote(label: string, value: string): string {
  return `${label}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
}
