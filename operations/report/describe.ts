/** Facts become the report. Pure; the clock is in the facts. Only fields that are named here reach it. */
import { isReadable, verifyChain } from "../../components/audit/read";
import type { AuditRecord, AuditRow } from "../../components/audit/record";
import { parseDuration } from "../../components/rotation/duration";
import type { Credential, Policy } from "../../components/rotation/model";
import { dueOf } from "../../components/rotation/due";
import { describeDebts } from "../plan/debts";
import { consumerName, type Summary as Declared } from "../plan/shapes";
import { describeRetired, tokensIn, tursoDebts } from "../plan/turso";
import { asideIn, isOf } from "./aside";
import { changesOf } from "./changes";
import { generationsOf, isLive } from "./generations";
import type {
  Age,
  AuditState,
  Change,
  ConsumerReport,
  CredentialReport,
  Debt,
  PolicyReport,
  Report,
  Summary,
} from "./model";
import type { Facts } from "./read";
import { holdersIn, type Standing, standingOf } from "./standing";

const DAY = 86_400_000;

export function describeReport(facts: Facts): Report {
  const { now, stack, sinceMs, rows, evidence } = facts;
  const since = new Date(now.getTime() - sinceMs);
  // A table may serve several stacks; rows that a tampering made unreadable say nothing. A writer may say any time, so
  // when the row was written counts: of a table by the server's clock.
  const own = (rows ?? [])
    .filter((row) => isReadable(row) && isOf(stack, row))
    .map((row) => ({ ...row, record: { ...row.record, time: row.at } }));
  const debts = debtsOf(facts);
  const credentials = credentialsOf(facts, own, debts, since);
  const changes = changesOf(own)
    .filter(({ at }) => Date.parse(at) >= since.getTime())
    .map((change) => (change.target.includes("/") ? withExpiration(change, own, facts) : change));
  return {
    ...{ stack, at: now.toISOString(), since: since.toISOString(), audit: auditState(rows, stack) },
    ...(evidence.policy ? { policy: evidence.policy } : {}),
    summary: summarise(credentials, changes, debts),
    ...{ credentials, changes, debts },
  };
}

function auditState(rows: readonly AuditRow[] | undefined, stack: string): AuditState {
  if (!rows) return { state: "none" };
  const chain = verifyChain(rows);
  const counts = { rows: rows.length, ...asideIn(rows.filter(isReadable), stack) };
  return chain.ok
    ? { state: "whole", ...counts, head: chain.head }
    : { state: "broken", ...counts, seq: chain.seq, why: chain.why, more: chain.more };
}

/** Those of the stack in config's order, then those that only the audit knows. */
function credentialsOf(facts: Facts, rows: readonly AuditRow[], debts: Debt[], since: Date): CredentialReport[] {
  const { outputs, state, now } = facts;
  const records = new Map<string, AuditRecord[]>();
  for (const { record } of rows) records.set(record.credential, [...(records.get(record.credential) ?? []), record]);
  const gone = [...records.keys()].filter((name) => !(name in outputs.credentials) && !name.includes("/"));
  return [...Object.keys(outputs.credentials), ...gone.sort()].flatMap((name) => {
    const declared = outputs.credentials[name];
    const own = records.get(name) ?? [];
    const standing = standingOf(name, declared, state);
    const kind = declared?.kind ?? "";
    const of = { kind, standing, records: own, expires: facts.evidence.expires[name] ?? {} };
    const generations = generationsOf(of, now, since);
    if (!declared && generations.length === 0) return [];
    return [
      {
        name,
        kind: declared?.kind ?? "no longer declared",
        change: declared?.change ?? "",
        age: ageOf(name, declared, standing, facts),
        generations,
        consumers: declared ? consumersOf(name, declared, standing, own, facts) : [],
        debts: debts.filter((debt) => debt.name === name).length,
      },
    ];
  });
}

/** One that is not in use yet has no overlap that could end, but may be in the future. */
function ageOf(
  name: string,
  declared: Declared | undefined,
  { current, previous, next }: Standing,
  { evidence, now }: Facts,
): Age {
  if (!declared) return { days: 0, status: "gone", stale: [], inFuture: [] };
  const maxAgeMs = parseDuration(evidence.credentials[name]?.maxAge);
  const of = {
    name,
    kind: declared.kind as Credential["kind"],
    generations: [current, ...previous],
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
  };
  const [policy, today] = [policyOf(evidence.policy), now.toISOString().slice(0, 10)];
  const found = dueOf(of, policy, today);
  const ahead = dueOf({ ...of, generations: [...next, current, ...previous] }, policy, today);
  return {
    days: found.ageDays,
    ...(found.maxAgeMs === undefined ? {} : { maxDays: Math.floor(found.maxAgeMs / DAY) }),
    ...(found.due === undefined ? {} : { due: found.due }),
    ...(found.rollOn === undefined ? {} : { rollOn: found.rollOn }),
    status: ahead.status === "overdue" ? "overdue" : found.status,
    ...{ stale: found.stale, inFuture: ahead.inFuture },
  };
}

/** The outputs carry each credential's own limit, so none stands here by kind. */
function policyOf(policy: PolicyReport | undefined): Policy | undefined {
  if (!policy) return undefined;
  const [warnBeforeMs = 0, overlapMs = 0] = [parseDuration(policy.warnBefore), parseDuration(policy.overlap)];
  const freeze = policy.freeze.map(({ from, to }) => ({ from, to }));
  return { maxAgeMs: {}, warnBeforeMs, overlapMs, enforce: policy.enforce, freeze };
}

function consumersOf(
  name: string,
  declared: Declared,
  { current }: Standing,
  records: readonly AuditRecord[],
  { state }: Facts,
): ConsumerReport[] {
  const holders = holdersIn(state);
  return declared.consumers.map((to) => {
    const consumer = consumerName(to);
    const last = records.filter(({ step, consumer: of }) => step === "deliver" && of === consumer).at(-1);
    const isFile = to.worker === undefined;
    const holds = holders.find((one) => one.isFile === isFile && one.consumer === consumer)?.stamps[name] ?? [];
    // State moves on only when its delivery was attested; an audit that knows of a later failure has the last word.
    const isWhole = last === undefined || (last.result === "done" && last.attested);
    return {
      ...{ name: consumer, as: to.as, asked: to.attested, holds },
      attested: to.attested && holds[0] === current && isWhole,
      ...(last && {
        last: {
          at: last.time,
          result: last.result === "begun" ? ("no outcome recorded" as const) : last.result,
          attested: last.result === "done" && last.attested,
        },
      }),
    };
  });
}

/** As the plan lists them, with their ends. */
function debtsOf({ outputs, state, now }: Facts): Debt[] {
  const retired = describeRetired(tokensIn(state), now);
  return [...describeDebts(outputs, state), ...tursoDebts(outputs, retired)].map(({ name, what }) => {
    const until = /\buntil (\d{4}-\d\d-\d\dT[\d:.]+Z)/.exec(what)?.[1];
    return { name, what, until: until ?? (what.includes("never expires") ? "never" : "") };
  });
}

/** Of an invalidation: the last expiry among the tokens of its target that the same update minted. */
function withExpiration(change: Change, rows: readonly AuditRow[], { state }: Facts): Change {
  const [kind, name] = change.target.split("/");
  const own = tokensIn(state).filter(({ group, target }) =>
    kind === "group" ? group === name : target.kind === "database" && target.name === name,
  );
  const names = new Set(own.map(({ credential }) => credential));
  const ends = rows.flatMap(({ record: { update, step, result, credential, expires } }) =>
    update === change.update && step === "mint" && result === "done" && names.has(credential) ? [expires] : [],
  );
  return { ...change, newExpiration: ends.sort().at(-1) ?? "" };
}

function summarise(credentials: CredentialReport[], changes: Change[], debts: Debt[]): Summary {
  const having = (status: Age["status"]) => credentials.filter(({ age }) => age.status === status).length;
  const ending = (result: Change["result"]) => changes.filter((change) => change.result === result).length;
  const generations = credentials.flatMap((credential) => credential.generations);
  const consumers = credentials.flatMap((credential) => credential.consumers);
  return {
    credentials: credentials.length - having("gone"),
    liveGenerations: generations.filter(({ place }) => isLive(place)).length,
    ...{ overdue: having("overdue"), soon: having("soon"), unlimited: having("unlimited") },
    notAttested: consumers.filter(({ attested }) => !attested).length,
    debts: debts.length,
    rotated: changes.filter(({ rotated }) => rotated).length,
    ...{ failed: ending("failed"), withoutOutcome: ending("no outcome recorded") },
  };
}
