/** What a change of the stack's config will do, from what the engine's preview says and what state records. Pure. */
import { compareStamps } from "../../components/rotation/stamp";
import type { Why } from "./base";
import { wasBefore } from "./before";
import { describeConsumers, type ConsumerPlan } from "./consumers";
import { describeDebts, type Note } from "./debts";
import { keysetOf } from "./keyset-state";
import * as keysets from "./keysets";
import * as logins from "./logins";
import { describeOthers, type Other } from "./others";
import { type Permission, permissionsOf } from "./permissions";
import { describePolicy, type PolicyPlan } from "./policy";
import { type Replaced, replacedIn } from "./replaced";
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
  | "replaced"
  | "proven again"
  | "settings change"
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
  /** Another one takes its place under the same stamp. */
  replaced?: true;
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
  replaced: Replaced[];
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
  const replaced = replacedIn(steps);
  const known: Known = { after, tokens, dying: turso.dyingGroups(invalidations), renewed, replaced };
  const names = [...new Set([...Object.keys(before.credentials), ...Object.keys(after.credentials)])].sort();
  const credentials = names.flatMap((name) => describeCredential(name, facts, known));
  const isOther = (name: string) =>
    isOfOtherKind(before.credentials[name], after.credentials[name]) ||
    replaced.some((one) => one.name === name && one.ends && after.credentials[name]?.live.includes(one.stamp));
  const consumers = describeConsumers(steps, before, after, new Set([...renewed, ...names.filter(isOther)]));
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

/** One of another kind is another credential, which has the name of the one that is removed. */
function describeCredential(name: string, facts: Facts, known: Known): CredentialPlan[] {
  const now = known.after.credentials[name];
  const was = wasBefore(name, facts, known.tokens, now?.current);
  const changes = isOfOtherKind(was, now)
    ? [
        { was, now: undefined },
        { was: undefined, now },
      ]
    : [{ was, now }];
  return changes.flatMap((change) => describeChange(name, change, facts, known) ?? []);
}

function isOfOtherKind(was: Summary | undefined, now: Summary | undefined): boolean {
  return was !== undefined && now !== undefined && was.kind !== now.kind;
}

function describeChange(
  name: string,
  { was, now }: { was: Summary | undefined; now: Summary | undefined },
  facts: Facts,
  known: Known,
): CredentialPlan | undefined {
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
    ({ op, urn }) => was && op === "delete" && kindOf(urn) === "PostgresLogin" && nameOf(urn) === `${name}@adopted`,
  );
  const fate = (stamp: string): Withdrawal => {
    if (keyset) return keysets.fateOf(keyset, stamp, now, facts.now);
    if (either.kind === "postgres")
      return { stamp, ...logins.fateOf(name, stamp, { was, now }, { ...known, state: facts.state }) };
    if (either.kind !== "turso") return { stamp, when: "with the delivery: no consumer is handed it any more" };
    const token = known.tokens.find((one) => one.credential === name && one.stamp === stamp);
    const { when, works } = turso.fateOf(token, [...live, ...retired].includes(stamp), known.dying, facts.now);
    return { stamp, when, ...(works ? { works } : {}) };
  };
  const replaced = was && now ? known.replaced.filter((one) => one.name === name) : [];
  const withdraws: Withdrawal[] = [
    ...[...gone, ...(isAdoptedGone ? ["adopted"] : [])].map(fate),
    ...undelivered(was, now).map((stamp) => ({
      stamp,
      when: "with the delivery: it moves out of the two that are handed out",
    })),
    ...replaced.flatMap(({ ends, stamp, what }) => {
      const { when, ...rest } = fate(stamp);
      return ends ? [{ ...rest, when: `${what}, ${when}`, replaced: true as const }] : [];
    }),
  ];
  const isBack = was !== undefined && now !== undefined && isRollback(was, now, restores);
  const edit = was && now ? logins.editOf(name, facts.steps) : undefined;
  const others: Action[] = [
    ...actionsOf(was, now, mints, withdraws, isBack),
    ...(was && restores.length > 0 ? ["brings back" as const] : []),
    ...(clears.length > 0 ? ["clears" as const] : []),
    ...(was && now && known.renewed.has(name) ? ["minted again" as const] : []),
    ...(keyset && keysets.backupChanges(keyset, old, live).length > 0 ? ["backup changes" as const] : []),
    ...(replaced.length > 0 ? ["replaced" as const] : []),
    ...(edit === "proven again" ? [edit] : []),
  ];
  const actions: Action[] = others.length === 0 && edit ? [edit] : others;
  if (actions.length === 0) return undefined;
  const keeps = live.slice(1).filter((stamp) => !withdraws.some((one) => one.stamp === stamp && !one.replaced));
  const atOnce = keyset ? undefined : whyAtOnce(was, now, replaced);
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
    ...(atOnce === undefined ? {} : { breaksAtOnce: atOnce }),
    ...(keyset && now ? keysets.describeKeys(keyset, { was, now, isBack, keeps, withdraws }) : {}),
  };
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
    ...(withdraws.some((one) => !one.replaced) ? ["retires" as const] : []),
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

function whyAtOnce(was: Summary | undefined, now: Summary | undefined, replaced: Replaced[]): string | undefined {
  if (now?.kind === "postgres") return logins.whyAtOnce({ was, now }, replaced);
  if (!was || was.current === now?.current || now?.change !== "breaks at once") return undefined;
  return "it is delivered under one name: whoever still uses the old value is refused as soon as the new one is delivered";
}
