/** The report's tables, as texts: Markdown and HTML show the same cells. Pure. */
import type { Break } from "../../components/audit/read";
import { asideText } from "./aside";
import type { Age, Change, ConsumerReport, CredentialReport, Generation, Report } from "./model";

export interface Table {
  /** Of the HTML's section. */
  id: string;
  title: string;
  /** A line under the title. */
  note?: string;
  columns: string[];
  rows: Cell[][];
  /** What stands there where there are no rows. */
  empty: string;
}

export interface Cell {
  text: string;
  /** What it is sorted by, where the text is not: numbers by their value, texts by the alphabet. */
  sort?: string | number;
  tone?: "good" | "warn" | "bad";
  /** A name, stamp or hash. */
  code?: boolean;
  /** A sentence: its column is not squeezed. */
  wide?: boolean;
}

const NONE: Cell = { text: "–", sort: "" };

export function tablesOf(report: Report): Table[] {
  return [credentials(report), changes(report), generations(report), consumers(report), debts(report)];
}

function credentials(report: Report): Table {
  return {
    ...{ id: "credentials", title: "Credentials", empty: "This stack has none." },
    columns: ["Credential", "Kind", "Current", "Age", "Due", "Planned roll", "Status", "Attested", "Debts"],
    rows: report.credentials.map((credential) => {
      const { name, kind, age, consumers: to } = credential;
      const attested = to.filter((one) => one.attested).length;
      return [
        code(name),
        { text: kind === "" ? "–" : kind },
        codeOr(currentOf(credential)),
        age.status === "gone" ? NONE : { text: ageText(age), sort: age.days },
        timeOr(age.due),
        timeOr(age.rollOn),
        { text: statusText(age), ...statusTone(age) },
        to.length === 0
          ? NONE
          : {
              text: `${attested} of ${to.length}`,
              sort: attested / to.length,
              ...tone(attested < to.length && "warn"),
            },
        { text: String(credential.debts), sort: credential.debts, ...tone(credential.debts > 0 && "warn") },
      ];
    }),
  };
}

export function currentOf({ generations: all }: CredentialReport): string {
  return all.find(({ place }) => place === "current")?.stamp ?? "";
}

export function ageText({ days, maxDays }: Age): string {
  return maxDays === undefined ? `${days} d` : `${days} of ${maxDays} d`;
}

const STATUS = {
  fine: "fine",
  soon: "roll now",
  overdue: "overdue",
  unlimited: "no limit",
  gone: "no longer declared",
} as const;

function statusText({ status, stale, inFuture }: Age): string {
  return [
    STATUS[status],
    ...(inFuture.length === 0 ? [] : [`in the future: ${inFuture.join(", ")}`]),
    ...(stale.length === 0 ? [] : [`retire ${stale.join(", ")}`]),
  ].join("; ");
}

function statusTone({ status, stale, inFuture }: Age): Pick<Cell, "tone"> {
  if (status === "overdue" || inFuture.length > 0) return tone("bad");
  if (status === "soon" || stale.length > 0) return tone("warn");
  return status === "fine" ? tone("good") : {};
}

/** Seed 001's compliance table first (time, target, rotated, new expiration), then who and why. */
function changes({ changes: all, audit, since, at }: Report): Table {
  const span = `${moment(since)} to ${moment(at)}`;
  return {
    ...{ id: "changes", title: "Changes", note: `${span}, newest first.` },
    empty:
      audit.state === "none"
        ? "No audit is read, so nobody recorded who changed what, when and why."
        : "None is recorded.",
    columns: [
      ...["Time", "Target", "Change", "Rotated", "New expiration", "Result"],
      ...["Actor", "Reason and ticket", "Commit"],
    ],
    rows: all.map((change) => [
      timeOr(change.at),
      code(change.target),
      { text: change.what, wide: true },
      { text: change.rotated ? "yes" : "no", ...tone(change.rotated && "good") },
      timeOr(change.newExpiration),
      { text: resultText(change), wide: true, ...tone(change.result !== "done" && "bad") },
      textOr(change.actor),
      textOr([change.reason, change.ticket].filter((part) => part !== "").join(", ")),
      codeOr(change.commit.slice(0, 8)),
    ]),
  };
}

function resultText({ result, steps, error }: Change): string {
  const those = (of: Change["result"]) =>
    steps.filter((step) => step.result === of).map(({ step, of: to }) => (to === "" ? step : `${step} ${to}`));
  const failed = those("failed");
  const open = those("no outcome recorded");
  return [
    ...(failed.length === 0 ? [] : [`failed: ${failed.join(", ")}${error === "" ? "" : ` (${error})`}`]),
    ...(open.length === 0 ? [] : [`begun, no outcome recorded: ${open.join(", ")}`]),
    ...(result === "done" ? ["done"] : []),
  ].join("; ");
}

function generations({ credentials: all }: Report): Table {
  return {
    ...{ id: "generations", title: "Generations", empty: "There are none." },
    note: "“By its stamp”: no audit says when it was made, so its name does.",
    columns: ["Credential", "Stamp", "State", "Made", "Ended", "Used for real", "Token expires"],
    rows: all.flatMap(({ name, generations: own }) =>
      own.map((one) => [
        code(name),
        code(one.stamp),
        { text: PLACE[one.place], ...tone(["retired", "next"].includes(one.place) && "warn") },
        { text: one.madeBy === "audit" ? moment(one.made) : `${one.made}, by its stamp`, sort: one.made },
        one.ended === undefined ? NONE : { text: `${moment(one.ended)}, ${one.end ?? ""}`, sort: one.ended },
        proofCell(one),
        timeOr(one.expires ?? ""),
      ]),
    ),
  };
}

export const PLACE: Record<Generation["place"], string> = {
  current: "current",
  previous: "previous",
  next: "made, not yet in use everywhere",
  retired: "retired, may still work",
  gone: "gone",
};

function proofCell({ proof, provable }: Generation): Cell {
  if (!proof) return provable ? { text: "not recorded", sort: "" } : { text: "nobody to ask", sort: "" };
  const text = `${proof.passed ? "passed" : "failed"} ${moment(proof.at)}`;
  return { text, sort: proof.at, ...tone(proof.passed ? "good" : "bad") };
}

function consumers({ credentials: all }: Report): Table {
  return {
    ...{ id: "consumers", title: "Consumers", empty: "Nothing is delivered to anybody." },
    note: "Attested: the consumer was asked what it holds, and reported the generations that it had been given.",
    columns: ["Consumer", "Credential", "As", "Holds", "Attested", "Last delivery"],
    rows: all.flatMap(({ name, consumers: own }) =>
      own.map((one) => [
        code(one.name),
        code(name),
        code(one.as),
        one.holds.length === 0 ? { text: "not known", sort: "" } : code(one.holds.join(", ")),
        { text: attestedText(one), ...tone(one.attested ? "good" : "warn") },
        one.last
          ? {
              ...{ text: `${one.last.result} ${moment(one.last.at)}`, sort: one.last.at },
              ...tone(one.last.result !== "done" && "bad"),
            }
          : { text: "not recorded", sort: "" },
      ]),
    ),
  };
}

function attestedText(one: ConsumerReport): string {
  if (one.attested) return "yes";
  return one.asked ? "no" : "no: it cannot be asked";
}

function debts({ debts: all }: Report): Table {
  return {
    ...{ id: "debts", title: "Revocation debts", empty: "None: nothing old is known to work." },
    note: "Old credentials that still work, or could not be proven dead.",
    columns: ["Name", "What", "Ends"],
    rows: all.map(({ name, what, until }) => [
      code(name),
      { text: what },
      until === "" ? { text: "by hand", sort: "" } : timeOr(until),
    ]),
  };
}

/** `2026-11-20 12:00` of a time, in UTC as all of them are, else the text as it is: a day, `never`. */
export function moment(iso: string): string {
  const [, day, time] = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)/.exec(iso) ?? [];
  return day === undefined || time === undefined ? iso : `${day} ${time}`;
}

function timeOr(iso: string | undefined): Cell {
  return iso === undefined || iso === "" ? NONE : { text: moment(iso), sort: iso };
}

function textOr(text: string): Cell {
  return text === "" ? NONE : { text };
}

function code(text: string): Cell {
  return { text, code: true };
}

function codeOr(text: string): Cell {
  return text === "" ? NONE : code(text);
}

function tone(of: Cell["tone"] | false): Pick<Cell, "tone"> {
  return of ? { tone: of } : {};
}

/** The report's numbers, with the words for them; `bad` where they ask for something to be done. */
export function numbersOf({ summary, audit }: Report): { label: string; value: number; tone?: "warn" | "bad" }[] {
  const bad = (label: string, value: number) => ({ label, value, ...(value > 0 ? { tone: "bad" as const } : {}) });
  const warn = (label: string, value: number) => ({ label, value, ...(value > 0 ? { tone: "warn" as const } : {}) });
  const { credentials: count, liveGenerations, overdue, soon, unlimited, notAttested } = summary;
  return [
    { label: "Credentials", value: count },
    { label: "Live generations", value: liveGenerations },
    bad("Overdue", overdue),
    warn("To be rolled now", soon),
    ...(unlimited > 0 ? [warn("Without a limit of age", unlimited)] : []),
    warn("Deliveries not attested", notAttested),
    warn("Revocation debts", summary.debts),
    ...(audit.state === "none"
      ? []
      : [
          { label: "Rotations", value: summary.rotated },
          bad("Failed changes", summary.failed),
          bad("Without an outcome", summary.withoutOutcome),
        ]),
  ];
}

/** One sentence on what the report rests on. */
export function auditText({ audit, at }: Report): string {
  switch (audit.state) {
    case "none":
      return "From the stack's state alone: no audit is configured, or none was to be read.";
    case "whole":
      // Which of the two, the rows cannot say: `--verify` asks for it.
      if (audit.rows === 0) return "From the stack's state, and an audit that holds no row yet, or none any more.";
      return `From the stack's state and an audit of ${audit.rows} rows whose chain is whole at ${moment(at)}.${asideText(audit)}`;
    case "broken":
      return `The audit's chain is broken at row ${audit.seq} of ${audit.rows}: ${audit.why}${alsoAt(audit.more)}. What follows rests on rows that may be forged.${asideText(audit)}`;
  }
}

function alsoAt(more: Break[]): string {
  const shown = more.slice(0, 10).map(({ seq }) => seq);
  const others = more.length > shown.length ? ` and ${more.length - shown.length} more` : "";
  return more.length === 0 ? "" : `; and at ${more.length === 1 ? "row" : "rows"} ${shown.join(", ")}${others}`;
}
