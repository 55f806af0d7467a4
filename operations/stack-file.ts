/**
 * Edits the stamps in a stack file's text. Only the stamps' own characters change, and `reason` and `ticket` of the entry: the
 * file is parsed to know where they stand, and everything around them, comments, order and quoting, is kept byte for byte.
 */
import type { Stamp, TursoTarget } from "../components/rotation/model";
import { type Action, applied, entryOf, type Today } from "./stack-file/credential";
import { type Change, edit, type Edited } from "./stack-file/edit";
import { listOf } from "./stack-file/lists";
import { placesOf, placesOfTarget } from "./stack-file/reach";
import { revoked } from "./stack-file/revoke";
import { parse, Refusal } from "./stack-file/text";
import type { Why } from "./stack-file/why";

export { type Action, type Change, type Edited, Refusal, type Why };

/**
 * One edit for all names, or none. Throws Refusal, or ConfigError where the edited file is not a valid config.
 *
 * @param today The day to rotate on: its next free stamp is added. With `restore`, the stamp that comes back.
 * @param exact Add `today` itself, which may have a counter, and refuse where it is taken.
 * @param hasExpired Whether a retired token has expired beyond doubt; then a rotation and a retirement clear its stamp.
 * @param why Is written into each entry, in place of that of the last edit.
 */
export function editStackFile(
  text: string,
  names: readonly string[],
  action: Action,
  today: Stamp,
  exact = false,
  hasExpired: Today["hasExpired"] = () => false,
  why: Why = {},
): Edited {
  refuseRepeated(names);
  return edit(text, (whole) => {
    const made = { text: whole, notes: [] as string[], changes: [] as Change[], places: names.flatMap(placesOf) };
    for (const name of names) {
      const one = applied(made.text, name, action, { stamp: today, exact, hasExpired }, why);
      made.text = one.text;
      made.notes.push(...one.notes);
      made.changes.push({ credential: name, action, stamp: one.stamp, why: why.reason ?? "" });
    }
    return made;
  });
}

/**
 * Sets `invalidated` of Turso groups and databases to the next free stamp of the day: the next update kills every token of
 * them. Throws as `editStackFile` does.
 */
export function invalidateIn(
  text: string,
  targets: readonly TursoTarget[],
  today: Stamp,
  exact = false,
  why: Why = {},
): Edited {
  refuseRepeated(targets.map(({ kind, name }) => `${kind}/${name}`));
  return edit(text, (whole) => {
    const made = {
      text: whole,
      notes: [] as string[],
      changes: [] as Change[],
      places: targets.flatMap(placesOfTarget),
    };
    // One after the other: two may be missing in the same place.
    for (const target of targets) {
      const one = revoked(made.text, target, { stamp: today, exact }, why);
      made.text = one.text;
      made.notes.push(one.note);
      const credential = `${target.kind}/${target.name}`;
      made.changes.push({ credential, action: "revoke", stamp: one.stamp, why: why.reason ?? "" });
    }
    return made;
  });
}

/** Those of the names that have retired stamps: only they have something that may have expired. */
export function withRetired(text: string, names: readonly string[]): string[] {
  const document = parse(text);
  return names.filter((name) => (listOf(entryOf(document, name), "retired", name)?.stamps ?? []).length > 0);
}

function refuseRepeated(names: readonly string[]): void {
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new Refusal(`${repeated} is named twice; name it once`);
}
