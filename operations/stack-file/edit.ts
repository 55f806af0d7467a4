/** What every edit of a stack file keeps: it reaches no further than asked, and the config stays valid. */
import type { Document } from "yaml";
import { parseStack } from "../../components/rotation/config";
import { ConfigError } from "../../components/rotation/problem";
import { rawSettings, SECRETS } from "../../components/rotation/raw-config";
import { lineDiff } from "../line-diff";
import { type Place, refuseFurther } from "./reach";
import { isOfEncrypted, settingsIn } from "./settings";
import { eolOf, parse, parseEdited } from "./text";

/** What was done to one credential, or to `group/NAME` or `database/NAME`. */
export interface Change {
  credential: string;
  action: "rotate" | "retire" | "rollback" | "restore" | "emergency" | "revoke";
  /** The one that came, went, or is current again. */
  stamp: string;
  why: string;
}

export interface Edited {
  text: string;
  /** Unified diff without file names; empty where nothing changed. */
  diff: string;
  /** For people: what will happen. */
  notes: string[];
  changes: Change[];
}

export interface Work {
  text: string;
  notes: string[];
  changes: Change[];
  places: Place[];
}

/** A file whose last line does not end is edited as if it did. Throws Refusal, or ConfigError. */
export function edit(text: string, work: (whole: string) => Work): Edited {
  const missing = text === "" || text.endsWith("\n") ? "" : eolOf(text);
  const before = parse(text + missing);
  const { text: whole, notes, changes, places } = work(text + missing);
  const after = parseEdited(whole);
  refuseFurther(before, after, places);
  checkModel(after);
  const edited = missing === "" ? whole : whole.slice(0, -missing.length);
  return { text: edited, diff: lineDiff(text, edited), notes, changes };
}

/** What the model refuses is refused here; values that are stored encrypted cannot be read, and are passed over. */
function checkModel(document: Document): void {
  const { values, encrypted, problems } = settingsIn(document);
  try {
    parseStack({ keys: [...values.keys()], settings: rawSettings((key) => values.get(key)), secrets: SECRETS });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems.filter((problem) => !isOfEncrypted(problem, encrypted)));
  }
  if (problems.length > 0) throw new ConfigError(problems);
}
