/** Which consumers a change reaches, and what each of them holds before and after. */
import { z } from "zod";
import { kindOf, nameOf, type Outputs, type Resource, type State, type Step } from "./shapes";

export interface ConsumerPlan {
  worker: string;
  change: "first delivery" | "delivered" | "settings only" | "replaced" | "withdrawn";
  /** Current stamps that change for it; empty where the same values are delivered again. */
  credentials: { name: string; from?: string; to?: string }[];
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

export function describeConsumers(steps: Step[], after: Outputs): ConsumerPlan[] {
  return steps.flatMap(({ op, urn, oldState, newState }) => {
    const change = CHANGES[op];
    if (kindOf(urn) !== "WorkerSecretSet" || !change) return [];
    const worker = nameOf(urn);
    const isDelivered = change !== "delivered" || isDeliveredAnew(oldState, newState);
    const credentials = changed(heldIn(oldState), change === "withdrawn" ? {} : willHold(worker, after));
    const probe = (newState ?? oldState)?.inputs["probe"];
    return [
      {
        worker,
        change: isDelivered ? change : ("settings only" as const),
        credentials: isDelivered ? credentials : [],
        attested: typeof probe === "string" && probe !== "",
      },
    ];
  });
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

function willHold(worker: string, { credentials }: Outputs): Held {
  const own = Object.entries(credentials).filter(([, { consumers }]) => consumers.some((to) => to.worker === worker));
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

/** `delivery` differs whenever something else is handed over; drift is handed over again. */
function isDeliveredAnew(olds: Resource | undefined, news: Resource | undefined): boolean {
  const drift = olds?.outputs["drift"];
  return olds?.inputs["delivery"] !== news?.inputs["delivery"] || (Array.isArray(drift) && drift.length > 0);
}
