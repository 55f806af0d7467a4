/** Parses `rollover:policy`, and says what it means for one credential. Pure: the day is the caller's. */
import type { PlacedCredential } from "./credential";
import { DURATION_ALLOWED, formatDuration } from "./duration";
import type { Credential, Freeze, MaxAgeKey, Policy, Worker } from "./model";
import { show, type Problem } from "./problem";
import { Fields } from "./read";
import { REASON } from "./operating";

const DAY = 86_400_000;
const KEYS: readonly MaxAgeKey[] = ["default", "random", "postgres", "turso", "signingKeys", "encryptionKeys"];
const OF_KIND: Record<Credential["kind"], MaxAgeKey> = {
  random: "random",
  postgres: "postgres",
  turso: "turso",
  "signing-keyset": "signingKeys",
  "encryption-keyset": "encryptionKeys",
};

export function parsePolicy(raw: unknown, problems: Problem[]): Policy {
  const fields = new Fields("rollover:policy", raw, problems);
  fields.onlyKnown(["maxAge", "warnBefore", "overlap", "enforce", "freeze"]);
  const ages = new Fields(fields.path("maxAge"), fields.get("maxAge") ?? {}, problems);
  ages.onlyKnown(KEYS);
  const given = KEYS.filter((key) => ages.has(key));
  if (given.length === 0) {
    const fix = "add `maxAge: { default: 90d }`";
    fields.refuse("maxAge", { what: "is missing", allowed: `by kind, ${DURATION_ALLOWED}`, fix });
  }
  return {
    maxAgeMs: Object.fromEntries(given.map((key) => [key, ages.duration(key, DAY, 3650 * DAY, 90 * DAY)])),
    warnBeforeMs: fields.duration("warnBefore", DAY, 365 * DAY, 14 * DAY),
    overlapMs: fields.duration("overlap", DAY, 365 * DAY, 7 * DAY),
    enforce: fields.flag("enforce", false),
    freeze: fields.list("freeze", "mappings with from and to").flatMap((item) => {
      return parseFreeze(new Fields(fields.path(item.key), item.value, problems)) ?? [];
    }),
  };
}

function parseFreeze(fields: Fields): Freeze | undefined {
  fields.onlyKnown(["from", "to", "reason"]);
  const [from] = fields.stamps([{ value: fields.get("from"), key: "from" }]);
  const [to] = fields.stamps([{ value: fields.get("to"), key: "to" }]);
  const days = [from, to].filter((day) => day !== undefined && day.length === 10);
  if (from === undefined || to === undefined) return undefined;
  if (days.length < 2 || to < from) {
    fields.refuse("to", {
      what: days.length < 2 ? "or `from` is no plain day" : "is before `from`",
      value: show(to),
      allowed: "two days such as 2026-12-20 and 2027-01-03, both included",
      fix: "correct it",
    });
  }
  return { from, to, ...(fields.has("reason") ? { reason: fields.text("reason", REASON) } : {}) };
}

/** How old a generation of it may become; undefined where the policy sets nothing for its kind. */
export function maxAgeOf(
  credential: Pick<Credential, "kind" | "maxAgeMs">,
  policy: Policy | undefined,
): number | undefined {
  return credential.maxAgeMs ?? policy?.maxAgeMs[OF_KIND[credential.kind]] ?? policy?.maxAgeMs.default;
}

/** What peers leave as advice: intervals that cannot work. */
export function policyRules(
  placed: PlacedCredential[],
  _workers: Worker[],
  policy: Policy,
  refuse: (problem: Problem) => void,
): void {
  for (const { where, credential } of placed) {
    const age = credential && maxAgeOf(credential, policy);
    if (age === undefined || age > policy.warnBeforeMs) continue;
    refuse({
      where: `${where}.maxAge`,
      what: "is no longer than the time in which it is rolled before",
      value: formatDuration(age),
      allowed: `more than rollover:policy.warnBefore, ${formatDuration(policy.warnBeforeMs)}`,
      fix: "raise one, or lower the other",
    });
  }
}
