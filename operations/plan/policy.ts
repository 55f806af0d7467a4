/** How old credentials are after the change, by the stack's policy before it and after it; the day is the caller's. Pure. */
import { Calendar, numberOf } from "../../components/rotation/calendar";
import { type Due, type DueCredential, dueOf, freezeOn } from "../../components/rotation/due";
import { parseDuration } from "../../components/rotation/duration";
import type { Credential, Policy, Stamp } from "../../components/rotation/model";
import { DAY_MS, lintOf } from "../../components/rotation/policy";
import { compareStamps, stampParts } from "../../components/rotation/stamp";
import type { Note } from "./debts";
import type { CredentialPlan } from "./describe";
import type { Outputs, PolicyOutput, Summary } from "./shapes";

export interface PolicyPlan {
  /** `npm run plan` ends with 7 while something is overdue. */
  enforce: boolean;
  /** A live generation is older than it may become, or its stamp is in the future. */
  overdue: Note[];
  /** Overdue by the enforced policy from before the change, where the one after it lets that pass. Ends with 7 too. */
  overdueBefore: Note[];
  /** What the change takes away of the policy from before it. */
  weaker: Note[];
  /** To be rolled, or about to be. */
  soon: Note[];
  /** Previous generations whose overlap is over. */
  stale: Note[];
  /** What this change does on a day on which nothing is to be rolled. */
  freeze: Note[];
  /** Intervals that do not go together. */
  lint: Note[];
}

/**
 * By the policy after the change, and by the one before it too, as state has it: else a change could disarm its own check.
 * Undefined where nothing limits an age, before or after.
 *
 * @param expirations How long tokens work, by credential.
 */
export function describePolicy(
  before: Outputs,
  after: Outputs,
  changes: CredentialPlan[],
  expirations: ReadonlyMap<string, string>,
  now: Date,
): PolicyPlan | undefined {
  const isLimited = [before, after].some(
    (one) => one.policy ?? Object.values(one.credentials).some(({ maxAge }) => maxAge),
  );
  if (!isLimited) return undefined;
  const policy = after.policy && policyOf(after.policy);
  const day = now.toISOString().slice(0, 10);
  const judged = judge(after, policy, day);
  const frozen = frozenOn(before, after, day);
  const rolled = changes.filter(({ actions }) =>
    actions.some((action) => action.startsWith("rolls") || action === "adds"),
  );
  const overdue = overdueIn(judged);
  const isFailing = (name: string) => policy?.enforce === true && overdue.some((one) => one.name === name);
  return {
    enforce: policy?.enforce ?? false,
    overdue,
    overdueBefore: before.policy?.enforce
      ? overdueIn(judge(asBefore(before, after), policyOf(before.policy), day)).filter(({ name }) => !isFailing(name))
      : [],
    weaker: weakerIn(before, after, day),
    soon: judged
      .filter(({ due }) => due.status === "soon")
      .map(({ name, due: { due, rollOn } }) => ({
        name,
        what: `is due by ${due ?? ""}; \`npm run rotate -- --due\` rolls it from ${rollOn ?? ""} on`,
      })),
    stale: judged
      .filter(({ due }) => due.stale.length > 0)
      .map(({ name, due: { stale } }) => ({
        name,
        what: `${stale.join(", ")} ${stale.length === 1 ? "is" : "are"} live though the overlap is over; \`npm run rotate -- --due\` retires it`,
      })),
    freeze: frozen === undefined ? [] : rolled.map(({ name }) => ({ name, what: `rolls in a freeze ${frozen}` })),
    lint: judged.flatMap(({ name, credential }) => {
      const expiration = expirations.get(name);
      const linted = { ...credential, ...(expiration === undefined ? {} : { expiration }) };
      return lintOf(linted, policy).map((what) => ({ name, what }));
    }),
  };
}

/** The freeze that the day is in, in words; one that the change takes away counts too. */
function frozenOn(before: Outputs, after: Outputs, day: string): string | undefined {
  const [own, was] = [after, before].map(({ policy }) => freezeOn(policy && policyOf(policy), day));
  const found = own ?? was;
  if (!found) return undefined;
  const why = found.reason === undefined ? "" : `: ${found.reason}`;
  return `(${found.from} to ${found.to}${why})${own ? "" : " of the policy before this change"}`;
}

interface Judged {
  name: string;
  credential: DueCredential;
  due: Due;
  /** What makes it overdue, as sentences. */
  overdue: string[];
}

/** Without a policy, only those with an age of their own. */
function judge({ credentials }: Pick<Outputs, "credentials">, policy: Policy | undefined, day: string): Judged[] {
  const limited = Object.entries(credentials).filter(([, { maxAge }]) => policy !== undefined || maxAge !== undefined);
  return limited.map(([name, summary]) => {
    const credential = dueable(name, summary);
    const due = dueOf(credential, policy, day);
    return { name, credential, due, overdue: [...tooOld(summary, due, day), ...due.inFuture.map(unknownAge)] };
  });
}

function overdueIn(judged: Judged[]): Note[] {
  return judged.flatMap(({ name, overdue }) => (overdue.length > 0 ? [{ name, what: overdue.join("; ") }] : []));
}

/** What is live after the change, under the ages from before it. A new credential has none. */
function asBefore(before: Outputs, after: Outputs): Pick<Outputs, "credentials"> {
  const known = Object.entries(after.credentials).flatMap(([name, summary]) => {
    const was = before.credentials[name];
    return was ? [[name, { ...summary, maxAge: was.maxAge }] as const] : [];
  });
  return { credentials: Object.fromEntries(known) };
}

/** What the change takes away of the policy in state. Longer overlaps and more freezes make nothing less overdue. */
function weakerIn(before: Outputs, after: Outputs, day: string): Note[] {
  const name = "rollover:policy";
  const gone = before.policy && !after.policy ? [{ name, what: "is taken away" }] : [];
  const enforced = before.policy?.enforce && after.policy?.enforce === false;
  const ages = Object.entries(asBefore(before, after).credentials).flatMap(([credential, { maxAge: was }]) => {
    const is = after.credentials[credential]?.maxAge;
    if (was === undefined || (parseDuration(is) ?? Infinity) <= (parseDuration(was) ?? 0)) return [];
    return [
      { name: credential, what: `may become ${is === undefined ? "as old as it likes" : `${is} old`}, ${was} before` },
    ];
  });
  return [
    ...gone,
    ...(enforced ? [{ name, what: "is enforced no longer" }] : []),
    ...thawed(before, after, day).map((what) => ({ name, what })),
    ...ages,
  ];
}

/** Freezes with a day to come on which credentials may be rolled now. A policy that is taken away says so itself. */
function thawed({ policy: was }: Outputs, { policy: is }: Outputs, day: string): string[] {
  if (!was || !is) return [];
  const { freeze } = policyOf(is);
  const calendar = new Calendar(freeze);
  return was.freeze.flatMap(({ from, to }) => {
    const first = from < day ? day : from;
    if (to < first || calendar.openFrom(numberOf(first)) > numberOf(to)) return [];
    const isShorter = freeze.some((one) => one.from <= to && one.to >= first);
    return [`its freeze from ${from} to ${to} is ${isShorter ? "shortened" : "taken away"}`];
  });
}

/** Its oldest one. Not where it is overdue for another reason. */
function tooOld({ live, maxAge }: Summary, { status, maxAgeMs }: Due, day: string): string[] {
  const oldest = [...live].sort(compareStamps)[0] ?? "";
  const days = numberOf(day) - numberOf(stampParts(oldest).date);
  if (status !== "overdue" || maxAgeMs === undefined || days * DAY_MS <= maxAgeMs) return [];
  return [`${oldest} is ${days} days old, and ${maxAge ?? ""} is the most`];
}

function unknownAge(stamp: Stamp): string {
  return `${stamp} is in the future, so that nothing tells its age; roll it under the stamp of a day that has come`;
}

function dueable(name: string, { kind, live, maxAge }: Summary): DueCredential {
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
