/** Turso's part of the plan: what invalidations and incidents do, and tokens that work on though nobody is handed them. */
import { z } from "zod";
import { parseExpiration } from "../../components/rotation/expiration";
import { begins, groupOf, targetOf } from "../../components/turso/targets";
import type { TursoTarget } from "../../components/rotation/model";
import { isSurelyRefused } from "../expired";
import type { Note } from "./debts";
import { consumerName, kindOf, type Outputs, type Resource, type State, type Step } from "./shapes";

export interface Invalidation extends TursoTarget {
  /** The group whose tokens are reached. */
  group: string;
  /** Undefined where nothing is invalidated: an incident ends. */
  stamp?: string;
  incident?: { phase: "begins" | "goes on" | "ends"; reason: string; readOnly: string };
  /** Databases of the group; `collateral`: nobody asked for theirs, but their tokens are taken for dead too. */
  databases: { name: string; collateral: boolean }[];
  /** Credentials whose tokens die and are minted again, or are minted otherwise. */
  credentials: { name: string; collateral: boolean; consumers: { name: string; as: string }[] }[];
  /** Retired tokens that die with the others, for good. */
  retired: { name: string; stamp: string }[];
  /** Why the last update could not do it. */
  failed?: string;
}

export interface RetiredToken {
  name: string;
  stamp: string;
  /** ISO date and time, or `never`. */
  expires: string;
  /** Only after a day is it sure that it has expired: clocks differ. */
  state: "works" | "expired" | "may be taken out";
  /** Its group was invalidated since, or it was never minted: whatever its date, it does not work. */
  isDead: boolean;
}

/** What one token's resource says, in state or as it will be. */
export interface Token {
  credential: string;
  stamp: string;
  place: string;
  target: TursoTarget;
  group: string;
  expiration: string;
  expires: string;
  /** It was minted before the last invalidation of its group, or never. */
  isDead: boolean;
  failure: string;
}

const target = z.object({ kind: z.enum(["group", "database"]), name: z.string() });
const inputs = z.object({
  credential: z.string(),
  stamp: z.string(),
  place: z.string(),
  target,
  group: z.string(),
  mark: z.string().catch(""),
  minting: z.object({ expiration: z.string() }),
});
const minted = z.object({
  expires: z.string().catch("never"),
  under: z.object({ mark: z.string() }).optional().catch(undefined),
  /** Empty where no token was minted. */
  tag: z.string().optional(),
  failure: z.string().catch(""),
});

export function tokenOf(resource: Resource | undefined): Token | undefined {
  if (!resource || kindOf(resource.urn) !== "TursoToken") return undefined;
  const [read, outs] = [inputs.safeParse(resource.inputs), minted.safeParse(resource.outputs)];
  if (!read.success) return undefined;
  const { mark, minting, ...rest } = read.data;
  const { expires, under, tag, failure } = outs.success ? outs.data : minted.parse({});
  const isDead = tag === "" || (under !== undefined && under.mark !== mark);
  return { ...rest, expiration: minting.expiration, expires, isDead, failure };
}

export function tokensIn({ resources }: State): Token[] {
  return resources.filter((resource) => !resource.delete).flatMap((resource) => tokenOf(resource) ?? []);
}

/** How long the tokens of each credential are to work, by its name, once the steps are done. */
export function expirationsOf(tokens: Token[], steps: Step[]): Map<string, string> {
  const next = steps.flatMap(({ newState }) => tokenOf(newState) ?? []);
  return new Map([...tokens, ...next].map(({ credential, expiration }) => [credential, expiration]));
}

const asked = z.record(
  z.string(),
  z.object({ stamp: z.string(), readOnly: z.string(), reason: z.string().default("") }),
);
const news = z.object({ databases: z.record(z.string(), z.string()), asked });
const olds = z.object({
  done: z.record(z.string(), z.object({ stamp: z.string(), readOnly: z.string() })).optional(),
  asked: asked.catch({}).default({}),
  failures: z.record(z.string(), z.string()).catch({}).default({}),
});
const nothing = { stamp: "", readOnly: "", reason: "" };

/** One entry for each target that the step of the invalidations will act on. */
export function describeInvalidations(steps: Step[], tokens: Token[], after: Outputs): Invalidation[] {
  const step = steps.find(({ op, urn }) => kindOf(urn) === "TursoInvalidation" && (op === "create" || op === "update"));
  const now = news.safeParse(step?.newState?.inputs);
  if (!now.success) return [];
  const was = olds.parse(step?.oldState?.outputs ?? {});
  // What took effect, not what was asked for: a target that failed is begun again.
  const before = was.done ?? was.asked;
  const keys = [...new Set([...Object.keys(now.data.asked), ...Object.keys(before)])].sort();
  return keys.flatMap((key) => {
    const of = targetOf(key);
    const [to, from] = [now.data.asked[key] ?? nothing, before[key] ?? nothing];
    const ends = to.readOnly === "" && from.readOnly !== "";
    const isInvalidated = begins(to, from);
    if (!isInvalidated && !ends) return [];
    const group = groupOf(now.data, of);
    const reason = to.reason === "" ? (was.asked[key]?.reason ?? "") : to.reason;
    const readOnly = ends ? from.readOnly : to.readOnly;
    const phase = ends ? ("ends" as const) : from.readOnly === "" ? ("begins" as const) : ("goes on" as const);
    const failed = was.failures[key];
    return [
      {
        ...of,
        group,
        ...(isInvalidated ? { stamp: to.stamp } : {}),
        ...(readOnly === "" ? {} : { incident: { phase, reason, readOnly } }),
        databases: reachedDatabases(of, group, now.data.databases, isInvalidated),
        credentials: reachedCredentials(of, group, tokens, after, isInvalidated),
        retired: isInvalidated ? dyingRetired(group, tokens) : [],
        ...(failed === undefined ? {} : { failed }),
      },
    ];
  });
}

/** The whole group: whether a database's invalidation spares the others is documented both ways. */
function reachedDatabases(of: TursoTarget, group: string, databases: Record<string, string>, all: boolean) {
  return Object.keys(databases)
    .filter((name) => databases[name] === group)
    .map((name) => ({ name, collateral: of.kind === "database" && name !== of.name }))
    .filter(({ collateral }) => all || !collateral);
}

function reachedCredentials(of: TursoTarget, group: string, tokens: Token[], after: Outputs, all: boolean) {
  // A retired one dies too, and is not minted again.
  const live = tokens.filter((token) => token.group === group && token.place !== "retired");
  const own = new Map(live.map((token) => [token.credential, token.target]));
  return [...own]
    .map(([name, at]) => ({
      name,
      collateral: of.kind === "database" && (at.kind !== "database" || at.name !== of.name),
      consumers: (after.credentials[name]?.consumers ?? []).map((to) => ({ name: consumerName(to), as: to.as })),
    }))
    .filter(({ name, collateral }) => (all || !collateral) && after.credentials[name] !== undefined)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function dyingRetired(group: string, tokens: Token[]): Invalidation["retired"] {
  return tokens
    .filter((token) => token.group === group && token.place === "retired" && !token.isDead)
    .map(({ credential: name, stamp }) => ({ name, stamp }))
    .sort((a, b) => (`${a.name}@${a.stamp}` < `${b.name}@${b.stamp}` ? -1 : 1)); // state's order is that of an update
}

/** Groups of which every token dies in this update. */
export function dyingGroups(invalidations: Invalidation[]): Set<string> {
  return new Set(invalidations.filter(({ stamp }) => stamp !== undefined).map(({ group }) => group));
}

/** Turso takes a token for a minute after its expiry. */
const LEEWAY_MS = 60_000;

export function isPast({ expires }: Pick<Token, "expires">, now: Date): boolean {
  return now.getTime() - Date.parse(expires) > LEEWAY_MS; // false for `never`, which is no number
}

/** Tokens under `retired`, as state has them. */
export function describeRetired(tokens: Token[], now: Date): RetiredToken[] {
  return tokens
    .filter(({ place }) => place === "retired")
    .map((token) => {
      const { credential: name, stamp, expires } = token;
      const isSure = token.isDead || isSurelyRefused(expires, now);
      const state = isSure ? "may be taken out" : isPast(token, now) ? "expired" : "works";
      return { name, stamp, expires, state, isDead: token.isDead } as const;
    })
    .sort((a, b) => (`${a.name}@${a.stamp}` < `${b.name}@${b.stamp}` ? -1 : 1));
}

/** Retired tokens that still work, and tokens that others replaced. */
export function tursoDebts(before: Outputs, retired: RetiredToken[]): Note[] {
  const working = retired
    .filter(({ state }) => state === "works")
    .map(({ name, stamp, expires }) => ({
      name,
      what: `the token ${stamp} is retired and works ${until(expires)}; Turso cannot revoke it alone`,
    }));
  const replaced = Object.entries(before.debts)
    .filter(([name]) => before.credentials[name]?.kind === "turso")
    .flatMap(([name, texts]) => texts.map((what) => ({ name, what })));
  return [...working, ...replaced];
}

export function until(expires: string | undefined): string {
  if (expires === undefined) return "until it expires";
  return expires === "never" ? "for ever: it never expires, so only an invalidation ends it" : `until ${expires}`;
}

/** What stops working when a stamp leaves `generations` or `retired`, and whether the update can end with that. */
export function fateOf(
  token: Token | undefined,
  kept: boolean,
  groups: Set<string>,
  now: Date,
): { when: string; works: boolean } {
  if (token && groups.has(token.group)) return { when: `with the invalidation of group ${token.group}`, works: false };
  if (token?.isDead === true || (token && isPast(token, now)))
    return { when: "already: its token has expired, was invalidated or was never minted", works: false };
  const what = kept ? "no longer delivered" : "no longer delivered, nor listed under `retired`";
  return { when: `${what}; its token works ${until(token?.expires)}; Turso cannot revoke it alone`, works: true };
}

function targetText(token: Token | undefined): string {
  return token ? `${token.target.kind} ${token.target.name}` : "another target";
}

const LONG_MS = 90 * 86_400_000;

/** What a reviewer should know before the update. */
export function describeWarnings(
  steps: Step[],
  tokens: Token[],
  invalidations: Invalidation[],
  { after, now }: { after: Outputs; now: Date },
): Note[] {
  const dying = dyingGroups(invalidations);
  const forgotten = steps.flatMap(({ op, oldState, newState }) => {
    const token = op === "delete" || op === "replace" ? tokenOf(oldState) : undefined;
    if (!token || !fateOf(token, false, dying, now).works) return [];
    const works = `its token works ${until(token.expires)}`;
    const refused =
      op === "delete"
        ? `so the update will refuse to forget it; put ${token.stamp} back under \`retired\` and wait, or invalidate group ${token.group}`
        : `and one for ${targetText(tokenOf(newState))} takes its place, so the update will deliver that one and then fail; deliver it by a credential of another name, or invalidate group ${token.group}`;
    const isAbandoned = after.abandoned.includes(token.credential);
    return [{ name: nameOf(token), what: `${works}, ${isAbandoned ? "and `abandon` leaves it behind" : refused}` }];
  });
  const dead = tokens.flatMap((token) =>
    token.failure === ""
      ? []
      : [{ name: nameOf(token), what: `was not minted again, so its consumers hold a dead token: ${token.failure}` }],
  );
  return [...forgotten, ...dead, ...longLived(steps, invalidations)];
}

/** Tokens minted by this update that nothing bounds soon, if their minting crashes. */
function longLived(steps: Step[], invalidations: Invalidation[]): Note[] {
  const dying = dyingGroups(invalidations);
  // Read-only tokens of at most 30 days take the place of theirs.
  const incidents = invalidations.filter(({ incident }) => incident !== undefined && incident.phase !== "ends");
  const isShort = ({ group, target: of }: Token) =>
    incidents.some(({ kind, name }) =>
      kind === "group" ? name === group : of.kind === "database" && of.name === name,
    );
  return steps.flatMap(({ op, newState }) => {
    const token = tokenOf(newState);
    if (!token || token.place === "retired" || isShort(token)) return [];
    const isMinted = op === "create" || op === "replace" || (op === "update" && dying.has(token.group));
    const ms = parseExpiration(token.expiration);
    if (!isMinted || (ms !== undefined && ms <= LONG_MS)) return [];
    const [how, bound] =
      ms === undefined
        ? ["never expires", "nothing but an invalidation ends it"]
        : [`works for ${token.expiration}`, "its expiry alone bounds it"];
    return [{ name: nameOf(token), what: `${how}; a token whose minting crashed is in no state, and ${bound}` }];
  });
}

function nameOf({ credential, stamp }: Token): string {
  return `${credential}@${stamp}`;
}

/** What earlier invalidations did to the other tokens of their group. */
export function describeFindings({ findings }: Outputs): Note[] {
  return Object.entries(findings).map(([key, others]) => {
    const said = Object.entries(others).map(([other, state]) => `${spoken(other)} ${FOUND[state] ?? state}`);
    return { name: spoken(key), what: `of its group at its last invalidation: ${said.join(", ")}` };
  });
}

const FOUND: Record<string, string> = { refused: "died too", works: "was spared", unknown: "could not be told" };

function spoken(key: string): string {
  return key.replace(":", " ");
}
