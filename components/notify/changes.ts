/** What an update changes, from the stamps that the state records and those that config has now. */
import type { Credential, StackModel } from "../rotation/model";
import type { Change } from "./notifier";

/** By credential, or by Turso target as `group/x` and `database/x`: the live stamps, current first, joined by commas. */
export type Stamps = Record<string, string>;

/** What config says of a credential or a Turso target besides its stamps: why it was edited last, and what becomes of old ones. */
export type Why = (name: string) => Pick<Change, "reason" | "ticket" | "kind" | "inPlace" | "abandoned">;

/** What differs, by name. */
export function changesOf(olds: Stamps, news: Stamps, why: Why): Change[] {
  const names = [...new Set([...Object.keys(olds), ...Object.keys(news)])].sort();
  return names
    .filter((name) => olds[name] !== news[name])
    .map((name) => ({ credential: name, from: split(olds[name]), to: split(news[name]), ...why(name) }));
}

/** Of the stack's config: credentials by their names, Turso's targets as `group/x` and `database/x`. */
export function whyIn({ credentials, turso, abandon }: Pick<StackModel, "credentials" | "turso" | "abandon">): Why {
  const { groups = [], databases = [] } = turso ?? {};
  const all = new Map<string, ReturnType<Why>>([
    ...credentials.map((credential) => [credential.name, ofCredential(credential, abandon)] as const),
    ...groups.map((group) => [`group/${group.name}`, textsOf(group)] as const),
    ...databases.map((database) => [`database/${database.name}`, textsOf(database)] as const),
  ]);
  // What config declares no longer may have been of any kind.
  return (name) => all.get(name) ?? (abandon.includes(name) ? { abandoned: true } : {});
}

function ofCredential(credential: Credential, abandon: readonly string[]): ReturnType<Why> {
  const { kind, name } = credential;
  const inPlace = kind === "postgres" && credential.inPlace;
  // Nothing else is accepted by a server of its own, where it could be left.
  const canBeLeft = kind === "turso" || (kind === "postgres" && !inPlace);
  return {
    kind,
    ...(inPlace && { inPlace }),
    ...(canBeLeft && abandon.includes(name) && { abandoned: true }),
    ...textsOf(credential),
  };
}

function textsOf({ reason, ticket }: Pick<Change, "reason" | "ticket">): Pick<Change, "reason" | "ticket"> {
  return { ...(reason !== undefined && { reason }), ...(ticket !== undefined && { ticket }) };
}

function split(stamps = ""): string[] {
  return stamps === "" ? [] : stamps.split(",");
}
