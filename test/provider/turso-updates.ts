/**
 * For tests of Turso's CRUD without the engine: a local Turso, and updates as the engine would make them: canaries, invalidation,
 * then tokens, each from the state that the one before left, and only where its diff asks for it.
 */
import type * as pulumi from "@pulumi/pulumi";
import type { TursoTarget } from "../../components/rotation/model";
import { TursoApi } from "../../components/turso/api";
import { type Asked, groupOf, keyOf, type Targets } from "../../components/turso/targets";
import { mintedHere, type Outputs as Canaries, tursoCanary } from "../../components/turso/turso-canary.provider";
import { type Outputs as Invalidations, tursoInvalidation } from "../../components/turso/turso-invalidation.provider";
import {
  type Inputs as TokenInputs,
  type Outputs as Token,
  tursoToken,
} from "../../components/turso/turso-token.provider";
import { type LocalTurso, startTurso } from "../../local/cloud/turso";
import { callTurso } from "../../local/cloud/turso/client";

type Provider<I, O> = pulumi.dynamic.ResourceProvider<I, O>;

export interface Updates {
  turso: LocalTurso;
  /** By target. */
  tokens: Record<string, Token>;
  invalidation: () => Invalidations;
  /**
   * An update of this config: by target `group:NAME` or `database:NAME`, its stamp, or how long an incident's tokens work. Databases
   * that are `left` have no entry any more, nor have their tokens.
   */
  up(asked: Record<string, string | { readOnly: string }>, left?: string[]): Promise<void>;
  /** As far as a run gets that is killed before it calls `auth/rotate`; the next update is another process's. */
  upToCanaries(asked: Record<string, string | { readOnly: string }>): Promise<void>;
  /** The next update is another process's. */
  restarted(): void;
  /** With which platform token Turso is called from now on. */
  callWith(platformToken: string): void;
  /** Deletes the invalidation and its canaries, as when config no longer declares the organisation. */
  remove(): Promise<void>;
  refresh(): Promise<void>;
  /** What Turso did since the last time that this was asked: `rotate group default`. */
  events(): string[];
  stop(): Promise<void>;
}

/** Tokens of these targets are minted when this returns. */
export async function startUpdates(databases: Record<string, { group: string }>, targets: string[]): Promise<Updates> {
  const turso = await startTurso({ databases });
  const by = (platformToken: string) => {
    const api = new TursoApi(turso, platformToken, 1500);
    return { canary: tursoCanary(api, () => undefined), invalidation: tursoInvalidation(api), token: tokensBy(api) };
  };
  let providers = by(turso.platformToken);
  const groups = [...new Set(Object.values(databases).map(({ group }) => group))];
  const inGroups = Object.fromEntries(Object.entries(databases).map(([name, { group }]) => [name, group]));
  const state: { canaries?: Canaries; invalidation?: Invalidations } = {};
  const tokens: Record<string, Token> = {};
  let seen = 0;

  type Asking = Parameters<Updates["up"]>[0];
  const same = (asked: Asking, left: string[]): Targets & { organization: string } => ({
    organization: turso.organization,
    groups,
    databases: Object.fromEntries(Object.entries(inGroups).filter(([name]) => !left.includes(name))),
    asked: Object.fromEntries(
      Object.entries(asked).map(([key, one]): [string, Asked] => [
        key,
        { stamp: "", readOnly: "", reason: "", ...(typeof one === "string" ? { stamp: one } : one) },
      ]),
    ),
  });
  const upToCanaries = async (asked: Asking, left: string[]): Promise<Canaries> =>
    (state.canaries = await applied(providers.canary, state.canaries, { ...same(asked, left), needs: [] }));
  const up: Updates["up"] = async (asked, left = []) => {
    const { canaries, failures: unwatched, before, edit } = await upToCanaries(asked, left);
    const news = { ...same(asked, left), canaries, unwatched, before, edit };
    const { standing } = (state.invalidation = await applied(providers.invalidation, state.invalidation, news));
    const live = targets.filter((key) => !left.some((name) => key === `database:${name}`));
    await Promise.all(
      live.map(async (key) => {
        tokens[key] = await applied(providers.token, tokens[key], { ...tokenInputs(key, inGroups), ...standing[key] });
      }),
    );
  };
  await up({});
  return {
    turso,
    tokens,
    invalidation() {
      if (!state.invalidation) throw new Error("there was no update yet");
      return state.invalidation;
    },
    up,
    async upToCanaries(asked) {
      await upToCanaries(asked, []);
      mintedHere.clear();
    },
    restarted() {
      mintedHere.clear();
    },
    callWith(platformToken) {
      providers = by(platformToken);
    },
    async remove() {
      if (!state.invalidation || !state.canaries) throw new Error("there was no update yet");
      await must(providers.invalidation.delete)("id", state.invalidation);
      await must(providers.canary.delete)("id", state.canaries);
      delete state.invalidation;
      delete state.canaries;
    },
    async refresh() {
      for (const [key, props] of Object.entries(tokens)) {
        const read = await must(providers.token.read)(key, props);
        if (!read.props) throw new Error(`the token of ${key} is gone`);
        tokens[key] = read.props;
      }
    },
    events() {
      const since = turso.events().slice(seen);
      seen += since.length;
      return since.map(({ kind, target }) => `${kind} ${keyOf(target)}`);
    },
    stop: () => turso.stop(),
  };
}

export function tokensBy(api: TursoApi): Provider<TokenInputs, Token> {
  return tursoToken(api, [], () => undefined);
}

/** The inputs of a token that may do everything, current, with nothing invalidated yet. */
export function tokenInputs(key: string, databases: Record<string, string>): TokenInputs {
  const [kind, name = ""] = key.split(":");
  const target: TursoTarget = { kind: kind === "group" ? "group" : "database", name };
  return {
    credential: `${name}-turso`,
    stamp: "2026-11-20",
    place: "current",
    organization: "acme",
    target,
    group: groupOf({ databases }, target),
    proveOn: "",
    minting: { authorization: "full-access", expiration: "30d", permissions: [], attach: [] },
    mark: "",
    readOnly: "",
  };
}

/** Creates it, or updates it where its diff says so. */
export async function applied<I, O extends I>(provider: Provider<I, O>, olds: O | undefined, news: I): Promise<O> {
  if (!olds) return outsOf(await provider.create(news));
  const { changes } = await must(provider.diff)("id", olds, news);
  return changes === true ? outsOf(await must(provider.update)("id", olds, news)) : olds;
}

function outsOf<O>({ outs }: { outs?: O }): O {
  if (outs === undefined) throw new Error("the provider gave no outputs");
  return outs;
}

export function must<T>(method: T | undefined): T {
  if (method === undefined) throw new Error("the provider lacks a method that it must have");
  return method;
}

/** As somebody does it by hand. */
export async function setBlock(turso: LocalTurso, database: string, block: Record<string, boolean>): Promise<void> {
  const done = await callTurso(turso, "PATCH", `databases/${database}/configuration`, { body: block });
  if (done.status !== 200) throw new Error(`the local Turso answered ${done.status}`);
}
