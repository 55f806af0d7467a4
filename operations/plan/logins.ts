/** Postgres logins' part of the plan: when an old one stops working, as components/postgres/postgres-login.provider.ts ends it. */
import type { Withdrawal } from "./describe";
import { kindOf, nameOf, type Outputs, type State, type Summary } from "./shapes";

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
  if (modeOf(`${name}@${stamp}`, was, state) === "inPlace")
    return {
      when:
        now?.change === "breaks at once"
          ? "at once, when the password is altered, before the new one is delivered"
          : "at the end of this update, when its one role is dropped",
    };
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
