/** What an update changes, from the stamps that the state records and those that config has now. */
import type { StackModel } from "../rotation/model";
import type { Change } from "./notifier";

/** By credential, or by Turso target as `group/x` and `database/x`: the live stamps, current first, joined by commas. */
export type Stamps = Record<string, string>;

/** Why a credential or a Turso target was edited last, as config says it. */
export type Why = (name: string) => Pick<Change, "reason" | "ticket">;

/** What differs, by name. */
export function changesOf(olds: Stamps, news: Stamps, why: Why): Change[] {
  const names = [...new Set([...Object.keys(olds), ...Object.keys(news)])].sort();
  return names
    .filter((name) => olds[name] !== news[name])
    .map((name) => ({ credential: name, from: split(olds[name]), to: split(news[name]), ...why(name) }));
}

/** Of the stack's config: credentials by their names, Turso's targets as `group/x` and `database/x`. */
export function whyIn({ credentials, turso }: Pick<StackModel, "credentials" | "turso">): Why {
  const all = new Map(
    [
      ...credentials,
      ...(turso?.groups ?? []).map((group) => ({ ...group, name: `group/${group.name}` })),
      ...(turso?.databases ?? []).map((database) => ({ ...database, name: `database/${database.name}` })),
    ].map(({ name, reason, ticket }) => [
      name,
      { ...(reason !== undefined && { reason }), ...(ticket !== undefined && { ticket }) },
    ]),
  );
  return (name) => all.get(name) ?? {};
}

function split(stamps = ""): string[] {
  return stamps === "" ? [] : stamps.split(",");
}
