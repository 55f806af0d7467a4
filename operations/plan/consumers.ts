/** Which consumers a change reaches, and what each of them holds before and after. */
import { z } from "zod";
import { kindOf, nameOf, type Outputs, type Resource, type State, type Step } from "./shapes";

export interface ConsumerPlan {
  /** Exactly one of worker and file. */
  worker?: string;
  file?: string;
  change: "first delivery" | "delivered" | "settings only" | "replaced" | "withdrawn" | "left behind";
  /** Current stamps that change for it; empty where the same values are delivered again. */
  credentials: { name: string; from?: string; to?: string }[];
  /** Credentials whose value is another one under the same stamp: minted again after an invalidation, or replaced. */
  mintedAgain: string[];
  /** False where nobody can ask it what it holds. */
  attested: boolean;
}

/** `ROLLOVER_GENERATIONS` as it was delivered: stamps and public tags. */
const generations = z.record(z.string(), z.array(z.object({ stamp: z.string() })));
export type Held = z.infer<typeof generations>;

const CHANGES: Record<string, ConsumerPlan["change"]> = {
  create: "first delivery",
  update: "delivered",
  replace: "replaced",
  delete: "withdrawn",
};

/** @param renewed Credentials whose values are other ones under the stamps that they have. */
export function describeConsumers(
  steps: Step[],
  before: Outputs,
  after: Outputs,
  renewed: ReadonlySet<string> = new Set(),
): ConsumerPlan[] {
  return steps.flatMap(({ op, urn, oldState, newState }) => {
    const change = isLeft(op, oldState, after) ? "left behind" : CHANGES[op];
    const to = consumerOf(urn);
    if (!to || !change) return [];
    const isDelivered = change !== "delivered" || isDeliveredAnew(oldState, newState);
    const will = op === "delete" ? {} : holding(to, after);
    const credentials = changed(to.file === undefined ? heldIn(oldState) : oldState ? holding(to, before) : {}, will);
    const again = Object.keys(will).filter(
      (name) => renewed.has(name) && !credentials.some((one) => one.name === name && one.from !== one.to),
    );
    const probe = (newState ?? oldState)?.inputs["probe"];
    return [
      {
        ...to,
        change: isDelivered ? change : ("settings only" as const),
        credentials: isDelivered && change !== "left behind" ? credentials : [],
        mintedAgain: isDelivered && change !== "first delivery" ? again : [],
        attested: typeof probe === "string" && probe !== "",
      },
    ];
  });
}

/** Whether its secrets stay in a Worker that leaves the stack. */
export function isLeft(op: string, resource: Resource | undefined, { abandoned }: Outputs): boolean {
  const worker = resource?.inputs["worker"];
  return op === "delete" && typeof worker === "string" && abandoned.includes(worker);
}

/** The component of an env file ends in the name of the resource's kind; only the resource has a parent. */
function consumerOf(urn: string): Pick<ConsumerPlan, "worker" | "file"> | undefined {
  const kind = kindOf(urn);
  if (kind === "WorkerSecretSet") return { worker: nameOf(urn) };
  return kind === "EnvFile" && urn.includes("$") ? { file: nameOf(urn) } : undefined;
}

/** What each consumer in state was last given. */
export function heldBy(state: State): { worker: string; generations: Held }[] {
  return state.resources
    .filter(({ urn, delete: isGone }) => kindOf(urn) === "WorkerSecretSet" && !isGone)
    .map((resource) => ({ worker: nameOf(resource.urn), generations: heldIn(resource) }));
}

function heldIn(resource: Resource | undefined): Held {
  const text = resource?.outputs["generations"];
  if (typeof text !== "string") return {};
  try {
    return generations.catch({}).parse(JSON.parse(text));
  } catch {
    return {}; // of a resource that was never finished
  }
}

/** By the outputs. A file gets current values alone, and reports nothing. */
function holding(to: { worker?: string | undefined; file?: string | undefined }, { credentials }: Outputs): Held {
  const own = Object.entries(credentials).filter(([, { consumers }]) =>
    consumers.some(({ worker, file }) => worker === to.worker && file === to.file),
  );
  return Object.fromEntries(own.map(([name, { live }]) => [name, live.map((stamp) => ({ stamp }))]));
}

function changed(before: Held, after: Held): ConsumerPlan["credentials"] {
  const list = (held: Held, name: string) => held[name]?.map(({ stamp }) => stamp) ?? [];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().flatMap((name) => {
    const [old, now] = [list(before, name), list(after, name)];
    if (old.join() === now.join()) return [];
    return [{ name, ...(old[0] ? { from: old[0] } : {}), ...(now[0] ? { to: now[0] } : {}) }];
  });
}

/**
 * `delivery` differs whenever config hands something else over, tags where a value was minted again under its stamp; drift is
 * handed over again. An env file is written for nothing else.
 */
function isDeliveredAnew(olds: Resource | undefined, news: Resource | undefined): boolean {
  const drift = olds?.outputs["drift"];
  const differs = (["delivery", "generations"] as const).some((key) => olds?.inputs[key] !== news?.inputs[key]);
  return differs || kindOf(olds?.urn ?? "") === "EnvFile" || (Array.isArray(drift) && drift.length > 0);
}
