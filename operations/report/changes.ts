/** Reads the audit's rows: what each update did to each credential, and with what outcome. Pure. */
import type { AuditRecord, AuditRow } from "../../components/audit/record";
import type { Change, Outcome, Step } from "./model";

/** Between two rows of one update: a login that is watched before its withdrawal is watched for a day at most. */
const LONGEST_PAUSE_MS = 2 * 86_400_000;

/** What one update wrote of one credential. */
type Records = readonly AuditRecord[];

/** What became of an update's change, which a later update may have ended. */
interface Course {
  /** It was announced, and no completion of its own says that it came to it. */
  isOpen: boolean;
  /** A new current value is its doing. */
  isCounted: boolean;
  /** That of the change, where it is counted; it knows what was in place before, and what is. */
  completion?: AuditRecord | undefined;
}

/** One entry an update and credential, newest first. */
export function changesOf(rows: readonly AuditRow[]): Change[] {
  return [...coursesOf(updatesIn(rows))]
    .flatMap(([records, course]) => changeOf(records, course) ?? [])
    .sort((a, b) => compare(b.at, a.at));
}

/** Oldest first. A writer may say any id: what comes long after an update's last row is not of that update, and not hidden in it. */
function updatesIn(rows: readonly AuditRow[]): Records[] {
  const all: AuditRecord[][] = [];
  const open = new Map<string, AuditRecord[]>();
  for (const { record } of rows) {
    const key = JSON.stringify([record.update, record.credential]);
    const known = open.get(key);
    const last = known?.at(-1);
    if (known && last && Date.parse(record.time) - Date.parse(last.time) <= LONGEST_PAUSE_MS) known.push(record);
    else {
      const begun = [record];
      open.set(key, begun);
      all.push(begun);
    }
  }
  return all;
}

/**
 * An announcement is told once, and the next completion may be several updates later: of all updates in between one is the
 * rotation, the last that put something in place and had no failure.
 *
 * @param updates Oldest first.
 */
function coursesOf(updates: readonly Records[]): Map<Records, Course> {
  const courses = new Map<Records, Course>();
  const waiting = new Map<string, Records[]>();
  const completed = new Map<string, string>();
  for (const records of updates) {
    const credential = records[0]?.credential ?? "";
    const before = waiting.get(credential) ?? [];
    const [announcement, completion] = [doneOf(records, "announce"), doneOf(records, "complete")];
    // Back to what was completed last: there is nothing to complete. That may have been announced by an update before.
    const isBack = announcement
      ? announcement.to.join() === completed.get(credential)
      : before.length === 0 && completed.has(credential) && !isMade(records);
    if (completion) {
      const all = [...before, records];
      const counted = all.filter((one) => isInPlace(one) && overall(stepsOf(one)) === "done").at(-1) ?? records;
      for (const one of all) courses.set(one, { isOpen: one !== counted && one !== records, isCounted: false });
      courses.set(counted, { isOpen: false, isCounted: true, completion });
      completed.set(credential, completion.to.join());
    } else {
      const isOpen = !isBack && (announcement !== undefined || before.length > 0);
      courses.set(records, { isOpen, isCounted: !isOpen && !isBack && isInPlace(records) });
      if (isOpen) waiting.set(credential, [...before, records]);
    }
    if (completion || isBack) waiting.delete(credential);
  }
  return courses;
}

function doneOf(records: Records, name: AuditRecord["step"]): AuditRecord | undefined {
  return records.filter(({ step, result }) => step === name && result === "done").at(-1);
}

function isMade(records: Records): boolean {
  return records.some(({ step }) => step === "mint" || step === "invalidate");
}

/** A minted value is none yet. */
function isInPlace(records: Records): boolean {
  return records.some(({ step }) => step === "deliver" || step === "invalidate");
}

function changeOf(records: Records, { isOpen, isCounted, completion }: Course): Change | undefined {
  const [first] = records;
  if (!first) return undefined;
  const steps = stepsOf(records);
  // The update was stopped, or failed elsewhere, before everything that was announced was in place.
  if (isOpen && overall(steps) === "done") steps.push({ step: "complete", of: "", result: "no outcome recorded" });
  const result = overall(steps);
  const said = (key: "actor" | "reason" | "ticket" | "commit") => records.find((one) => one[key] !== "")?.[key] ?? "";
  const { what, isNew } = meaningOf(records, completion);
  return {
    at: first.time,
    target: first.credential,
    what,
    rotated: isCounted && isNew && result === "done",
    newExpiration: records.filter(({ step, result }) => step === "mint" && result === "done").at(-1)?.expires ?? "",
    ...{ result, steps },
    error: records.find((one) => one.result === "failed")?.error ?? "",
    ...{ actor: said("actor"), reason: said("reason"), ticket: said("ticket"), commit: said("commit") },
    update: first.update,
  };
}

/** Each step once, in the order of their beginnings, with its last outcome. */
function stepsOf(records: Records): Step[] {
  const steps = new Map<string, Step>();
  for (const { step, consumer, from, to, result } of records) {
    const of = consumer !== "" ? consumer : isOfOneStamp(step) ? ([...to, ...from][0] ?? "") : "";
    steps.set(JSON.stringify([step, of]), { step, of, result: result === "begun" ? "no outcome recorded" : result });
  }
  return [...steps.values()];
}

function isOfOneStamp(step: AuditRecord["step"]): boolean {
  return ["mint", "prove", "back up", "retire"].includes(step);
}

function overall(steps: readonly Step[]): Outcome {
  if (steps.some(({ result }) => result === "failed")) return "failed";
  return steps.some(({ result }) => result !== "done") ? "no outcome recorded" : "done";
}

/** Whether it came to that is the result's to say, so this is in nouns. */
function meaningOf(records: Records, completion?: AuditRecord): { what: string; isNew: boolean } {
  const [invalidated] = records.filter(({ step }) => step === "invalidate");
  if (invalidated) return { what: ["invalidation", ...invalidated.to].join(" "), isNew: true };
  const whole = wholeOf(records, completion);
  if (!whole) {
    const parts = stepsOf(records).map(({ step, of }) => (of === "" ? step : `${step} ${of}`));
    return { what: parts.join("; "), isNew: records.some(({ step }) => step === "mint") };
  }
  const { from, to } = whole;
  const [was, is] = [from[0], to[0]];
  if (is === undefined) return { what: `removal of ${from.join(", ")}`, isNew: false };
  // Also of what was there before its audit was.
  if (was === undefined) return { what: `first record of ${to.join(", ")}`, isNew: false };
  const [added, gone] = [to, from].map((list, at) => list.filter((stamp) => ![from, to][at]?.includes(stamp)));
  const restored = added?.filter((stamp) => stamp !== is) ?? [];
  const again = is === was && records.some(({ step, to: [minted] }) => step === "mint" && minted === is);
  // Tokens of a Turso target are replaced by nothing but its invalidation.
  const isTarget = whole.credential.includes("/");
  const parts = [
    ...(again ? [`new value of ${is}`] : []),
    ...(is === was ? [] : [`${from.includes(is) ? "rollback" : "roll"} ${was} → ${is}`]),
    ...(restored.length === 0 ? [] : [`addition of ${restored.join(", ")}`]),
    ...(gone === undefined || gone.length === 0 ? [] : [`retirement of ${gone.join(", ")}`]),
  ];
  const what = parts.length === 0 ? `delivery of ${is} again` : parts.join("; ");
  const isRest = whole.step === "complete" && !records.some(({ step }) => step === "announce" || step === "deliver");
  return { what: isRest ? `completion of ${what}` : what, isNew: again || (!isTarget && !from.includes(is)) };
}

/**
 * The record that knows the whole list before and after. A completion knows what was in place, an announcement only what had been
 * announced; a file's delivery knows what it was given. To the first update with an audit everything is new, except where it
 * delivers to those who had it.
 */
function wholeOf(records: Records, completion: AuditRecord | undefined): AuditRecord | undefined {
  const of = (...names: AuditRecord["step"][]) => records.filter(({ step }) => names.includes(step));
  const [delivered, completed] = [of("deliver", "withdraw"), completion ?? of("complete")[0]];
  const follows = ({ from }: AuditRecord) => from.length > 0;
  const [announced] = of("announce");
  const known = completed && !follows(completed) ? [] : [completed ?? announced ?? []].flat();
  return known.find(follows) ?? delivered.find(follows) ?? announced ?? completed ?? delivered[0];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
