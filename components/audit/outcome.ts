/** What came of a call of a provider. Pure; of properties only public ones are picked, each by its name. */
import type { StackModel } from "../rotation/model";
import type { Kind } from "../thin";
import { targetOf } from "../turso/targets";
import type { Outputs as InvalidationState } from "../turso/turso-invalidation.provider";
import type { Outputs as TokenState } from "../turso/turso-token.provider";
import { type Call, nameOf, type Step, stampOf, step } from "./steps";

/** A step with why it failed; empty where it did not. */
export type Ended = Step & { error: string };

type Props = Record<string, unknown>;

/** Of a step once its call succeeded. Some failures are recorded in state, so that the rest of an update goes on. */
export function outcomeOf(kind: Kind, call: Call, planned: Step, olds: Props | undefined, outs: Props): Ended {
  if (call === "delete") return { ...planned, proven: outs["proven"] === true, error: "" };
  if (kind === "TursoToken") {
    const { tag, expires = "", failure = "" } = outs as Partial<TokenState>;
    const isMinted = failure === "" && tag !== (olds as TokenState | undefined)?.tag;
    // One that was to be proven again, and was found refused.
    return isMinted ? { ...planned, step: "mint", expires, error: "" } : { ...planned, error: failure };
  }
  const own = failuresIn(kind, outs).find(({ credential }) => credential === planned.credential);
  return { ...planned, error: own?.error ?? "" };
}

/** Failures in state that no planned step stands for: writes of a database that an incident was to block, or to give back. */
export function failuresBeside(kind: Kind, planned: readonly Step[], outs: Props): Ended[] {
  return failuresIn(kind, outs).filter(({ credential }) => planned.every((one) => one.credential !== credential));
}

function failuresIn(kind: Kind, outs: Props): Ended[] {
  if (kind !== "TursoInvalidation") return [];
  const { failures = {} } = outs as Partial<InvalidationState>;
  return Object.entries(failures).map(([key, error]) => ({ ...step(nameOf(targetOf(key)), "settings"), error }));
}

/** Of a call that failed and is no step of a credential: named by its credential, or by what it is of. */
export function otherStep(kind: Kind, props: Props): Step {
  const text = (key: string) => (typeof props[key] === "string" ? props[key] : "");
  const [consumer, madeBy, organization] = [text("worker") || text("file"), text("madeBy"), text("organization")];
  const of = text("worker") === "" ? `file ${consumer}` : `Worker ${consumer}`;
  const resource = consumer !== "" ? of : organization === "" ? kind : `Turso organization ${organization}`;
  const stamp = madeBy === "" ? text("stamp") : stampOf(madeBy);
  return step(text("credential") || resource, "other", { to: stamp === "" ? [] : [stamp], consumer });
}

/**
 * Whether a call mends what consumers cannot use any more, so that it must not wait for a record: a password that was altered in
 * place before this, a token that is dead, the same stamps again (with new tags after an invalidation, or what was found missing).
 */
export function isMending(
  kind: Kind,
  call: Call,
  planned: readonly Step[],
  olds: Props | undefined,
  news: Props,
  { credentials }: Pick<StackModel, "credentials">,
): boolean {
  if (kind === "PostgresLogin") return call === "create" && news["mode"] === "inPlace";
  if (call !== "update") return false;
  if (kind === "TursoToken") {
    const { under, lost } = olds as unknown as TokenState;
    return lost || under.mark !== news["mark"];
  }
  return planned.some(({ credential, step: name, from, to }) => {
    const isInPlace = credentials.some((one) => one.name === credential && one.kind === "postgres" && one.inPlace);
    return name === "deliver" && (isInPlace || from.join() === to.join());
  });
}
