/** What state and a preview's steps say of a keyset: which Workers hold which keys, since when, and what Vault has of them. */
import { z } from "zod";
import { kindOf, nameOf, type Resource, type State, type Step } from "./shapes";

const spec = z.object({
  kind: z.string(),
  shape: z.string(),
  verifyOnly: z.boolean(),
  maxTokenAgeMs: z.int().nonnegative(),
  drainMs: z.int().nonnegative(),
  settleMs: z.int().nonnegative(),
  attestedMs: z.int().nonnegative().default(0),
  retireBelow: z.number(),
});
const activation = z.object({ tag: z.string(), since: z.string(), superseded: z.record(z.string(), z.string()) });
const report = z.record(z.string(), z.array(z.object({ stamp: z.string(), tag: z.string() })));
const vaultKey = z.object({
  mount: z.string(),
  path: z.string(),
  stamp: z.string(),
  restore: z.boolean().catch(false).default(false),
});

/** How a Worker is handed a keyset, as components/cloudflare/keyset-step.ts has it. */
export type Spec = z.infer<typeof spec>;

/** A Worker that is handed the keyset, before or after. */
export interface Holder {
  worker: string;
  /** How it will be handed the keyset; undefined where it will not. */
  spec: Spec | undefined;
  was: Spec | undefined;
  /** What it signs with, as state has it. */
  activation: z.infer<typeof activation> | undefined;
  /** What it holds, as state has it. */
  held: { stamp: string; tag: string }[];
  /** The update hands something over. */
  changes: boolean;
}

export interface Keyset {
  name: string;
  kind: string;
  holders: Holder[];
  /** Stamp to place, `mount/path/stamp`, of every key that Vault has or is about to get. */
  backups: Map<string, string>;
  /** Stamps whose keys this update writes to Vault. */
  written: string[];
  /** Stamps whose keys this update reads out of Vault. */
  restored: string[];
  /** Stamps whose keys Vault keeps, while the stack forgets that it does. */
  forgotten: string[];
}

export function keysetOf(name: string, kind: string, steps: Step[], { resources }: State): Keyset {
  const own = (urn: string) => kindOf(urn) === "VaultKey" && nameOf(urn).startsWith(`${name}@`);
  const read = (resource: Resource | undefined) => vaultKey.safeParse(resource?.inputs).data;
  const inState = resources.filter(({ urn, delete: isGone }) => own(urn) && !isGone).flatMap((one) => read(one) ?? []);
  const acting = steps.filter(({ urn }) => own(urn));
  const made = acting
    .filter(({ op }) => op === "create" || op === "replace")
    .flatMap((one) => read(one.newState) ?? []);
  // Of an update only drift writes anything: the backup was found missing.
  const again = acting
    .filter(({ op, oldState }) => op === "update" && JSON.stringify(oldState?.outputs["drift"] ?? []) !== "[]")
    .flatMap((one) => read(one.newState) ?? []);
  const gone = acting.filter(({ op }) => op === "delete").flatMap((one) => read(one.oldState) ?? []);
  return {
    ...{ name, kind },
    holders: holdersOf(name, steps, resources),
    backups: new Map([...inState, ...made].map((one) => [one.stamp, `${one.mount}/${one.path}/${one.stamp}`])),
    written: [...made.filter(({ restore }) => !restore), ...again].map(({ stamp }) => stamp),
    restored: made.filter(({ restore }) => restore).map(({ stamp }) => stamp),
    forgotten: gone.map(({ stamp }) => stamp),
  };
}

function holdersOf(name: string, steps: Step[], resources: Resource[]): Holder[] {
  const isSet = ({ urn }: { urn: string }) => kindOf(urn) === "WorkerSecretSet";
  const inState = resources.filter((resource) => isSet(resource) && !resource.delete);
  const urns = [...new Set([...inState, ...steps.filter(isSet)].map(({ urn }) => urn))];
  return urns.flatMap((urn) => {
    const old = inState.find((resource) => resource.urn === urn);
    const step = steps.find((one) => one.urn === urn);
    const [was, next] = [old, step ? step.newState : old].map((one) => entry(one?.inputs["keysets"], name, spec));
    if (!was && !next) return [];
    return [
      {
        worker: nameOf(urn),
        spec: next,
        was,
        activation: entry(old?.outputs["activations"], name, activation),
        held: heldIn(old, name),
        changes: step !== undefined && step.op !== "same",
      },
    ];
  });
}

function entry<T>(record: unknown, name: string, shape: z.ZodType<T>): T | undefined {
  const all = z.record(z.string(), z.unknown()).safeParse(record);
  return all.success ? shape.safeParse(all.data[name]).data : undefined;
}

function heldIn(resource: Resource | undefined, name: string): Holder["held"] {
  const text = resource?.outputs["generations"];
  try {
    return report.catch({}).parse(JSON.parse(typeof text === "string" ? text : "{}"))[name] ?? [];
  } catch {
    return []; // of a resource that was never finished
  }
}

/** The tag of a stamp that the Worker holds. */
export function tagOf({ held }: Pick<Holder, "held">, stamp: string): string | undefined {
  return held.find((one) => one.stamp === stamp)?.tag;
}
