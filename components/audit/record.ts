/** What an audit record holds. Pure data, and none of it is secret. */

export const auditSteps = [
  ...(["announce", "mint", "prove", "back up", "deliver", "withdraw", "retire"] as const),
  ...(["invalidate", "settings", "complete"] as const),
  /** A call that failed and is none of these. */
  "other" as const,
];

export type AuditStep = (typeof auditSteps)[number];

export interface AuditRecord {
  /** ISO, UTC, milliseconds. */
  time: string;
  /** Empty where an old state does not say. */
  stack: string;
  /** Or a Turso target: `group/production`, `database/rounds`; of step `other` also what it was of: `Worker rounds-api`. */
  credential: string;
  step: AuditStep;
  result: "begun" | "done" | "failed";
  /** Live stamps before, current first; of a mint, proof or retirement the one stamp stands in `to`, or in `from`. */
  from: string[];
  /** Live stamps after. */
  to: string[];
  /** The Worker or file that is delivered to, else empty. */
  consumer: string;
  /** Of a delivery: the consumer was asked, and reported the current tags. */
  attested: boolean;
  /** Of a mint or proof: the credential was used for real. Of a retirement: it was tried, and refused. */
  proven: boolean;
  /** ISO, or `never`, for a Turso token that was minted; else empty. */
  expires: string;
  /** Of a failure its first line, at most 300 characters. */
  error: string;
  actor: string;
  reason: string;
  ticket: string;
  commit: string;
  /** The same for everything that one provider process wrote; CI's run id in front where there is one. */
  update: string;
}

/** One line of the file, one row of the table. */
export interface AuditRow {
  /** From 1. */
  seq: number;
  /** When it was written: ISO, UTC; of the table by the server's clock, in microseconds. */
  at: string;
  record: AuditRecord;
  /** The record as it stands where it was read, which the hash is of; undefined: just as `JSON.stringify` writes it. */
  text?: string;
  /** The hash of the row before it; 64 zeroes for the first. */
  previous: string;
  /** SHA-256, 64 hexadecimal digits. */
  hash: string;
}
