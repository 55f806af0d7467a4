import { randomBytes } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import { sameInputs } from "../thin.provider";
import { type TursoApi, TursoError } from "./api";
import { type Others, patienceWith, rotateUntilRefused, watch } from "./rotate";
import { begins, groupOf, isCovered, keyOf, otherOrganization, targetOf, type Targets, whereOf } from "./targets";
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
  /** Tags of the canaries that were looked at. */
  seen: string[];
  /** Databases, as keys, whose tokens outlived the invalidation of their group and could not be invalidated yet. */
  outlived: string[];
}

/** What tokens of a target must follow: those minted under another mark are dead, or are taken for dead. */
export interface Standing {
  mark: string;
  /** During an incident how long a read-only token works; else empty. */
  readOnly: string;
}

export interface Outputs extends Inputs {
  done: Record<string, Done>;
  /** Databases whose writes an incident blocks. */
  blocked: string[];
  /** By group and by database. */
  standing: Record<string, Standing>;
  /** By target, why its invalidation failed; it kept its tokens unless the text says otherwise. */
  failures: Record<string, string>;
  /** By invalidated target, what became of the other tokens of its group: `refused`, `works`, or more words. */
  findings: Record<string, Record<string, string>>;
}

const untouched: Done = { stamp: "", readOnly: "", seen: [], outlived: [] };
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
    /** Tokens stay as they are; what an incident blocks is given back. */
    async delete(_id, props) {
      await Promise.all(props.blocked.map((name) => giveBack(api, name, props.before[name]?.blocked === true)));
    },
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
  const writes = await settleWrites(api, news, olds, done);
  return {
    ...news,
    done,
    blocked: writes.blocked,
    standing: standingOf(news, olds, outcomes, done),
    failures: joined([
      ...outcomes.flatMap(({ key, failure }): [string, string][] => (failure === undefined ? [] : [[key, failure]])),
      ...writes.failures,
    ]),
    findings: Object.fromEntries([
      ...Object.entries(olds?.findings ?? {}).filter(([key]) => key in news.asked),
      ...outcomes.flatMap(({ key, finding }) => (finding === undefined ? [] : [[key, finding]])),
    ]) as Outputs["findings"],
  };
}

/** A database may have failed twice: its invalidation, and its writes. */
function joined(entries: [string, string][]): Record<string, string> {
  return entries.reduce<Record<string, string>>(
    (all, [key, text]) => ({ ...all, [key]: key in all ? `${all[key]}; ${text}` : text }),
    {},
  );
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

/** Invalidates one target if config asks for it anew, or finds out what a crashed attempt did. */
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
  const unseen = unseenOf(attempts, was);
  const seen = attempts.flatMap(([canary]) => canary?.tag ?? []);
  const done: Done = { stamp: asked.stamp, readOnly: asked.readOnly, seen, outlived: [] };
  const failed = (failure: string) => ({ key, done: was, effective: false, failure: `${wordsOf(key)}: ${failure}` });
  if (begins(asked, was)) {
    const [canary, ...witnesses] = unseen[0] ?? [];
    if (!canary) return failed(news.unwatched[key] ?? "it has no canary");
    const failure = await rotateUntilRefused(api, canary, others);
    if (failure !== undefined) return failed(failure);
    return { key, effective: true, ...(await lookAround(api, key, done, witnesses, others)) };
  }
  if (was.outlived.length > 0) {
    const witnesses = attempts.flat().filter(({ on, jwt }) => jwt !== "" && was.outlived.includes(on));
    const around = await lookAround(api, key, done, witnesses, others);
    const isLess = around.done.outlived.length < was.outlived.length;
    return { key, effective: isLess, ...around, finding: { ...olds?.findings[key], ...around.finding } };
  }
  // An edit that was taken back: its crashed run may have called rotate, and then what consumers hold is dead.
  let effective = false;
  for (const [canary] of unseen)
    if (canary && (await watch(canary, patienceWith(canary))) !== "works") effective = true;
  return { key, done, effective };
}

function unseenOf(attempts: Canary[][], { seen }: Done): Canary[][] {
  return attempts.filter(([canary]) => canary !== undefined && !seen.includes(canary.tag));
}

function wordsOf(key: string): string {
  const target = targetOf(key);
  return `${target.kind} ${target.name} (${whereOf(target)})`;
}

/**
 * What became of the other canaries. A group's invalidation is meant to reach every database; one whose tokens outlive it (seen at
 * Turso) is invalidated by a call of its own. A database's is not meant to reach its siblings: their finding is recorded, no more.
 */
async function lookAround(
  api: TursoApi,
  key: string,
  done: Done,
  witnesses: Canary[],
  others: Others,
): Promise<Pick<Outcome, "done" | "finding" | "failure">> {
  const finding: Record<string, string> = {};
  const failures: Record<string, string> = {};
  const reaches = key.startsWith("group:");
  await Promise.all(
    witnesses.map(async (witness) => {
      const { on, why } = witness;
      finding[on] =
        why === undefined ? await watch(witness, reaches ? groupLagMs : siblingLagMs) : `not looked at: ${why}`;
      if (finding[on] !== "works" || !reaches || !on.startsWith("database:")) return;
      const failure = await rotateUntilRefused(api, witness, others);
      if (failure === undefined) finding[on] = "outlived it, and was invalidated by a call of its own";
      else failures[on] = `tokens of the ${wordsOf(on)} outlived it: ${failure}`;
    }),
  );
  const texts = Object.values(failures);
  return {
    done: { ...done, outlived: Object.keys(failures) },
    finding,
    ...(texts.length > 0 ? { failure: `${wordsOf(key)}: ${texts.join("; ")}` } : {}),
  };
}

/** Blocks the writes of every database that an incident covers, and gives back what was there to those that none covers any more. */
async function settleWrites(
  api: TursoApi,
  news: Inputs,
  olds: Outputs | undefined,
  done: Record<string, Done>,
): Promise<{ blocked: string[]; failures: [string, string][] }> {
  const were = olds?.blocked ?? [];
  // A crashed run may have blocked and not recorded it. What an operator blocks at other times is not ours to unblock.
  const suspects = Object.entries(news.canaries)
    .filter(([key, attempts]) => unseenOf(attempts, olds?.done[key] ?? untouched).some(([canary]) => canary?.blocks))
    .map(([key]) => targetOf(key));
  const isSuspect = (name: string, group: string) =>
    suspects.some((target) => target.name === (target.kind === "group" ? group : name));
  const blocked: string[] = [];
  const failures: [string, string][] = [];
  await Promise.all(
    Object.entries(news.before).map(async ([name, before]) => {
      const wanted = isCovered(done, name, before.group);
      const isOurs = were.includes(name);
      try {
        if (wanted && (!isOurs || isSuspect(name, before.group)))
          await api.configure({ kind: "database", name }, { blockWrites: true });
        if (!wanted && (isOurs || isSuspect(name, before.group))) await giveBack(api, name, before.blocked);
        if (wanted) blocked.push(name);
      } catch (error) {
        if (!(error instanceof TursoError)) throw error;
        if (!wanted && isOurs) blocked.push(name); // tried again by the next update, as is one that is not listed and wanted
        const what = wanted
          ? "its tokens are invalidated, but its writes are not blocked"
          : "its writes are still blocked";
        failures.push([
          keyOf({ kind: "database", name }),
          `${wordsOf(keyOf({ kind: "database", name }))}: ${what}: ${error.message}`,
        ]);
      }
    }),
  );
  return { blocked: blocked.sort(), failures };
}

async function giveBack(api: TursoApi, name: string, blocked: boolean): Promise<void> {
  await api.configure({ kind: "database", name }, { blockWrites: blocked }).catch((error: unknown) => {
    if (!(error instanceof TursoError) || error.fault !== "not-found") throw error; // a database that is gone blocks nothing
  });
}
