/** What a change of the stack's config will do, from what the engine's preview says and what state records. Pure. */
import { compareStamps, parseStamp } from "../../components/rotation/stamp";
import type { Why } from "./base";
import { describeConsumers, heldBy, type ConsumerPlan } from "./consumers";
import { describeDebts, type Note } from "./debts";
import { keysetOf } from "./keyset-state";
import * as keysets from "./keysets";
import * as logins from "./logins";
import { describeOthers, type Other } from "./others";
import { type Permission, permissionsOf } from "./permissions";
import { describePolicy, type PolicyPlan } from "./policy";
import type { LoginSessions } from "./sessions";
import { consumerName, kindOf, nameOf, type Outputs, type State, type Step, type Summary } from "./shapes";
import * as turso from "./turso";

export type Action =
  | "first delivery"
  | "rolls"
  | "rolls back"
  | "adds"
  | "retires"
  | "brings back"
  | "clears"
  | "minted again"
  | "backup changes"
  | "removed"
  | "delivery changes";

/** A value that stops working, or that nobody is handed any more. */
export interface Withdrawal {
  /** Its stamp, or `adopted`. */
  stamp: string;
  /** When, and after what. */
  when: string;
  /** Nobody is handed it, but it works on: nothing can withdraw it alone. */
  works?: true;
  /** Where its key stays in Vault, so that it can be brought back. */
  backup?: string;
  /** Why the update will not withdraw it, but fail. */
  refused?: string;
}

export interface CredentialPlan {
  name: string;
  kind: string;
  /** At least one; what happens to the current generation stands first. */
  actions: Action[];
  /** The current stamp before; undefined for a first delivery. */
  from?: string;
  /** The current stamp after; undefined where it is removed. */
  to?: string;
  /** Stamps minted by this update. */
  mints: string[];
  /** Stamps that keep working beside the current one. */
  keeps: string[];
  withdraws: Withdrawal[];
  /** Stamps that are delivered again after they were retired. */
  restores: string[];
  /** Stamps that leave the list of retired ones. */
  clears: string[];
  /** Why there is no overlap; undefined where there is. */
  breaksAtOnce?: string;
  /** Of a keyset: what happens to its keys, in its order, as sentences. */
  keys?: string[];
}

export interface Plan {
  stack: string;
  outcome: "changes" | "nothing" | "failed";
  /** What the stack file says otherwise than before; undefined where nobody asked. */
  why?: Why;
  /** Only those that change. */
  credentials: CredentialPlan[];
  /** Only those that change. */
  consumers: ConsumerPlan[];
  /** Roles, databases, grants, the code of Workers, rulesets, messages and hooks. */
  others: Other[];
  /** Who is logged in by a login that this change retires. */
  sessions: LoginSessions[];
  /** What logins and tokens must be allowed for it. */
  permissions: Permission[];
  /** How old everything is after this change; undefined where nothing limits it, or where the preview failed. */
  policy?: PolicyPlan;
  /** Of Turso groups and databases: each is an outage of its consumers until they are delivered to. */
  invalidations: turso.Invalidation[];
  /** Tokens that are no longer delivered, as state has them. */
  retired: turso.RetiredToken[];
  /** What a reviewer should know before the update. */
  warnings: Note[];
  /** What earlier invalidations did beside what they were asked to. */
  findings: Note[];
  debts: Note[];
  /** Names that config leaves behind, live or silent. */
  abandoned: string[];
  /** What stopped the preview, in its own words. */
  errors: string[];
}

export interface Facts {
  stack: string;
  /** The only clock. */
  now: Date;
  before: Outputs;
  /** Undefined where the preview failed. */
  after: Outputs | undefined;
  steps: Step[];
  state: State;
  errors: string[];
  why?: Why;
  sessions?: LoginSessions[];
  /** Audit records go to a table. */
  audited?: boolean;
}

/** What is known before the first credential is described. */
interface Known {
  after: Outputs;
  tokens: turso.Token[];
  dying: Set<string>;
  renewed: Set<string>;
}

export function describePlan(facts: Facts): Plan {
  const { stack, before, after, steps, state, errors, now } = facts;
  const tokens = turso.tokensIn(state);
  const retired = turso.describeRetired(tokens, now);
  const debts = [...describeDebts(before, state), ...turso.tursoDebts(before, retired)];
  const why = facts.why ? { why: facts.why } : {};
  const standing = { stack, ...why, retired, findings: turso.describeFindings(before), debts };
  const none = { credentials: [], consumers: [], others: [], sessions: [], permissions: [] };
  const nothing = { ...none, invalidations: [], warnings: [] };
  if (!after) return { ...standing, ...nothing, outcome: "failed", abandoned: before.abandoned, errors };

  const invalidations = turso.describeInvalidations(steps, tokens, after);
  const renewed = new Set(invalidations.flatMap(({ credentials }) => credentials.map(({ name }) => name)));
  const known: Known = { after, tokens, dying: turso.dyingGroups(invalidations), renewed };
  const names = [...new Set([...Object.keys(before.credentials), ...Object.keys(after.credentials)])].sort();
  const credentials = names.flatMap((name) => describeCredential(name, facts, known) ?? []);
  const consumers = describeConsumers(steps, before, after, renewed);
  const others = describeOthers(steps);
  const warnings = [
    ...turso.describeWarnings(steps, tokens, invalidations, { after, now }),
    ...keysets.describeWarnings(credentials, steps, state, after),
  ];
  const isChange = credentials.length + consumers.length + others.length + invalidations.length > 0;
  const outcome = errors.length > 0 ? "failed" : isChange ? "changes" : "nothing";
  const untouched = consumers.flatMap(({ worker, change }) => (change === "settings only" ? (worker ?? []) : []));
  const permissions = permissionsOf(steps, {
    ...{ after, invalidations, untouched, renewed, audited: facts.audited ?? false },
  });
  const changes = { credentials, consumers, others, invalidations, warnings, permissions };
  const policy = describePolicy(before, after, credentials, turso.expirationsOf(tokens, steps), now);
  return {
    ...{ ...standing, ...changes, sessions: facts.sessions ?? [], ...(policy ? { policy } : {}) },
    ...{ outcome, abandoned: after.abandoned, errors },
  };
}

function describeCredential(name: string, facts: Facts, known: Known): CredentialPlan | undefined {
  const now = known.after.credentials[name];
  const was = wasBefore(name, facts, known.tokens, now?.current);
  const either = now ?? was;
  if (!either) return undefined;
  const [old, live] = [was?.live ?? [], now?.live ?? []];
  const [oldRetired, retired] = [was?.retired ?? [], now?.retired ?? []];
  const keyset = keysets.isKeyset(either.kind) ? keysetOf(name, either.kind, facts.steps, facts.state) : undefined;
  const restores = live.filter((stamp) => [...oldRetired, ...(keyset?.restored ?? [])].includes(stamp));
  const mints = live.filter((stamp) => ![...old, ...restores].includes(stamp));
  const clears = now ? oldRetired.filter((stamp) => ![...live, ...retired].includes(stamp)) : [];
  const gone = [...old, ...(now ? [] : oldRetired)].filter((stamp) => !live.includes(stamp));
  const isAdoptedGone = facts.steps.some(
    ({ op, urn }) => op === "delete" && kindOf(urn) === "PostgresLogin" && nameOf(urn) === `${name}@adopted`,
  );
  const fate = (stamp: string): Withdrawal => {
    if (keyset) return keysets.fateOf(keyset, stamp, now, facts.now);
    if (either.kind === "postgres")
      return { stamp, ...logins.fateOf(name, stamp, { was, now }, { ...known, state: facts.state }) };
    if (either.kind !== "turso") return { stamp, when: "with the delivery: no consumer is handed it any more" };
    const token = known.tokens.find((one) => one.credential === name && one.stamp === stamp);
    const { when, works } = turso.fateOf(token, retired.includes(stamp), known.dying, facts.now);
    return { stamp, when, ...(works ? { works } : {}) };
  };
  const withdraws = [
    ...[...gone, ...(isAdoptedGone ? ["adopted"] : [])].map(fate),
    ...undelivered(was, now).map((stamp) => ({
      stamp,
      when: "with the delivery: it moves out of the two that are handed out",
    })),
  ];
  const isBack = was !== undefined && now !== undefined && isRollback(was, now, restores);
  const actions = [
    ...actionsOf(was, now, mints, withdraws, isBack),
    ...(was && restores.length > 0 ? ["brings back" as const] : []),
    ...(clears.length > 0 ? ["clears" as const] : []),
    ...(was && now && known.renewed.has(name) ? ["minted again" as const] : []),
    ...(keyset && keysets.backupChanges(keyset, old, live).length > 0 ? ["backup changes" as const] : []),
  ];
  if (actions.length === 0) return undefined;
  const keeps = live.slice(1).filter((stamp) => !withdraws.some((one) => one.stamp === stamp));
  const isReplaced = was !== undefined && was.current !== now?.current;
  return {
    name,
    kind: either.kind,
    actions,
    ...(was ? { from: was.current } : {}),
    ...(now ? { to: now.current } : {}),
    mints,
    keeps,
    withdraws,
    restores,
    clears,
    ...(isReplaced && !keyset && now?.change === "breaks at once" ? { breaksAtOnce: whyAtOnce(now.kind) } : {}),
    ...(keyset && now ? keysets.describeKeys(keyset, { was, now, isBack, keeps, withdraws }) : {}),
  };
}

/**
 * The credential as it is. An update that failed half-way may have written the outputs already, or not yet; so what is live
 * is taken from the resources that exist, and what is current from what the consumers hold.
 */
function wasBefore(
  name: string,
  { before, state }: Facts,
  tokens: turso.Token[],
  next: string | undefined,
): Summary | undefined {
  const known = before.credentials[name];
  if (!known) return undefined;
  const own = tokens.filter(({ credential }) => credential === name);
  const inPlace = (place: string) => own.filter((token) => token.place === place).map(({ stamp }) => stamp);
  const reported = heldBy(state).flatMap(({ generations }) => generations[name]?.[0]?.stamp ?? []);
  // A file reports nothing.
  const held = reported.length > 0 ? reported : inPlace("current");
  const current = held.find((stamp) => stamp !== next) ?? held[0] ?? known.current;
  const retired = own.length > 0 ? inPlace("retired") : known.retired;
  const existing = state.resources
    .filter((resource) => !resource.delete && nameOf(resource.urn).startsWith(`${name}@`))
    .map(({ urn }) => parseStamp(nameOf(urn).slice(name.length + 1)));
  const live = [...new Set(existing)].filter((stamp) => stamp !== undefined && stamp !== current);
  const place = (stamp: string) => (known.live.includes(stamp) ? known.live.indexOf(stamp) : known.live.length);
  const others = live
    .flatMap((stamp) => stamp ?? [])
    .filter((stamp) => !retired.includes(stamp))
    .sort((a, b) => place(a) - place(b) || compareStamps(b, a));
  return { ...known, current, live: [current, ...others], retired: retired.filter((stamp) => stamp !== current) };
}

function actionsOf(
  was: Summary | undefined,
  now: Summary | undefined,
  mints: string[],
  withdraws: Withdrawal[],
  isBack: boolean,
): Action[] {
  if (!now) return ["removed"];
  if (!was) return ["first delivery"];
  const added = mints.some((stamp) => stamp !== now.current);
  const to = (summary: Summary) => summary.consumers.map((one) => `${consumerName(one)}/${one.as}`).join(" ");
  return [
    ...(was.current === now.current ? [] : ([isBack ? "rolls back" : "rolls"] as const)),
    ...(added ? ["adds" as const] : []),
    ...(withdraws.length > 0 ? ["retires" as const] : []),
    ...(to(was) === to(now) ? [] : ["delivery changes" as const]),
  ];
}

/** Back to an older stamp that is still live, or lives again. A newer one that exists already was minted by an update that failed. */
function isRollback(was: Summary, now: Summary, restores: string[]): boolean {
  return (
    [...was.live, ...was.retired, ...restores].includes(now.current) && compareStamps(now.current, was.current) < 0
  );
}

/** A random value is handed out as current or as the one before it, so a third one is accepted by nobody. */
function undelivered(was: Summary | undefined, now: Summary | undefined): string[] {
  if (!was || now?.kind !== "random") return [];
  const handedOut = ({ change, live }: Summary) => live.slice(0, change === "overlaps" ? 2 : 1);
  const after = handedOut(now);
  return handedOut(was).filter((stamp) => now.live.includes(stamp) && !after.includes(stamp));
}

function whyAtOnce(kind: string): string {
  return kind === "postgres"
    ? "its one role is altered in place: logins fail from then until the consumer holds the new password"
    : "it is delivered under one name: whoever still uses the old value is refused as soon as the new one is delivered";
}
