/** What a record has to be, checked where one is written and where one is read. */
import { z } from "zod";
import { type AuditRecord, auditSteps } from "./record";

const stamps = z.array(z.string());

export const recordShape: z.ZodType<AuditRecord> = z.looseObject({
  ...{ time: z.iso.datetime(), stack: z.string(), credential: z.string() },
  ...{ step: z.enum(auditSteps), result: z.enum(["begun", "done", "failed"]), from: stamps, to: stamps },
  ...{ consumer: z.string(), attested: z.boolean(), proven: z.boolean(), expires: z.string(), error: z.string() },
  ...{ actor: z.string(), reason: z.string(), ticket: z.string(), commit: z.string(), update: z.string() },
});

/** Says nothing. */
export const emptyRecord: AuditRecord = {
  ...{ time: "", stack: "", credential: "", step: "other", result: "failed", from: [], to: [], consumer: "" },
  ...{ attested: false, proven: false, expires: "", error: "", actor: "", reason: "", ticket: "", commit: "" },
  update: "",
};

/**
 * The record, completed where a part of it is missing or of another kind: one that cannot be read would break the chain for
 * good, since no row can be taken out again.
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
