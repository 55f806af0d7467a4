/**
 * The order in which a Worker is handed the keys of a keyset. A verifier that has not yet met a new key rejects what is signed with
 * it, so every isolate gets the key before the first token is signed with it (announce), and only then the order to sign with it
 * (activate). When a key may be dropped is in keyset-gate.ts.
 */
import { setTimeout as pause } from "node:timers/promises";
import { unitedKeySets } from "../keyset/key-texts";
import type { Report } from "./attest";
import { askTimes, gate, inUse } from "./keyset-gate";
import {
  type Activation,
  type Activations,
  type Delivered,
  heldBy,
  type KeysetInputs,
  type KeysetOutputs,
  parse,
  signs,
  signsElse,
  type Step,
  stepsOf,
  unrecorded,
} from "./keyset-step";

export type { Activations, KeysetSpec } from "./keyset-step";

/** What is known before a delivery. */
export interface Prepared {
  /** The set to hand over first; undefined where no new key is to become primary. */
  announced: Delivered | undefined;
  /** By credential, tags of the keys that have signed by deliveries which nobody recorded. */
  signed: Record<string, string[]>;
}

/** Waits until every key that this delivery drops may go. Throws, and nothing was changed, where one may not go yet. */
export async function prepareKeysets(news: KeysetInputs, olds: KeysetOutputs): Promise<Prepared> {
  const steps = stepsOf(news, olds).filter(({ spec }) => !spec.atOnce);
  if (steps.length === 0) return { announced: undefined, signed: {} };
  const ask = () => askTimes({ url: news.probe, token: news.token });
  const seen = await ask();
  // Straight after another update an isolate may still sign with what that one took from it.
  const isLate = steps.some((step) => signsElse(step, seen));
  if (isLate) await pause(Math.max(...steps.map(({ spec }) => spec.settleMs)));
  const first = isLate ? await ask() : seen;
  const rest = Math.max(...(await Promise.all(steps.map((step) => gate(step, news, first)))));
  await pause(rest);
  const reports = rest > 0 ? await ask() : first;
  for (const step of steps) inUse(step, reports);
  const announced = steps.reduce<Delivered | undefined>(
    (set, step) => announce(set ?? news, step, olds, reports) ?? set,
    undefined,
  );
  return { announced, signed: Object.fromEntries(steps.map((step) => [step.credential, unrecorded(step, reports)])) };
}

/** The set in which every verifier knows the new key, and nobody signs with it. */
function announce(set: Delivered, step: Step, olds: Delivered, reports: Report[]): Delivered | undefined {
  const { credential, spec, was, old, now } = step;
  const [next] = now;
  const held = reports.map((report) => heldBy(report, credential));
  const isHeld = (tag: string | undefined) => held.every((list) => list.some((one) => one.tag === tag));
  const isActive = held.every((list) => list[0]?.tag === next?.tag);
  // A Worker that was rolled back by hand may have lost a key that state has as delivered.
  const isKnown = old.some(({ tag }) => tag === next?.tag) && isHeld(next?.tag);
  if (!next || !signs(step) || isActive || isKnown) return undefined;
  const all = [...now, ...old].filter(({ tag }, at, list) => list.findIndex((one) => one.tag === tag) === at);
  const [first, ...more] = [step.activation.tag, ...held.flatMap((list) => list[0]?.tag ?? [])]
    .filter((tag) => tag !== next.tag)
    .flatMap((tag) => all.find((one) => one.tag === tag) ?? []);
  const primary = [first, ...more].find((one) => isHeld(one?.tag)) ?? first;
  if (!primary) return undefined;
  const names =
    spec.shape === "dual"
      ? { [spec.as]: dualText(primary.tag, step, set, olds), [spec.alsoAs]: set.secrets[spec.as] ?? "" }
      : { [spec.as]: unitedKeySets(set.secrets[spec.as] ?? "", olds.secrets[was.as] ?? "", primary.stamp) };
  const known = spec.shape === "dual" ? [primary, next] : [primary, ...all.filter(({ tag }) => tag !== primary.tag)];
  return {
    secrets: { ...set.secrets, ...names },
    generations: JSON.stringify({ ...parse(set.generations), [credential]: known }),
  };
}

function dualText(tag: string, { spec, was, old, now }: Step, news: Delivered, olds: Delivered): string {
  const at = old.findIndex((one) => one.tag === tag);
  if (at >= 0) return olds.secrets[at === 0 ? was.as : was.alsoAs] ?? "";
  return news.secrets[now[0]?.tag === tag ? spec.as : spec.alsoAs] ?? "";
}

/** What this Worker signs with once `news` is attested. `begun` is when it was told so. */
export function activationsOf(
  news: KeysetInputs,
  olds: Partial<KeysetOutputs> | undefined,
  begun: Date,
  signed: Prepared["signed"] = {},
): Activations {
  const now = parse(news.generations);
  return Object.fromEntries(
    Object.keys(news.keysets).flatMap((credential): [string, Activation][] => {
      const [primary, ...rest] = now[credential] ?? [];
      if (!primary) return [];
      const before = olds?.activations?.[credential];
      const others = [before?.tag ?? primary.tag, ...(signed[credential] ?? [])].filter((tag) => tag !== primary.tag);
      const begins = olds?.keysets?.[credential]?.verifyOnly === true && news.keysets[credential]?.verifyOnly === false;
      const stays = before?.tag === primary.tag && others.length === 0 && !begins;
      const since = stays ? before.since : begun.toISOString();
      const ended = new Date().toISOString();
      const times = { ...before?.superseded, ...Object.fromEntries(others.map((tag) => [tag, ended])) };
      const superseded = Object.entries(times).filter(([tag]) => rest.some((one) => one.tag === tag));
      return [[credential, { tag: primary.tag, since, superseded: Object.fromEntries(superseded) }]];
    }),
  );
}

/**
 * The report as the Worker gets it: since when it signs with its primary, and of each other key since when it does not. So the
 * Worker itself remembers what a delivery that failed has had it sign.
 */
export function reportWith(generations: string, news: KeysetInputs, activations: Activations): string {
  const report = parse(generations);
  for (const [credential, { tag, since, superseded }] of Object.entries(activations)) {
    if (news.keysets[credential]?.verifyOnly !== false) continue;
    report[credential] = (report[credential] ?? []).map((entry) => {
      const at = entry.tag === tag ? since : superseded[entry.tag];
      return at === undefined ? entry : { ...entry, since: at };
    });
  }
  return JSON.stringify(report);
}
