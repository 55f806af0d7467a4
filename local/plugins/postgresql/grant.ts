/**
 * postgresql.Grant for databases, schemas, tables and sequences. It owns all privileges of one role on the objects:
 * each write revokes them and grants the listed ones, in one transaction. An empty list is a revoke.
 *
 * As in the official plugin, grants on one database wait for each other, other grants on one object do not and may fail
 * with "tuple concurrently updated": chain them by dependsOn.
 */
import type { Client } from "pg";
import type { Failure, ResourceType, Rule } from "../resource";
import type { Properties } from "../wire";
import { isUnknown } from "../wire";
import { actingAs, exists, lockDatabase, lockRole, names } from "./catalog";
import type { Server } from "./connection";
import { ident } from "./connection";

const PRIVILEGES: Record<string, string[]> = {
  database: ["ALL", "CREATE", "CONNECT", "TEMPORARY"],
  schema: ["ALL", "CREATE", "USAGE"],
  table: ["ALL", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"],
  sequence: ["ALL", "USAGE", "SELECT", "UPDATE"],
};

const fixed: Rule = { kind: "string", required: true, replace: true };

const rules: Record<string, Rule> = {
  columns: { kind: "list", initial: null, replace: true, unordered: true },
  database: fixed,
  objectType: fixed,
  objects: { kind: "list", initial: null, replace: true, unordered: true },
  privileges: { kind: "list", required: true, unordered: true },
  role: fixed,
  schema: { kind: "string", initial: null, replace: true },
  withGrantOption: { kind: "boolean", initial: false, replace: true },
};

interface Grant {
  database: string;
  role: string;
  objectType: string;
  schema: string | null;
  objects: string[] | null;
  privileges: string[] | null;
  withGrantOption: boolean;
}

export function grantType(server: Server): ResourceType {
  const write = async (olds: Grant, grant: Grant): Promise<void> => {
    const doing = `granting on ${label(grant)} to "${grant.role}"`;
    await server.transaction(doing, (client) => replacePrivileges(client, olds, grant), { database: grant.database });
  };
  const read = async (values: Properties): Promise<Properties | undefined> => {
    const grant = grantOf(values);
    const doing = `reading grants on ${label(grant)}`;
    const there = await server.connected(doing, (client) =>
      exists(client, "SELECT 1 FROM pg_database WHERE datname = $1", [grant.database]),
    );
    if (!there) return undefined;
    const found = await server.connected(doing, (client) => readGrant(client, grant), { database: grant.database });
    return found && { ...values, privileges: found, id: idOf(grant) };
  };
  const readBack = async (planned: Properties): Promise<Properties> => {
    const found = await read(planned);
    if (found === undefined) throw new Error(`${label(grantOf(planned))} is gone right after it was granted.`);
    return found;
  };

  return {
    token: "postgresql:index/grant:Grant",
    rules,
    generated: [],
    secrets: [],
    detailed: true,
    deleteBeforeReplace: true,
    check,
    async create(planned) {
      const grant = grantOf(planned);
      await write(grant, grant);
      return { id: idOf(grant), outputs: await readBack(planned) };
    },
    async update(olds, planned) {
      await write(grantOf(olds), grantOf(planned));
      return readBack(planned);
    },
    async delete(olds) {
      const grant = grantOf(olds);
      await write(grant, { ...grant, privileges: [] });
    },
    read: (_, olds) => read(olds),
  };
}

function grantOf(values: Properties): Grant {
  return values as unknown as Grant;
}

/** The official plugin finds these only in `create`; here a preview does. */
function check(inputs: Properties): Failure[] {
  const failures: Failure[] = [];
  const { objectType, schema, objects, privileges } = grantOf(inputs);
  if (isUnknown(objectType)) return [];
  const allowed = PRIVILEGES[objectType];
  if (allowed === undefined) {
    const served = Object.keys(PRIVILEGES).join(", ");
    return [{ property: "objectType", reason: `"${objectType}" is not served by the stand-in, which has ${served}` }];
  }
  for (const privilege of isUnknown(privileges) ? [] : (privileges ?? [])) {
    if (allowed.includes(privilege)) continue;
    const reason = `"${privilege}" is not a privilege on a ${objectType}; allowed are ${allowed.join(", ")}`;
    failures.push({ property: "privileges", reason });
  }
  const whole = objectType === "database" || objectType === "schema";
  if (objectType !== "database" && (schema ?? "") === "") {
    failures.push({ property: "schema", reason: `"schema" is required where objectType is ${objectType}` });
  }
  if (whole && (objects ?? []).length > 0) {
    failures.push({ property: "objects", reason: `"objects" must be left out where objectType is ${objectType}` });
  }
  if (((inputs["columns"] ?? []) as unknown[]).length > 0) {
    failures.push({ property: "columns", reason: '"columns" belongs to objectType column, which the stand-in lacks' });
  }
  return failures;
}

async function replacePrivileges(client: Client, old: Grant, grant: Grant): Promise<void> {
  await lockRole(client, grant.role);
  if (grant.objectType === "database") await lockDatabase(client, grant.database);
  await actingAs(client, await ownersOf(client, grant), async () => {
    await client.query(`REVOKE ${revoked(old)} ON ${target(old)} FROM ${grantee(old)}`);
    const privileges = grant.privileges ?? [];
    if (privileges.length === 0) return;
    const option = grant.withGrantOption ? " WITH GRANT OPTION" : "";
    await client.query(`GRANT ${privileges.join(", ")} ON ${target(grant)} TO ${grantee(grant)}${option}`);
  });
}

/** On named objects only what was granted is revoked: ALL would take column privileges along. */
function revoked(grant: Grant): string {
  const named = (grant.objects ?? []).length > 0 && (grant.privileges ?? []).length > 0;
  return named ? (grant.privileges ?? []).join(", ") : "ALL PRIVILEGES";
}

function target(grant: Grant): string {
  if (grant.objectType === "database") return `DATABASE ${ident(grant.database)}`;
  const schema = ident(grant.schema ?? "");
  if (grant.objectType === "schema") return `SCHEMA ${schema}`;
  const kind = grant.objectType.toUpperCase();
  const objects = grant.objects ?? [];
  if (objects.length === 0) return `ALL ${kind}S IN SCHEMA ${schema}`;
  return `${kind} ${objects.map((name) => `${schema}.${ident(name)}`).join(", ")}`;
}

/** The official plugin quotes "public", which Postgres takes for the keyword all the same. */
function grantee(grant: Grant): string {
  return ident(grant.role);
}

function label(grant: Grant): string {
  return `${grant.objectType} "${[grant.database, grant.schema].filter((part) => part !== null).join(".")}"`;
}

function idOf(grant: Grant): string {
  const schema = grant.objectType === "database" ? [] : [grant.schema ?? ""];
  return [grant.role, grant.database, ...schema, grant.objectType, ...(grant.objects ?? [])].join("_");
}

/** Whom the admin must act as to change privileges, where it is no superuser. */
async function ownersOf(client: Client, grant: Grant): Promise<string[]> {
  if (grant.objectType === "database") return [];
  const owner =
    "SELECT CASE WHEN r.rolname = 'pg_database_owner' THEN (SELECT pg_get_userbyid(datdba) FROM pg_database " +
    "WHERE datname = current_database()) ELSE r.rolname END::text FROM pg_namespace JOIN pg_roles r ON r.oid = nspowner " +
    "WHERE nspname = $1";
  const tables = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = $1";
  const owners = await names(client, owner, [grant.schema]);
  if (grant.objectType !== "schema") owners.push(...(await names(client, tables, [grant.schema])));
  return [...new Set(owners)];
}

/** The privileges that the role has; undefined if the role or schema is gone. */
async function readGrant(client: Client, grant: Grant): Promise<string[] | undefined> {
  const isPublic = grant.role === "public";
  if (!isPublic && !(await exists(client, "SELECT 1 FROM pg_roles WHERE rolname = $1", [grant.role]))) return undefined;
  const schema = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
  if (grant.objectType !== "database" && !(await exists(client, schema, [grant.schema]))) return undefined;
  const wanted = (grant.privileges ?? []).slice().sort();
  for (const found of await readObjects(client, grant)) {
    // Of many objects, the first that differs stands for all: it makes the next update grant again.
    if (!satisfies(grant.objectType, found, wanted)) return found;
  }
  return wanted;
}

/** Each object's privileges of the role, sorted. */
async function readObjects(client: Client, grant: Grant): Promise<string[][]> {
  const held = (acl: string) =>
    `(SELECT coalesce(array_agg(DISTINCT privilege_type ORDER BY privilege_type), '{}') FROM aclexplode(${acl})
      WHERE grantee = CASE WHEN $1 = 'public' THEN 0 ELSE (SELECT oid FROM pg_roles WHERE rolname = $1) END)`;
  const run = async (query: string, values: unknown[]) =>
    (await client.query<[string[]]>({ text: query, values: [grant.role, ...values], rowMode: "array" })).rows.flat();
  if (grant.objectType === "database") {
    return run(`SELECT ${held("datacl")} FROM pg_database WHERE datname = $2`, [grant.database]);
  }
  if (grant.objectType === "schema") {
    return run(`SELECT ${held("nspacl")} FROM pg_namespace WHERE nspname = $2`, [grant.schema]);
  }
  const query = `SELECT ${held("relacl")} FROM pg_class WHERE relnamespace = $2::regnamespace AND relkind = $3
    AND ($4::text[] IS NULL OR relname = ANY ($4)) ORDER BY relname`;
  const objects = (grant.objects ?? []).length === 0 ? null : grant.objects;
  return run(query, [ident(grant.schema ?? ""), grant.objectType === "sequence" ? "S" : "r", objects]);
}

function satisfies(objectType: string, found: string[], wanted: string[]): boolean {
  if (found.join() === wanted.join()) return true;
  const all = (PRIVILEGES[objectType] ?? []).filter((privilege) => privilege !== "ALL");
  return wanted.includes("ALL") && all.every((privilege) => found.includes(privilege));
}
