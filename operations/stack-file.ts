/**
 * Edits the stamps in a stack file's text. Only the stamps' own characters change: the file is parsed to know where they
 * stand, and everything around them, comments, order and quoting, is kept byte for byte.
 */
import type { Document } from "yaml";
import { parseStack } from "../components/rotation/config";
import type { Stamp, TursoTarget } from "../components/rotation/model";
import { ConfigError } from "../components/rotation/problem";
import { rawSettings, SECRETS } from "../components/rotation/raw-config";
import { lineDiff } from "./line-diff";
import { type Action, confirm, entryOf, planFor, type Today } from "./stack-file/credential";
import { listOf } from "./stack-file/lists";
import { type Place, placesOf, refuseFurther } from "./stack-file/reach";
import { revoked } from "./stack-file/revoke";
import { eolOf, parse, parseEdited, Refusal, spliced } from "./stack-file/text";

export { type Action, Refusal };

export interface Edited {
  text: string;
  /** Unified diff without file names; empty where nothing changed. */
  diff: string;
  /** For people: what will happen. */
  notes: string[];
}

/**
 * One edit for all names, or none. Throws Refusal, or ConfigError where the edited file is not a valid config.
 *
 * @param today The day to rotate on: its next free stamp is added. With `restore`, the stamp that comes back.
 * @param exact Add `today` itself, which may have a counter, and refuse where it is taken.
 * @param hasExpired Whether a retired token has expired beyond doubt; then a rotation and a retirement clear its stamp.
 */
export function editStackFile(
  text: string,
  names: readonly string[],
  action: Action,
  today: Stamp,
  exact = false,
  hasExpired: Today["hasExpired"] = () => false,
): Edited {
  refuseRepeated(names);
  return edit(text, (whole) => {
    const document = parse(whole);
    const plans = names.map((name) => ({
      name,
      ...planFor(document, whole, name, action, { stamp: today, exact, hasExpired }),
    }));
    const edited = spliced(
      whole,
      plans.flatMap((plan) => plan.splices),
    );
    const after = parseEdited(edited);
    for (const { name, expected } of plans) confirm(after, name, expected);
    return { text: edited, notes: plans.flatMap((plan) => plan.notes), places: names.flatMap(placesOf) };
  });
}

/**
 * Sets `invalidated` of Turso groups and databases to the next free stamp of the day: the next update kills every token of
 * them. Throws as `editStackFile` does.
 *
 * @param reason Becomes the comment behind each stamp, where the line has room for it.
 */
export function invalidateIn(
  text: string,
  targets: readonly TursoTarget[],
  today: Stamp,
  exact = false,
  reason?: string,
): Edited {
  refuseRepeated(targets.map(({ kind, name }) => `${kind}/${name}`));
  return edit(text, (whole) => {
    const notes: string[] = [];
    let edited = whole;
    // One after the other: two may be missing in the same place.
    for (const target of targets) {
      const one = revoked(edited, target, { stamp: today, exact }, reason);
      edited = one.text;
      notes.push(one.note);
    }
    const places = targets.map(({ kind, name }) => ["config", "rollover:turso", `${kind}s`, name, "invalidated"]);
    return { text: edited, notes, places };
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

/** A file whose last line does not end is edited as if it did. */
function edit(text: string, work: (whole: string) => { text: string; notes: string[]; places: Place[] }): Edited {
  const missing = text === "" || text.endsWith("\n") ? "" : eolOf(text);
  const before = parse(text + missing);
  const { text: whole, notes, places } = work(text + missing);
  const after = parseEdited(whole);
  refuseFurther(before, after, places);
  checkModel(after);
  const edited = missing === "" ? whole : whole.slice(0, -missing.length);
  return { text: edited, diff: lineDiff(text, edited), notes };
}

/** What the model refuses is refused here; values that are stored encrypted cannot be read, and are passed over. */
function checkModel(document: Document): void {
  const config: unknown = document.toJS();
  const all = (config as { config?: Record<string, unknown> }).config ?? {};
  const own = Object.entries(all).filter(([key]) => key.startsWith("rollover:"));
  const hidden: string[] = [];
  const plain = new Map(own.map(([key, value]) => [key.slice("rollover:".length), reveal(value, key, hidden)]));
  try {
    parseStack({ keys: [...plain.keys()], settings: rawSettings((key) => plain.get(key)), secrets: SECRETS });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const problems = error.problems.filter(({ where }) => !hidden.some((path) => where.startsWith(path)));
    if (problems.length > 0) throw new ConfigError(problems);
  }
}

/** The value with every `{ secure: ... }` replaced by a text; their paths go to `hidden`. */
function reveal(value: unknown, path: string, hidden: string[]): unknown {
  if (Array.isArray(value)) return value.map((item: unknown, index) => reveal(item, `${path}[${index}]`, hidden));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && entries[0]?.[0] === "secure") {
    hidden.push(path);
    return "hidden";
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, reveal(item, `${path}.${key}`, hidden)]));
}
