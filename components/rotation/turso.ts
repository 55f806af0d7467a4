/** Parses `rollover:turso` and credentials of kind `turso`. What takes both to see is in turso-rules.ts. */
import { EXPIRATION_ALLOWED, LONGEST_EXPIRATION_DAYS, parseExpiration } from "./expiration";
import type {
  CredentialBase,
  Incident,
  Stamp,
  TableAction,
  TablePermissions,
  TursoCredential,
  TursoDatabase,
  TursoGroup,
  TursoAccount,
  TursoTarget,
} from "./model";
import { closest, listed, show, type Problem } from "./problem";
import { parseWhy, REASON } from "./operating";
import { entries, Fields, tokenInPlainText, type Entry, type TextRule } from "./read";

export const TURSO_API = "https://api.turso.tech";

/** The vendor's rule for databases, and the only one it states. https://docs.turso.tech/api-reference/databases/create */
const TURSO_NAME: TextRule = {
  pattern: /^[a-z0-9][a-z0-9-]{0,63}$/,
  allowed: "lower-case letters, digits and -, first no -, at most 64",
  fix: "write the name as Turso lists it",
};
const ORGANIZATION: TextRule = { ...TURSO_NAME, fix: "write the organisation's slug, as `turso org list` prints it" };
const TABLE: TextRule = { pattern: /^[^\p{Cc}]{1,200}$/u, allowed: "the name of a table, at most 200 characters" };
const ACTIONS: readonly TableAction[] = [
  ...(["data_read", "data_add", "data_update", "data_delete"] as const),
  ...(["schema_add", "schema_update", "schema_delete"] as const),
];
const GROUP_KEYS = ["deleteProtection", "invalidated", "incident", "reason", "ticket"];
const DATABASE_KEYS = ["group", "blockReads", "blockWrites", ...GROUP_KEYS];
const INCIDENT_DAYS = 30;
const DAY = 86_400_000;

export const TURSO_CREDENTIAL_KEYS = [
  ...["database", "group", "authorization", "expiration", "acceptNeverExpires", "permissions", "attach", "proveOn"],
  "retired",
];

/** `groups` are those that it declares itself; `withNamedGroups` adds the others. */
export function parseTurso(raw: unknown, problems: Problem[]): TursoAccount {
  const fields = new Fields("rollover:turso", raw, problems);
  fields.onlyKnown(["organization", "apiUrl", "groups", "databases"], (key) =>
    /token|key/i.test(key) ? tokenInPlainText("tursoApiToken") : undefined,
  );
  const named = (key: string): Entry[] => entries(fields.path(key), fields.get(key), problems, TURSO_NAME);
  return {
    organization: fields.text("organization", ORGANIZATION),
    apiUrl: fields.apiUrl({ name: "Turso", url: TURSO_API, local: "http://127.0.0.1:8787" }),
    groups: named("groups").map((entry) => parseGroup(entry, problems)),
    databases: named("databases").map((entry) => parseDatabase(entry, problems)),
  };
}

/** Every group that a database or a credential names is one of the organisation's, declared or not; sorted by name. */
export function withNamedGroups(organization: TursoAccount, targets: TursoTarget[]): TursoAccount {
  const groups = new Map(organization.groups.map((group) => [group.name, group]));
  const named = targets.filter(({ kind }) => kind === "group").map(({ name }) => name);
  for (const name of [...organization.databases.map(({ group }) => group), ...named]) {
    if (!groups.has(name)) groups.set(name, { name, settings: {} });
  }
  return { ...organization, groups: [...groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

function parseGroup(entry: Entry, problems: Problem[]): TursoGroup {
  // `production:` with nothing under it is a group with nothing declared.
  const fields = new Fields(entry.where, entry.value ?? {}, problems);
  fields.onlyKnown(GROUP_KEYS, (key) =>
    key === "blockReads" || key === "blockWrites"
      ? {
          what: "is not for a group: Turso blocks databases only",
          allowed: listed(GROUP_KEYS),
          fix: "write it for each database under `rollover:turso.databases`",
        }
      : undefined,
  );
  return { name: entry.name, settings: flags(fields, ["deleteProtection"]), ...invalidatable(fields) };
}

function parseDatabase(entry: Entry, problems: Problem[]): TursoDatabase {
  const fields = new Fields(entry.where, entry.value ?? {}, problems);
  fields.onlyKnown(DATABASE_KEYS);
  return {
    name: entry.name,
    group: fields.text("group", TURSO_NAME),
    settings: flags(fields, ["deleteProtection", "blockReads", "blockWrites"]),
    ...invalidatable(fields),
  };
}

/** Only those that are declared: the others are left alone at Turso. */
function flags<K extends string>(fields: Fields, keys: readonly K[]): Partial<Record<K, boolean>> {
  const declared = keys.filter((key) => fields.has(key)).map((key) => [key, fields.flag(key, false)] as const);
  return Object.fromEntries(declared) as Partial<Record<K, boolean>>;
}

function invalidatable(fields: Fields): { invalidated?: Stamp; incident?: Incident; reason?: string; ticket?: string } {
  const items = fields.has("invalidated") ? [{ value: fields.get("invalidated"), key: "invalidated" }] : [];
  const [invalidated] = fields.stamps(items);
  const incident = fields.has("incident") ? parseIncident(fields) : undefined;
  return {
    ...(invalidated === undefined ? {} : { invalidated }),
    ...(incident === undefined ? {} : { incident }),
    ...parseWhy(fields),
  };
}

function parseIncident(fields: Fields): Incident {
  const entry = new Fields(fields.path("incident"), fields.get("incident"), fields.problems);
  entry.onlyKnown(["reason", "readOnly"]);
  const reason = entry.text("reason", REASON);
  const raw = entry.get("readOnly");
  const ms = parseExpiration(raw);
  if (typeof raw === "string" && ms !== undefined && ms <= INCIDENT_DAYS * DAY) return { reason, readOnly: raw };
  const allowed = `how long the read-only token works: ${EXPIRATION_ALLOWED}; at most ${INCIDENT_DAYS}d`;
  const fix = "write the days that the incident may take, such as 7d";
  if (raw === undefined || raw === null) entry.refuse("readOnly", { what: "is missing", allowed, fix });
  else {
    const what = ms === undefined ? "is no expiration of a read-only token" : "is too long";
    entry.refuse("readOnly", { what, value: show(raw), allowed, fix });
  }
  return { reason, readOnly: "" };
}

export function parseTursoCredential(fields: Fields, base: CredentialBase): TursoCredential {
  const credential: TursoCredential = {
    ...base,
    kind: "turso",
    target: parseTarget(fields),
    authorization: fields.oneOf("authorization", ["full-access", "read-only"], "full-access") ?? "full-access",
    expiration: parseTokenExpiration(fields),
    permissions: parsePermissions(fields),
    attach: fields.texts("attach", "names of databases", TURSO_NAME),
    retired: parseRetired(fields, base.generations),
  };
  if (fields.has("authorization") && fields.has("permissions")) {
    const fix = "remove `authorization`, or `permissions` to have all tables";
    fields.refuse("authorization", { what: "stands beside `permissions`", allowed: "one of the two", fix });
  }
  if (fields.has("proveOn")) {
    credential.proveOn = fields.text("proveOn", TURSO_NAME);
    if (credential.target.kind === "database") {
      const what = "is only for a token of a group: a database's token is proven on that database";
      fields.refuse("proveOn", { what, allowed: "only beside `group`", fix: "remove it" });
    }
  }
  return credential;
}

function parseTarget(fields: Fields): TursoTarget {
  const [database, group] = [fields.has("database"), fields.has("group")];
  if (database && group) {
    const fix = "keep `database` for a token of that database only, `group` for one of every database in it";
    fields.refuse("group", { what: "stands beside `database`", allowed: "one of the two", fix });
  } else if (!database && !group) {
    const fix = "add `database` with a name under `rollover:turso.databases`, or `group`";
    fields.refuse("", { what: "names neither a database nor a group", allowed: "one of the two", fix });
    return { kind: "database", name: "" };
  }
  const kind = database ? "database" : "group";
  return { kind, name: fields.text(kind, TURSO_NAME) };
}

/** Expiry is the only way to end one token without the others, so it must be given. */
function parseTokenExpiration(fields: Fields): string {
  const raw = fields.get("expiration");
  const accepted = fields.flag("acceptNeverExpires", false);
  const allowed = `${EXPIRATION_ALLOWED}; at most ${LONGEST_EXPIRATION_DAYS}d`;
  if (accepted && raw !== "never") {
    const what = "stands without `expiration: never`";
    fields.refuse("acceptNeverExpires", { what, allowed: "only beside `expiration: never`", fix: "remove it" });
  }
  if (raw === "never") {
    if (accepted) return raw;
    const what = "is never, and one Turso token cannot be revoked without all others of its group";
    const fix = "write an expiration such as 90d, or add `acceptNeverExpires: true` if it must be so";
    fields.refuse("expiration", { what, allowed, fix });
  } else if (raw === undefined || raw === null) {
    fields.refuse("expiration", { what: "is missing", allowed, fix: "add it, such as 90d" });
  } else if (typeof raw === "string" && parseExpiration(raw) !== undefined) return raw;
  else
    fields.refuse("expiration", {
      what: "is no expiration",
      value: show(raw),
      allowed,
      fix: "write it with its units, like 90d",
    });
  return "";
}

function parsePermissions(fields: Fields): TablePermissions[] {
  noEmptyList(fields, "permissions", "mappings with actions", "remove it to have all rights of `authorization`");
  return fields.list("permissions", "mappings with actions").map((item) => {
    const entry = new Fields(fields.path(item.key), item.value, fields.problems);
    entry.onlyKnown(["tables", "actions"]);
    const permission: TablePermissions = { actions: parseActions(entry) };
    if (!entry.has("tables")) return permission;
    noEmptyList(entry, "tables", "names of tables", "name at least one, or remove it to have all tables");
    return { ...permission, tables: entry.texts("tables", "names of tables", TABLE) };
  });
}

function parseActions(entry: Fields): TableAction[] {
  if (!entry.has("actions")) {
    entry.refuse("actions", { what: "is missing", allowed: listed(ACTIONS), fix: "name at least one" });
  }
  noEmptyList(entry, "actions", listed(ACTIONS), "name at least one");
  return entry.list("actions", "actions").flatMap((item) => {
    const found = ACTIONS.find((action) => action === item.value);
    if (found !== undefined) return [found];
    const guess = typeof item.value === "string" ? closest(item.value, ACTIONS) : undefined;
    const fix = guess === undefined ? "write one of these" : `write \`${guess}\` if that is meant`;
    entry.refuse(item.key, { what: "is not known", value: show(item.value), allowed: listed(ACTIONS, "or"), fix });
    return [];
  });
}

/** An empty list would read as "nothing", and leaving it out means "all". */
function noEmptyList(fields: Fields, key: string, allowed: string, fix: string): void {
  const value = fields.get(key);
  if (Array.isArray(value) && value.length === 0) fields.refuse(key, { what: "is an empty list", allowed, fix });
}

function parseRetired(fields: Fields, generations: Stamp[]): Stamp[] {
  const items = fields.list("retired", "stamps");
  const retired = fields.stamps(items);
  for (const stamp of retired.filter((candidate) => generations.includes(candidate))) {
    const what = "stands in `generations` too";
    const fix = "take it out of `generations` to retire it, or out of `retired` to deliver it again";
    fields.refuse("retired", { what, value: show(stamp), allowed: "each stamp in one of the two lists", fix });
  }
  return retired;
}
