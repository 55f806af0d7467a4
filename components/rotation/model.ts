/**
 * The typed model of a stack's config: what `parseStack` returns and every component is built from. Pure data: no
 * Pulumi, no vendor, no secret. Durations are milliseconds; `generations` is never empty and its first is current.
 */

/** One generation's name: `2026-11-20`, or `2026-11-20.2` for the second of a day. */
export type Stamp = string;

/** Hands a credential to one consumer under a name. */
export interface Delivery {
  /** A name under `workers`. */
  worker: string;
  /** The secret's name on the Worker, for the current generation. */
  as: string;
  /** The name for the generation after the current one; only for kind `random`. */
  previousAs?: string;
}

interface CredentialBase {
  name: string;
  /** Current first; each later one is still accepted. */
  generations: Stamp[];
  deliver: Delivery[];
  /** Whether the current value is also a (secret) stack output. */
  output: boolean;
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
  /** How long no new session may begin before a login is withdrawn. */
  quietMs: number;
  /** Drop owner and database with the stack; else they stay. */
  dropOnDestroy: boolean;
}

export type Credential = RandomCredential | PostgresCredential;

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
  workers: Worker[];
  credentials: Credential[];
  /** Names of credentials or workers that may be left behind live or silent. */
  abandon: string[];
}
