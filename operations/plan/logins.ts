/** Postgres logins' part of the plan: when an old one stops working, and when a live one is used anew, as its provider does it. */
import { isDeepStrictEqual } from "node:util";
import type { Withdrawal } from "./describe";
import type { Replaced } from "./replaced";
import { kindOf, nameOf, type Outputs, type State, type Step, type Summary } from "./shapes";

/** Of a credential, before the change and after it. */
interface Change {
  was: Summary | undefined;
  now: Summary | undefined;
}

/** @param stamp Or `adopted`. */
export function fateOf(
  name: string,
  stamp: string,
  { was, now }: Change,
  { after, state }: { after: Outputs; state: State },
): Pick<Withdrawal, "when" | "works"> {
  if (modeOf(`${name}@${stamp}`, was, state) === "inPlace") {
    if (now?.change !== "breaks at once") return { when: "at the end of this update, when its one role is dropped" };
    const how = now.live.includes(stamp) ? "the role is renamed" : "the password is altered";
    return { when: `at once, when ${how}, before the new one is delivered` };
  }
  if (after.abandoned.includes(name)) return { when: "left behind by `abandon`: its login works on", works: true };
  const isAsked = (now ?? was)?.consumers.every(({ attested }) => attested) ?? true;
  const asked = isAsked ? "" : " (those without a probe are not asked)";
  return {
    when: `at the end of this update, once no consumer holds it${asked} and no session begins with it; its sessions are ended`,
  };
}

/** How the login itself was made, whatever config says now. */
function modeOf(resource: string, was: Summary | undefined, { resources }: State): string {
  const found = resources.find(({ urn, delete: isGone }) => {
    return kindOf(urn) === "PostgresLogin" && nameOf(urn) === resource && !isGone;
  });
  const mode = found?.inputs["mode"];
  if (typeof mode === "string") return mode;
  return was?.change === "breaks at once" && !resource.endsWith("@adopted") ? "inPlace" : "login";
}

/** Why there is no overlap; undefined where there is: the old login works until the new one is delivered. */
export function whyAtOnce({ was, now }: Change, replaced: Replaced[]): string | undefined {
  if (was?.change !== "breaks at once" || now?.change !== "breaks at once") return undefined;
  if (was.current !== now.current)
    return "its one role is altered in place: logins fail from then until the consumer holds the new password";
  return replaced.some(({ ends, stamp }) => ends && stamp === now.current)
    ? "its one role is renamed in place: logins fail from then until the consumer holds the new name"
    : undefined;
}

/** What is done with logins that stay: used for real once more, or something written to state alone. */
export function editOf(name: string, steps: Step[]): "proven again" | "settings change" | undefined {
  const updated = steps.filter(
    ({ op, urn, newState }) =>
      op === "update" && kindOf(urn) === "PostgresLogin" && newState?.inputs["credential"] === name,
  );
  const isProven = updated.some(({ oldState, newState }) => {
    const [olds, news] = [oldState?.inputs ?? {}, newState?.inputs ?? {}];
    const differs = (key: string) => !isDeepStrictEqual(olds[key], news[key]);
    const isMoved = differs("server") || differs("database");
    return news["mode"] !== "adopted" && (isMoved || (news["current"] === true && differs("checks")));
  });
  return isProven ? "proven again" : updated.length > 0 ? "settings change" : undefined;
}
