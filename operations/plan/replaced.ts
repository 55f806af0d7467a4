/**
 * What is made anew under the stamp that it has. `pulumi preview --json` tells it by one step, `replace`, with the old state and
 * the new one; it shows none for the end of the old one, which comes after the delivery.
 */
import { kindOf, nameOf, type Step } from "./shapes";
import { tokenOf } from "./turso";

export interface Replaced {
  /** The credential. */
  name: string;
  /** Or `adopted`. */
  stamp: string;
  /** What the old one is beside its stamp, which the new one has too: `as rounds_20261120`, `for database rounds`. */
  what: string;
  /** The old one is handed out no more, or accepted no more. False of a login that is made anew under its name and password. */
  ends: boolean;
}

export function replacedIn(steps: Step[]): Replaced[] {
  return steps.flatMap((step) => {
    if (step.op !== "replace") return [];
    const token = tokenOf(step.oldState);
    if (token) {
      const what = `for ${token.target.kind} ${token.target.name}`;
      // A retired one was handed out no more already.
      return [{ name: token.credential, stamp: token.stamp, what, ends: token.place !== "retired" }];
    }
    const { credential: name, login } = step.oldState?.inputs ?? {};
    if (kindOf(step.urn) !== "PostgresLogin" || typeof name !== "string" || typeof login !== "string") return [];
    return [{ name, stamp: nameOf(step.urn).slice(name.length + 1), what: `as ${login}`, ends: endsLogin(step) }];
  });
}

/** Whether the step ends a login by a retirement: one in place is altered, and one under `abandon` is left as it is. */
export function retiresLogin(step: Step, abandoned: readonly string[]): boolean {
  const { mode, credential } = step.oldState?.inputs ?? {};
  const isLeft = typeof credential === "string" && abandoned.includes(credential);
  return endsLogin(step) && mode !== "inPlace" && !isLeft;
}

/** Whether the step takes a login away: what it makes under the same name takes the old one over. */
function endsLogin({ op, urn, oldState, newState }: Step): boolean {
  if (kindOf(urn) !== "PostgresLogin") return false;
  return op === "delete" || (op === "replace" && oldState?.inputs["login"] !== newState?.inputs["login"]);
}
