/** What `--due` edits: retires what has had its overlap, and rolls what is due or nearly so. The day is the caller's. */
import { dueOf, freezeOn, type Due } from "../../components/rotation/due";
import type { Credential } from "../../components/rotation/model";
import { listed } from "../../components/rotation/problem";
import { type Action, applied, entryOf, type Today } from "../stack-file/credential";
import { type Change, edit, type Edited } from "../stack-file/edit";
import { placesOf } from "../stack-file/reach";
import { readStackFile } from "../stack-file/read";
import { parse, Refusal } from "../stack-file/text";
import type { Why } from "../stack-file/why";

export interface Skipped {
  credential: string;
  why: string;
}

/** What `--due` would do with a credential that day. */
type Step = { action: "retire" | "rotate"; times: number; why: string } | { skip: string };

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
): Edited & { skipped: Skipped[] } {
  const document = parse(text);
  for (const name of names) entryOf(document, name);
  const { credentials, policy } = readStackFile(text);
  const chosen = credentials.filter(({ name }) => names.length === 0 || names.includes(name));
  const found = chosen.flatMap((credential) => {
    const step = stepOf(credential, dueOf(credential, policy, day), day);
    return step ? [{ name: credential.name, step }] : [];
  });
  const freeze = freezeOn(policy, day);
  const skipped: Skipped[] = [];
  const edited = edit(text, (whole) => {
    const made = {
      text: whole,
      notes: [] as string[],
      changes: [] as Change[],
      places: found.flatMap((one) => placesOf(one.name)),
    };
    if (!policy && credentials.every(({ maxAgeMs }) => maxAgeMs === undefined))
      made.notes.push("rollover:policy is not set, so nothing is ever due");
    for (const { name, step } of found) {
      if ("skip" in step || freeze) {
        const frozen = freeze ? `is to be edited, but not in the freeze until ${freeze.to}` : "";
        skipped.push({ credential: name, why: "skip" in step ? step.skip : frozen });
        continue;
      }
      const { action, times } = step;
      const one = attempt(made.text, name, action, times, { stamp: day, exact: false, hasExpired }, why);
      if (typeof one === "string") {
        skipped.push({ credential: name, why: one });
        continue;
      }
      made.text = one.text;
      made.notes.push(`${name} ${step.why}`, ...one.notes);
      for (const stamp of one.stamps) made.changes.push({ credential: name, action, stamp, why: step.why });
    }
    return made;
  });
  return { ...edited, skipped };
}

function stepOf(credential: Credential, due: Due, day: string): Step | undefined {
  const { generations } = credential;
  const { stale, rollOn = "", due: last = "" } = due;
  if (stale.length > 0) {
    const why = `holds ${listed(stale)}, whose overlap is over`;
    return { action: "retire", times: stale.length, why };
  }
  if (due.status === "unlimited" || rollOn > day) return undefined;
  if ("atOnce" in credential && credential.atOnce)
    return { skip: "is written as `generation`, for an emergency: write `generations` again, then it is rolled" };
  if (generations.length > 1)
    return { skip: `is due by ${last}, but its overlap is open: ${generations.at(-1) ?? ""} is to be retired first` };
  return { action: "rotate", times: 1, why: `is due by ${last}, and its day is ${rollOn}` };
}

/** A form that cannot be edited keeps nothing else from being rolled; the text is why. */
function attempt(text: string, name: string, action: Action, times: number, today: Today, why: Why) {
  const made = { text, stamps: [] as string[], notes: [] as string[] };
  try {
    for (let count = 0; count < times; count++) {
      const one = applied(made.text, name, action, today, why);
      made.text = one.text;
      made.stamps.push(one.stamp);
      made.notes.push(...one.notes);
    }
    return made;
  } catch (error) {
    if (error instanceof Refusal) return `cannot be edited: ${error.message.replace(`${name}: `, "")}`;
    throw error;
  }
}
