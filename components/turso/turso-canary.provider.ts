import { randomBytes } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import type { TursoTarget } from "../rotation/model";
import { isUnknown, sameInputs } from "../thin.provider";
import { type TursoApi, TursoError } from "./api";
import { askToken } from "./data";
import { preflight } from "./preflight";
import { begins, groupOf, isCovered, keyOf, otherOrganization, targetOf, type Targets, whereOf } from "./targets";

/** A read-only token that was minted and recorded before a call of `auth/rotate`: refused, it shows that the call took effect. */
export interface Canary {
  /** Random and public. */
  tag: string;
  /** The target that it was minted for, as a key. */
  on: string;
  /** Where it is used. */
  url: string;
  jwt: string;
  /** Whether its attempt began an incident, which blocks writes too. */
  blocks?: boolean;
  /** Of one that could not be minted, why: then nothing is known of what it stands for. */
  why?: string;
}

/** A database when an incident began to cover it. */
export interface Before {
  group: string;
  /** Whether its writes were blocked. */
  blocked: boolean;
}

export interface Inputs extends Targets {
  organization: string;
  /** Scopes of the platform token that the config needs. */
  needs: string[];
}

export interface Outputs extends Inputs {
  /**
   * By target, one list an attempt to invalidate it: the newest first, two at most, since an edit may be taken back before its
   * crashed attempt was looked at. The first canary of an attempt decides; the others show what else the invalidation took.
   */
  canaries: Record<string, Canary[][]>;
  /** By target, why it has no canary; then it is not invalidated. */
  failures: Record<string, string>;
  /** By database that an incident covers or covered. */
  before: Record<string, Before>;
  /** Another text at each edit, so that the invalidation looks again. */
  edit: string;
}

/** In a group with more databases the rest is taken to behave like these. */
const mostWitnesses = 200;

/** Canaries of this process: no earlier run can have called `auth/rotate` after they were minted. */
export const mintedHere = new Set<string>();

/** CRUD of the canaries; see components/turso/turso-organization.ts. */
export function tursoCanary(
  api: TursoApi,
  warn: (line: string) => void,
): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  return {
    /** Looks before anything changes, in the preview too: the platform token, its scopes, every group and database. */
    async check(olds, news) {
      if (isUnknown(news) || sameInputs(olds, news)) return { inputs: news };
      return { inputs: news, failures: await preflight(api, news, news.needs) };
    },

    diff: (_id, olds, news) =>
      Promise.resolve({ changes: !sameInputs(olds, news), replaces: otherOrganization(olds, news) }),
    create: async (news) => ({ id: news.organization, outs: await watch(api, news, undefined) }),
    update: async (_id, olds, news) => ({ outs: await watch(api, news, olds) }),

    async delete(_id, props) {
      const all = Object.values(props.canaries)
        .flat(2)
        .filter(({ jwt }) => jwt !== "");
      const states = await Promise.all(all.map(({ url, jwt }) => askToken(url, jwt)));
      const left = all.filter((_, index) => states[index] === "works");
      if (left.length > 0)
        warn(`${left.length} read-only canary tokens of Turso work on until they expire, two days at most`);
    },
  };
}

interface Attempt {
  key: string;
  canaries: Canary[][];
  /** Of the databases that an incident begins to cover. */
  before: Record<string, Before>;
  failure?: string;
}

/** Mints a canary for each target whose invalidation this config begins. */
async function watch(api: TursoApi, news: Inputs, olds: Outputs | undefined): Promise<Outputs> {
  // A target that is asked no more keeps its canaries: its crashed attempt may not have been looked at yet.
  const keys = new Set([news.asked, olds?.asked ?? {}, olds?.canaries ?? {}].flatMap(Object.keys));
  const made = await Promise.all([...keys].map((key) => attempt(api, key, news, olds)));
  const failed = made.filter(({ failure }) => failure !== undefined).map(({ key }) => key);
  const asked = Object.entries(news.asked).filter(([key]) => !failed.includes(key));
  const asBefore = Object.entries(olds?.asked ?? {}).filter(([key]) => failed.includes(key));
  const known = olds?.before ?? {};
  // What was recorded under an incident that covers a database already stands: by now it is this program that blocks it.
  const begun = made
    .flatMap(({ before }) => Object.entries(before))
    .filter(([name, { group }]) => !(name in known && isCovered(olds?.asked ?? {}, name, group)));
  return {
    ...news,
    // As if it had not been asked yet, where it failed: the next update begins it again.
    asked: Object.fromEntries([...asked, ...asBefore]),
    canaries: Object.fromEntries(made.map(({ key, canaries }) => [key, canaries])),
    failures: Object.fromEntries(made.flatMap(({ key, failure }) => (failure === undefined ? [] : [[key, failure]]))),
    before: { ...known, ...Object.fromEntries(begun) },
    edit: randomBytes(4).toString("hex"),
  };
}

async function attempt(api: TursoApi, key: string, news: Inputs, olds: Outputs | undefined): Promise<Attempt> {
  const asked = news.asked[key] ?? { stamp: "", readOnly: "" };
  const was = olds?.asked[key] ?? { stamp: "", readOnly: "" };
  const canaries = olds?.canaries[key] ?? [];
  if (!begins(asked, was)) return { key, canaries, before: {} };
  try {
    const target = targetOf(key);
    const blocks = asked.readOnly !== "" && was.readOnly === "";
    const minted = (await mintCanaries(api, target, news)).map((canary) => ({ ...canary, blocks }));
    return {
      key,
      canaries: [minted, ...canaries.slice(0, 1)],
      before: blocks ? await blockedNow(api, target) : {},
    };
  } catch (error) {
    if (!(error instanceof TursoError)) throw error;
    return { key, canaries, before: {}, failure: error.message };
  }
}

async function blockedNow(api: TursoApi, { kind, name }: TursoTarget): Promise<Record<string, Before>> {
  const databases = kind === "group" ? await api.databasesOf(name) : [await api.database(name)];
  return Object.fromEntries(
    databases.map(({ name: one, group, blockWrites }) => [one, { group, blocked: blockWrites }]),
  );
}

/** One that decides, and one on everything else that shares its keys, or does not: both are documented, and both were seen. */
async function mintCanaries(api: TursoApi, target: TursoTarget, targets: Targets): Promise<Canary[]> {
  const decides = await mintCanary(api, target, (await proofPlace(api, target)).url);
  const group = groupOf(targets, target);
  const declared = Object.keys(targets.databases).filter((name) => targets.databases[name] === group);
  const listed = await api.databasesOf(group).catch(() => []); // an account's token may not list
  const names = [...new Set([...declared, ...listed.map(({ name }) => name)])].slice(0, mostWitnesses);
  const others: TursoTarget[] = [
    { kind: "group", name: group },
    ...names.map((name) => ({ kind: "database" as const, name })),
  ];
  const witnesses = await Promise.all(
    others
      .filter((other) => keyOf(other) !== keyOf(target))
      .map(async (other): Promise<Canary> => {
        try {
          return await mintCanary(api, other, (await proofPlace(api, other)).url);
        } catch (error) {
          if (!(error instanceof TursoError)) throw error;
          return { tag: "", on: keyOf(other), url: "", jwt: "", why: error.message };
        }
      }),
  );
  return [decides, ...witnesses];
}

export async function mintCanary(api: TursoApi, target: TursoTarget, url: string): Promise<Canary> {
  const jwt = await api.mintToken(target, {
    authorization: "read-only",
    expiration: "2d",
    permissions: [],
    attach: [],
  });
  const state = await askToken(url, jwt);
  if (state !== "works") {
    const why = state === "refused" ? "was refused" : `could not be tried (${state.unknown})`;
    throw new TursoError(
      "unavailable",
      `a read-only token of the ${target.kind} ${target.name}, minted to see what an invalidation does, ${why}`,
    );
  }
  const canary = { tag: randomBytes(8).toString("hex"), on: keyOf(target), url, jwt };
  mintedHere.add(canary.tag);
  return canary;
}

/** Where a token of the target is tried, its database or one of its group, and whether writes are blocked there now. */
export async function proofPlace(
  api: TursoApi,
  target: TursoTarget,
  proveOn?: string,
): Promise<{ url: string; writesBlocked: boolean }> {
  const name = target.kind === "database" ? target.name : proveOn;
  const [found] = name === undefined ? await api.databasesOf(target.name) : [await api.database(name)];
  if (found) return { url: api.dataUrl(found.hostname), writesBlocked: found.blockWrites };
  throw new TursoError(
    "rejected",
    `the group ${target.name} has no database, so nobody can see whether a token of it works. Create one, or take ${whereOf(target)} out.`,
  );
}
