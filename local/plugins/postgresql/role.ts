/**
 * postgresql.Role: the SQL of the official plugin (terraform-provider-postgresql), one transaction each for create,
 * update and delete. Every update revokes and grants all `roles` again. A delete ends no session.
 *
 * The password is sent as it is given, so a plaintext can stand in Postgres's log: give it a SCRAM verifier.
 */
import type { Client } from "pg";
import type { ResourceType, Rule } from "../resource";
import type { Properties } from "../wire";
import { equal } from "../wire";
import { actingAs, lockRole, names } from "./catalog";
import type { Server } from "./connection";
import { ident, literal } from "./connection";

const off: Rule = { kind: "boolean", initial: false };

const rules: Record<string, Rule> = {
  assumeRole: { kind: "string", initial: "" },
  bypassRowLevelSecurity: off,
  connectionLimit: { kind: "number", initial: -1, fill: true },
  createDatabase: off,
  createRole: off,
  encrypted: { kind: "string", initial: null },
  encryptedPassword: { kind: "boolean", initial: true, fill: true },
  idleInTransactionSessionTimeout: { kind: "number", initial: 0 },
  inherit: { kind: "boolean", initial: true, fill: true },
  login: off,
  name: { kind: "string", required: true },
  password: { kind: "string", initial: null },
  passwordWo: { kind: "string", initial: null, ignored: true },
  passwordWoVersion: { kind: "string", initial: null },
  replication: off,
  roles: { kind: "list", initial: null, unordered: true },
  searchPaths: { kind: "list", initial: null },
  skipDropRole: off,
  skipReassignOwned: off,
  statementTimeout: { kind: "number", initial: 0 },
  superuser: off,
  validUntil: { kind: "string", initial: "infinity", fill: true },
};

/** Inputs that are one word of SQL each. */
const FLAGS = [
  ["superuser", "SUPERUSER"],
  ["createDatabase", "CREATEDB"],
  ["createRole", "CREATEROLE"],
  ["inherit", "INHERIT"],
  ["login", "LOGIN"],
  ["replication", "REPLICATION"],
  ["bypassRowLevelSecurity", "BYPASSRLS"],
] as const;

interface Role {
  name: string;
  password: string | null;
  passwordWo: string | null;
  connectionLimit: number;
  validUntil: string;
  encryptedPassword: boolean;
  roles: string[] | null;
  searchPaths: string[] | null;
  statementTimeout: number;
  idleInTransactionSessionTimeout: number;
  assumeRole: string;
  skipDropRole: boolean;
  skipReassignOwned: boolean;
}

export function roleType(server: Server): ResourceType {
  const read = async (name: string, olds: Properties): Promise<Properties | undefined> =>
    server.connected(`reading role "${name}"`, (client) => readRole(client, name, olds, server.superuser));
  const readBack = async (planned: Properties): Promise<Properties> => {
    const { name } = roleOf(planned);
    const found = await read(name, planned);
    if (found === undefined) throw new Error(`Role "${name}" is gone right after it was written.`);
    return found;
  };
  const hidden = (planned: Properties) => ({ hidden: [planned["password"], planned["passwordWo"]] });

  return {
    token: "postgresql:index/role:Role",
    rules,
    generated: [],
    secrets: ["password", "passwordWo"],
    detailed: true,
    async create(planned) {
      const role = roleOf(planned);
      const doing = `creating role "${role.name}"`;
      await server.transaction(doing, (client) => createRole(client, role, planned), hidden(planned));
      return { id: role.name, outputs: { ...(await readBack(planned)), id: role.name } };
    },
    async update(olds, planned) {
      const doing = `updating role "${roleOf(planned).name}"`;
      await server.transaction(doing, (client) => updateRole(client, olds, planned), hidden(planned));
      return { ...(await readBack(planned)), id: roleOf(planned).name };
    },
    async delete(olds) {
      const role = roleOf(olds);
      await server.transaction(`deleting role "${role.name}"`, (client) => deleteRole(client, role));
    },
    async read(id, olds) {
      const found = await read(id, olds);
      return found && { ...found, id };
    },
  };
}

/** The values have passed `check`, or come from the state that it led to. */
function roleOf(values: Properties): Role {
  return values as unknown as Role;
}

async function createRole(client: Client, role: Role, planned: Properties): Promise<void> {
  const password = role.passwordWo ?? role.password;
  const options = password === null || password === "" ? [] : passwordOptions(role, password);
  options.push(`VALID UNTIL ${literal(role.validUntil)}`, `CONNECTION LIMIT ${role.connectionLimit}`);
  options.push(...FLAGS.map(([name, word]) => (planned[name] === true ? word : `NO${word}`)));
  await client.query(`CREATE ROLE ${ident(role.name)} WITH ${options.join(" ")}`);
  await grantRoles(client, role);
  await alterSettings(client, {}, role);
}

function passwordOptions(role: Role, password: string): string[] {
  if (password.toUpperCase() === "NULL") return ["PASSWORD NULL"];
  return [`${role.encryptedPassword ? "ENCRYPTED" : "UNENCRYPTED"} PASSWORD ${literal(password)}`];
}

async function updateRole(client: Client, olds: Properties, planned: Properties): Promise<void> {
  const [old, role] = [roleOf(olds), roleOf(planned)];
  const changed = (name: string): boolean => !equal(olds[name] ?? rules[name]?.initial, planned[name]);
  await lockRole(client, old.name);
  if (changed("name")) await client.query(`ALTER ROLE ${ident(old.name)} RENAME TO ${ident(role.name)}`);
  const alter = (what: string) => client.query(`ALTER ROLE ${ident(role.name)} ${what}`);
  if (changed("passwordWoVersion") && role.passwordWo !== null) await alter(`PASSWORD ${literal(role.passwordWo)}`);
  else if (changed("password") || changed("name")) await alter(`PASSWORD ${literal(role.password ?? "")}`);
  if (changed("connectionLimit")) await alter(`CONNECTION LIMIT ${role.connectionLimit}`);
  for (const [name, word] of FLAGS) {
    if (changed(name)) await alter(`WITH ${planned[name] === true ? word : `NO${word}`}`);
  }
  if (changed("validUntil") && role.validUntil !== "") await alter(`VALID UNTIL ${literal(role.validUntil)}`);
  for (const granted of await memberships(client, role.name)) {
    await client.query(`REVOKE ${ident(granted)} FROM ${ident(role.name)}`);
  }
  await grantRoles(client, role);
  await alterSettings(client, olds, role);
}

async function grantRoles(client: Client, role: Role): Promise<void> {
  for (const granted of role.roles ?? []) await client.query(`GRANT ${ident(granted)} TO ${ident(role.name)}`);
}

/** The search path is set each time, the rest where it differs from what was. */
async function alterSettings(client: Client, olds: Properties, role: Role): Promise<void> {
  const alter = (what: string) => client.query(`ALTER ROLE ${ident(role.name)} ${what}`);
  const path = (role.searchPaths ?? []).map((part) => ident(part)).join(", ");
  await alter(`SET search_path TO ${path === "" ? "DEFAULT" : path}`);
  const timeouts = [
    ["statementTimeout", "statement_timeout"],
    ["idleInTransactionSessionTimeout", "idle_in_transaction_session_timeout"],
  ] as const;
  for (const [name, setting] of timeouts) {
    if ((olds[name] ?? 0) === role[name]) continue;
    await alter(role[name] === 0 ? `RESET ${setting}` : `SET ${setting} TO ${role[name]}`);
  }
  if ((olds["assumeRole"] ?? "") === role.assumeRole) return;
  await alter(role.assumeRole === "" ? "RESET ROLE" : `SET ROLE TO ${ident(role.assumeRole)}`);
}

async function deleteRole(client: Client, role: Role): Promise<void> {
  await lockRole(client, role.name);
  if (!role.skipReassignOwned) {
    await actingAs(client, [role.name], async () => {
      await client.query(`REASSIGN OWNED BY ${ident(role.name)} TO CURRENT_USER`);
      await client.query(`DROP OWNED BY ${ident(role.name)}`);
    });
  }
  if (!role.skipDropRole) await client.query(`DROP ROLE ${ident(role.name)}`);
}

function memberships(client: Client, role: string): Promise<string[]> {
  const query = `SELECT DISTINCT pg_get_userbyid(roleid)::text FROM pg_auth_members
    WHERE member = (SELECT oid FROM pg_roles WHERE rolname = $1) ORDER BY 1`;
  return names(client, query, [role]);
}

interface RoleRow {
  superuser: boolean;
  inherit: boolean;
  createRole: boolean;
  createDatabase: boolean;
  login: boolean;
  replication: boolean;
  bypassRowLevelSecurity: boolean;
  connectionLimit: number;
  validUntil: string;
  settings: string[] | null;
}

async function readRole(client: Client, name: string, olds: Properties, superuser: boolean) {
  const { rows } = await client.query<RoleRow>(
    `SELECT rolsuper AS superuser, rolinherit AS inherit, rolcreaterole AS "createRole", rolcreatedb AS "createDatabase",
       rolcanlogin AS login, rolreplication AS replication, rolbypassrls AS "bypassRowLevelSecurity",
       rolconnlimit AS "connectionLimit", coalesce(rolvaliduntil::text, 'infinity') AS "validUntil", rolconfig AS settings
     FROM pg_roles WHERE rolname = $1`,
    [name],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const { settings, ...attributes } = row;
  const setting = (key: string) => settings?.find((entry) => entry.startsWith(`${key}=`))?.slice(key.length + 1);
  const granted = await memberships(client, name);
  const path = setting("search_path");
  const kept = Object.fromEntries(Object.entries(rules).map(([key, rule]) => [key, olds[key] ?? rule.initial]));
  return {
    ...kept,
    ...attributes,
    name,
    encryptedPassword: true,
    assumeRole: setting("role") ?? "",
    statementTimeout: Number(setting("statement_timeout") ?? 0),
    idleInTransactionSessionTimeout: Number(setting("idle_in_transaction_session_timeout") ?? 0),
    roles: granted.length === 0 ? null : granted,
    searchPaths: path === undefined ? null : path.split(", ").map((part) => part.replace(/^"|"$/g, "")),
    password: row.login && superuser ? await readPassword(client, name, olds["password"]) : (olds["password"] ?? null),
  };
}

/** A plaintext cannot be compared with a verifier, so its drift is not seen; a verifier's is. */
async function readPassword(client: Client, name: string, old: unknown): Promise<unknown> {
  const [stored] = await names(client, "SELECT coalesce(passwd, '') FROM pg_shadow WHERE usename = $1", [name]);
  const plaintext = typeof old === "string" && old !== "" && !/^(md5|SCRAM-SHA-256)/.test(old);
  if (plaintext && stored?.startsWith("SCRAM-SHA-256")) return old;
  return stored === undefined || stored === "" ? null : stored;
}
