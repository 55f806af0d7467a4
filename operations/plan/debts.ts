/** Revocation debt that stands already, whatever this change does: old credentials that still work or may do. */
import { parseStamp } from "../../components/rotation/stamp";
import { kindOf, nameOf, type Outputs, type Resource, type State } from "./shapes";

export interface Debt {
  /** The credential, or the resource where it belongs to none. */
  name: string;
  /** What stands, as a sentence without its subject. */
  what: string;
}

/** Values that live in state alone: nothing outside has to withdraw them. */
const STATE_ONLY = new Set(["RandomId", "RandomPassword"]);

export function describeDebts(before: Outputs, { resources, pending_operations }: State): Debt[] {
  const pending = resources
    .filter((resource) => resource.delete && !STATE_ONLY.has(kindOf(resource.urn)))
    .map((resource) => ({
      name: nameOf(resource.urn),
      what: `${describe(resource)} was replaced and could not be withdrawn; the next update tries again`,
    }));
  const interrupted = pending_operations.map(({ type, resource }) => ({
    name: nameOf(resource.urn),
    what: `${describe(resource)} was interrupted while ${type}; what it did is not known`,
  }));
  const managed = resources.flatMap((resource) => loginOf(resource) ?? []);
  const strangers = Object.entries(before.debts).flatMap(([name, logins]) =>
    logins
      .filter((login) => !managed.includes(login))
      .map((login) => ({ name, what: `the login ${login} acts as its owner, and neither config nor state names it` })),
  );
  return [...pending, ...unfinished(before, resources), ...interrupted, ...strangers];
}

/** A stamp that the outputs no longer list and that has resources yet: the update that was to withdraw it failed. */
function unfinished(before: Outputs, resources: Resource[]): Debt[] {
  const left = resources.flatMap((resource) => {
    const [, name, text] = /^(.+)@(.+)$/.exec(nameOf(resource.urn)) ?? [];
    const stamp = parseStamp(text);
    if (name === undefined || stamp === undefined || resource.delete) return [];
    if (before.credentials[name]?.live.includes(stamp) === true) return [];
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
  return login === undefined ? kindOf(resource.urn) : `the login ${login}`;
}

function loginOf({ inputs }: Resource): string | undefined {
  return typeof inputs["login"] === "string" ? inputs["login"] : undefined;
}
