/** Questions to Postgres's catalogs, and the locks and memberships that the official plugin takes around its work. */
import type { Client } from "pg";
import { ident } from "./connection";

export async function names(client: Client, query: string, values: unknown[]): Promise<string[]> {
  const { rows } = await client.query<[string]>({ text: query, values, rowMode: "array" });
  return rows.map(([name]) => name);
}

export async function exists(client: Client, query: string, values: unknown[]): Promise<boolean> {
  return (await client.query({ text: query, values })).rows.length > 0;
}

/** Serialises work on a role and its members until the transaction ends. */
export async function lockRole(client: Client, role: string): Promise<void> {
  await client.query("SET LOCAL statement_timeout = 0");
  await client.query("SELECT pg_advisory_xact_lock(oid::bigint) FROM pg_roles WHERE rolname = $1", [role]);
  const members = "SELECT pg_advisory_xact_lock(member::bigint) FROM pg_auth_members WHERE roleid = to_regrole($1)";
  await client.query(members, [ident(role)]);
}

export async function lockDatabase(client: Client, database: string): Promise<void> {
  await client.query("SELECT pg_advisory_xact_lock(oid::bigint) FROM pg_database WHERE datname = $1", [database]);
}

/**
 * Lets the admin act as the roles while the work runs, where it is no superuser and cannot already, and takes the
 * memberships back after it.
 */
export async function actingAs<T>(client: Client, roles: string[], work: () => Promise<T>): Promise<T> {
  const granted: string[] = [];
  for (const role of roles) {
    if (await grantToMe(client, role)) granted.push(role);
  }
  const result = await work();
  for (const role of granted) {
    if (await exists(client, "SELECT 1 FROM pg_roles WHERE rolname = $1", [role])) {
      await client.query(`REVOKE ${ident(role)} FROM CURRENT_USER`);
    }
  }
  return result;
}

/** False if the admin needed nothing: it is a superuser, the role itself or a member that may SET ROLE. */
export async function grantToMe(client: Client, role: string): Promise<boolean> {
  const able = `
    SELECT 1 FROM pg_roles me WHERE me.rolname = current_user AND (me.rolsuper OR me.rolname = $1 OR EXISTS (
      SELECT 1 FROM pg_auth_members m WHERE m.member = me.oid AND m.roleid = to_regrole($2)
        AND coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)))`;
  if (await exists(client, able, [role, ident(role)])) return false;
  // Postgres refuses to let a plain role into a superuser.
  if (await exists(client, "SELECT 1 FROM pg_roles WHERE rolname = $1 AND rolsuper", [role])) return false;
  await client.query(`GRANT ${ident(role)} TO CURRENT_USER`);
  return true;
}
