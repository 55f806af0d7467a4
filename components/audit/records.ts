/** Turns steps into records, writes them, and tells people of those that failed. */
import type { Notifier } from "../notify/notifier";
import type { StackModel } from "../rotation/model";
import type { Kind } from "../thin";
import type { Journal } from "./journal";
import type { Ended } from "./outcome";
import type { AuditRecord } from "./record";
import { whole } from "./shape";
import type { Step } from "./steps";
import { type Who, whyOf } from "./who";

export interface Recording {
  /** Where config has an audit. */
  journal?: Journal;
  /** Told of failures, where config has somebody to tell. */
  notifier?: Notifier;
  stack: StackModel;
  memory: Memory;
  who: () => Promise<Who>;
  warn: (line: string) => void;
}

/** What the calls of one process know of one another. */
export interface Memory {
  /** What any resource said it is. */
  stack: string;
  /** Something that consumers use was killed or altered: from then on nothing waits for a record. */
  isOutage: boolean;
  /** Failures in state that were recorded and told. */
  told: Set<string>;
}

export function newMemory(): Memory {
  return { stack: "", isOutage: false, told: new Set() };
}

/**
 * Refuses the call where its records cannot be written and config requires them.
 *
 * @param mends Whether the call must not wait for a record, nor may any after an outage has begun.
 */
export async function begin(
  kind: Kind,
  steps: Step[],
  stack: string,
  mends: boolean,
  recording: Recording,
): Promise<void> {
  const { journal, memory, warn } = recording;
  try {
    const begun = steps.map((step) => ({ ...unseen(step), result: "begun" as const, error: "" }));
    await journal?.write(await recordsOf(begun, stack, recording));
  } catch (error) {
    const why = lineOf(error);
    if (journal?.required !== true || mends || memory.isOutage) {
      warn(`no audit record that this began: ${wordsOf(steps)}. ${why}`);
      return;
    }
    await tell(
      steps.map((step) => ({ ...step, error: why })),
      stack,
      recording,
      "failed",
    );
    // Everything that mints waits for the announcement.
    const kept = kind === "Announcement" ? "No credential was touched." : "What this update did before stays.";
    throw new Error(
      `not begun, since its audit record could not be written: ${wordsOf(steps)}. ${kept} ${why}. ` +
        "Put that right and run the update again, or set rollover:audit.required to false to go on without records.",
    );
  }
}

/** Never throws: what happened has happened. */
export async function end(ended: Ended[], stack: string, recording: Recording): Promise<void> {
  try {
    const records = ended.map((step) =>
      step.error === "" ? { ...step, result: "done" as const } : { ...unseen(step), result: "failed" as const },
    );
    await recording.journal?.write(await recordsOf(records, stack, recording));
  } catch (error) {
    recording.warn(`no audit record of how this ended: ${wordsOf(ended)}. ${lineOf(error)}`);
  }
}

/** Never throws: the failure itself is what has to be seen. */
export async function tell(
  failed: Ended[],
  stack: string,
  { notifier, stack: model, warn }: Recording,
  event: "failed" | "debt" = failed[0]?.step === "retire" ? "debt" : "failed",
): Promise<void> {
  const [first] = failed;
  if (!notifier || !first) return;
  const changes = failed.map(({ credential, from, to }) => {
    const { reason, ticket } = whyOf(model, credential);
    return { credential, from, to, ...(reason !== "" && { reason }), ...(ticket !== "" && { ticket }) };
  });
  const text = [...new Set(failed.map(({ error }) => lineOf(error)))].join("; ");
  try {
    await notifier.tell({ event, stack, changes, step: first.step, text });
  } catch (error) {
    warn(`nobody was told of this failure: ${lineOf(error)}`);
  }
}

/** One line of at most 300 characters, none of which a terminal obeys; as our errors are, without a credential. What a database says may be long. */
export function lineOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const [line = ""] = text.trim().split(/[\r\n\u2028\u2029]/);
  return line.replace(/[\p{Cc}\p{Bidi_Control}]+/gu, " ").slice(0, 300);
}

async function recordsOf(
  steps: (Step & Pick<AuditRecord, "result" | "error">)[],
  stack: string,
  { stack: model, who, journal, warn }: Recording,
): Promise<AuditRecord[]> {
  if (!journal || steps.length === 0) return [];
  const { actor, commit, update } = await who();
  const time = new Date().toISOString();
  return steps.map((one) =>
    whole(
      {
        ...{ time, stack, credential: one.credential, step: one.step, result: one.result, from: one.from, to: one.to },
        ...{ consumer: one.consumer, attested: one.attested, proven: one.proven, expires: one.expires },
        ...{ error: lineOf(one.error), actor, ...whyOf(model, one.credential), commit, update },
      },
      warn,
    ),
  );
}

/** What only the success of a step shows. */
function unseen<T extends Step>(step: T): T {
  return { ...step, attested: false, proven: false };
}

function wordsOf(steps: readonly Step[]): string {
  return steps.map(({ step, credential }) => `${step} ${credential}`).join(", ");
}
