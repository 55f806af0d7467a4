import type { Delivery } from "./model";

/** Either side of a shared keyset, as parsed or as placed: what is delivered where. */
interface Delivered {
  deliver: readonly Delivery[];
  /** An emergency waits for nobody. */
  atOnce?: boolean;
}

/** By Worker, those that verify what it signs: they must know a new key before it signs with it, so they are delivered to first. */
export function verifiersOf(worker: string, credentials: readonly Delivered[]): string[] {
  const shared = credentials.filter(
    ({ deliver, atOnce }) => atOnce !== true && deliver.some((to) => to.worker === worker && to.verifyOnly !== true),
  );
  const names = shared.flatMap(({ deliver }) =>
    deliver.flatMap((to) => (to.worker !== undefined && to.verifyOnly === true ? [to.worker] : [])),
  );
  return [...new Set(names)].filter((name) => name !== worker).sort();
}

/** The Workers with verifiers before signers; undefined where two of them wait for one another. */
export function deliveryOrder(workers: readonly string[], credentials: readonly Delivered[]): string[] | undefined {
  const ordered: string[] = [];
  let left = [...workers];
  while (left.length > 0) {
    const ready = left.filter((name) => verifiersOf(name, credentials).every((one) => !left.includes(one)));
    if (ready.length === 0) return undefined;
    ordered.push(...ready);
    left = left.filter((name) => !ready.includes(name));
  }
  return ordered;
}
