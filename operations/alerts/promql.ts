/** The few forms of PromQL that the rules are made of: https://prometheus.io/docs/prometheus/latest/querying/basics/ */

/**
 * What the counters of a metric have counted within `window`, over all Workers' isolates. `increase` alone leaves out the
 * first sample of each series, and an isolate's whole life may lie between two scrapes: of a series that was not there
 * in the hour before the window, its highest value counts. Not so where Prometheus reached, in that hour, none of the
 * addresses, or not this series' own: a counter that it meets for the first time, or again, has counted long before.
 *
 * @param all Matchers of everything that is scraped from the Workers.
 * @param more Further matchers of this metric.
 * @param by Labels to keep.
 */
export function counted(metric: string, window: string, all: string[], more: string[] = [], by: string[] = []): string {
  const series = selector(metric, [...all, ...more]);
  const before = `[1h] offset ${window}`;
  // `up` is 0 where a scrape failed. Counters summed elsewhere may bear an isolate's instance, which has no `up`.
  const reached = `max_over_time(${selector("up", all)}${before})`;
  return [
    by.length === 0 ? "sum(" : `sum by (${by.join(", ")}) (`,
    `  (max_over_time(${series}[${window}])`,
    `    unless last_over_time(${series}${before})`,
    `    unless on(job, instance) (${reached} == 0)`,
    `    and on() (${reached} == 1))`,
    `  or increase(${series}[${window}])`,
    ")",
  ].join("\n");
}

function selector(metric: string, matchers: string[]): string {
  return matchers.length === 0 ? metric : `${metric}{${matchers.join(",")}}`;
}

/** A matcher: `label="value"`. */
export function is(label: string, value: string): string {
  return `${label}=${JSON.stringify(value)}`;
}

/** A matcher for one of several values, none of them a pattern. */
export function isOneOf(label: string, values: readonly string[]): string {
  return `${label}=~${anyOf(values)}`;
}

export function isNoneOf(label: string, values: readonly string[]): string {
  return `${label}!~${anyOf(values)}`;
}

/** Prometheus anchors a pattern at both ends. */
function anyOf(values: readonly string[]): string {
  return JSON.stringify(values.map((value) => value.replace(/[^A-Za-z0-9_-]/g, "\\$&")).join("|"));
}
