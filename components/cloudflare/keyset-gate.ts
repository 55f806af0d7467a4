/** When a Worker may lose a key: not while anything that it signed is still to be accepted. */
import type { ConsumerRecord } from "../credential";
import { CloudflareError } from "./api";
import { askProbe, describe, type Entry, type Generations, type Report } from "./attest";
import {
  droppedBy,
  heldBy,
  type KeysetInputs,
  mayGoAt,
  signs,
  signsElse,
  type Step,
  time,
  unrecorded,
} from "./keyset-step";

/** So many reports are asked for before keys change: each is one isolate's. */
const reportsAsked = 5;

/** How many ms are left until the keys that one step drops may go. Throws where an update does not wait so long. */
export async function gate(step: Step, news: KeysetInputs, reports: Report[]): Promise<number> {
  const { credential, spec, was, activation, now } = step;
  if (spec.shape !== was.shape || spec.kind !== was.kind) {
    refuse(
      step,
      `its keys mean something else as ${spec.kind} of shape ${spec.shape} than as ${was.kind} of shape ${was.shape}`,
      { wayOut: `Write them as they were, and declare a second credential for the other` },
    );
  }
  const isLive = (tag: string) => now.some((one) => one.tag === tag);
  const dropped = droppedBy(step);
  const primary = signs(step) ? dropped.find(({ tag }) => tag === activation.tag) : undefined;
  if (primary) refuse(step, `the Worker signs with ${primary.stamp} until this update`);
  const other = signsElse(step, reports);
  if (other) refuse(step, `the Worker reports that it signs with ${other.stamp}`, { inUse: other });
  await knownTo(step, news.verifiers[credential] ?? []);
  if (dropped.length === 0) return 0;
  const lost = unrecorded(step, reports).filter((tag) => !isLive(tag));
  const elsewhere = spec.verifyOnly ? await signedUntil(step, news.signers[credential], dropped) : [];
  const tags = dropped.map(({ tag }) => tag);
  const end = mayGoAt(step, tags, [...lost.map(() => Date.now()), ...elsewhere]);
  const rest = end - Date.now();
  if (rest > spec.drainMs) {
    const when = new Date(end).toISOString();
    const why = `tokens that ${dropped.map(({ stamp }) => stamp).join(", ")} signed are accepted until ${when}`;
    // Of what nobody recorded, the time begins with an update that records it.
    refuse(step, why, lost.length > 0 ? {} : { when });
  }
  return Math.max(0, rest);
}

/** Each report is one isolate's view of what it verified lately, so it can only refuse, never allow. */
export function inUse(step: Step, reports: Report[]): void {
  const dropped = droppedBy(step);
  // A Worker that says nothing may sign with a key that state does not know: another one would take its place.
  const activates = signs(step) && step.now[0]?.tag !== step.activation.tag;
  if (dropped.length === 0 && !activates) return;
  for (const report of reports) {
    if (!("generations" in report))
      refuse(step, `the Worker does not say what it still verifies: ${describe(report, step.credential)}`);
    for (const { stamp } of dropped) {
      const share = report.signedWith?.[step.credential]?.[stamp] ?? 0;
      if (share <= step.spec.retireBelow) continue;
      const [found, limit] = [share, step.spec.retireBelow].map((one) => `${Math.round(one * 1000) / 10} %`);
      refuse(
        step,
        `${found} of the tokens that one isolate verified lately were signed with ${stamp}; ${limit} are allowed (retireBelow)`,
        { wayOut: "Run the update again when fewer are; the shares are of the last minutes" },
      );
    }
  }
}

/** A verifier that has not been delivered to, as with `--target`, would reject what is signed with the new key. */
async function knownTo(step: Step, verifiers: ConsumerRecord[]): Promise<void> {
  const [next] = step.now;
  if (!next || next.tag === step.activation.tag) return;
  for (const verifier of verifiers) {
    const reports = await askTimes(verifier);
    const knows = reports.some((report) => heldBy(report, step.credential).some(({ tag }) => tag === next.tag));
    if (!knows)
      refuse(step, `the Worker ${verifier.worker}, which verifies, does not hold ${next.stamp}`, {
        wayOut: "Run the update again without --target; if the Worker was rolled back by hand, with --refresh",
      });
  }
}

export function askTimes(probe: { url: string; token: string }): Promise<Report[]> {
  return Promise.all(Array.from({ length: reportsAsked }, () => askProbe(probe)));
}

/**
 * By when the Worker that signs used another key than those that are dropped: nothing is known of it but what it reports, which is
 * when it was told so.
 */
async function signedUntil(
  step: Step,
  signer: ConsumerRecord | undefined,
  dropped: Generations[string],
): Promise<number[]> {
  if (!signer) return [];
  const reports = await askTimes(signer);
  return reports.flatMap((report) => {
    const who = `the Worker ${signer.worker}, which signs,`;
    const held = heldBy(report, step.credential);
    const [primary] = held;
    if (!primary) return refuse(step, `${who} does not say with what: ${describe(report, step.credential)}`);
    const isDropped = ({ tag }: Entry) => dropped.some((one) => one.tag === tag);
    if (isDropped(primary)) refuse(step, `${who} does so with ${primary.stamp}`);
    if (time(primary.since) === 0) {
      const copy = "see that its probe is today's components/cloudflare/probe.ts";
      refuse(step, `${who} does not say since when it does so with ${primary.stamp}: ${copy}`);
    }
    return [primary, ...held.filter(isDropped)].map(({ since }) => time(since) + step.spec.attestedMs);
  });
}

interface Refusal {
  /** From when on it is allowed. */
  when?: string;
  /** The key that a report has as the one that signs. */
  inUse?: Entry;
  /** What to do, where it is neither to wait nor to keep a key. */
  wayOut?: string;
}

function refuse(step: Step, why: string, { when, inUse: used, wayOut }: Refusal = {}): never {
  const { credential, spec, old, now } = step;
  const gone = droppedBy(step).map(({ stamp }) => stamp);
  const what = gone.length === 0 ? "was not changed" : `keeps ${gone.join(", ")}`;
  throw new CloudflareError(
    "rejected",
    `${credential} ${what}: ${why}. No key was changed. ` +
      (wayOut ??
        (when === undefined
          ? `Write \`generations: [${keeping().join(", ")}]\`, run the update, and go on from there`
          : `Run the update again after that time, or raise \`drain\``)) +
      `; in an emergency \`generation: ${now[0]?.stamp ?? ""}\` drops it at once, and every token that it signed.`,
  );

  /** Stamps that lose nothing: what is asked for and what is there, or without room for both what is there. */
  function keeping(): string[] {
    const most = spec.shape === "dual" ? 2 : Infinity;
    const lists = used ? [old.slice(0, 1), [used], old] : [now, old];
    const stamps = [...new Set(lists.flat().map(({ stamp }) => stamp))];
    if (stamps.length <= most) return stamps;
    return used ? stamps.slice(0, most) : old.map(({ stamp }) => stamp);
  }
}
