/** What Turso's platform API answers, read with care: what has not the documented shape did not come from Turso. */
import { fieldOf } from "../http";
import type { TursoTarget } from "../rotation/model";

export { fieldOf } from "../http";

export interface Database {
  name: string;
  /** Another one where a database was destroyed and made again under the same name. */
  id: string;
  /** `rounds-acme.turso.io`; on loopback with a port. */
  hostname: string;
  group: string;
  blockReads: boolean;
  blockWrites: boolean;
  deleteProtection: boolean;
}

export interface Group {
  name: string;
  id: string;
  deleteProtection: boolean;
}

/** A group has only `deleteProtection`. */
export interface Settings {
  deleteProtection?: boolean;
  blockReads?: boolean;
  blockWrites?: boolean;
}

/** `{ Name, DbId, Hostname, group, block_reads, ... }`: the first three are capitalised; flags may be left out where false. */
export function databaseFrom(answer: unknown): Database | undefined {
  const [name, id, hostname, group] = ["Name", "DbId", "Hostname", "group"].map((key) => fieldOf(answer, key));
  const [blockReads, blockWrites, deleteProtection] = ["block_reads", "block_writes", "delete_protection"].map((key) =>
    flagOf(answer, key),
  );
  if (!isText(name) || !isText(id) || !isText(hostname) || !isText(group)) return undefined;
  if (blockReads === undefined || blockWrites === undefined || deleteProtection === undefined) return undefined;
  return { name, id, hostname, group, blockReads, blockWrites, deleteProtection };
}

/** `{ databases: [...], pagination?: { next?: CURSOR } }` */
export function pageFrom(answer: unknown): { databases: Database[]; next: string | undefined } | undefined {
  const list = fieldOf(answer, "databases");
  if (!Array.isArray(list)) return undefined;
  const databases = list.map(databaseFrom).filter((database) => database !== undefined);
  if (databases.length < list.length) return undefined;
  const next = fieldOf(fieldOf(answer, "pagination"), "next");
  return { databases, next: isText(next) ? next : undefined };
}

/** `{ name, uuid, delete_protection, ... }` */
export function groupFrom(answer: unknown): Group | undefined {
  const [name, id] = [fieldOf(answer, "name"), fieldOf(answer, "uuid")];
  const deleteProtection = flagOf(answer, "delete_protection");
  return isText(name) && isText(id) && deleteProtection !== undefined ? { name, id, deleteProtection } : undefined;
}

/** `{ block_reads, block_writes, delete_protection?, ... }` of a database, `{ delete_protection }` of a group. */
export function settingsFrom({ kind }: TursoTarget, answer: unknown): Settings | undefined {
  const deleteProtection = flagOf(answer, "delete_protection");
  if (deleteProtection === undefined) return undefined;
  if (kind === "group") return fieldOf(answer, "delete_protection") === undefined ? undefined : { deleteProtection };
  const [blockReads, blockWrites] = [fieldOf(answer, "block_reads"), fieldOf(answer, "block_writes")];
  if (typeof blockReads !== "boolean" || typeof blockWrites !== "boolean") return undefined;
  return { deleteProtection, blockReads, blockWrites };
}

/** Claims of a JWT, unverified; undefined where the text is none. */
export function jwtClaims(text: string): Record<string, unknown> | undefined {
  const parts = text.split(".");
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? "", "base64url").toString("utf8"));
    return typeof claims === "object" && claims !== null && !Array.isArray(claims)
      ? (claims as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText);
}

/** False where it is left out, undefined where it is no flag. */
function flagOf(value: unknown, key: string): boolean | undefined {
  const flag = fieldOf(value, key) ?? false;
  return typeof flag === "boolean" ? flag : undefined;
}
