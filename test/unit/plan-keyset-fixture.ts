/** Small inputs for the plan's tests of keysets, beside those of plan-fixture.ts, and whole updates made of them. */
import { describePlan, type Facts } from "../../operations/plan/describe";
import type { Resource, Summary } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";

export const [OLDER, OLD, NOW] = ["2026-06-01", "2026-08-01", "2026-11-20"];
export const NAME = "rounds-signing";
/** Two minutes before the plan's clock: with 120 s of tokens and 60 s to settle, one minute is left. */
export const LATELY = "2026-11-21T11:58:00.000Z";

const TYPES = {
  RandomPassword: "rollover:keyset:SigningKeyset$random:index/randomPassword:RandomPassword",
  VaultKey: "rollover:keyset:SigningKeyset$pulumi-nodejs:dynamic/vault:VaultKey",
  WorkersScript: "rollover:cloudflare:WorkerScript$cloudflare:index/workersScript:WorkersScript",
  Ruleset: "rollover:cloudflare:RateLimits$cloudflare:index/ruleset:Ruleset",
};

export function resource(type: keyof typeof TYPES, name: string, more: Partial<Resource> = {}): Resource {
  return make.resource("RandomId", name, { urn: `urn:pulumi:local::rollover::${TYPES[type]}::${name}`, ...more });
}

/** The resources of one key. */
export function key(name: string, stamp: string): Resource[] {
  return [make.resource("RandomId", `${name}@${stamp}`), resource("RandomPassword", `${name}@${stamp}`)];
}

export function vaultKey(name: string, stamp: string, more: { restore?: boolean; drift?: string[] } = {}): Resource {
  const { restore, drift = [] } = more;
  return resource("VaultKey", `${name}@${stamp}`, {
    inputs: {
      ...{ mount: "secret", path: `rollover/${name}`, credential: name, stamp },
      ...(restore ? { restore } : { key: make.SECRET }),
    },
    outputs: { key: make.SECRET, drift },
  });
}

/** Stamp to its random tag, as made up here. */
export const tagOf = (stamp: string) => `tag-${stamp}`;

export interface HolderMore {
  kind?: string;
  shape?: string;
  verifyOnly?: boolean;
  atOnce?: boolean;
  drainMs?: number;
  retireBelow?: number;
  /** Stamp to when its successor's activation was attested. */
  superseded?: Record<string, string>;
  /** When it was told to sign with its current key. */
  since?: string;
}

export function specOf(more: HolderMore = {}): Record<string, unknown> {
  const { kind = "signing-keyset", shape = "keyset", verifyOnly = false, atOnce = false } = more;
  const { drainMs = 300_000, retireBelow = 0.05 } = more;
  const waits = { maxTokenAgeMs: 120_000, drainMs, settleMs: 60_000 };
  return { kind, shape, verifyOnly, atOnce, retireBelow, ...waits, as: "KEYS", alsoAs: "" };
}

/** A Worker with one keyset as it was last delivered, current first. */
export function holder(worker: string, name: string, stamps: string[], more: HolderMore = {}): Resource {
  const list = stamps.map((stamp) => ({ stamp, tag: tagOf(stamp) }));
  const superseded = Object.entries(more.superseded ?? {}).map(([stamp, time]) => [tagOf(stamp), time]);
  const active = { tag: tagOf(stamps[0] ?? ""), since: more.since ?? "2026-11-20T08:00:00.000Z" };
  const inputs = {
    ...{ worker, probe: "https://probe.example.com", delivery: stamps.join() },
    generations: JSON.stringify({ [name]: list }),
    keysets: { [name]: specOf(more) },
    signers: make.SECRET,
  };
  const activations = { [name]: { ...active, superseded: Object.fromEntries(superseded) as unknown } };
  return make.resource("WorkerSecretSet", worker, { inputs, outputs: { ...inputs, activations, drift: [] } });
}

export function keyset(live: string[], more: Partial<Summary> = {}): Summary {
  const consumers = [{ worker: "rounds-api", as: "KEYS", attested: true }];
  const base = { kind: "signing-keyset", current: live[0] ?? "", live, retired: [], maxTokenAge: "2m" };
  return { ...base, change: "overlaps", consumers, ...more };
}

/** One update of the keyset NAME, by its stamps before and after, and the Workers that hold it before. */
export interface Scene {
  before: string[];
  after: string[];
  workers: Resource[];
  /** How the keyset is written after. */
  more?: Parameters<typeof keyset>[1];
  steps?: Facts["steps"];
  resources?: Resource[];
}

export function scene({ before, after, workers, more = {}, steps = [], resources = [] }: Scene): Facts {
  const minted = after.filter((stamp) => !before.includes(stamp));
  const dropped = before.filter((stamp) => !after.includes(stamp));
  const restored = steps.filter(({ newState }) => newState?.inputs["restore"] === true).map(({ urn }) => urn);
  const made = minted.flatMap((stamp) =>
    key(NAME, stamp).slice(0, restored.some((urn) => urn.endsWith(`@${stamp}`)) ? 1 : 2),
  );
  return make.facts(
    make.outputsOf({ [NAME]: keyset(before, { ...more, change: "overlaps" }) }),
    make.outputsOf({ [NAME]: keyset(after, more) }),
    [...before.flatMap((stamp) => key(NAME, stamp)), ...workers, ...resources],
    [
      ...made.map((one) => make.step("create", one)),
      ...steps,
      ...workers.map((one) => make.delivery(one)),
      ...dropped.flatMap((stamp) => key(NAME, stamp)).map((one) => make.step("delete", one)),
    ],
  );
}

export const credentialOf = (facts: Facts) => describePlan(facts).credentials[0];
