/** How old credentials are after the change, by the stack's policy; the day is the caller's. Pure. */
import { dueOf, freezeOn } from "../../components/rotation/due";
import { parseDuration } from "../../components/rotation/duration";
import type { Credential, Policy } from "../../components/rotation/model";
import { lintOf } from "../../components/rotation/policy";
import { compareStamps, stampParts } from "../../components/rotation/stamp";
import type { Note } from "./debts";
import type { CredentialPlan } from "./describe";
import type { Outputs, PolicyOutput, Summary } from "./shapes";

export interface PolicyPlan {
  /** `npm run plan` ends with 7 while something is overdue. */
  enforce: boolean;
  /** A live generation is older than it may become. */
  overdue: Note[];
  /** To be rolled, or about to be. */
  soon: Note[];
  /** Previous generations whose overlap is over. */
  stale: Note[];
  /** What this change does on a day on which nothing is to be rolled. */
  freeze: Note[];
  /** Intervals that do not go together. */
  lint: Note[];
}

const DAY_MS = 86_400_000;

/**
 * Undefined where the stack has no policy.
 *
 * @param expirations How long tokens work, by credential.
 */
export function describePolicy(
  after: Outputs,
  changes: CredentialPlan[],
  expirations: ReadonlyMap<string, string>,
  now: Date,
): PolicyPlan | undefined {
  if (!after.policy) return undefined;
  const policy = policyOf(after.policy);
  const day = now.toISOString().slice(0, 10);
  const all = Object.entries(after.credentials).map(([name, summary]) => ({
    summary,
    credential: dueable(name, summary),
  }));
  const judged = all.map((one) => ({ ...one, due: dueOf(one.credential, policy, day) }));
  const frozen = freezeOn(policy, day);
  const rolled = changes.filter(({ actions }) =>
    actions.some((action) => action.startsWith("rolls") || action === "adds"),
  );
  const span = frozen ? `${frozen.from} to ${frozen.to}${frozen.reason === undefined ? "" : `: ${frozen.reason}`}` : "";
  return {
    enforce: policy.enforce,
    overdue: judged
      .filter(({ due }) => due.status === "overdue")
      .map(({ credential: { name }, summary }) => ({ name, what: ageOf(summary, day) })),
    soon: judged
      .filter(({ due }) => due.status === "soon")
      .map(({ credential: { name }, due: { due, rollOn } }) => ({
        name,
        what: `is due by ${due ?? ""}; \`npm run rotate -- --due\` rolls it from ${rollOn ?? ""} on`,
      })),
    stale: judged
      .filter(({ due }) => due.stale.length > 0)
      .map(({ credential: { name }, due: { stale } }) => ({
        name,
        what: `${stale.join(", ")} ${stale.length === 1 ? "is" : "are"} live though the overlap is over; \`npm run rotate -- --due\` retires it`,
      })),
    freeze: frozen ? rolled.map(({ name }) => ({ name, what: `rolls in a freeze (${span})` })) : [],
    lint: all.flatMap(({ credential }) => {
      const expiration = expirations.get(credential.name);
      const linted = { ...credential, ...(expiration === undefined ? {} : { expiration }) };
      return lintOf(linted, policy).map((what) => ({ name: credential.name, what }));
    }),
  };
}

function ageOf({ live, maxAge }: Summary, day: string): string {
  const oldest = [...live].sort(compareStamps)[0] ?? "";
  const days = Math.round((Date.parse(day) - Date.parse(stampParts(oldest).date)) / DAY_MS);
  return `${oldest} is ${days} days old, and ${maxAge ?? "less"} is the most`;
}

function dueable(name: string, { kind, live, maxAge }: Summary) {
  const maxAgeMs = parseDuration(maxAge);
  // Outputs of this program: the kind is one of its own.
  return { name, kind: kind as Credential["kind"], generations: live, ...(maxAgeMs === undefined ? {} : { maxAgeMs }) };
}

/** As it was parsed; the ages stand with each credential. */
function policyOf({ warnBefore, overlap, enforce, freeze }: PolicyOutput): Policy {
  return {
    maxAgeMs: {},
    ...{ warnBeforeMs: parseDuration(warnBefore) ?? 0, overlapMs: parseDuration(overlap) ?? 0, enforce },
    freeze: freeze.map(({ from, to, reason }) => ({ from, to, ...(reason === undefined ? {} : { reason }) })),
  };
}
