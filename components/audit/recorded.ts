/** Records what a provider does: before each call that changes a credential that it began, and after it how it ended. */
import type * as pulumi from "@pulumi/pulumi";
import type { Notifier } from "../notify/notifier";
import type { StackModel } from "../rotation/model";
import type { Kind } from "../thin";
import type { Journal } from "./journal";
import type { AuditRecord } from "./record";
import { type Call, outcomeOf, type Step, stepsOf } from "./steps";
import { type Who, whyOf } from "./who";

export interface Recording {
  /** Where config has an audit. */
  journal?: Journal;
  /** Told of failures, where config has somebody to tell. */
  notifier?: Notifier;
  stack: StackModel;
  who: () => Promise<Who>;
  warn: (line: string) => void;
}

type Props = Record<string, unknown>;
export type Provider = pulumi.dynamic.ResourceProvider<Props, Props>;
/** Steps with how they ended. */
type Ended = (Step & { error: string })[];

/** These tell people of the update as a whole: they say themselves whom they could not tell. */
const framing: readonly Kind[] = ["Announcement", "Completion"];

/** Older states do not say the stack: what any resource of this process said. */
let seenStack = "";

/** The provider itself where there is nobody to tell and nothing to write. */
export function recorded(kind: Kind, provider: Provider, recording: Recording): Provider {
  if (!recording.journal && !recording.notifier) return provider;
  const { update, delete: withdraw, diff } = provider;
  const run = <T extends { outs?: Props } | undefined>(
    call: Call,
    [olds, news]: [Props | undefined, Props],
    work: () => Promise<T>,
  ): Promise<T> => recordedCall(kind, call, olds, news, work, recording);
  return {
    ...provider,
    create: (news) => run("create", [undefined, news], () => provider.create(news)),
    ...(update && { update: (id, olds, news) => run("update", [olds, news], () => update(id, olds, news)) }),
    ...(withdraw && {
      delete: async (id, props) => {
        await run("delete", [props, props], () => withdraw(id, props).then(() => undefined));
      },
    }),
    ...(diff && {
      diff: (id, olds, news) => {
        stackOf(news);
        return diff(id, olds, news);
      },
    }),
  };
}

async function recordedCall<T extends { outs?: Props } | undefined>(
  kind: Kind,
  call: Call,
  olds: Props | undefined,
  news: Props,
  work: () => Promise<T>,
  recording: Recording,
): Promise<T> {
  const { stack } = recording;
  const steps = stepsOf(kind, call, olds, news, stack.credentials);
  if (steps.length === 0) return work();
  const name = stackOf(news);
  if (!framing.includes(kind)) await begin(steps, name, recording);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    const why = firstLine(error);
    const ended = steps.map((step) => ({ ...step, ...unprovenOf(kind, error), error: why }));
    await end(ended, name, recording);
    if (!framing.includes(kind)) await tell(ended, name, recording);
    throw error;
  }
  const { outs = {} } = result ?? {};
  const isLeft = ({ credential, consumer }: Step) =>
    call === "delete" && [credential, consumer].some((one) => stack.abandon.includes(one));
  const ended = steps.map((step) =>
    isLeft(step) ? { ...step, error: leftBehind } : outcomeOf(kind, step, olds, outs),
  );
  await end(ended, name, recording);
  await tell(
    ended.filter(({ error }) => error !== "" && error !== leftBehind),
    name,
    recording,
  );
  return result;
}

const leftBehind = "listed under rollover:abandon: left behind, and not proven dead";

/** Refuses the call where its records cannot be written and config requires them. */
async function begin(steps: Step[], stack: string, recording: Recording): Promise<void> {
  const { journal, warn } = recording;
  try {
    const begun = steps.map((step) => ({
      ...step,
      attested: false,
      proven: false,
      result: "begun" as const,
      error: "",
    }));
    await journal?.write(await recordsOf(begun, stack, recording));
  } catch (error) {
    const what = steps.map(({ step, credential }) => `${step} ${credential}`).join(", ");
    if (journal?.required !== true) {
      warn(`no audit record that this began: ${what}. ${firstLine(error)}`);
      return;
    }
    throw new Error(
      `not begun, since its audit record could not be written: ${what}. Nothing was touched. ${firstLine(error)}. ` +
        "Put that right and run the update again, or set rollover:audit.required to false to go on without records.",
    );
  }
}

/** Never throws: what happened has happened. */
async function end(ended: Ended, stack: string, recording: Recording): Promise<void> {
  try {
    const records = ended.map((step) =>
      step.error === ""
        ? { ...step, result: "done" as const }
        : { ...step, attested: false, proven: false, result: "failed" as const },
    );
    await recording.journal?.write(await recordsOf(records, stack, recording));
  } catch (error) {
    const what = ended.map(({ step, credential }) => `${step} ${credential}`).join(", ");
    recording.warn(`no audit record of how this ended: ${what}. ${firstLine(error)}`);
  }
}

/** Never throws: the failure itself is what has to be seen. */
async function tell(failed: Ended, stack: string, { notifier, stack: model, warn }: Recording): Promise<void> {
  const [first] = failed;
  if (!notifier || !first) return;
  const changes = failed.map(({ credential, from, to }) => {
    const { reason, ticket } = whyOf(model, credential);
    return { credential, from, to, ...(reason !== "" && { reason }), ...(ticket !== "" && { ticket }) };
  });
  const text = [...new Set(failed.map(({ error }) => error))].join("; ");
  const event = first.step === "retire" ? "debt" : "failed";
  try {
    await notifier.tell({ event, stack, changes, step: first.step, text });
  } catch (error) {
    warn(`nobody was told of this failure: ${firstLine(error)}`);
  }
}

async function recordsOf(
  steps: (Step & Pick<AuditRecord, "result" | "error">)[],
  stack: string,
  { stack: model, who, journal }: Recording,
): Promise<AuditRecord[]> {
  if (!journal) return [];
  const { actor, commit, update } = await who();
  const time = new Date().toISOString();
  return steps.map((one) => ({
    ...{ time, stack, credential: one.credential, step: one.step, result: one.result, from: one.from, to: one.to },
    ...{ consumer: one.consumer, attested: one.attested, proven: one.proven, expires: one.expires, error: one.error },
    ...{ actor, ...whyOf(model, one.credential), commit, update },
  }));
}

/** A token that was minted and could not be proven works all the same, until then. */
function unprovenOf(kind: Kind, error: unknown): Partial<Step> {
  const { properties } = error as { properties?: { expires?: unknown } };
  return kind === "TursoToken" && typeof properties?.expires === "string" ? { expires: properties.expires } : {};
}

/** As our errors are, without a credential; what a database says may be long. */
function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const [line = ""] = text.trim().split("\n");
  return line.slice(0, 300);
}

function stackOf({ stack }: Props): string {
  if (typeof stack === "string" && stack !== "") seenStack = stack;
  return seenStack;
}
