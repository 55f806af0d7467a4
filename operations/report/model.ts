/** The report as data: what `--json` prints, and what Markdown and HTML are made from. Named public fields only, none of them secret. */
import type { Break } from "../../components/audit/read";

export interface Report {
  stack: string;
  /** When it was made. Every time is ISO and UTC. */
  at: string;
  /** From when on changes, and generations that are gone, are in it. */
  since: string;
  audit: AuditState;
  policy?: PolicyReport;
  summary: Summary;
  credentials: CredentialReport[];
  /** Newest first; empty without audit. */
  changes: Change[];
  debts: Debt[];
}

export type AuditState =
  /** Everything is from state: nobody recorded who, when and why. */
  | { state: "none" }
  /** `head` is the last row's hash: a report that is kept shows by it whether rows were cut off since. */
  | ({ state: "whole"; rows: number; head: string } & AsideRows)
  /** `more`: the breaks after the first. */
  | ({ state: "broken"; rows: number; seq: number; why: string; more: Break[] } & AsideRows);

/** `first` is a row's number. */
export interface AsideRows {
  /** Of other stacks' names, in no other number here: of stacks that share the audit, or of what this one was called before. */
  others?: { rows: number; stacks: string[] };
  /** Whose writer's clock was minutes away from that by which their rows were dated, which is the one shown. */
  otherClock?: { rows: number; first: number };
  /** Dated minutes before the row that they follow. */
  setBack?: { rows: number; first: number };
}

export interface PolicyReport {
  /** Durations as config has them. */
  warnBefore: string;
  overlap: string;
  enforce: boolean;
  freeze: { from: string; to: string; reason?: string | undefined }[];
}

export interface Summary {
  credentials: number;
  liveGenerations: number;
  overdue: number;
  /** To be rolled now: in the time before they are due. */
  soon: number;
  /** Credentials without a limit of age. */
  unlimited: number;
  /** Deliveries whose consumer does not say, or did not, what it holds. */
  notAttested: number;
  debts: number;
  /** Changes that put a new value in place. */
  rotated: number;
  failed: number;
  /** Changes of which a step has begun and has no outcome. */
  withoutOutcome: number;
}

export interface CredentialReport {
  name: string;
  /** Of `rollover:credentials`; `no longer declared` for one that only the audit knows. */
  kind: string;
  change: "overlaps" | "breaks at once" | "";
  age: Age;
  /** Newest first. */
  generations: Generation[];
  consumers: ConsumerReport[];
  debts: number;
}

export interface Age {
  /** Of the current generation, by its stamp. */
  days: number;
  /** Undefined: no limit. */
  maxDays?: number;
  /** The day on which it is too old, and the one planned for its roll. */
  due?: string;
  rollOn?: string;
  status: "fine" | "soon" | "overdue" | "unlimited" | "gone";
  /** Previous generations whose overlap should have ended. */
  stale: string[];
  /** Live ones whose stamp is more than a day ahead: nobody knows how old they are. */
  inFuture: string[];
}

export interface Generation {
  stamp: string;
  /**
   * `next`: newer than the current one, and not with every consumer yet: an update failed before. `retired`: no longer
   * delivered, may still work.
   */
  place: "current" | "previous" | "next" | "retired" | "gone";
  /** Time by the audit, or the stamp's day. */
  made: string;
  madeBy: "audit" | "stamp";
  ageDays: number;
  /** When it was withdrawn, by the audit. */
  ended?: string;
  /** What its end rests on. */
  end?: "refused when tried" | "retired, or no longer there" | "no longer delivered" | "retired";
  /** The last time that it was used for real; undefined where the audit has none. */
  proof?: { at: string; passed: boolean };
  /** Whether a proof is possible at all: nobody can be asked about random text and keys. */
  provable: boolean;
  /** Turso: ISO time or `never`. */
  expires?: string;
}

export interface ConsumerReport {
  name: string;
  /** The secret's or the variable's name. */
  as: string;
  /** It can be asked which generations it holds. */
  asked: boolean;
  /** What it was last given, by state; current first. Empty where state does not say (a file of an old state). */
  holds: string[];
  /** It said that it holds the current generation, and no later delivery failed. */
  attested: boolean;
  /** By the audit. */
  last?: { at: string; result: Outcome; attested: boolean };
}

export type Outcome = "done" | "failed" | "no outcome recorded";

/** What one update did to one credential or Turso target. */
export interface Change {
  /** When its first step began. */
  at: string;
  /** A credential, or `group/NAME` or `database/NAME` of Turso. */
  target: string;
  /** Such as `roll 2026-08-01 → 2026-11-20`. */
  what: string;
  /** A new value took the old one's place. */
  rotated: boolean;
  /** Of the token that was minted: ISO time or `never`; else empty. */
  newExpiration: string;
  result: Outcome;
  steps: Step[];
  /** Of the first step that failed. */
  error: string;
  actor: string;
  reason: string;
  ticket: string;
  commit: string;
  update: string;
}

export interface Step {
  step: string;
  /** The Worker or file, or the stamp, that it was about; may be empty. */
  of: string;
  result: Outcome;
}

export interface Debt {
  /** The credential, or the resource or target where it belongs to none. */
  name: string;
  what: string;
  /** ISO time; `never`; empty where nothing but somebody's action ends it. */
  until: string;
}
