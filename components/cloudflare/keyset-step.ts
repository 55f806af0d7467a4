/** What stands between two deliveries of a keyset to one Worker, and what the Worker's own reports say of it. Pure. */
import type { ConsumerRecord } from "../credential";
import type { KeysetCredential } from "../rotation/model";
import type { Entry, Generations, Report } from "./attest";

/** How one keyset is delivered to this Worker. Public. */
export interface KeysetSpec extends Pick<
  KeysetCredential,
  "kind" | "shape" | "atOnce" | "maxTokenAgeMs" | "drainMs" | "retireBelow"
> {
  as: string;
  /** Shape dual: the name of the second key. */
  alsoAs: string;
  verifyOnly: boolean;
  /** How long after its attestation an announced key is known at every edge location, of every Worker that verifies. */
  settleMs: number;
  /** Where another Worker signs: how long after it was told to use a key that may have been attested. */
  attestedMs: number;
}

/** What this Worker signs with, in state since it was attested. Times are ISO texts. */
export interface Activation {
  tag: string;
  /** When it was told to sign with this one. */
  since: string;
  /** By tag of a live key that signed, when it was attested that it signs no more. */
  superseded: Record<string, string>;
}
export type Activations = Record<string, Activation>;

/** A set of secrets with the report that goes with it. */
export interface Delivered {
  /** Name to text; secret. */
  secrets: Record<string, string>;
  /** JSON of `Generations`: what the probe will report. Public. */
  generations: string;
}

/** What of a Worker's inputs its keysets need to know. */
export interface KeysetInputs extends Delivered {
  worker: string;
  /** By credential that is a keyset, how it is delivered. */
  keysets: Record<string, KeysetSpec>;
  /** By keyset that another Worker signs with, how that one is asked; secret. */
  signers: Record<string, ConsumerRecord>;
  /** By keyset that this Worker signs with, how those that only verify are asked; secret. */
  verifiers: Record<string, ConsumerRecord[]>;
  /** The probe's URL; empty where nothing is attested. */
  probe: string;
  /** The probe's bearer token; secret. */
  token: string;
  settleMs: number;
}

export interface KeysetOutputs extends KeysetInputs {
  /** By keyset, what it signs with and since when. */
  activations: Activations;
}

/** A keyset of the last delivery that this one hands over again. */
export interface Step {
  credential: string;
  spec: KeysetSpec;
  was: KeysetSpec;
  activation: Activation;
  /** Stamp and tag, primary first. */
  old: Generations[string];
  now: Generations[string];
}

export function stepsOf(news: KeysetInputs, olds: KeysetOutputs): Step[] {
  const [old, now] = [parse(olds.generations), parse(news.generations)];
  return Object.entries(news.keysets).flatMap(([credential, spec]) => {
    const [was, activation] = [olds.keysets[credential], olds.activations[credential]];
    if (!was || !activation) return [];
    return [{ credential, spec, was, activation, old: old[credential] ?? [], now: now[credential] ?? [] }];
  });
}

/** Also a Worker that signs no more once this is delivered. */
export function signs({ spec, was }: Step): boolean {
  return !spec.verifyOnly || !was.verifyOnly;
}

export function heldBy(report: Report, credential: string): Entry[] {
  return "generations" in report ? (report.generations[credential] ?? []) : [];
}

/** A key that this delivery does not have, and that a report has as the one that signs. */
export function signsElse(step: Step, reports: Report[]): Entry | undefined {
  if (!signs(step)) return undefined;
  const firsts = reports.flatMap((report) => heldBy(report, step.credential)[0] ?? []);
  return firsts.find(({ tag }) => !step.now.some((one) => one.tag === tag));
}

export function droppedBy({ old, now }: Step): Generations[string] {
  return old.filter(({ tag }) => !now.some((one) => one.tag === tag));
}

/** A delivery that failed after its effect may have had another key sign: then a report has it first, or as first until a time that state does not know. */
export function unrecorded({ credential, activation }: Step, reports: Report[]): string[] {
  const tags = reports.flatMap((report) =>
    heldBy(report, credential).flatMap(({ tag, since }, at) =>
      at === 0 || time(since) > time(activation.superseded[tag]) ? [tag] : [],
    ),
  );
  return [...new Set(tags)].filter((tag) => tag !== activation.tag);
}

/** What decides on when a key may go. Public, so that a plan can tell beforehand. */
export interface Waiting {
  spec: Pick<KeysetSpec, "maxTokenAgeMs" | "settleMs">;
  was: Pick<KeysetSpec, "maxTokenAgeMs">;
  activation: Pick<Activation, "since" | "superseded">;
}

/**
 * From when on the keys of these tags may go, in milliseconds since 1970: all that they signed is too old by then, also for the
 * maximum age of the last delivery. 0 where there is none.
 *
 * @param more Ends of their use that state does not know.
 */
export function mayGoAt({ spec, was, activation }: Waiting, tags: string[], more: number[] = []): number {
  // A state that is new, as of a Worker under another name, does not know until when the others have signed.
  const ends = [...tags.map((tag) => time(activation.superseded[tag]) || time(activation.since)), ...more];
  const wait = Math.max(spec.maxTokenAgeMs, was.maxTokenAgeMs) + spec.settleMs;
  return Math.max(0, ...ends.map((ended) => ended + wait));
}

/** Milliseconds since 1970; 0 where it is no time. */
export function time(text: string | undefined): number {
  return Date.parse(text ?? "") || 0;
}

export function parse(generations: string): Generations {
  return JSON.parse(generations) as Generations;
}
