/** Where a provider process writes its records: one after the other, to the table or to the file that config names. */
import type { Audit } from "../rotation/model";
import { appendRecords } from "./file";
import type { AuditRecord } from "./record";
import { insertRecords } from "./table";

export interface Journal {
  /** Whether a step whose record cannot be written is not to begin. */
  readonly required: boolean;
  /** @throws Error with what to do, without any secret. */
  write(records: readonly AuditRecord[]): Promise<void>;
}

/** The providers of one process are loaded one by one: what they write shares this order. */
let last: Promise<unknown> = Promise.resolve();
/** After a write that failed the next ones try once only: an update goes on without records, and is not to wait for each. */
let attempts = 3;

/** @param root The project's folder. */
export function journal(audit: Audit, password: string, root: string): Journal {
  const append = async (records: readonly AuditRecord[]): Promise<void> => {
    try {
      if (audit.file === undefined) await insertRecords(audit.server, password, records, attempts);
      else await appendRecords(root, audit.file, records);
      attempts = 3;
    } catch (error) {
      attempts = 1;
      throw error;
    }
  };
  return {
    required: audit.required,
    write(records) {
      if (records.length === 0) return Promise.resolve();
      const turn = last.then(() => append(records));
      last = turn.catch(() => undefined);
      return turn;
    },
  };
}
