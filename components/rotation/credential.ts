/** Parses one entry of `rollover:credentials`. What takes two entries to see is in rules.ts. */
import { parseDeliveries, type PlacedDelivery } from "./delivery";
import type { Credential, CredentialBase, GrantSpec, PostgresCredential, PostgresServer, Stamp } from "./model";
import { KEYSET_KEYS, parseKeyset, SIGNING_KEYS } from "./keyset";
import { listed, show, type Problem } from "./problem";
import { Fields, type TextRule } from "./read";
import { ANY_ROLE } from "./server";
import { checkProblem } from "./sql";
import { parseTursoCredential, TURSO_CREDENTIAL_KEYS } from "./turso";
import { parseOperating } from "./operating";
import { PLACEHOLDERS, templateProblem } from "./url";

/** A credential with where it and its deliveries stand; undefined where its kind is not known. */
export interface PlacedCredential {
  name: string;
  where: string;
  credential: Credential | undefined;
  deliveries: PlacedDelivery[];
}

type Kind = Credential["kind"];
const KINDS = ["random", "postgres", "turso", "signing-keyset", "encryption-keyset"] as const;
const COMMON = [
  ...["kind", "generations", "generation", "deliver", "output"],
  ...["holders", "maxAge", "reason", "ticket", "afterRoll"],
];
const OWN: Record<Kind, string[]> = {
  random: ["length"],
  postgres: [
    ...["database", "owner", "existing", "adopted", "login", "inPlace", "checks", "grants", "url", "quiet"],
    "dropOnDestroy",
  ],
  turso: TURSO_CREDENTIAL_KEYS,
  "signing-keyset": SIGNING_KEYS,
  "encryption-keyset": KEYSET_KEYS,
};

const ANY: TextRule = { pattern: /[^]/, allowed: "a text" };
const DATABASE: TextRule = {
  pattern: /^[A-Za-z_][A-Za-z0-9_$.-]{0,62}$/,
  allowed: "letters, digits, _ $ . and -, first a letter or _, at most 63",
};
const ROLE: TextRule = {
  pattern: /^(?!pg_|public$|none$)[A-Za-z_][A-Za-z0-9_$.-]{0,62}$/,
  allowed: `${DATABASE.allowed}; not public, none or pg_..., which Postgres reserves`,
};
/** Its length is judged together with the stamp. */
const LOGIN_PREFIX: TextRule = {
  pattern: /^(?!pg_)[A-Za-z_][A-Za-z0-9_$.-]*$/,
  allowed: "letters, digits, _ $ . and -, first a letter or _; not pg_..., which Postgres reserves",
};
const IDENTIFIER: TextRule = { pattern: ANY_ROLE.pattern, allowed: "the name as Postgres lists it, at most 63" };

const PRIVILEGES: Record<GrantSpec["objectType"], string[]> = {
  database: ["CONNECT", "CREATE", "TEMPORARY"],
  schema: ["CREATE", "USAGE"],
  table: ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"],
  sequence: ["SELECT", "UPDATE", "USAGE"],
};
const OBJECT_TYPES = ["database", "schema", "table", "sequence"] as const;
const DAY = 86_400_000;

export function parseCredential(
  name: string,
  where: string,
  raw: unknown,
  stack: { postgres: PostgresServer | undefined; production: boolean },
  problems: Problem[],
): PlacedCredential {
  const fields = new Fields(where, raw, problems);
  const kind = fields.oneOf("kind", KINDS);
  const generations = parseGenerations(fields);
  const deliveries = parseDeliveries(fields, kind, stack.production);
  const base = {
    name,
    generations,
    deliver: deliveries.map((placed) => placed.delivery),
    output: fields.flag("output", false),
    ...(fields.has("generation") ? { single: true as const } : {}),
    ...parseOperating(fields),
  };
  const own = kind === undefined ? Object.values(OWN).flat() : OWN[kind];
  fields.onlyKnown([...COMMON, ...own], (key) => otherKind(key, kind));
  if (kind === undefined) return { name, where, credential: undefined, deliveries };
  if (kind === "postgres") return { name, where, credential: parsePostgres(fields, base, stack.postgres), deliveries };
  if (kind === "turso") return { name, where, credential: parseTursoCredential(fields, base), deliveries };
  if (kind !== "random") return { name, where, credential: parseKeyset(fields, base, kind), deliveries };
  const why = ": a Worker's secret has at most 5 KB";
  const length = fields.integer("length", 16, 5120, 48, why);
  return { name, where, credential: { ...base, kind, length }, deliveries };
}

function otherKind(key: string, kind: Kind | undefined): Omit<Problem, "where"> | undefined {
  const owners = KINDS.filter((candidate) => OWN[candidate].includes(key));
  if (kind === undefined || owners.length === 0) return undefined;
  return {
    what: `is a setting of kind ${listed(owners, "or")}, and this is kind ${kind}`,
    allowed: listed([...COMMON, ...OWN[kind]]),
    fix: "remove it",
  };
}

/** Normalised stamps without the bad and the repeated ones, which are problems. */
function parseGenerations(fields: Fields): Stamp[] {
  const both = fields.has("generation") && fields.has("generations");
  const example = '`generations: ["2026-11-20"]`';
  if (both) {
    const fix = "keep `generations`; `generation` is short for a list of one";
    fields.refuse("generation", { what: "stands beside `generations`", allowed: "one of the two", fix });
  } else if (!fields.has("generation") && !fields.has("generations")) {
    fields.refuse("generations", {
      what: "is missing",
      allowed: "a list of stamps, current first",
      fix: `add ${example}`,
    });
  }
  const raw = fields.get("generations");
  if (Array.isArray(raw) && raw.length === 0) {
    const fix = `name the current one, such as ${example}; to withdraw the credential remove its whole entry`;
    fields.refuse("generations", { what: "is an empty list", allowed: "a list of stamps, current first", fix });
  }
  const single = both || !fields.has("generation") ? [] : [{ value: fields.get("generation"), key: "generation" }];
  return fields.stamps([...single, ...fields.list("generations", "stamps, current first")]);
}

function parsePostgres(fields: Fields, base: CredentialBase, server: PostgresServer | undefined): PostgresCredential {
  const plain = base.name.replaceAll("-", "_");
  const database = fields.text("database", DATABASE, plain);
  const inPlace = fields.flag("inPlace", false);
  const existing = fields.flag("existing", false);
  const sslmode = server?.sslmode ?? "verify-full";
  const credential: PostgresCredential = {
    ...base,
    kind: "postgres",
    database,
    owner: fields.text("owner", ROLE, database === "" ? "" : `${database}_owner`),
    existing,
    login: fields.text("login", inPlace ? ROLE : LOGIN_PREFIX, plain),
    inPlace,
    checks: parseChecks(fields),
    grants: parseGrants(fields),
    url: parseTemplate(fields, `postgresql://{user}:{password}@{host}:{port}/{database}?sslmode=${sslmode}`),
    quietMs: fields.duration("quiet", 0, DAY, 60_000),
    dropOnDestroy: fields.flag("dropOnDestroy", false),
  };
  if (fields.has("adopted")) credential.adopted = fields.text("adopted", ANY_ROLE);
  if (fields.has("adopted") && !existing) {
    const what = "needs `existing: true`: a login in use has an owner and a database";
    fields.refuse("adopted", {
      what,
      allowed: "only beside `existing: true`",
      fix: "add `existing: true`, or remove it",
    });
  }
  if (credential.dropOnDestroy && existing) {
    const what = "stands beside `existing: true`, whose owner and database Rollover does not manage";
    fields.refuse("dropOnDestroy", { what, allowed: "one of the two", fix: "remove one of them" });
  }
  if (credential.grants.length > 0 && existing) {
    const what = "stands beside `existing: true`, whose owner and database Rollover does not manage";
    fields.refuse("grants", { what, allowed: "one of the two", fix: "grant them by hand, or remove one of the two" });
  }
  if (inPlace && base.generations.length > 1) {
    const fix = "keep the first stamp, or remove `inPlace` to have an overlap";
    const what = "has several stamps beside `inPlace: true`, and one role has one password";
    fields.refuse("generations", { what, value: show(base.generations), allowed: "one stamp", fix });
  }
  return credential;
}

function parseChecks(fields: Fields): string[] {
  return fields.list("checks", "SQL statements").flatMap((item) => {
    const problem = typeof item.value === "string" ? checkProblem(item.value) : "is no text";
    if (problem === undefined) return [String(item.value)];
    const allowed = "one SQL statement that leaves transaction and role alone, such as SELECT count(*) FROM rounds";
    fields.refuse(item.key, { what: problem, allowed, fix: "write one such statement an item" });
    return [];
  });
}

function parseGrants(fields: Fields): GrantSpec[] {
  return fields.list("grants", "mappings with objectType and privileges").flatMap((item) => {
    const entry = new Fields(fields.path(item.key), item.value, fields.problems);
    entry.onlyKnown(["objectType", "schema", "objects", "privileges"]);
    const objectType = entry.oneOf("objectType", OBJECT_TYPES);
    if (objectType === undefined) return [];
    const allowed = listed(PRIVILEGES[objectType]);
    const pattern = new RegExp(`^(${PRIVILEGES[objectType].join("|")})$`);
    const grant: GrantSpec = {
      objectType,
      privileges: entry.texts("privileges", "privileges", { pattern, allowed, fix: "write one of these, in capitals" }),
    };
    const given = entry.get("privileges");
    if (given === undefined || (Array.isArray(given) && given.length === 0)) {
      entry.refuse("privileges", { what: "names no privilege", allowed, fix: "name at least one" });
    }
    if (objectType !== "database") grant.schema = entry.text("schema", IDENTIFIER);
    else misplaced(entry, "schema", "is not for a database", "objectType and privileges");
    if (objectType === "table" || objectType === "sequence")
      grant.objects = entry.texts("objects", "names", IDENTIFIER);
    else misplaced(entry, "objects", `is not for a ${objectType}`, "objects of a table or sequence");
    return [grant];
  });
}

function misplaced(entry: Fields, key: string, what: string, allowed: string): void {
  if (entry.has(key)) entry.refuse(key, { what, allowed, fix: "remove it" });
}

/** The template is not shown: somebody may have written a password into it. */
function parseTemplate(fields: Fields, standard: string): string {
  const template = fields.text("url", { ...ANY, fix: "write a template" }, standard);
  const problem = template === "" ? undefined : templateProblem(template);
  if (problem === undefined) return template;
  const allowed = `a text with {user} and {password}; also ${listed(PLACEHOLDERS.slice(2).map((name) => `{${name}}`))}`;
  fields.refuse("url", { what: problem, allowed, fix: `write it like ${standard}` });
  return "";
}
