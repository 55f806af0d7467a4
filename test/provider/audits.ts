/** For tests of the audit: a record, and the audit table as its owner sets it up, with a login that adds and one that reads. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { AuditRecord } from "../../components/audit/record";
import { scramVerifier } from "../../components/postgres/scram";
import type { AuditTable } from "../../components/rotation/model";
import type { LocalPostgres } from "../../local/cloud/postgres";

export function recordOf(over: Partial<AuditRecord> = {}): AuditRecord {
  return {
    ...{ time: "2026-11-20T09:30:00.000Z", stack: "prod", credential: "rounds-db", step: "deliver", result: "done" },
    ...{ from: ["2026-08-01"], to: ["2026-11-20"], consumer: "rounds-api", attested: true, proven: false, expires: "" },
    ...{ error: "", actor: "a@example.com", reason: "", ticket: "OPS-12", commit: "abc", update: "1" },
    ...over,
  };
}

export interface AuditDatabase {
  audit: AuditTable;
  writer: { user: string; password: string; database: string };
  /** What `readAudit` takes. */
  reader: { PGUSER: string; PGPASSWORD: string };
  /** Runs a statement as superuser, in the audit's database. */
  sql: (text: string, values?: unknown[]) => Promise<Record<string, unknown>[]>;
  /** Runs rollover_audit.sql as the table's owner. */
  setUp(): Promise<void>;
}

/** An owner who is no superuser, as a managed service gives; a database of its own. */
export async function startAudit(postgres: LocalPostgres, required = true): Promise<AuditDatabase> {
  const [database, password] = ["audit", "AuditPassw0rd0123456789"];
  const sql = async (text: string, values?: unknown[]) => (await postgres.query(text, values, database)).rows;
  await postgres.query("CREATE ROLE audit_owner LOGIN CREATEROLE");
  await postgres.query("CREATE DATABASE audit OWNER audit_owner");
  const script = fs.readFileSync(path.join(__dirname, "../../components/audit/rollover_audit.sql"), "utf8");
  const setUp = async (): Promise<void> => {
    await sql(`SET ROLE audit_owner; ${script}`);
  };
  await setUp();
  for (const [login, role] of [
    ["audit_in", "rollover_audit_writer"],
    ["audit_out", "rollover_audit_reader"],
  ])
    // The server's log must hold no password of ours: a leak scan would find it.
    await sql(`CREATE ROLE ${login} LOGIN PASSWORD '${scramVerifier(password, "audit")}'; GRANT ${role} TO ${login}`);
  const server = { host: "127.0.0.1", port: postgres.port, database, username: "audit_in", superuser: false };
  return {
    audit: { required, server: { ...server, sslmode: "disable" } },
    writer: { user: "audit_in", password, database },
    reader: { PGUSER: "audit_out", PGPASSWORD: password },
    sql,
    setUp,
  };
}
