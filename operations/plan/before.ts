/** What a credential is before the change, from state as much as from the outputs. */
import { compareStamps, parseStamp } from "../../components/rotation/stamp";
import { heldBy } from "./consumers";
import { nameOf, type Outputs, type State, type Summary } from "./shapes";
import type { Token } from "./turso";

/**
 * The credential as it is. An update that failed half-way may have written the outputs already, or not yet; so what is live
 * is taken from the resources that exist, and what is current from what the consumers hold.
 */
export function wasBefore(
  name: string,
  { before, state }: { before: Outputs; state: State },
  tokens: Token[],
  next: string | undefined,
): Summary | undefined {
  const known = before.credentials[name];
  if (!known) return undefined;
  const own = tokens.filter(({ credential }) => credential === name);
  const inPlace = (place: string) => own.filter((token) => token.place === place).map(({ stamp }) => stamp);
  const reported = heldBy(state).flatMap(({ generations }) => generations[name]?.[0]?.stamp ?? []);
  // A file reports nothing.
  const held = reported.length > 0 ? reported : inPlace("current");
  const current = held.find((stamp) => stamp !== next) ?? held[0] ?? known.current;
  const retired = own.length > 0 ? inPlace("retired") : known.retired;
  const existing = state.resources
    .filter((resource) => !resource.delete && nameOf(resource.urn).startsWith(`${name}@`))
    .map(({ urn }) => parseStamp(nameOf(urn).slice(name.length + 1)));
  const live = [...new Set(existing)].filter((stamp) => stamp !== undefined && stamp !== current);
  const place = (stamp: string) => (known.live.includes(stamp) ? known.live.indexOf(stamp) : known.live.length);
  const others = live
    .flatMap((stamp) => stamp ?? [])
    .filter((stamp) => !retired.includes(stamp))
    .sort((a, b) => place(a) - place(b) || compareStamps(b, a));
  return { ...known, current, live: [current, ...others], retired: retired.filter((stamp) => stamp !== current) };
}
