/** Parses `rollover:alerts`: when the rules that `npm run alerts` prints are to fire. Left out, the defaults hold. */
import type { Alerts } from "./model";
import type { Problem } from "./problem";
import { Fields, isSet, webhookInPlainText } from "./read";
import { parseShare } from "./keyset";

const MOST = 1_000_000_000;

export function parseAlerts(raw: unknown, problems: Problem[]): Alerts {
  const fields = new Fields("rollover:alerts", isSet(raw) ? raw : {}, problems);
  fields.onlyKnown(
    ["dailyVerificationFailures", "verificationFailureRatio", "oldKeyRatio", "latencyP99", "dailyRateLimited"],
    (key) => (/webhook|url/i.test(key) ? webhookInPlainText() : undefined),
  );
  return {
    dailyVerificationFailures: fields.integer("dailyVerificationFailures", 0, MOST, 10),
    verificationFailureRatio: parseShare(fields, "verificationFailureRatio", 0.01),
    oldKeyRatio: parseShare(fields, "oldKeyRatio", 0.2),
    // From the first bucket of components/jws/metrics.ts, within which nothing can be told apart, to below the last but one: what
    // lies in the last has no bound.
    latencyP99Ms: fields.duration("latencyP99", 5, 2000, 500),
    dailyRateLimited: fields.integer("dailyRateLimited", 0, MOST, 100),
  };
}
