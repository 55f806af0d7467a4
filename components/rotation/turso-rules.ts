/** What takes credentials and `rollover:turso` together to see. Every invalidation reaches the whole group. */
import type { PlacedCredential } from "./credential";
import type { TursoCredential, TursoDatabase, TursoAccount } from "./model";
import { closest, listed, show, type Problem } from "./problem";

type Refuse = (problem: Problem) => void;
const DATABASES = "rollover:turso.databases";

export function tursoRules(placed: PlacedCredential[], turso: TursoAccount | undefined, refuse: Refuse): void {
  if (turso === undefined) return;
  for (const { where, credential } of placed) {
    if (credential?.kind === "turso") knownDatabases(where, credential, turso.databases, refuse);
  }
  oneIncidentAGroup(turso, refuse);
  readableIncident(turso, refuse);
}

function knownDatabases(
  where: string,
  { target, proveOn }: TursoCredential,
  databases: TursoDatabase[],
  refuse: Refuse,
): void {
  const unknown = (key: string, name: string, among: TursoDatabase[], what: string, add: string): void => {
    if (name === "" || among.some((database) => database.name === name)) return;
    const names = among.map((database) => database.name);
    const guess = closest(name, names);
    const fix = guess === undefined ? add : `write \`${guess}\` if that is meant`;
    const allowed = names.length === 0 ? `no name: \`${DATABASES}\` has none` : listed(names, "or");
    refuse({ where: `${where}.${key}`, what, value: show(name), allowed, fix });
  };
  if (target.kind === "database") {
    const add = `add it under \`${DATABASES}\`, with its group`;
    unknown("database", target.name, databases, "is no known database", add);
  } else if (proveOn !== undefined && target.name !== "") {
    const own = databases.filter(({ group }) => group === target.name);
    const add = `add it under \`${DATABASES}\` with that group, or remove it`;
    unknown("proveOn", proveOn, own, `is no known database of group ${target.name}`, add);
  }
}

/** Each would invalidate the whole group and deliver its own read-only token, to be killed by the other. */
function oneIncidentAGroup({ groups, databases }: TursoAccount, refuse: Refuse): void {
  const first = new Map(
    groups.filter(({ incident }) => incident).map(({ name }) => [name, `rollover:turso.groups.${name}`]),
  );
  for (const { name, group } of databases.filter(({ incident }) => incident)) {
    const other = first.get(group);
    first.set(group, other ?? `${DATABASES}.${name}`);
    if (other === undefined || group === "") continue;
    refuse({
      where: `${DATABASES}.${name}.incident`,
      what: `is a second incident in group ${group}, beside ${other}.incident`,
      allowed: "one incident a group, since an invalidation reaches every token of it",
      fix: "put one incident on the group",
    });
  }
}

/** The read-only token of an incident must be able to read. */
function readableIncident({ groups, databases }: TursoAccount, refuse: Refuse): void {
  for (const { name, group, settings, incident } of databases) {
    const ofGroup = groups.some((candidate) => candidate.name === group && candidate.incident !== undefined);
    if (settings.blockReads !== true || (incident === undefined && !ofGroup)) continue;
    refuse({
      where: `${DATABASES}.${name}.blockReads`,
      what: "is true during an incident, whose one read-only token could not read",
      allowed: "false, or no incident",
      fix: "remove it, or remove the incident and invalidate without one",
    });
  }
}
