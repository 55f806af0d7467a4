/** What a record and a row have to be, checked where one is written and where one is read. */
import { z } from "zod";
import { type AuditRecord, type AuditRow, auditSteps } from "./record";

const stamps = z.array(z.string());

export const recordShape: z.ZodType<AuditRecord> = z.looseObject({
  ...{ time: z.iso.datetime(), stack: z.string(), credential: z.string() },
  ...{ step: z.enum(auditSteps), result: z.enum(["begun", "done", "failed"]), from: stamps, to: stamps },
  ...{ consumer: z.string(), attested: z.boolean(), proven: z.boolean(), expires: z.string(), error: z.string() },
  ...{ actor: z.string(), reason: z.string(), ticket: z.string(), commit: z.string(), update: z.string() },
});

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** A row of the file; what its record holds is looked at by itself. */
const rowShape = z.strictObject({
  ...{ seq: z.number().int().positive(), at: z.iso.datetime(), record: z.looseObject({}), previous: hash, hash },
});

export type Row = Omit<AuditRow, "record"> & { record: unknown };

/** Only as it was written: another text of the same values, or one key twice, is nothing that a writer here has put there. */
export function rowOfLine(line: string): Row | undefined {
  const value = parsedText(line);
  // Not zod's copy, whose keys may stand in another order: the hash is of their text.
  return rowShape.safeParse(value).success && JSON.stringify(value) === line ? (value as Row) : undefined;
}

export function isRecord(value: unknown): value is AuditRecord {
  return recordShape.safeParse(value).success;
}

/** Undefined where it is no JSON. */
export function parsedText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Says nothing. */
export const emptyRecord: AuditRecord = {
  ...{ time: "", stack: "", credential: "", step: "other", result: "failed", from: [], to: [], consumer: "" },
  ...{ attested: false, proven: false, expires: "", error: "", actor: "", reason: "", ticket: "", commit: "" },
  update: "",
};

/**
 * The record, completed where a part of it is missing or of another kind: one that cannot be read would stand in the
 * audit for good, since no row can be taken out again.
 *
 * @param warn Is given one line that names what was missing.
 */
export function whole(record: AuditRecord, warn: (line: string) => void): AuditRecord {
  const { error } = recordShape.safeParse(record);
  if (!error) return record;
  const missing = [...new Set(error.issues.map(({ path }) => String(path[0])))];
  warn(`an audit record came without ${missing.join(", ")}; it is written without. This is a fault of Rollover's`);
  const rest = Object.entries(record).filter(([key]) => !missing.includes(key));
  return { ...emptyRecord, time: new Date().toISOString(), ...Object.fromEntries(rest) };
}
