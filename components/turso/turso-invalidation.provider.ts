import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type * as pulumi from "@pulumi/pulumi";
import { sameInputs } from "../thin.provider";
import { type TursoApi, TursoError } from "./api";
import { askToken, expiryOf } from "./data";
import { groupOf, keyOf, targetOf, type Targets, whereOf } from "./targets";
import { type Canary, mintCanary, mintedHere, type Outputs as CanaryOutputs } from "./turso-canary.provider";

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
  /** By invalidated database, what its group's and its siblings' tokens did. */
  findings: Record<string, Record<string, string>>;
}

const untouched: Done = { stamp: "", readOnly: "", blocked: false, seen: [] };
/** How long an unanswered call, or one of a run that crashed, may take to have its effect. */
const lookMs = 5000;
/** How long an answered call may take. Turso gives no figure. */
const effectMs = 60_000;

/** CRUD of the invalidations; see components/turso/turso-organization.ts. */
export function tursoInvalidation(api: TursoApi): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  return {
    diff: (_id, olds, news) =>
      Promise.resolve({ changes: Object.keys(olds.failures).length > 0 || !sameInputs(olds, news) }),
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
  const keys = [...new Set([...Object.keys(news.asked), ...Object.keys(olds?.done ?? {})])];
  const byGroup = news.groups.map((group) =>
    keys
      .filter((key) => groupOf(news, targetOf(key)) === group)
      .sort((a, b) => Number(b.startsWith("group:")) - Number(a.startsWith("group:"))),
  );
  const others = { succeeded: false };
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
    done: Object.fromEntries(Object.entries(done).filter(([key, { blocked }]) => key in news.asked || blocked)),
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
  others: { succeeded: boolean },
): Promise<Outcome> {
  const was = olds?.done[key] ?? untouched;
  const asked = news.asked[key] ?? { stamp: "", readOnly: "", reason: "" };
  const attempts = news.canaries[key] ?? [];
  const unseen = attempts.filter(([canary]) => canary !== undefined && !was.seen.includes(canary.tag));
  const begins = (asked.stamp !== "" && asked.stamp !== was.stamp) || (asked.readOnly !== "" && was.readOnly === "");
  let effective = false;
  if (begins) {
    const canary = unseen[0]?.[0];
    const failure = canary ? await invalidate(api, key, canary, others) : (news.unwatched[key] ?? "it has no canary");
    if (failure !== undefined) return { key, done: was, effective, failure: `${wordsOf(key)}: ${failure}` };
    effective = true;
  } else {
    // An edit that was taken back: its crashed run may have called rotate, and then what consumers hold is dead.
    for (const [canary] of unseen)
      if (canary && (await watch(canary, mintedHere.has(canary.tag) ? 0 : lookMs)) !== "works") effective = true;
  }
  const done: Done = {
    stamp: asked.stamp,
    readOnly: asked.readOnly,
    blocked: was.blocked,
    seen: attempts.flatMap(([canary]) => canary?.tag ?? []),
  };
  const finding = effective ? await findingOf(unseen[0] ?? []) : undefined;
  const outcome: Outcome = { key, done, effective, ...(finding ? { finding } : {}) };
  try {
    if ((asked.readOnly !== "") !== was.blocked || unseen.length > 0)
      await blockWrites(api, news.before[key] ?? {}, asked.readOnly !== "");
    return { ...outcome, done: { ...done, blocked: asked.readOnly !== "" } };
  } catch (error) {
    if (!(error instanceof TursoError)) throw error;
    const what =
      asked.readOnly === ""
        ? "its writes are still blocked"
        : "its tokens are invalidated, but its writes are not blocked";
    return { ...outcome, failure: `${wordsOf(key)}: ${what}: ${error.message}` };
  }
}

function wordsOf(key: string): string {
  const target = targetOf(key);
  return `${target.kind} ${target.name} (${whereOf(target)})`;
}

/**
 * Calls `auth/rotate` until the canary is refused, and never again after that: nothing was minted meanwhile, so nothing new is lost.
 *
 * @returns why it failed; undefined when the canary is refused.
 */
async function invalidate(
  api: TursoApi,
  key: string,
  recorded: Canary,
  others: { succeeded: boolean },
): Promise<string | undefined> {
  try {
    let canary = recorded;
    let state = await watch(canary, mintedHere.has(canary.tag) ? 0 : lookMs);
    if (state === "refused") {
      if (!mayHaveExpired(canary)) return undefined; // an earlier run's call took effect, or the group's did
      canary = await mintCanary(api, targetOf(key), canary.url, "2d");
    }
    // With others waiting for their new tokens, a second try is left to the next update.
    for (let attempt = 1; attempt === 1 || (attempt === 2 && !others.succeeded); attempt++) {
      const answered = await api.rotate(targetOf(key)).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof TursoError) return error;
          throw error;
        },
      );
      if (answered && answered.fault !== "unavailable") return answered.message;
      state = await watch(canary, answered ? lookMs : effectMs);
      if (state === "refused") return undefined;
      if (!answered)
        return `Turso answered that its tokens are invalidated, but one that was minted before still works after ${effectMs / 1000} s. Run the update again: it looks before it calls again`;
      if (attempt === 2 || others.succeeded)
        return `${answered.message}. A token that was minted before still works, so it was not invalidated`;
    }
    return "it was not invalidated";
  } catch (error) {
    if (error instanceof TursoError) return error.message;
    throw error;
  }
}

/** Asks until the canary is refused three times in a row, or `ms` is over. */
async function watch(canary: Canary, ms: number): Promise<"works" | "refused" | "unknown"> {
  const until = performance.now() + ms;
  for (let row = 0; ;) {
    const state = await askToken(canary.url, canary.jwt);
    row = state === "refused" ? row + 1 : 0;
    if (row === 3) return "refused";
    if (row > 0) continue;
    if (performance.now() >= until) return state === "works" ? "works" : "unknown";
    await pause(50);
  }
}

/** Refused for its age, a canary says nothing. A day's margin, so that a clock that is wrong makes one call too many, never one too few. */
function mayHaveExpired({ jwt }: Canary): boolean {
  const expires = expiryOf(jwt);
  return expires !== undefined && expires - Date.now() / 1000 < 86_400;
}

async function findingOf([, ...witnesses]: Canary[]): Promise<Record<string, string> | undefined> {
  if (witnesses.length === 0) return undefined;
  const states = await Promise.all(witnesses.map(({ url, jwt }) => askToken(url, jwt)));
  return Object.fromEntries(
    witnesses.map(({ on }, index) => {
      const state = states[index];
      return [on, typeof state === "string" ? state : "unknown"];
    }),
  );
}

/** Blocks the writes of each database, or gives back what was there when the incident began. */
async function blockWrites(api: TursoApi, before: Record<string, boolean>, block: boolean): Promise<void> {
  await Promise.all(
    Object.entries(before).map(([name, was]) =>
      api.configure({ kind: "database", name }, { blockWrites: block || was }),
    ),
  );
}
