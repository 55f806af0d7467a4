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

/** After a write that failed nothing is tried for so long: an update goes on without records, and is not to wait for each. */
const PAUSE_MS = 60_000;

/** What the journals of one process share. */
export interface Turns {
  /** Milliseconds, of a clock that nobody sets. */
  clock: () => number;
  /** The last write that was begun, whatever becomes of it. */
  last: Promise<unknown>;
  /** Since a write failed, and none has succeeded after it. */
  failed?: { until: number; why: string } | undefined;
}

export function newTurns(clock = () => performance.now()): Turns {
  return { clock, last: Promise.resolve() };
}

/** The providers of one process are loaded one by one: what they write shares this order. */
const ofProcess = newTurns();

/** @param root The project's folder. */
export function journal(audit: Audit, password: string, root: string, turns = ofProcess): Journal {
  const append = async (records: readonly AuditRecord[]): Promise<void> => {
    const { failed, clock } = turns;
    if (failed && clock() < failed.until) throw new Error(`${failed.why} (not tried again for ${PAUSE_MS / 1000} s)`);
    try {
      if (audit.file === undefined) await insertRecords(audit.server, password, records, failed ? 1 : 3);
      else await appendRecords(root, audit.file, records);
      turns.failed = undefined;
    } catch (error) {
      turns.failed = { until: clock() + PAUSE_MS, why: error instanceof Error ? error.message : String(error) };
      throw error;
    }
  };
  return {
    required: audit.required,
    write(records) {
      if (records.length === 0) return Promise.resolve();
      const turn = turns.last.then(() => append(records));
      turns.last = turn.catch(() => undefined);
      return turn;
    },
  };
}
