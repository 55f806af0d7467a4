import { randomBytes } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import { sameInputs } from "../thin.provider";
import { type TursoApi, TursoError } from "./api";
import { type Others, patienceWith, rotateUntilRefused, watch } from "./rotate";
import { begins, groupOf, keyOf, otherOrganization, targetOf, type Targets, whereOf } from "./targets";
import type { Canary, Outputs as CanaryOutputs } from "./turso-canary.provider";

export interface Inputs extends Targets {
  organization: string;
  canaries: CanaryOutputs["canaries"];
  /** By target, why it has no canary. */
  unwatched: Record<string, string>;
  before: CanaryOutputs["before"];
  edit: string;
}

/** What took effect on a target. */
interface Done {
  stamp: string;
  /** Of an incident under way, how long its tokens work; else empty. */
  readOnly: string;
  /** Whether its writes are blocked by an incident. */
  blocked: boolean;
  /** Tags of the canaries that were looked at. */
  seen: string[];
}

/** What tokens of a target must follow: those minted under another mark are dead, or are taken for dead. */
export interface Standing {
  mark: string;
  /** During an incident how long a read-only token works; else empty. */
  readOnly: string;
}

export interface Outputs extends Inputs {
  done: Record<string, Done>;
  /** By group and by database. */
  standing: Record<string, Standing>;
  /** By target, why its invalidation failed; it kept its tokens unless the text says otherwise. */
  failures: Record<string, string>;
  /** By invalidated target, what became of the other tokens of its group: `refused`, `works`, or more words. */
  findings: Record<string, Record<string, string>>;
}

const untouched: Done = { stamp: "", readOnly: "", blocked: false, seen: [] };
/** How long the databases of a group may lag behind it, and how long a sibling is given, whose fate is only recorded. */
const groupLagMs = 2000;
const siblingLagMs = 200;

/** CRUD of the invalidations; see components/turso/turso-organization.ts. */
export function tursoInvalidation(api: TursoApi): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  return {
    diff: (_id, olds, news) =>
      Promise.resolve({
        changes: Object.keys(olds.failures).length > 0 || !sameInputs(olds, news),
        replaces: otherOrganization(olds, news),
      }),
    create: async (news) => ({ id: news.organization, outs: await invalidateAll(api, news, undefined) }),
    update: async (_id, olds, news) => ({ outs: await invalidateAll(api, news, olds) }),
  };
}

interface Outcome {
  key: string;
  done: Done;
  /** Whether its tokens are dead since now. */
  effective: boolean;
  failure?: string;
  finding?: Record<string, string>;
}

/** Groups at once; in a group one target after the other, since one may take the tokens of the next with it. */
async function invalidateAll(api: TursoApi, news: Inputs, olds: Outputs | undefined): Promise<Outputs> {
  // Also what is asked no more: an edit that was taken back before its crashed run was looked at is in the canaries alone.
  const keys = [...new Set([news.asked, olds?.done ?? {}, news.canaries].flatMap(Object.keys))];
  const byGroup = news.groups.map((group) =>
    keys
      .filter((key) => groupOf(news, targetOf(key)) === group)
      .sort((a, b) => Number(b.startsWith("group:")) - Number(a.startsWith("group:"))),
  );
  const others: Others = { succeeded: false };
  const outcomes = (
    await Promise.all(
      byGroup.map(async (ofGroup) => {
        const made: Outcome[] = [];
        for (const key of ofGroup) {
          made.push(await settle(api, key, news, olds, others));
          others.succeeded ||= made.at(-1)?.effective === true;
        }
        return made;
      }),
    )
  ).flat();
  const done = Object.fromEntries(outcomes.map((one) => [one.key, one.done]));
  return {
    ...news,
    done,
    standing: standingOf(news, olds, outcomes, done),
    failures: Object.fromEntries(
      outcomes.flatMap(({ key, failure }) => (failure === undefined ? [] : [[key, failure]])),
    ),
    findings: Object.fromEntries([
      ...Object.entries(olds?.findings ?? {}).filter(([key]) => key in news.asked),
      ...outcomes.flatMap(({ key, finding }) => (finding === undefined ? [] : [[key, finding]])),
    ]) as Outputs["findings"],
  };
}

function standingOf(news: Inputs, olds: Outputs | undefined, outcomes: Outcome[], done: Record<string, Done>) {
  const entries = news.groups.flatMap((group): [string, Standing][] => {
    const key = keyOf({ kind: "group", name: group });
    const isNew = outcomes.some((one) => one.effective && groupOf(news, targetOf(one.key)) === group);
    const mark = isNew ? randomBytes(8).toString("hex") : (olds?.standing[key]?.mark ?? "");
    const ofGroup = done[key]?.readOnly ?? "";
    const databases = Object.keys(news.databases).filter((name) => news.databases[name] === group);
    return [
      [key, { mark, readOnly: ofGroup }],
      ...databases.map((name): [string, Standing] => {
        const database = keyOf({ kind: "database", name });
        return [database, { mark, readOnly: ofGroup === "" ? (done[database]?.readOnly ?? "") : ofGroup }];
      }),
    ];
  });
  return Object.fromEntries(entries);
}

/** Invalidates one target if config asks for it anew, or finds out what a crashed attempt did; then blocks or unblocks writes. */
async function settle(
  api: TursoApi,
  key: string,
  news: Inputs,
  olds: Outputs | undefined,
  others: Others,
): Promise<Outcome> {
  const was = olds?.done[key] ?? untouched;
  const asked = news.asked[key] ?? { stamp: "", readOnly: "", reason: "" };
  const attempts = news.canaries[key] ?? [];
  const unseen = attempts.filter(([canary]) => canary !== undefined && !was.seen.includes(canary.tag));
  let effective = false;
  let finding: Record<string, string> | undefined;
  if (begins(asked, was)) {
    const [canary, ...witnesses] = unseen[0] ?? [];
    const failed = (failure: string) => ({ key, done: was, effective, failure: `${wordsOf(key)}: ${failure}` });
    if (!canary) return failed(news.unwatched[key] ?? "it has no canary");
    const failure = await rotateUntilRefused(api, canary, others);
    if (failure !== undefined) return failed(failure);
    effective = true;
    const around = await lookAround(api, key, witnesses, others);
    if (around.failure !== undefined) return { ...failed(around.failure), finding: around.finding };
    finding = around.finding;
  } else {
    // An edit that was taken back: its crashed run may have called rotate, and then what consumers hold is dead.
    for (const [canary] of unseen)
      if (canary && (await watch(canary, patienceWith(canary))) !== "works") effective = true;
  }
  const done: Done = {
    stamp: asked.stamp,
    readOnly: asked.readOnly,
    blocked: was.blocked,
    seen: attempts.flatMap(([canary]) => canary?.tag ?? []),
  };
  const outcome: Outcome = { key, done, effective, ...(finding ? { finding } : {}) };
  try {
    // What an operator blocked after an earlier incident is not this one's to unblock.
    const mayBeBlocked = was.blocked || unseen.some(([canary]) => canary?.blocks === true);
    if (asked.readOnly === "" ? mayBeBlocked : !was.blocked || unseen.length > 0)
      await blockWrites(api, news.before[key] ?? {}, asked.readOnly !== "");
    return { ...outcome, done: { ...done, blocked: asked.readOnly !== "" } };
  } catch (error) {
    if (!(error instanceof TursoError)) throw error;
    const what =
      asked.readOnly === ""
        ? "its writes are still blocked"
        : "its tokens are invalidated, but its writes are not blocked";
    // So that the next update tries again: its canary has been seen by then.
    const tried = { ...done, blocked: asked.readOnly === "" };
    return { ...outcome, done: tried, failure: `${wordsOf(key)}: ${what}: ${error.message}` };
  }
}

function wordsOf(key: string): string {
  const target = targetOf(key);
  return `${target.kind} ${target.name} (${whereOf(target)})`;
}

/**
 * What became of the other canaries. A group's invalidation is meant to reach every database; one whose tokens outlive it (seen at
 * Turso) is invalidated by a call of its own. A database's is not meant to reach its siblings: their finding is recorded, no more.
 */
async function lookAround(api: TursoApi, key: string, witnesses: Canary[], others: Others) {
  const finding: Record<string, string> = {};
  const failures: string[] = [];
  await Promise.all(
    witnesses.map(async (witness) => {
      finding[witness.on] = await watch(witness, key.startsWith("group:") ? groupLagMs : siblingLagMs);
      if (finding[witness.on] !== "works" || !key.startsWith("group:") || !witness.on.startsWith("database:")) return;
      const failure = await rotateUntilRefused(api, witness, others);
      if (failure === undefined) finding[witness.on] = "outlived it, and was invalidated by a call of its own";
      else failures.push(`tokens of the ${wordsOf(witness.on)} outlived it: ${failure}`);
    }),
  );
  return { finding, ...(failures.length > 0 ? { failure: failures.join("; ") } : {}) };
}

/** Blocks the writes of each database, or gives back what was there when the incident began. */
async function blockWrites(api: TursoApi, before: Record<string, boolean>, block: boolean): Promise<void> {
  await Promise.all(
    Object.entries(before).map(([name, was]) =>
      api.configure({ kind: "database", name }, { blockWrites: block || was }),
    ),
  );
}
