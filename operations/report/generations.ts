/** The generations of one credential: those that the stack's outputs list, and those that the audit remembers. Pure. */
import type { AuditRecord } from "../../components/audit/record";
import { compareStamps, parseStamp, stampParts } from "../../components/rotation/stamp";
import type { Generation } from "./model";
import type { Standing } from "./standing";

const DAY = 86_400_000;
/** Only these are used for real before anybody gets them: nobody can be asked about a random text or a key. */
const PROVABLE = new Set(["postgres", "turso"]);

export interface OfCredential {
  /** Empty for one that only the audit knows. */
  kind: string;
  standing: Standing;
  /** Of this credential alone, oldest first. */
  records: readonly AuditRecord[];
  /** Turso, by stamp. */
  expires: Record<string, string>;
}

/** Newest first; those that are gone only where they were there after `since`. */
export function generationsOf(of: OfCredential, now: Date, since: Date): Generation[] {
  const done = of.records.filter(({ result }) => result === "done");
  // A step's stamps come from whoever wrote the row: what is no stamp is left out.
  const known = new Set(done.filter(hasValues).flatMap(({ from, to }) => [...from, ...to].filter(isStamp)));
  const { current, previous, next, retired } = of.standing;
  for (const stamp of [current, ...previous, ...next, ...retired]) if (stamp !== "") known.add(stamp);
  return [...known]
    .sort((a, b) => compareStamps(b, a))
    .map((stamp) => generationOf(stamp, of, done, now))
    .filter(({ place, ended, made }) => place !== "gone" || Date.parse(ended ?? made) >= since.getTime());
}

/** An announcement names what is to come: it may never have been made. */
function hasValues({ step }: AuditRecord): boolean {
  return !["announce", "invalidate", "settings"].includes(step);
}

function isStamp(text: string): boolean {
  return parseStamp(text) === text;
}

function generationOf(stamp: string, of: OfCredential, done: readonly AuditRecord[], now: Date): Generation {
  const { kind, standing, records, expires } = of;
  const minted = done.find((one) => makes(one, stamp));
  const place = placeOf(stamp, standing);
  const end = isLive(place) ? undefined : endOf(stamp, done);
  const proof = records.filter((one) => proves(one, stamp)).at(-1);
  return {
    ...{ stamp, place, ageDays: ageDays(stamp, now) },
    ...(minted ? { made: minted.time, madeBy: "audit" } : { made: stampParts(stamp).date, madeBy: "stamp" }),
    // Turso: of one that was retired the token works on; `ended` is the end of its delivery.
    ...(end && { ended: end.time, end: endBy(end, kind) }),
    ...(proof && { proof: { at: proof.time, passed: proof.result === "done" } }),
    provable: PROVABLE.has(kind) || proof !== undefined,
    ...(expires[stamp] === undefined ? {} : { expires: expires[stamp] }),
  };
}

export function ageDays(stamp: string, now: Date): number {
  const day = Date.parse(`${now.toISOString().slice(0, 10)}T00:00:00Z`);
  return Math.round((day - Date.parse(`${stampParts(stamp).date}T00:00:00Z`)) / DAY);
}

export function isLive(place: Generation["place"]): boolean {
  return place !== "retired" && place !== "gone";
}

function placeOf(stamp: string, { current, previous, next, retired }: Standing): Generation["place"] {
  if (stamp === current) return "current";
  if (previous.includes(stamp)) return "previous";
  if (next.includes(stamp)) return "next";
  return retired.includes(stamp) ? "retired" : "gone";
}

/** What mints says so; a random text appears with its delivery. A first one may be of what was there before: it had none to follow. */
function makes({ step, from, to }: AuditRecord, stamp: string): boolean {
  if (step === "mint" || step === "back up") return to.includes(stamp);
  return step === "deliver" && from.length > 0 && to.includes(stamp) && !from.includes(stamp);
}

function proves({ step, result, proven, to }: AuditRecord, stamp: string): boolean {
  if ((step !== "mint" && step !== "prove") || !to.includes(stamp)) return false;
  // A mint that fails may never have got as far as its proof: then there is none.
  return result === "done" ? proven : step === "prove" && result === "failed";
}

/** The last retirement of a stamp, or else the last step after which no consumer holds it. */
function endOf(stamp: string, done: readonly AuditRecord[]): AuditRecord | undefined {
  const retires = ({ step, from, to }: AuditRecord) => step === "retire" && [...from, ...to].includes(stamp);
  const drops = ({ step, from, to }: AuditRecord) =>
    ["deliver", "withdraw", "complete"].includes(step) && from.includes(stamp) && !to.includes(stamp);
  return done.filter(retires).at(-1) ?? done.filter(drops).at(-1);
}

function endBy({ step, proven }: AuditRecord, kind: string): NonNullable<Generation["end"]> {
  if (step !== "retire") return "no longer delivered";
  // A login is tried before it is dropped, unless somebody has dropped it by hand; a token's retirement is its forgetting.
  if (proven) return "refused when tried";
  return kind === "turso" ? "retired" : "retired, or no longer there";
}
