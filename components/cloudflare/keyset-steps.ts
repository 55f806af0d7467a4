/**
 * The order in which a Worker is handed the keys of a keyset, and when it may lose one. A verifier that has not yet met a new key
 * rejects what is signed with it, so every isolate gets the key before the first token is signed with it (announce), and only
 * then the order to sign with it (activate). Pure but for the probes that it asks.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { ConsumerRecord } from "../credential";
import { unitedKeySets } from "../keyset/key-texts";
import type { KeysetCredential } from "../rotation/model";
import { CloudflareError } from "./api";
import { askProbe, type Generations, type Report } from "./attest";

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
}

/** What this Worker signs with, in state since it was attested. Times are ISO texts. */
export interface Activation {
  tag: string;
  /** When it was told to sign with this one. */
  since: string;
  /** By tag of a live key, when its successor's activation was attested. */
  superseded: Record<string, string>;
}
export type Activations = Record<string, Activation>;

/** A set of secrets with the report that goes with it. */
export interface Delivered {
  secrets: Record<string, string>;
  /** JSON of `Generations`. */
  generations: string;
}

export interface KeysetInputs extends Delivered {
  worker: string;
  keysets: Record<string, KeysetSpec>;
  /** By credential that another Worker signs with: how that one is asked. Secret. */
  signers: Record<string, ConsumerRecord>;
  probe: string;
  token: string;
  settleMs: number;
}

export interface KeysetOutputs extends KeysetInputs {
  activations: Activations;
}

/** So many reports are asked for before keys change: each is one isolate's. */
const reportsAsked = 5;

/** A keyset of the last delivery that this one hands over again. */
interface Step {
  credential: string;
  spec: KeysetSpec;
  was: KeysetSpec;
  activation: Activation;
  /** Stamp and tag, primary first. */
  old: Generations[string];
  now: Generations[string];
}

function stepsOf(news: KeysetInputs, olds: KeysetOutputs): Step[] {
  const [old, now] = [parse(olds.generations), parse(news.generations)];
  return Object.entries(news.keysets).flatMap(([credential, spec]) => {
    const [was, activation] = [olds.keysets[credential], olds.activations[credential]];
    if (!was || !activation) return [];
    return [{ credential, spec, was, activation, old: old[credential] ?? [], now: now[credential] ?? [] }];
  });
}

/**
 * Waits until every key that this delivery drops may go, and returns the set to announce first; undefined where no new key is to
 * become primary. Throws, and nothing was changed, where a key may not go yet.
 */
export async function prepareKeysets(news: KeysetInputs, olds: KeysetOutputs): Promise<Delivered | undefined> {
  const steps = stepsOf(news, olds).filter(({ spec }) => !spec.atOnce);
  if (steps.length === 0) return undefined;
  const ask = () => askTimes({ url: news.probe, token: news.token });
  const first = await ask();
  const rest = Math.max(...(await Promise.all(steps.map((step) => gate(step, news, first)))));
  await pause(rest);
  const reports = rest > 0 ? await ask() : first;
  for (const step of steps) inUse(step, reports);
  return steps.reduce<Delivered | undefined>(
    (set, step) => announce(set ?? news, step, olds, reports) ?? set,
    undefined,
  );
}

/** The set in which every verifier knows the new key, and nobody signs with it. */
function announce(set: Delivered, step: Step, olds: Delivered, reports: Report[]): Delivered | undefined {
  const { credential, spec, was, activation, old, now } = step;
  const [next] = now;
  const held = reports.map((report) => ("generations" in report ? (report.generations[credential] ?? []) : []));
  const isActive = held.every((list) => list[0]?.tag === next?.tag);
  // A Worker that was rolled back by hand may have lost a key that state has as delivered.
  const isKnown =
    old.some(({ tag }) => tag === next?.tag) && held.every((list) => list.some(({ tag }) => tag === next?.tag));
  const primary = [...old, ...now].find(({ tag }) => tag === activation.tag);
  if (!next || !primary || next.tag === primary.tag || spec.verifyOnly || isActive || isKnown) return undefined;
  const all = [...now, ...old].filter(({ tag }, at, list) => list.findIndex((one) => one.tag === tag) === at);
  const [text = "", before = ""] = [set.secrets[spec.as], olds.secrets[was.as]];
  const names =
    spec.shape === "dual"
      ? { [spec.as]: before, [spec.alsoAs]: text }
      : { [spec.as]: unitedKeySets(text, before, primary.stamp) };
  const known = spec.shape === "dual" ? [primary, next] : [primary, ...all.filter(({ tag }) => tag !== primary.tag)];
  return {
    secrets: { ...set.secrets, ...names },
    generations: JSON.stringify({ ...parse(set.generations), [credential]: known }),
  };
}

/** How many ms are left until the keys that one step drops may go. Throws where an update does not wait so long. */
async function gate(step: Step, news: KeysetInputs, reports: Report[]): Promise<number> {
  const { credential, spec, was, activation, now } = step;
  if (spec.shape !== was.shape || spec.kind !== was.kind) {
    refuse(
      step,
      `its keys mean something else as ${spec.kind} of shape ${spec.shape} than as ${was.kind} of shape ${was.shape}`,
    );
  }
  const isLive = (tag: string) => now.some((one) => one.tag === tag);
  const dropped = droppedBy(step);
  const primary = spec.verifyOnly ? undefined : dropped.find(({ tag }) => tag === activation.tag);
  if (primary) refuse(step, `the Worker signs with ${primary.stamp} until this update`);
  if (!spec.verifyOnly) {
    for (const report of reports) {
      const signs = "generations" in report ? report.generations[credential]?.[0] : undefined;
      if (signs && !isLive(signs.tag)) refuse(step, `the Worker reports that it signs with ${signs.stamp}`);
    }
  }
  if (dropped.length === 0) return 0;
  const ends = [
    ...dropped.flatMap(({ tag }) => activation.superseded[tag] ?? []),
    ...(spec.verifyOnly ? await signedUntil(step, news.signers[credential], dropped) : []),
  ].map((time) => Date.parse(time) + spec.maxTokenAgeMs + spec.settleMs);
  const end = Math.max(0, ...ends);
  const rest = end - Date.now();
  if (rest > spec.drainMs) {
    const when = new Date(end).toISOString();
    refuse(step, `tokens that ${dropped.map(({ stamp }) => stamp).join(", ")} signed are accepted until ${when}`, when);
  }
  return Math.max(0, rest);
}

function droppedBy({ old, now }: Step): Generations[string] {
  return old.filter(({ tag }) => !now.some((one) => one.tag === tag));
}

/** Each report is one isolate's view of what it verified lately, so it can only refuse, never allow. */
function inUse(step: Step, reports: Report[]): void {
  const dropped = droppedBy(step);
  if (dropped.length === 0) return;
  for (const report of reports) {
    // What carries nothing of ours verifies nothing.
    if ("unknownToken" in report) continue;
    if ("why" in report) refuse(step, `the Worker does not say what it still verifies (${report.why})`);
    for (const { stamp } of dropped) {
      const share = report.signedWith?.[step.credential]?.[stamp] ?? 0;
      if (share <= step.spec.retireBelow) continue;
      const [found, limit] = [share, step.spec.retireBelow].map((one) => `${Math.round(one * 1000) / 10} %`);
      refuse(
        step,
        `${found} of the tokens that one isolate verified lately were signed with ${stamp}; ${limit} are allowed (retireBelow)`,
      );
    }
  }
}

function askTimes(probe: { url: string; token: string }): Promise<Report[]> {
  return Promise.all(Array.from({ length: reportsAsked }, () => askProbe(probe)));
}

/** Since when the Worker that signs uses another key than those that are dropped: nothing is known of it but what it reports. */
async function signedUntil(
  step: Step,
  signer: ConsumerRecord | undefined,
  dropped: Generations[string],
): Promise<string[]> {
  if (!signer) return [];
  const reports = await askTimes(signer);
  return reports.flatMap((report) => {
    if ("unknownToken" in report) return [];
    if ("why" in report)
      return refuse(step, `the Worker ${signer.worker}, which signs, gives no readable answer (${report.why})`);
    const signs = report.generations[step.credential]?.[0];
    if (dropped.some(({ tag }) => tag === signs?.tag))
      refuse(step, `the Worker ${signer.worker} signs with ${signs?.stamp}`);
    return signs?.since === undefined || Number.isNaN(Date.parse(signs.since)) ? [] : [signs.since];
  });
}

function refuse(step: Step, why: string, when?: string): never {
  const { credential, old, now } = step;
  const gone = droppedBy(step).map(({ stamp }) => stamp);
  const keep = [...new Set([...now, ...old].map(({ stamp }) => stamp))].join(", ");
  const what = gone.length === 0 ? "was not changed" : `keeps ${gone.join(", ")}`;
  throw new CloudflareError(
    "rejected",
    `${credential} ${what}: ${why}. Nothing was changed. ` +
      (when === undefined
        ? `Write \`generations: [${keep}]\`, run the update, and retire later`
        : `Run the update again after that time, or raise \`drain\``) +
      `; in an emergency \`generation: ${now[0]?.stamp ?? ""}\` drops it at once, and every token that it signed.`,
  );
}

/** What this Worker signs with once `news` is attested. `begun` is when it was told so. */
export function activationsOf(news: KeysetInputs, olds: Partial<KeysetOutputs> | undefined, begun: Date): Activations {
  const now = parse(news.generations);
  return Object.fromEntries(
    Object.keys(news.keysets).flatMap((credential): [string, Activation][] => {
      const [primary, ...rest] = now[credential] ?? [];
      if (!primary) return [];
      const before = olds?.activations?.[credential];
      if (before?.tag === primary.tag) return [[credential, before]];
      const superseded = { ...before?.superseded, ...(before ? { [before.tag]: new Date().toISOString() } : {}) };
      const live = Object.entries(superseded).filter(([tag]) => rest.some((one) => one.tag === tag));
      return [[credential, { tag: primary.tag, since: begun.toISOString(), superseded: Object.fromEntries(live) }]];
    }),
  );
}

/** The report as the Worker gets it: of each key that this Worker signs with, since when. */
export function reportWith(generations: string, news: KeysetInputs, activations: Activations): string {
  const report = parse(generations);
  for (const [credential, { tag, since }] of Object.entries(activations)) {
    const entry = report[credential]?.[0];
    if (entry?.tag === tag && news.keysets[credential]?.verifyOnly === false) entry.since = since;
  }
  return JSON.stringify(report);
}

function parse(generations: string): Generations {
  return JSON.parse(generations) as Generations;
}
