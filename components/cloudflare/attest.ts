import { setTimeout as pause } from "node:timers/promises";
import type { AskConsumer, ConsumerRecord } from "../credential";
import { causeOf } from "../http";
import { type CloudflareApi, CloudflareError } from "./api";

/** What a consumer holds, by credential, current first: the value of `ROLLOVER_GENERATIONS` and the probe's answer. */
export type Generations = Record<string, Entry[]>;

export interface Entry {
  stamp: string;
  tag: string;
  /** Keysets, an ISO time: of the first since when the Worker signs with it, of another that it signed with since when it does not. */
  since?: string;
}

/** The two secrets that go with every delivery. */
export const generationsName = "ROLLOVER_GENERATIONS";
export const probeTokenName = "ROLLOVER_PROBE_TOKEN";

/** An answer of the probe: what it reports, 404 where it knows no such token, or why it could not be read. */
export type Report = Known | { unknownToken: true } | { why: string };

interface Known {
  generations: Generations;
  /** By credential and kid, the share (0 to 1) of what this isolate verified lately. Advisory. */
  signedWith?: Record<string, Record<string, number>>;
}

/** A Worker's ROLLOVER_GENERATIONS has 5 KB at most; what is much longer is no probe's answer. */
const longestAnswer = 64 * 1024;

/** Asks a probe once. The answer's body is never repeated in a message: nobody knows what stands in a stranger's. */
export async function askProbe(probe: { url: string; token: string }): Promise<Report> {
  try {
    const response = await fetch(probe.url, {
      headers: { authorization: `Bearer ${probe.token}`, "cache-control": "no-store" },
      redirect: "error",
      signal: AbortSignal.timeout(10_000),
    });
    if (response.status === 404) return { unknownToken: true };
    if (!response.ok) return { why: `status ${response.status}` };
    const text = await readAtMost(response, longestAnswer);
    if (text === undefined) return { why: `an answer over ${longestAnswer} bytes` };
    const body = JSON.parse(text) as { generations?: unknown; signedWith?: unknown } | null;
    if (!isGenerations(body?.generations)) return { why: "an answer of another shape" };
    return { generations: body.generations, ...(areShares(body.signedWith) ? { signedWith: body.signedWith } : {}) };
  } catch (error) {
    return { why: causeOf(error) };
  }
}

/** The body's text; undefined, and read no further, if it is longer. */
async function readAtMost(response: Response, bytes: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > bytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function areShares(value: unknown): value is NonNullable<Known["signedWith"]> {
  const isMap = (map: unknown, of: (item: unknown) => boolean) =>
    typeof map === "object" && map !== null && Object.values(map).every(of);
  return isMap(value, (shares) => isMap(shares, (share) => typeof share === "number"));
}

/** Whether a probe's answer has the documented shape, whoever wrote it. */
function isGenerations(value: unknown): value is Generations {
  const isEntry = (entry: unknown) => {
    const { stamp, tag, since } = (entry ?? {}) as Record<string, unknown>;
    return typeof stamp === "string" && typeof tag === "string" && (since === undefined || typeof since === "string");
  };
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    // What is delivered has a current generation: a list of none was not written by Rollover.
    Object.values(value).every((list) => Array.isArray(list) && list.length > 0 && list.every(isEntry))
  );
}

/**
 * Asks until `answers` reports in a row satisfy `expected`, or `withinMs` is over (twice that for a row that has begun).
 *
 * @returns undefined when attested, else the last report that did not fit and how far the row had come.
 */
export async function attest(
  probe: { url: string; token: string },
  expected: (report: Report) => boolean,
  { answers, withinMs }: { answers: number; withinMs: number },
): Promise<{ last: Report; row: number } | undefined> {
  const until = performance.now() + withinMs;
  let last: Report = { why: "not asked" };
  let row = 0;
  while (row < answers) {
    const report = await askProbe(probe);
    const fits = expected(report);
    if (fits) row += 1;
    else last = report;
    // A row that has begun may be finished, but not for ever: its answers may be slow.
    if (row < answers && performance.now() > (fits ? until + withinMs : until)) return { last, row };
    if (fits) continue;
    row = 0;
    await pause(Math.min(1000, withinMs / 20));
  }
  return undefined;
}

/** What a report says of one credential, in stamps. */
export function describe(report: Report, credential: string): string {
  if ("why" in report) return `no readable answer (${report.why})`;
  if ("unknownToken" in report) return "404 (nothing delivered by Rollover, or no probe in its code)";
  return report.generations[credential]?.map(({ stamp }) => stamp).join(", ") ?? "nothing";
}

/**
 * Asks a consumer whether it holds a generation as current. A probe that knows no such token is believed only when Cloudflare
 * itself says that the script carries nothing of ours: then it was withdrawn, not broken.
 */
export function consumerAsker(api: CloudflareApi, answers = 5): AskConsumer {
  return async (consumer: ConsumerRecord, credential: string, tag: string | undefined) => {
    for (let n = 0; n < answers; n++) {
      const report = await askProbe(consumer);
      if ("generations" in report) {
        const held = report.generations[credential]?.[0]?.tag;
        if (tag === undefined && held === undefined)
          return { state: "silent", why: `it reports nothing of ${credential}` };
        if (tag !== undefined && held === tag) return { state: "holds" };
      } else {
        return (await carriesNothing(api, consumer.script))
          ? { state: "free" }
          : { state: "silent", why: describe(report, credential) };
      }
    }
    return { state: "free" };
  };
}

async function carriesNothing(api: CloudflareApi, script: string): Promise<boolean> {
  try {
    const names = await api.listSecrets(script);
    // One without the other was taken away by hand: then what else it carries is not known.
    return !names.includes(generationsName) && !names.includes(probeTokenName);
  } catch (error) {
    return error instanceof CloudflareError && error.fault === "not-found";
  }
}
