/** Reads the audit's rows: what each update did to each credential, and with what outcome. Pure. */
import type { AuditRecord, AuditRow } from "../../components/audit/record";
import type { Change, Outcome, Step } from "./model";

/** One entry an update and credential, newest first. */
export function changesOf(rows: readonly AuditRow[]): Change[] {
  const groups = new Map<string, AuditRecord[]>();
  for (const { record } of rows) {
    const key = JSON.stringify([record.update, record.credential]);
    groups.set(key, [...(groups.get(key) ?? []), record]);
  }
  return [...groups.values()].flatMap((records) => changeOf(records) ?? []).sort((a, b) => compare(b.at, a.at));
}

function changeOf(records: readonly AuditRecord[]): Change | undefined {
  const [first] = records;
  if (!first) return undefined;
  const steps = stepsOf(records);
  // Announced, and nothing came after it: the update was stopped, or failed before it got here.
  if (steps.every(({ step }) => step === "announce"))
    steps.push({ step: "complete", of: "", result: "no outcome recorded" });
  const result = overall(steps);
  const said = (key: "actor" | "reason" | "ticket" | "commit") => records.find((one) => one[key] !== "")?.[key] ?? "";
  const { what, isNew } = meaningOf(records);
  return {
    at: first.time,
    target: first.credential,
    what,
    rotated: isNew && result === "done" && isInPlace(steps),
    newExpiration: records.filter(({ step, result }) => step === "mint" && result === "done").at(-1)?.expires ?? "",
    ...{ result, steps },
    error: records.find((one) => one.result === "failed")?.error ?? "",
    ...{ actor: said("actor"), reason: said("reason"), ticket: said("ticket"), commit: said("commit") },
    update: first.update,
  };
}

/** Each step once, in the order of their beginnings, with its last outcome. */
function stepsOf(records: readonly AuditRecord[]): Step[] {
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

/** What was given to nobody and minted by none of ours is in place when the update is complete. */
function isInPlace(steps: readonly Step[]): boolean {
  const has = (...names: string[]) => steps.some(({ step }) => names.includes(step));
  return has("mint", "deliver", "invalidate") || (has("announce") && has("complete"));
}

/** Whether it came to that is the result's to say, so this is in nouns. */
function meaningOf(records: readonly AuditRecord[]): { what: string; isNew: boolean } {
  const [invalidated] = records.filter(({ step }) => step === "invalidate");
  if (invalidated) return { what: ["invalidation", ...invalidated.to].join(" "), isNew: true };
  const whole = wholeOf(records);
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
  const parts = [
    ...(again ? [`new value of ${is}`] : []),
    ...(is === was ? [] : [`${from.includes(is) ? "rollback" : "roll"} ${was} → ${is}`]),
    ...(restored.length === 0 ? [] : [`addition of ${restored.join(", ")}`]),
    ...(gone === undefined || gone.length === 0 ? [] : [`retirement of ${gone.join(", ")}`]),
  ];
  const what = parts.length === 0 ? `delivery of ${is} again` : parts.join("; ");
  const isRest = whole.step === "complete" && !records.some(({ step }) => step === "announce" || step === "deliver");
  return { what: isRest ? `completion of ${what}` : what, isNew: again || !from.includes(is) };
}

/** The record that knows the whole list before and after; a file's knows only what it was given. */
function wholeOf(records: readonly AuditRecord[]): AuditRecord | undefined {
  const of = (...names: AuditRecord["step"][]) => records.filter(({ step }) => names.includes(step));
  const delivered = of("deliver", "withdraw");
  return of("announce")[0] ?? delivered.find(({ from }) => from.length > 0) ?? of("complete")[0] ?? delivered[0];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
