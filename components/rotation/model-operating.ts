/** The part of the model that is about operating a stack: its policy, its audit, who is told, and when to alert. Durations are milliseconds. */
import type { PostgresServer } from "./model";

/** How old a credential may become, and when it may be rolled. Only the operator commands have a clock to hold it against. */
export interface Policy {
  /** By kind; a kind without one has `default`. */
  maxAgeMs: Partial<Record<MaxAgeKey, number>>;
  /** A credential is rolled in this time before its age is over, on a day of its own. */
  warnBeforeMs: number;
  /** How long the one before stays live beside a new one. */
  overlapMs: number;
  /** `npm run plan` fails while a credential is overdue. */
  enforce: boolean;
  /** Days, both included, on which nothing is rolled; what falls due in them is rolled before. */
  freeze: Freeze[];
}

export type MaxAgeKey = "default" | "random" | "postgres" | "turso" | "signingKeys" | "encryptionKeys";

export interface Freeze {
  /** `2026-12-20`. */
  from: string;
  to: string;
  reason?: string;
}

/** Where one record a step and credential is kept. */
export type Audit = AuditFile | AuditTable;

interface AuditBase {
  /** A step whose record cannot be written is not begun. */
  required: boolean;
}

export interface AuditFile extends AuditBase {
  /** A file of JSON lines, relative to the project's folder and inside it. */
  file: string;
  server?: undefined;
}

export interface AuditTable extends AuditBase {
  /** The server of the table `rollover_audit`, and the login that may only insert; its password is the secret `auditPassword`. */
  server: PostgresServer;
  file?: undefined;
}

/** Who is told of an update: the chat behind the secret `alertWebhook` where it is set, and addresses. */
export interface Notify {
  /** How long an update waits after its announcement. Longer ones than an hour are announced by `npm run notice`. */
  noticeMs: number;
  /** A message that cannot be sent fails the update. */
  required: boolean;
  email?: Email;
}

/** A mail server that takes a submission; the password is the secret `smtpPassword`. */
export interface Email {
  host: string;
  port: number;
  /** TLS from the first byte (port 465); else STARTTLS, which is required off loopback. */
  secure: boolean;
  username?: string;
  from: string;
  to: string[];
}

/** When to alert: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ . Shares are 0 to 1. */
export interface Alerts {
  dailyVerificationFailures: number;
  verificationFailureRatio: number;
  oldKeyRatio: number;
  latencyP99Ms: number;
  dailyRateLimited: number;
}
