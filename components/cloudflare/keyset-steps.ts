/**
 * The order in which a Worker is handed the keys of a keyset. A verifier that has not yet met a new key rejects what is signed with
 * it, so every isolate gets the key before the first token is signed with it (announce), and only then the order to sign with it
 * (activate). When a key may be dropped is in keyset-gate.ts.
 */
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { unitedKeySets } from "../rotation/key-texts";
import { CloudflareError } from "./api";
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

/**
 * Waits until every key that this delivery drops may go. Throws, and no key was changed, where one may not go yet.
 *
 * @param handOver Delivers what else changed, without these keysets, where they have to wait or are refused: it may end an outage.
 */
export async function prepareKeysets(
  news: KeysetInputs,
  olds: KeysetOutputs,
  handOver: (set: Delivered) => Promise<void>,
): Promise<Prepared> {
  const steps = stepsOf(news, olds).filter(({ spec }) => !spec.atOnce);
  refuseRenamed(news, olds);
  if (steps.length === 0) return { announced: undefined, signed: {} };
  const ask = () => askTimes({ url: news.probe, token: news.token });
  const seen = await ask();
  let others: Delivered | undefined;
  const ahead = async (): Promise<void> => {
    const set = others;
    others = undefined;
    if (set) await handOver(set);
  };
  const pass = async (): Promise<Report[]> => {
    // Straight after another update an isolate may still sign with what that one took from it.
    const isLate = steps.some((step) => signsElse(step, seen));
    if (isLate) await pause(Math.max(...steps.map(({ spec }) => spec.settleMs)));
    const first = isLate ? await ask() : seen;
    others = othersOf(news, olds, steps, first);
    const rest = Math.max(...(await Promise.all(steps.map((step) => gate(step, news, first)))));
    if (rest > 0) await ahead();
    await pause(rest);
    const reports = rest > 0 ? await ask() : first;
    for (const step of steps) inUse(step, reports);
    return reports;
  };
  const reports = await pass().catch(async (error: unknown) => {
    await ahead();
    throw error;
  });
  const announced = steps.reduce<Delivered | undefined>(
    (set, step) => announce(set ?? news, step, olds, reports) ?? set,
    undefined,
  );
  return { announced, signed: Object.fromEntries(steps.map((step) => [step.credential, unrecorded(step, reports)])) };
}

/** What is delivered beside these keysets; undefined where nothing of it changed. The report says of them what the Worker said last. */
function othersOf(news: KeysetInputs, olds: KeysetOutputs, steps: Step[], reports: Report[]): Delivered | undefined {
  const names = steps.flatMap(({ spec, was }) => [spec.as, spec.alsoAs, was.as, was.alsoAs]);
  const without = (secrets: Record<string, string>) =>
    Object.fromEntries(Object.entries(secrets).filter(([name]) => !names.includes(name)));
  const [before, now] = [parse(olds.generations), parse(news.generations)];
  for (const { credential } of steps) {
    const [said = [], ...more] = reports.map((report) => heldBy(report, credential));
    // Told what one late isolate says, or nothing, the Worker would forget what it signed with.
    if (said.length === 0 || more.some((list) => !isDeepStrictEqual(list, said))) return undefined;
    before[credential] = now[credential] = said;
  }
  const secrets = without(news.secrets);
  if (isDeepStrictEqual([secrets, now], [without(olds.secrets), before])) return undefined;
  return { secrets, generations: JSON.stringify(now) };
}

/** Under another credential's name the same secret would get keys that nobody has met, in one step. */
function refuseRenamed(news: KeysetInputs, olds: KeysetOutputs): void {
  for (const [credential, { as, alsoAs }] of Object.entries(olds.keysets)) {
    const names = [as, alsoAs].filter((name) => name !== "");
    const other = Object.entries(news.keysets).find(
      ([name, spec]) =>
        [spec.as, spec.alsoAs].some((one) => names.includes(one)) && !spec.atOnce && name !== credential,
    );
    if (!other || credential in news.keysets) continue;
    throw new CloudflareError(
      "rejected",
      `${as} of the Worker ${news.worker} holds the keys of ${credential}, and would get those of ${other[0]}: every token that was signed so far would be refused. ` +
        `Nothing was changed. Keep the name ${credential}, or deliver ${other[0]} under another name; in an emergency write \`generation\` in place of \`generations\`.`,
    );
  }
}

/** The set in which every verifier knows the new key, and nobody signs with it. */
function announce(set: Delivered, step: Step, olds: Delivered, reports: Report[]): Delivered | undefined {
  const { credential, spec, was, old, now } = step;
  const [next] = now;
  const held = reports.map((report) => heldBy(report, credential));
  const isHeld = (tag: string | undefined) => held.every((list) => list.some((one) => one.tag === tag));
  const isActive = held.every((list) => list[0]?.tag === next?.tag);
  // A key that has signed was known everywhere once; a Worker that was rolled back by hand may have lost it since.
  const { activation } = step;
  const signed = [activation.tag, ...Object.keys(activation.superseded), ...unrecorded(step, reports)];
  const isKnown = next !== undefined && signed.includes(next.tag) && isHeld(next.tag);
  if (!next || !signs(step) || isActive || isKnown) return undefined;
  const all = [...now, ...old].filter(({ tag }, at, list) => list.findIndex((one) => one.tag === tag) === at);
  const [first, ...more] = [activation.tag, ...held.flatMap((list) => list[0]?.tag ?? [])]
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
      const begins = olds?.keysets?.[credential]?.verifyOnly === true && news.keysets[credential]?.verifyOnly === false;
      // Another Worker signed so far, nobody here knows until when with which of them.
      const elsewhere = begins ? rest.map(({ tag }) => tag) : [];
      const others = [before?.tag ?? primary.tag, ...(signed[credential] ?? []), ...elsewhere].filter(
        (tag) => tag !== primary.tag,
      );
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
