/** Records what a provider does: before each call that changes a credential that it began, and after it how it ended. */
import { AsyncLocalStorage } from "node:async_hooks";
import type * as pulumi from "@pulumi/pulumi";
import type { Kind } from "../thin";
import type { Warn } from "../thin.provider";
import { type Ended, failuresBeside, isMending, otherStep, outcomeOf } from "./outcome";
import { begin, end, lineOf, type Recording, tell } from "./records";
import { type Call, type Step, stepsOf } from "./steps";

export { type Memory, newMemory, type Recording } from "./records";

type Props = Record<string, unknown>;
export type Provider = pulumi.dynamic.ResourceProvider<Props, Props>;

/** These tell people of the update as a whole: they say themselves whom they could not tell. */
const framing: readonly Kind[] = ["Announcement", "Completion"];

/** What a call under way has said of itself. A delete says by what it returns, which Pulumi passes over: whether it was proven. */
const calls = new AsyncLocalStorage<{ isLeft: boolean }>();

/** What a provider is to warn by, so that what it leaves behind is not recorded as ended. */
export function leaving(warn: (line: string) => void): Warn {
  return (line, left) => {
    const call = calls.getStore();
    if (call && left) call.isLeft = true;
    warn(line);
  };
}

const leftBehind = "listed under rollover:abandon: left behind, and not proven dead";

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
        await run("delete", [props, props], () =>
          withdraw(id, props).then((said: unknown) => ({ outs: { ...(said ?? {}) } })),
        );
      },
    }),
    ...(diff && {
      diff: (id, olds, news) => {
        stackOf("diff", news, recording);
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
  const { stack, memory } = recording;
  const steps = stepsOf(kind, call, olds, news);
  const name = stackOf(call, news, recording);
  const mends = steps.length > 0 && isMending(kind, call, steps, olds, news, stack);
  if (steps.length > 0 && kind !== "Completion") await begin(kind, steps, name, mends, recording);
  // From here on consumers cannot use what they hold: whatever comes is to reach them.
  if (steps.some(({ step }) => step === "invalidate" || (step === "mint" && mends))) memory.isOutage = true;
  const said = { isLeft: false };
  let result: T;
  try {
    result = await calls.run(said, work);
  } catch (error) {
    const failed = failedOf(kind, steps, news, error, recording);
    await end(failed, name, recording);
    if (!framing.includes(kind)) await tell(failed, name, recording);
    throw error;
  }
  const { outs = {} } = result ?? {};
  const ended = steps.map((step) =>
    said.isLeft ? { ...step, error: leftBehind } : outcomeOf(kind, call, step, olds, outs),
  );
  const all = [...ended, ...(call === "delete" ? [] : failuresBeside(kind, steps, outs))];
  await end(all, name, recording);
  const failed = said.isLeft ? [] : all.filter(({ error }) => error !== "");
  for (const { error } of failed) memory.told.add(error);
  await tell(failed, name, recording);
  return result;
}

/** None for the outcome of an update whose failures were all recorded where they happened. */
function failedOf(kind: Kind, steps: Step[], news: Props, error: unknown, { memory }: Recording): Ended[] {
  if (kind === "TursoOutcome") {
    const fresh = (news as { failures: string[] }).failures.filter((text) => !memory.told.has(text));
    return fresh.map((text) => ({ ...otherStep(kind, news), error: text }));
  }
  const why = lineOf(error);
  if (steps.length === 0) return framing.includes(kind) ? [] : [{ ...otherStep(kind, news), error: why }];
  return steps.map((step) => ({ ...step, ...unprovenOf(kind, error), error: why }));
}

/** A token that was minted and could not be proven works all the same, until then. */
function unprovenOf(kind: Kind, error: unknown): Partial<Step> {
  const { properties } = error as { properties?: { expires?: unknown } };
  return kind === "TursoToken" && typeof properties?.expires === "string" ? { expires: properties.expires } : {};
}

/**
 * Older states do not say the stack: then what any resource of this process said. A delete knows but its state, which may hold
 * the name of before `pulumi stack rename`.
 */
function stackOf(call: Call | "diff", { stack }: Props, { memory }: Recording): string {
  const said = typeof stack === "string" ? stack : "";
  if (call === "delete") return memory.stack || said;
  if (said !== "") memory.stack = said;
  return memory.stack;
}
