/**
 * For tests of Turso's CRUD without the real engine: a local Turso, and updates on the small engine, of canaries, of the invalidation
 * and of one token a target, each made of what those before it gave.
 */
import type { TursoTarget } from "../../components/rotation/model";
import { TursoApi } from "../../components/turso/api";
import { type Asked, groupOf, keyOf } from "../../components/turso/targets";
import { mintedHere, type Outputs as Canaries, tursoCanary } from "../../components/turso/turso-canary.provider";
import { type Outputs as Invalidations, tursoInvalidation } from "../../components/turso/turso-invalidation.provider";
import {
  type Inputs as TokenInputs,
  type Outputs as Token,
  tursoToken,
} from "../../components/turso/turso-token.provider";
import { type LocalTurso, startTurso } from "../../local/cloud/turso";
import { callTurso } from "../../local/cloud/turso/client";
import { type Listed, listed, type Register, SmallEngine, untyped } from "../support/small-engine";

/** By target `group:NAME` or `database:NAME`, its stamp, or how long an incident's tokens work. */
type Asking = Record<string, string | { readOnly: string }>;

export interface Updates {
  turso: LocalTurso;
  /** By target, what state holds. */
  readonly tokens: Record<string, Token>;
  invalidation: () => Invalidations;
  /** An update of this config. Databases that are `left` have no entry any more, nor have their tokens. Rejects where a step fails. */
  up(asked: Asking, left?: string[]): Promise<void>;
  /** Such an update whose engine is killed once its canaries are in state, before it calls `auth/rotate`. */
  upToCanaries(asked: Asking): Promise<void>;
  /** With which platform token Turso is called from now on. */
  callWith(platformToken: string): void;
  /** An update of a config that declares none of it any more, and leaves the tokens behind. */
  remove(): Promise<void>;
  refresh(): Promise<void>;
  /** What Turso did since the last time that this was asked: `rotate group default`. */
  events(): string[];
  stop(): Promise<void>;
}

/** Tokens of these targets are minted when this returns. */
export async function startUpdates(databases: Record<string, { group: string }>, targets: string[]): Promise<Updates> {
  const turso = await startTurso({ databases });
  const groups = [...new Set(Object.values(databases).map(({ group }) => group))];
  const inGroups = Object.fromEntries(Object.entries(databases).map(([name, { group }]) => [name, group]));
  let { platformToken } = turso;
  let abandon: string[] = [];
  let seen = 0;
  const engine = new SmallEngine({
    providerOf(urn) {
      const api = new TursoApi(turso, platformToken, 1500);
      if (urn === "canary") return untyped(tursoCanary(api, () => undefined));
      return untyped(urn === "invalidation" ? tursoInvalidation(api) : tokensBy(api, abandon));
    },
  });

  const sameOf = (asked: Asking, left: string[]) => ({
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
  const canaryOf = (asked: Asking, left: string[] = []): Listed => ({
    name: "canary",
    // Of no scope: a call that lacks one is to be met by what makes it, not by the check.
    inputs: () => ({ ...sameOf(asked, left), needs: [] }),
  });
  const invalidationOf = (asked: Asking, left: string[]): Listed => ({
    name: "invalidation",
    after: ["canary"],
    inputs(outputsOf) {
      const { canaries, failures: unwatched, before, edit } = outputsOf("canary") as unknown as Canaries;
      return { ...sameOf(asked, left), canaries, unwatched, before, edit };
    },
  });
  const tokenOf = (key: string): Listed => ({
    name: key,
    after: ["invalidation"],
    inputs(outputsOf) {
      const { standing } = outputsOf("invalidation") as unknown as Invalidations;
      return { ...tokenInputs(key, inGroups), ...standing[key] };
    },
  });
  /** Each update is another process's. */
  const run = (program: (register: Register) => Promise<void>): Promise<void> => {
    mintedHere.clear();
    return engine.finish(program);
  };
  const up: Updates["up"] = (asked, left = []) => {
    const live = targets.filter((key) => !left.some((name) => key === `database:${name}`));
    return run(listed([canaryOf(asked, left), invalidationOf(asked, left), ...live.map(tokenOf)]));
  };
  await up({});
  return {
    turso,
    get tokens() {
      const found = engine.state.filter(({ urn }) => targets.includes(urn));
      return Object.fromEntries(found.map(({ urn, outputs }) => [urn, outputs as unknown as Token]));
    },
    invalidation() {
      const found = engine.state.find(({ urn }) => urn === "invalidation");
      if (!found) throw new Error("there is none in state");
      return found.outputs as unknown as Invalidations;
    },
    up,
    upToCanaries: (asked) =>
      run(async (register) => {
        await listed([canaryOf(asked)])(register);
        engine.die();
      }),
    callWith(token) {
      platformToken = token;
    },
    async remove() {
      abandon = targets.map((key) => tokenInputs(key, inGroups).credential);
      await run(listed([]));
      abandon = [];
    },
    refresh: () => engine.refresh(),
    events() {
      const since = turso.events().slice(seen);
      seen += since.length;
      return since.map(({ kind, target }) => `${kind} ${keyOf(target)}`);
    },
    stop: () => turso.stop(),
  };
}

export function tokensBy(api: TursoApi, abandon: string[] = []): ReturnType<typeof tursoToken> {
  return tursoToken(api, abandon, () => undefined);
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

export function must<T>(method: T | undefined): T {
  if (method === undefined) throw new Error("the provider lacks a method that it must have");
  return method;
}

/** As somebody does it by hand. */
export async function setBlock(turso: LocalTurso, database: string, block: Record<string, boolean>): Promise<void> {
  const done = await callTurso(turso, "PATCH", `databases/${database}/configuration`, { body: block });
  if (done.status !== 200) throw new Error(`the local Turso answered ${done.status}`);
}
