/**
 * The typed model of a stack's config: what `parseStack` returns and every component is built from. Pure data: no
 * Pulumi, no vendor, no secret. Durations are milliseconds; `generations` is never empty and its first is current.
 */

import type { Alerts, Audit, Notify, Policy } from "./model-operating";

export type * from "./model-operating";

/** One generation's name: `2026-11-20`, or `2026-11-20.2` for the second of a day. */
export type Stamp = string;

/** Hands a credential to one consumer under a name. */
export type Delivery = WorkerDelivery | FileDelivery;

interface DeliveryNames {
  /** The name of the secret or of the variable, for the current generation. */
  as: string;
  /** The name for the generation after the current one; only for kind `random`. */
  previousAs?: string;
}

export interface WorkerDelivery extends DeliveryNames {
  /** A name under `workers`. */
  worker: string;
  /** Keysets of shape `dual`: the name of the second key, which is accepted beside the one under `as`. */
  alsoAs?: string;
  /** Keysets: the Worker never signs or encrypts. Of several Workers that share one, all but one are so. */
  verifyOnly?: true;
  file?: undefined;
}

/** A line `AS=value` of an env file, for a developer's machine; refused for stacks marked `production`. */
export interface FileDelivery extends DeliveryNames {
  /** Path of the file, relative to the project's folder and inside it. */
  file: string;
  worker?: undefined;
}

export interface CredentialBase {
  name: string;
  /** Current first; each later one is still accepted. */
  generations: Stamp[];
  deliver: Delivery[];
  /** Whether the current value is also a (secret) stack output. */
  output: boolean;
  /** Written as `generation`: a roll keeps no previous one. */
  single?: true;
  /** People who may have seen its values: `npm run rotate -- --holder` rolls what one of them held. */
  holders?: string[];
  /** In place of the policy's. */
  maxAgeMs?: number;
  /** Why its list was last edited, and under which ticket; recorded, and no part of what is deployed. */
  reason?: string;
  ticket?: string;
  /** Path of a program that is run once its consumers hold a new generation, relative to the project's folder and inside it. */
  afterRoll?: string;
}

/** Random text that nobody can check: letters and digits. */
export interface RandomCredential extends CredentialBase {
  kind: "random";
  /** Characters of `[A-Za-z0-9]`, 16 to 5120. */
  length: number;
}

/** A privilege that the owner role needs on something it does not own. */
export interface GrantSpec {
  objectType: "database" | "schema" | "table" | "sequence";
  privileges: string[];
  /** Needed for every type but `database`. */
  schema?: string;
  /** Names of tables or sequences; empty or left out means all of the schema. */
  objects?: string[];
}

/** A Postgres role: an owner that cannot log in, and one login a generation. */
export interface PostgresCredential extends CredentialBase {
  kind: "postgres";
  database: string;
  /** The role that owns the objects and that every login acts as. */
  owner: string;
  /** Owner and database are there already and are not managed. */
  existing: boolean;
  /** The login in use before Rollover; taking it out of config retires it. */
  adopted?: string;
  /** Prefix of the login names: `rounds` gives `rounds_20261120`. With `inPlace`, the login's whole name. */
  login: string;
  /** One role whose name may not change: its password is altered in place, which breaks at once. */
  inPlace: boolean;
  /** SQL statements that a new login must be able to run, in a transaction that is rolled back. */
  checks: string[];
  grants: GrantSpec[];
  /** Template with {user}, {password}, {host}, {port}, {database}. */
  url: string;
  /** How long no session may begin, or be used, before a login is withdrawn. */
  quietMs: number;
  /** Drop owner and database with the stack; else they stay. */
  dropOnDestroy: boolean;
}

/** A token for one Turso database or for every database of a group. */
export interface TursoCredential extends CredentialBase {
  kind: "turso";
  target: TursoTarget;
  authorization: "full-access" | "read-only";
  /** How long a token works, as Turso's API takes it: `90d`, `2w1d`, or `never`. */
  expiration: string;
  /** Tables and actions; empty means whatever `authorization` says. */
  permissions: TablePermissions[];
  /** Databases that it may ATTACH for reading. */
  attach: string[];
  /** Stamps that are no longer delivered and whose tokens may still work: nobody can revoke one alone. */
  retired: Stamp[];
  /** Where a group's token is proven; left out: a database of the group that Turso lists. */
  proveOn?: string;
}

export interface TursoTarget {
  kind: "database" | "group";
  name: string;
}

export interface TablePermissions {
  /** Names of tables; left out means all. */
  tables?: string[];
  actions: TableAction[];
}

/** https://docs.turso.tech/sdk/authorization/fine-grained-permissions */
export type TableAction =
  "data_read" | "data_add" | "data_update" | "data_delete" | "schema_add" | "schema_update" | "schema_delete";

/** Symmetric keys: the current one signs or encrypts, every live one verifies or decrypts. */
export interface KeysetCredential extends CredentialBase {
  kind: "signing-keyset" | "encryption-keyset";
  /** `keyset`: one secret, a JWK Set with every live key. `dual`: two secrets, each the text of one key; only for signing. */
  shape: "keyset" | "dual";
  /** How long anything that a key signed or encrypted is to be accepted. */
  maxTokenAgeMs: number;
  /** The longest that an update waits for the rest of it before it drops a key. */
  drainMs: number;
  /** Of what a Worker verified lately, the share (0 to 1) above which a key is not dropped. */
  retireBelow: number;
  /** Written as `generation`: no overlap, what an older key signed is refused at once. */
  atOnce: boolean;
  backup?: VaultPath;
  /** Those of `generations` whose keys are read out of the backup. */
  restore: Stamp[];
}

/** Where a credential's keys are kept in Vault's KV engine, one secret a stamp below `path`. */
export interface VaultPath {
  mount: string;
  path: string;
}

export type Credential = RandomCredential | PostgresCredential | TursoCredential | KeysetCredential;

/** The organisation whose tokens are minted; its platform token is the secret `tursoApiToken`. */
export interface TursoAccount {
  /** The organisation's slug, or the user name of a personal account. */
  organization: string;
  /** Only a loopback address may stand in for the vendor's. */
  apiUrl: string;
  /** By name; every group that is named anywhere in the config is in it. */
  groups: TursoGroup[];
  databases: TursoDatabase[];
}

interface Invalidatable {
  name: string;
  /** Adding or changing this stamp kills every token of the group, at once. */
  invalidated?: Stamp;
  /** Why, and under which ticket. */
  reason?: string;
  ticket?: string;
  incident?: Incident;
}

export interface TursoGroup extends Invalidatable {
  settings: { deleteProtection?: boolean };
}

export interface TursoDatabase extends Invalidatable {
  /** The group it is in. */
  group: string;
  settings: { deleteProtection?: boolean; blockReads?: boolean; blockWrites?: boolean };
}

/** Declared while a leak is looked into: every token is invalidated, writes are blocked, one read-only token is delivered. */
export interface Incident {
  reason: string;
  /** How long the read-only token works, as Turso's API takes it: `7d`. */
  readOnly: string;
}

/** A consumer: one deployed Worker script. */
export interface Worker {
  name: string;
  /** The script's name at Cloudflare. */
  script: string;
  /** URL that answers which generations the Worker holds (components/cloudflare/probe.ts); without it nothing is attested. */
  probe?: string;
  /** Answers in a row that must carry the current tags. */
  answers: number;
  /** The longest wait for them. */
  withinMs: number;
  /** The wait after attestation before anything is withdrawn: one vantage does not see every edge location. */
  settleMs: number;
  /** Left out: the script is deployed elsewhere, and only its secrets are touched. */
  code?: WorkerCode;
}

/** A script that this stack deploys. */
export interface WorkerCode {
  /** Path of the bundled ES module, relative to the project's folder and inside it. */
  file: string;
  /** `2026-07-01`: https://developers.cloudflare.com/workers/configuration/compatibility-dates/ */
  compatibilityDate: string;
  compatibilityFlags: string[];
  /** Plain variables. */
  vars: Record<string, string>;
}

/** Limits of one API, by one means. */
export type RateLimits = BindingLimits | RulesetLimits;

interface LimitsBase {
  name: string;
  routes: RateLimit[];
}

/** Counted by the Worker's own rate-limit bindings: any plan, any key; the Worker's code asks them. */
export interface BindingLimits extends LimitsBase {
  means: "binding";
  /** A name under `workers`, with `code`. */
  worker: string;
}

/** Counted by one `http_ratelimit` ruleset of a zone, before the Worker is reached. */
export interface RulesetLimits extends LimitsBase {
  means: "ruleset";
  /** The zone's 32 hexadecimal digits. */
  zone: string;
  /** Empty on plan free, which matches the path alone. */
  host: string;
  plan: "free" | "pro" | "business" | "enterprise" | "advanced";
}

export interface RateLimit {
  name: string;
  /** `*` for every one: plans below business match none. */
  method: string;
  path: string;
  /** Requests in `periodMs`, of one client or one token, at one location of the edge. */
  limit: number;
  periodMs: number;
  per: "client" | "token";
}

/** The Vault, or OpenBao, that keys are backed up in; its token is the secret `vaultToken`. */
export interface VaultServer {
  /** https, or http on loopback. */
  address: string;
}

/** The server and the admin login that declares roles; its password is the secret `postgresPassword`. */
export interface PostgresServer {
  host: string;
  port: number;
  /** The database that the admin logs in to. */
  database: string;
  username: string;
  /** `disable` only on loopback: TLS is verified everywhere else, with no fall-back. */
  sslmode: "verify-full" | "disable";
  superuser: boolean;
}

/** The account whose Workers receive secrets; its token is the secret `cloudflareApiToken`. */
export interface CloudflareAccount {
  accountId: string;
  /** Only a loopback address may stand in for the vendor's. */
  apiUrl: string;
}

export interface StackModel {
  postgres?: PostgresServer;
  cloudflare?: CloudflareAccount;
  turso?: TursoAccount;
  vault?: VaultServer;
  policy?: Policy;
  audit?: Audit;
  notify?: Notify;
  rateLimits: RateLimits[];
  alerts: Alerts;
  /** Marks a stack whose credentials must not be written to files. */
  production: boolean;
  workers: Worker[];
  credentials: Credential[];
  /** Names of credentials or workers that may be left behind live or silent. */
  abandon: string[];
}
