/** A stack with a year's history for the report's tests: its state as in plan-fixture.ts, and an audit with a real chain. */
import { BEGINNING, hashOf } from "../../components/audit/chain";
import type { AuditRecord, AuditRow } from "../../components/audit/record";
import { type Evidence, evidence, type Facts } from "../../operations/report/read";
import * as make from "./plan-fixture";

export const NOW = new Date("2026-11-21T12:00:00.000Z");
const DAY = 86_400_000;

/** Rows as they are written: numbered, and each with the hash of the one before; by a server whose clock is right, or by `clock`. */
export function chained(records: readonly Partial<AuditRecord>[], clock = ({ time }: AuditRecord) => time): AuditRow[] {
  let previous = BEGINNING;
  return records.map((one, index) => {
    const record: AuditRecord = {
      ...{ time: NOW.toISOString(), stack: "local", credential: "", step: "deliver", result: "done", from: [], to: [] },
      ...{ consumer: "", attested: false, proven: false, expires: "", error: "" },
      ...{ actor: "", reason: "", ticket: "", commit: "", update: "" },
      ...one,
    };
    const [seq, at] = [index + 1, clock(record)];
    const row = { seq, at, record, previous, hash: hashOf(previous, seq, at, JSON.stringify(record)) };
    previous = row.hash;
    return row;
  });
}

/** What one update wrote of a credential: each step begun and done, seconds apart. */
export function update(
  id: string,
  time: string,
  common: Partial<AuditRecord>,
  steps: (Partial<AuditRecord> & Pick<AuditRecord, "step">)[],
): Partial<AuditRecord>[] {
  const begin = Date.parse(time);
  let second = 0;
  const next = () => new Date(begin + second++ * 1000).toISOString();
  return steps.flatMap(({ result, ...one }) => {
    const whole = { update: id, ...common, ...one };
    const framing = one.step === "announce" || one.step === "complete";
    const begun = framing ? [] : [{ ...whole, attested: false, proven: false, result: "begun" as const, time: next() }];
    return result === "begun" ? begun : [...begun, { ...whole, result: result ?? "done", time: next() }];
  });
}

export const alice = { actor: "alice", commit: "0123456789abcdef0123456789abcdef01234567" };

/** What a roll writes of a login that one Worker holds. */
export function roll(id: string, time: string, name: string, from: string[], to: string[], who = {}) {
  const at = { from, to, consumer: "rounds-api", attested: true };
  return update(id, time, { credential: name, ...alice, ...who }, [
    { step: "announce", from, to },
    { step: "mint", to: to.slice(0, 1), proven: true },
    { step: "deliver", ...at },
    { step: "complete", from, to },
  ]);
}

export function retirement(id: string, time: string, name: string, from: string[], to: string[], who = {}) {
  const [gone = ""] = from.filter((stamp) => !to.includes(stamp));
  const at = { from, to, consumer: "rounds-api", attested: true };
  return update(id, time, { credential: name, ...alice, ...who }, [
    { step: "announce", from, to },
    { step: "deliver", ...at },
    { step: "retire", from: [gone], proven: true },
    { step: "complete", from, to },
  ]);
}

const [A, B, C] = ["2026-05-04", "2026-08-24", "2026-11-16"];
export const HOSTILE = `<img src=x onerror="alert(1)"> | **bold** & 'quoted' @everyone`;

/** Three credentials with overlap of each kind, one overdue, one that fails, a debt, a killed update, an invalidation. */
export function year(): Facts {
  const to = (as: string, worker = "rounds-api") => ({ worker, as, attested: worker === "rounds-api" });
  const credentials = {
    "rounds-db": make.postgres([C, B]),
    "rounds-turso": make.turso([C], [B], { consumers: [to("TURSO_AUTH_TOKEN")] }),
    "session-key": make.random([B], {
      consumers: [to("SESSION_KEY"), { file: ".env.local", as: "SESSION_KEY", attested: false }],
    }),
    "mail-key": make.random([A], { change: "breaks at once", consumers: [to("MAIL_KEY", "mailer")] }),
  };
  const maxAge = { "rounds-db": "90d", "rounds-turso": "60d", "session-key": "180d", "mail-key": "120d" };
  const freeze = [{ from: "2026-12-20", to: "2027-01-03", reason: "holidays" }];
  const more: Evidence = evidence.parse({
    credentials: Object.fromEntries(Object.entries(maxAge).map(([name, text]) => [name, { maxAge: text }])),
    policy: { warnBefore: "14d", overlap: "7d", enforce: true, freeze },
    expires: { "rounds-turso": { [C]: "2027-02-14T09:00:00.000Z", [B]: "2026-12-05T09:00:00.000Z" } },
  });
  const holds = { "rounds-db": [C, B], "rounds-turso": [C], "session-key": [B] };
  const resources = [
    make.login("rounds-db", C),
    make.login("rounds-db", B),
    make.token("rounds-turso", C, { expires: "2027-02-14T09:00:00.000Z" }),
    make.token("rounds-turso", B, { place: "retired", expires: "2026-12-05T09:00:00.000Z" }),
    make.consumer("rounds-api", holds),
    make.consumer("mailer", { "mail-key": [A] }, ""),
    make.envFile(".env.local", ["SESSION_KEY"]),
  ];
  return {
    ...{ stack: "local", now: NOW, sinceMs: 180 * DAY, evidence: more, rows: chained(history()) },
    outputs: make.outputsOf(credentials),
    state: { resources, pending_operations: [] },
  };
}

function history(): Partial<AuditRecord>[] {
  const turso = { credential: "rounds-turso", consumer: "rounds-api", attested: true };
  const leak = { actor: "bob", reason: HOSTILE, ticket: "SEC-7", commit: alice.commit };
  const quarterly = { reason: "quarterly", ticket: "OPS-12" };
  return [
    ...roll("u1", "2026-08-24T08:00:00Z", "rounds-db", [A], [B, A], quarterly),
    ...roll("u1", "2026-08-24T08:00:10Z", "rounds-turso", [A], [B, A], quarterly).map((one) =>
      one.step === "mint" ? { ...one, expires: "2026-12-05T09:00:00.000Z" } : one,
    ),
    ...roll("u1", "2026-08-24T08:00:20Z", "session-key", [A], [B, A], quarterly).filter(({ step }) => step !== "mint"),
    ...retirement("u2", "2026-09-02T08:00:00Z", "rounds-db", [B, A], [B]),
    ...update("u2", "2026-09-02T08:00:10Z", { credential: "session-key", ...alice }, [
      { step: "deliver", from: [B, A], to: [B], consumer: "rounds-api", attested: true },
    ]),
    ...update("u3", "2026-09-03T08:00:00Z", { ...alice, credential: "mail-key" }, [
      {
        step: "deliver",
        from: [A],
        to: [B],
        consumer: "mailer",
        result: "failed",
        error: "Cloudflare, PATCH: status 503",
      },
    ]),
    ...update("u4", "2026-10-02T14:00:00Z", leak, [
      { step: "invalidate", credential: "group/production", to: ["2026-10-02"] },
      { ...turso, step: "mint", to: [B], proven: true, consumer: "", expires: "2026-12-05T09:00:00.000Z" },
      { ...turso, step: "deliver", from: [B, A], to: [B, A] },
    ]),
    ...update("u5", "2026-11-16T09:00:00Z", { ...alice, ...quarterly, credential: "rounds-db" }, [
      { step: "announce", from: [B], to: [C, B] },
      { step: "mint", to: [C], proven: true },
      { step: "deliver", from: [B], to: [C, B], consumer: "rounds-api", result: "begun" },
    ]),
    ...update("u6", "2026-11-16T09:10:00Z", { ...alice, ...quarterly, credential: "rounds-db" }, [
      { step: "deliver", from: [B], to: [C, B], consumer: "rounds-api", attested: true },
      { step: "complete", from: [B], to: [C, B] },
    ]),
    ...update("u6", "2026-11-16T09:11:00Z", { ...turso, ...alice, ...quarterly }, [
      { step: "mint", to: [C], proven: true, consumer: "", expires: "2027-02-14T09:00:00.000Z" },
      { step: "deliver", from: [B, A], to: [C] },
    ]),
  ];
}
