/** Parses `rollover:policy`, and says what it means for one credential. Pure: the day is the caller's. */
import type { PlacedCredential } from "./credential";
import { DURATION_ALLOWED, formatDuration } from "./duration";
import type { Credential, Freeze, MaxAgeKey, Policy, Worker } from "./model";
import { show, type Problem } from "./problem";
import { longestFreeze } from "./calendar";
import { parseExpiration } from "./expiration";
import { REASON } from "./operating";
import { Fields } from "./read";
import { stampParts } from "./stamp";

export const DAY_MS = 86_400_000;
const DAY = DAY_MS;
/** What is left out of `rollover:policy`, and what holds for a credential with a `maxAge` of its own where there is none. */
export const STANDARD_POLICY: Policy = {
  maxAgeMs: {},
  warnBeforeMs: 14 * DAY,
  overlapMs: 7 * DAY,
  enforce: false,
  freeze: [],
};
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
  const policy: Policy = {
    maxAgeMs: Object.fromEntries(given.map((key) => [key, ages.duration(key, DAY, 3650 * DAY, 90 * DAY)])),
    warnBeforeMs: fields.duration("warnBefore", DAY, 365 * DAY, STANDARD_POLICY.warnBeforeMs),
    overlapMs: fields.duration("overlap", DAY, 365 * DAY, STANDARD_POLICY.overlapMs),
    enforce: fields.flag("enforce", false),
    freeze: fields.list("freeze", "mappings with from and to").flatMap((item) => {
      return parseFreeze(new Fields(fields.path(item.key), item.value, problems)) ?? [];
    }),
  };
  // Of what is wrong in itself nothing else can be said.
  if (problems.some(({ where }) => where.startsWith(fields.where))) return policy;
  const refuse = (problem: Problem): void => void problems.push(problem);
  const { warnBeforeMs, overlapMs } = policy;
  if (warnBeforeMs <= overlapMs) {
    fields.refuse("warnBefore", {
      what: "leaves no day to roll on: the overlap has to end before the one before is too old",
      value: formatDuration(warnBeforeMs),
      allowed: `more than \`overlap\`, ${formatDuration(overlapMs)}`,
      fix: "raise it, or lower `overlap`",
    });
    return policy;
  }
  for (const key of given) refuseAge(ages.path(key), policy.maxAgeMs[key] ?? 0, policy, refuse);
  return policy;
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

/**
 * What peers leave as advice: intervals that cannot work. No interval is shorter than a day. Without a policy only a credential
 * with an age of its own is judged, by what is standard.
 */
export function policyRules(
  placed: PlacedCredential[],
  workers: Worker[],
  given: Policy | undefined,
  refuse: (problem: Problem) => void,
): void {
  const policy = given ?? STANDARD_POLICY;
  for (const { where, credential } of placed) {
    if (!credential || (given === undefined && credential.maxAgeMs === undefined)) continue;
    // Those of the policy are judged once, where they stand.
    if (credential.maxAgeMs !== undefined) refuseAge(`${where}.maxAge`, credential.maxAgeMs, policy, refuse);
    if ("maxTokenAgeMs" in credential && credential.maxTokenAgeMs > policy.overlapMs) {
      refuse({
        where: `${where}.maxTokenAge`,
        what: "is longer than the overlap, after which the key that signed or encrypted is to be dropped",
        value: formatDuration(credential.maxTokenAgeMs),
        allowed: `at most rollover:policy.overlap, ${formatDuration(policy.overlapMs)}`,
        fix: "lower it, or raise the overlap",
      });
    }
    const reload = reloadOf(credential, workers);
    if (reload > policy.overlapMs) {
      refuse({
        where: `${where}.deliver`,
        what: `may take ${formatDuration(reload)} until every consumer has changed over, which is longer than the overlap`,
        allowed: `at most rollover:policy.overlap, ${formatDuration(policy.overlapMs)}, for within, settle and drain together`,
        fix: "lower these, or raise the overlap",
      });
    }
    const age = maxAgeOf(credential, policy);
    const expires = credential.kind === "turso" ? parseExpiration(credential.expiration) : undefined;
    if (age === undefined || expires === undefined || expires >= age) continue;
    refuse({
      where: `${where}.expiration`,
      what: `is over before the token may be rolled away from: its maxAge is ${formatDuration(age)}`,
      value: show(credential.kind === "turso" ? credential.expiration : ""),
      allowed: `at least its maxAge; better ${formatDuration(age + policy.overlapMs)}, so that a roll may be late`,
      fix: "raise it, or set a shorter `maxAge` for this credential",
    });
  }
}

/** The longest that an update waits for its consumers. */
function reloadOf(credential: Credential, workers: Worker[]): number {
  const own = workers.filter(({ name }) => credential.deliver.some(({ worker }) => worker === name));
  const waits = own.map(({ withinMs, settleMs }) => withinMs + settleMs);
  return Math.max(0, ...waits) + ("drainMs" in credential ? credential.drainMs : 0);
}

/** An age leaves time for an overlap, for the days to roll on, and for the longest freeze between two rolls. */
function refuseAge(where: string, age: number, policy: Policy, refuse: (problem: Problem) => void): void {
  const { warnBeforeMs, overlapMs } = policy;
  const value = formatDuration(age);
  if (age <= warnBeforeMs + overlapMs) {
    refuse({
      where,
      what: "is too short: the next roll would fall into the overlap of the last one",
      value,
      allowed: `more than warnBefore and overlap of rollover:policy together, ${formatDuration(warnBeforeMs + overlapMs)}`,
      fix: "raise it, or lower one of the two",
    });
    return;
  }
  const overlap = Math.ceil(overlapMs / DAY);
  // Between two there is time to retire, to roll on a later day, and to let that overlap end; a shorter gap is as good as none.
  const gap = overlap + 2;
  const freeze = longestFreeze(policy.freeze, gap);
  const longest = Math.floor(age / DAY) - 2 * overlap - 1;
  if (freeze === undefined || freeze.days <= longest) return;
  refuse({
    where,
    what: `is too short for the freeze from ${freeze.from} to ${freeze.to}, ${freeze.days} days`,
    value,
    allowed: `freezes of at most ${longest} days, its maxAge less two overlaps and a day; those with less than ${gap} days between them count as one`,
    fix: "shorten the freeze, or raise the age",
  });
}

type Linted = Pick<Credential, "kind" | "maxAgeMs" | "generations"> & { expiration?: string };

/** What works and is no good idea, for the plan to warn of: sentences without their subject, the credential. */
export function lintOf(credential: Linted, policy: Policy | undefined): string[] {
  const { generations, expiration } = credential;
  const { overlapMs } = policy ?? STANDARD_POLICY;
  const [current, previous] = generations.map((stamp) => Date.parse(stampParts(stamp).date));
  const found: string[] = [];
  if (generations.length > 2 && Math.abs((current ?? 0) - (previous ?? 0)) < overlapMs) {
    found.push(
      `was rolled again within the overlap of ${formatDuration(overlapMs)} and holds ${generations.length} generations; ` +
        `retire ${generations.at(-1) ?? ""} before the next roll`,
    );
  }
  const age = maxAgeOf(credential, policy);
  const expires = parseExpiration(expiration);
  if (age !== undefined && expires !== undefined && expires < age + overlapMs) {
    const left = formatDuration(Math.max(0, expires - age));
    found.push(
      `has tokens that expire ${left} after they are overdue, so a roll that is late is an outage; ` +
        `an expiration of ${formatDuration(age + overlapMs)} leaves an overlap`,
    );
  }
  return found;
}
