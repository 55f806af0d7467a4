/**
 * Keysets' part of the plan: what is announced, backed up and brought back, and when a key may be dropped at the earliest. The
 * rule itself is in components/cloudflare/keyset-gate.ts; here it is told beforehand, from what state has.
 */
import { mayGoAt, time } from "../../components/cloudflare/keyset-step";
import { formatDuration } from "../../components/rotation/duration";
import { listed } from "../../components/rotation/problem";
import type { Note } from "./debts";
import type { CredentialPlan, Withdrawal } from "./describe";
import { type Keyset, keysetOf, type Spec, tagOf } from "./keyset-state";
import type { Outputs, State, Step, Summary } from "./shapes";

const WORDS = {
  "signing-keyset": {
    does: "signs",
    did: "signed",
    reads: "verifies",
    keep: (stamps: string) => `tokens of ${stamps} still verify`,
    lost: (stamps: string, age: string) =>
      `no overlap: every token signed with ${stamps}, up to ${age} old, is refused as soon as the Worker has the new key`,
  },
  "encryption-keyset": {
    does: "encrypts",
    did: "encrypted",
    reads: "decrypts",
    keep: (stamps: string) => `what is encrypted with ${stamps} can still be read`,
    lost: (stamps: string) => `no overlap: whatever is still encrypted with ${stamps} cannot be read any more`,
  },
};

function wordsOf(kind: string): (typeof WORDS)[keyof typeof WORDS] {
  return WORDS[kind === "encryption-keyset" ? kind : "signing-keyset"];
}

export function isKeyset(kind: string): boolean {
  return kind in WORDS;
}

/** What becomes of a key that is no longer in the list. `after` is undefined where the whole credential leaves. */
export function fateOf(keyset: Keyset, stamp: string, after: Summary | undefined, now: Date): Withdrawal {
  const refused = refusalOf(keyset, stamp, after);
  const backup = keyset.backups.get(stamp);
  return {
    stamp,
    when: refused ?? whenDropped(keyset, stamp, after, now),
    ...(backup === undefined ? {} : { backup }),
    ...(refused === undefined ? {} : { refused }),
  };
}

/** What the update will refuse, though its preview does not. */
export function describeWarnings(plans: CredentialPlan[], steps: Step[], state: State, after: Outputs): Note[] {
  const ofKeys = plans.flatMap(({ name, withdraws }) =>
    withdraws.flatMap(({ refused }) => (refused === undefined ? [] : [{ name, what: refused }])),
  );
  const ofShapes = Object.entries(after.credentials).flatMap(([name, now]) => {
    const what = isKeyset(now.kind) ? shapeRefusal(keysetOf(name, now.kind, steps, state), now) : undefined;
    return what === undefined ? [] : [{ name, what }];
  });
  return [...ofKeys, ...ofShapes];
}

/** Why the update will not drop a key; undefined where it may, then or later. */
function refusalOf(keyset: Keyset, stamp: string, after: Summary | undefined): string | undefined {
  if (!after || after.change === "breaks at once") return undefined;
  const signer = keyset.holders.find(
    (one) => one.spec && isSigner(one) && one.activation && one.activation.tag === tagOf(one, stamp),
  );
  if (!signer) return undefined;
  const { does } = wordsOf(keyset.kind);
  return (
    `the update will refuse to drop ${stamp}: the Worker ${signer.worker} ${does} with it until then. ` +
    `Keep it in \`generations\` and retire it by a later update; \`generation: ${after.current}\` drops it at once, with all that it ${wordsOf(keyset.kind).did}`
  );
}

/** What one form of a keyset cannot become in place. */
function shapeRefusal(keyset: Keyset, after: Summary): string | undefined {
  if (after.change === "breaks at once") return undefined;
  const form = ({ kind, shape }: Spec) => `${kind} of shape ${shape}`;
  const [changed] = keyset.holders.flatMap(({ was, spec: next }) =>
    was && next && form(was) !== form(next) ? [`${form(next)} than as ${form(was)}`] : [],
  );
  return changed === undefined
    ? undefined
    : `the update will refuse: its keys mean something else as ${changed}; make a credential of another name`;
}

/** Also one that signs no more after this update. */
function isSigner({ spec, was }: Keyset["holders"][number]): boolean {
  return spec?.verifyOnly === false || was?.verifyOnly === false;
}

function whenDropped(keyset: Keyset, stamp: string, after: Summary | undefined, now: Date): string {
  const { did, reads } = wordsOf(keyset.kind);
  if (!after) return `with the delivery: nothing waits for what it ${did} when the whole keyset is removed`;
  if (after.change === "breaks at once") return "with the delivery, at once";
  const gates = keyset.holders.flatMap(({ spec, was, activation, ...one }) => {
    const tag = tagOf(one, stamp);
    return spec && was && activation && tag !== undefined ? [{ spec, was, activation, tag }] : [];
  });
  if (gates.length === 0)
    return "with the delivery: as state has it, no Worker that is still handed keys holds it, so nothing is waited for";
  // A Worker that only verifies waits by what the one that signs says of its keys.
  const signer = keyset.holders.find(({ spec }) => spec?.verifyOnly === false)?.activation;
  const end = Math.max(
    ...gates.map((one) => {
      const signed = one.spec.verifyOnly ? [signer?.since, signer?.superseded[one.tag]].map(time) : [];
      const elsewhere = signed.filter((ended) => ended > 0).map((ended) => ended + one.spec.attestedMs);
      return mayGoAt(one, [one.tag], elsewhere);
    }),
  );
  const at = new Date(end).toISOString();
  const age = formatDuration(Math.max(...gates.flatMap(({ spec, was }) => [spec.maxTokenAgeMs, was.maxTokenAgeMs])));
  const drain = Math.min(...gates.map(({ spec }) => spec.drainMs));
  const below = Math.min(...gates.map(({ spec }) => spec.retireBelow));
  const share =
    below < 1 ? `; refused while more than ${Math.round(below * 1000) / 10} % of what a Worker ${reads} needs it` : "";
  if (end <= now.getTime()) return `with the delivery: since ${at} all that it ${did} is older than ${age}${share}`;
  const early = drain > 0 ? `waits (${formatDuration(drain)} at most) or refuses` : "refuses";
  return `not before ${at}, when all that it ${did} is older than ${age}; before that the update ${early}${share}`;
}

function whyAtOnce({ kind, backups }: Keyset, gone: string[], { maxTokenAge }: Summary): string {
  const text = wordsOf(kind).lost(listed(gone), maxTokenAge ?? "their maximum age");
  const isKept = kind === "encryption-keyset" && gone.every((stamp) => backups.has(stamp));
  return isKept
    ? `${text}, until ${gone.length === 1 ? "its key is" : "their keys are"} restored from the backup`
    : text;
}

interface Change {
  was: Summary | undefined;
  now: Summary;
  /** Back to an older stamp. */
  isBack: boolean;
  /** Stamps that are live beside the current one. */
  keeps: string[];
  withdraws: Withdrawal[];
}

export function describeKeys(keyset: Keyset, change: Change): Pick<CredentialPlan, "keys" | "breaksAtOnce"> {
  const { was, now, withdraws } = change;
  const keys = keySentences(keyset, change);
  const gone = withdraws.map(({ stamp }) => stamp);
  const isAtOnce = was !== undefined && now.change === "breaks at once" && gone.length > 0;
  return {
    ...(isAtOnce ? { breaksAtOnce: whyAtOnce(keyset, gone, now) } : {}),
    ...(keys.length > 0 ? { keys } : {}),
  };
}

/** What happens to the keys, in its order. */
function keySentences(keyset: Keyset, { was, now, isBack, keeps }: Change): string[] {
  const { kind, holders, backups, written, restored, forgotten } = keyset;
  const { does, keep } = wordsOf(kind);
  const live = (stamps: string[]) => now.live.filter((stamp) => stamps.includes(stamp));
  const place = (stamp: string) => backups.get(stamp) ?? "its path";
  const held = (stamp: string) => holders.some((one) => tagOf(one, stamp) !== undefined);
  const isKnown = holders.every((one) => !one.spec || tagOf(one, now.current) !== undefined);
  const used = keeps.filter((stamp) => was?.live.includes(stamp));
  const still = used.length > 0 ? `; ${keep(listed(used))}` : "";
  const rolls = was && was.current !== now.current && now.change === "overlaps";
  const step = isBack && isKnown ? `${does} again` : isKnown ? does : `is announced to every isolate, then ${does}`;
  const taking = holders.filter(({ changes, spec: next }) => changes && next);
  const [signers, verifiers] = [false, true].map((only) =>
    taking.filter((one) => one.spec?.verifyOnly === only).map(({ worker }) => worker),
  );
  return [
    ...live(written).map((stamp) =>
      held(stamp)
        ? `${stamp} is written to Vault at ${place(stamp)}`
        : `${stamp} is written to Vault at ${place(stamp)}, and read back, before it is delivered`,
    ),
    ...live(restored).map(
      (stamp) =>
        `${stamp} is brought back from the backup at ${place(stamp)} (as ${stamp === now.current ? "current" : "previous"})`,
    ),
    ...live(forgotten).map((stamp) => `${stamp} is backed up no longer; what is at ${place(stamp)} stays there`),
    ...(rolls ? [`${now.current} ${step}${still}`] : []),
    ...(signers?.length && verifiers?.length
      ? [
          `${listed(verifiers)} ${verifiers.length === 1 ? "is" : "are"} delivered to before ${listed(signers)}, which ${does}`,
        ]
      : []),
  ];
}

/** Stamps of the backup that change while their keys do not. */
export function backupChanges({ written, forgotten }: Keyset, old: string[], live: string[]): string[] {
  return [...written, ...forgotten].filter((stamp) => old.includes(stamp) && live.includes(stamp));
}
