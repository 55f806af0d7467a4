/** Revocation debt that stands already, whatever this change does: old credentials that still work or may do. */
import { parseStamp } from "../../components/rotation/stamp";
import { kindOf, nameOf, type Outputs, type Resource, type State } from "./shapes";

export interface Note {
  /** The credential, or the resource or the target where it belongs to none. */
  name: string;
  /** What stands, as a sentence without its subject. */
  what: string;
}

/** What lives in state alone, or is no credential: nothing outside has to withdraw it. */
const NO_DEBT = new Set([
  ...["RandomId", "RandomPassword", "VaultKey"],
  ...["TursoCanary", "TursoInvalidation", "TursoSettings", "TursoOutcome"],
]);

export function describeDebts(before: Outputs, { resources, pending_operations }: State): Note[] {
  const pending = resources
    .filter((resource) => resource.delete && !NO_DEBT.has(kindOf(resource.urn)))
    .map((resource) => ({
      name: nameOf(resource.urn),
      what: `${describe(resource)} was replaced and could not be withdrawn; the next update tries again`,
    }));
  const interrupted = pending_operations.map(({ type, resource }) => ({
    name: nameOf(resource.urn),
    what: `${describe(resource)} was interrupted while ${type}; what it did is not known`,
  }));
  const managed = resources.flatMap((resource) => loginOf(resource) ?? []);
  const ofLogins = Object.entries(before.debts).filter(([name]) => before.credentials[name]?.kind !== "turso");
  const strangers = ofLogins.flatMap(([name, logins]) =>
    logins
      .filter((login) => !managed.includes(login))
      .map((login) => ({ name, what: `the login ${login} acts as its owner, and neither config nor state names it` })),
  );
  return [...pending, ...unfinished(before, resources), ...interrupted, ...strangers];
}

/** A stamp that the outputs no longer list and that has resources yet: the update that was to withdraw it failed. */
function unfinished(before: Outputs, resources: Resource[]): Note[] {
  const left = resources.flatMap((resource) => {
    const [, name, text] = /^(.+)@(.+)$/.exec(nameOf(resource.urn)) ?? [];
    const stamp = parseStamp(text);
    if (name === undefined || stamp === undefined || resource.delete) return [];
    const known = before.credentials[name];
    if (known && [...known.live, ...known.retired].includes(stamp)) return [];
    return [{ name, stamp, login: kindOf(resource.urn) === "PostgresLogin" ? loginOf(resource) : undefined }];
  });
  const keys = [...new Set(left.map(({ name, stamp }) => `${name}@${stamp}`))].sort();
  return keys.map((key) => {
    const own = left.filter(({ name, stamp }) => `${name}@${stamp}` === key);
    const login = own.find((one) => one.login !== undefined)?.login;
    const what = login === undefined ? "" : ` (login ${login})`;
    return {
      name: own[0]?.name ?? key,
      what: `${own[0]?.stamp ?? ""}${what} is not in the last config that was applied, and is still there: an update failed before it was withdrawn`,
    };
  });
}

function describe(resource: Resource): string {
  const login = loginOf(resource);
  if (kindOf(resource.urn) === "TursoToken") return `the token ${nameOf(resource.urn)}`;
  return login === undefined ? kindOf(resource.urn) : `the login ${login}`;
}

function loginOf({ inputs }: Resource): string | undefined {
  return typeof inputs["login"] === "string" ? inputs["login"] : undefined;
}
