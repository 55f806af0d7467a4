/** What `--due` edits: retires what has had its overlap, and rolls what is due or nearly so. The day is the caller's. */
import { dueOf, freezeOn, type Due } from "../../components/rotation/due";
import { formatDuration } from "../../components/rotation/duration";
import type { Credential, Policy } from "../../components/rotation/model";
import { DAY_MS } from "../../components/rotation/policy";
import { listed } from "../../components/rotation/problem";
import { stampParts } from "../../components/rotation/stamp";
import { applied, entryOf, type Today } from "../stack-file/credential";
import { type Change, edit, type Edited } from "../stack-file/edit";
import { asList } from "../stack-file/keyset";
import { type Place, placesOf, refuseFurther } from "../stack-file/reach";
import { readStackFile } from "../stack-file/read";
import { parse, parseEdited, Refusal } from "../stack-file/text";
import type { Why } from "../stack-file/why";

export interface Skipped {
  credential: string;
  why: string;
}

export interface DueEdit extends Edited {
  skipped: Skipped[];
  /** What stays overdue with the edit. */
  overdue: Skipped[];
  /** Whether the policy is enforced: then `overdue` is a failure. */
  enforce: boolean;
}

/** What `--due` would do with a credential that day. */
type Step = { action: "retire" | "rotate"; times: number; why: string; list?: true } | { skip: string };

/**
 * Of one credential it either retires or rolls, never both on one day: an update lies between the two.
 *
 * @param names Only these; empty for all. An unknown one is a Refusal.
 * @param day `2026-11-20`.
 */
export function editDue(
  text: string,
  names: readonly string[],
  day: string,
  hasExpired: Today["hasExpired"] = () => false,
  why: Why = {},
): DueEdit {
  const document = parse(text);
  for (const name of names) entryOf(document, name);
  const { credentials, policy } = readStackFile(text, ["policy"]);
  const chosen = credentials.filter(({ name }) => names.length === 0 || names.includes(name));
  const found = chosen.flatMap((credential) => {
    const step = stepOf(credential, dueOf(credential, policy, day), day);
    return step ? [{ name: credential.name, step }] : [];
  });
  const freeze = freezeOn(policy, day);
  const skipped: Skipped[] = [];
  const edited = edit(text, (whole) => {
    const made = { text: whole, notes: [] as string[], changes: [] as Change[], places: [] as Place[] };
    if (!policy && credentials.every(({ maxAgeMs }) => maxAgeMs === undefined))
      made.notes.push("rollover:policy is not set, so nothing is ever due");
    for (const { name, step } of found) {
      if ("skip" in step || freeze) {
        const frozen = freeze ? `is to be edited, but not in the freeze until ${freeze.to}` : "";
        skipped.push({ credential: name, why: "skip" in step ? step.skip : frozen });
        continue;
      }
      const one = attempt(made.text, name, step, { stamp: day, exact: false, hasExpired }, why);
      if (typeof one === "string") {
        skipped.push({ credential: name, why: one });
        continue;
      }
      made.text = one.text;
      made.places.push(...placesOf(name));
      made.notes.push(`${name} ${step.why}`, ...one.notes);
      for (const stamp of one.stamps)
        made.changes.push({ credential: name, action: step.action, stamp, why: step.why });
    }
    return made;
  });
  const after = readStackFile(edited.text, []).credentials.filter(({ name }) =>
    chosen.some((one) => one.name === name),
  );
  const overdue = after.flatMap((credential) => overdueOf(credential, policy, day));
  return { ...edited, skipped, overdue, enforce: policy?.enforce ?? false };
}

function overdueOf(credential: Credential, policy: Policy | undefined, day: string): Skipped[] {
  const { maxAgeMs = Infinity, inFuture, status } = dueOf(credential, policy, day);
  if (status !== "overdue") return [];
  const old = credential.generations.flatMap((stamp) => {
    const age = Date.parse(day) - Date.parse(stampParts(stamp).date);
    if (inFuture.includes(stamp)) return [`${stamp} is in the future`];
    if (age <= maxAgeMs) return [];
    return [`${stamp} is ${age / DAY_MS} days old, and ${formatDuration(maxAgeMs)} is the most`];
  });
  return [{ credential: credential.name, why: old.join("; ") }];
}

function stepOf(credential: Credential, due: Due, day: string): Step | undefined {
  const { generations } = credential;
  const { stale, inFuture, rollOn = "", due: last = "" } = due;
  if (stale.length > 0) {
    const why = `holds ${listed(stale)}, whose overlap is over`;
    return { action: "retire", times: stale.length, why };
  }
  const [current = ""] = generations;
  if (due.status === "overdue" && inFuture.includes(current))
    return {
      skip: `holds ${current}, whose day is yet to come: roll it by its name, and ${current} is retired in its time`,
    };
  if (due.due === undefined || rollOn > day) return undefined;
  if (generations.length > 1)
    return { skip: `is due by ${last}, but its overlap is open: ${generations.at(-1) ?? ""} is to be retired first` };
  const why = `is due by ${last}, and its day is ${rollOn}`;
  return { action: "rotate", times: 1, why, ...("atOnce" in credential && credential.atOnce && { list: true }) };
}

/** A form that cannot be edited, or that another shares, keeps nothing else from being rolled; the text is why. */
function attempt(text: string, name: string, step: Exclude<Step, { skip: string }>, today: Today, why: Why) {
  const made = { text, stamps: [] as string[], notes: [] as string[] };
  try {
    const before = parse(text);
    if (step.list) {
      // An emergency left it so, and has long been through: it is time to roll again.
      made.text = asList(name, text, entryOf(before, name));
      made.notes.push(`${name}: \`generation\` is a list again, so that the keys overlap`);
    }
    for (let count = 0; count < step.times; count++) {
      const one = applied(made.text, name, step.action, today, why);
      made.text = one.text;
      made.stamps.push(one.stamp);
      made.notes.push(...one.notes);
    }
    refuseFurther(before, parseEdited(made.text), placesOf(name));
    return made;
  } catch (error) {
    if (error instanceof Refusal) return `cannot be edited: ${error.message.replace(`${name}: `, "")}`;
    throw error;
  }
}
