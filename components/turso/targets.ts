import type { TursoCredential, TursoAccount, TursoTarget } from "../rotation/model";
import { compareStamps } from "../rotation/stamp";

/** What config asks of a group or a database. Its reason is for people, and changes nothing. */
export interface Asked {
  /** The stamp of `invalidated`; empty if there is none. */
  stamp: string;
  /** During an incident how long its read-only tokens work; else empty. */
  readOnly: string;
  reason: string;
}

/** The groups and databases of an organisation, as every Turso resource is told them. */
export interface Targets {
  groups: string[];
  /** Database to group. */
  databases: Record<string, string>;
  /** By `group:NAME` or `database:NAME`; only those with an invalidation or an incident. */
  asked: Record<string, Asked>;
}

/** A target as a key of records: `group:NAME` or `database:NAME`. */
export function keyOf({ kind, name }: TursoTarget): string {
  return `${kind}:${name}`;
}

export function targetOf(key: string): TursoTarget {
  const [kind, name = ""] = key.split(":");
  return { kind: kind === "group" ? "group" : "database", name };
}

/** The group that a target is in, or is. */
export function groupOf({ databases }: Pick<Targets, "databases">, { kind, name }: TursoTarget): string {
  return kind === "group" ? name : (databases[name] ?? "");
}

/**
 * Whether config asks for an invalidation that has not been carried out. An older stamp than the last one is an edit that was taken
 * back: it asks for nothing.
 */
export function begins(asked: Pick<Asked, "stamp" | "readOnly">, was: Pick<Asked, "stamp" | "readOnly">): boolean {
  const isNewer = asked.stamp !== "" && (was.stamp === "" || compareStamps(asked.stamp, was.stamp) > 0);
  return isNewer || (asked.readOnly !== "" && was.readOnly === "");
}

/** Whether an incident, on it or on its group, covers a database. */
export function isCovered(incidents: Record<string, Pick<Asked, "readOnly">>, name: string, group: string): boolean {
  const keys = [keyOf({ kind: "database", name }), keyOf({ kind: "group", name: group })];
  return keys.some((key) => (incidents[key]?.readOnly ?? "") !== "");
}

/** Where in the config a target stands. */
export function whereOf({ kind, name }: TursoTarget): string {
  return `rollover:turso.${kind}s.${name}`;
}

export function targetsOf(organization: TursoAccount, credentials: readonly TursoCredential[]): Targets {
  const { groups, databases } = organization;
  const asked = [
    ...groups.map((group) => ({ ...group, kind: "group" as const })),
    ...databases.map((database) => ({ ...database, kind: "database" as const })),
  ].flatMap(({ kind, name, invalidated, incident }): [string, Asked][] =>
    invalidated === undefined && incident === undefined
      ? []
      : [
          [
            keyOf({ kind, name }),
            { stamp: invalidated ?? "", readOnly: incident?.readOnly ?? "", reason: incident?.reason ?? "" },
          ],
        ],
  );
  const named = credentials.flatMap(({ target }) => (target.kind === "group" ? [target.name] : []));
  return {
    // Sorted, so that reordering the config file changes nothing.
    groups: [...new Set([...groups.map(({ name }) => name), ...named])].sort(),
    databases: Object.fromEntries(databases.map(({ name, group }) => [name, group] as const).sort()),
    asked: Object.fromEntries(asked.sort()),
  };
}

/** Another organisation's groups are other groups, whatever their names. */
export function otherOrganization(olds: { organization: string }, news: { organization: string }): string[] {
  return olds.organization === news.organization ? [] : ["organization"];
}
