/**
 * The probe: how a Worker tells Rollover which generation of each credential it holds. Copy this file into the Worker;
 * it imports nothing.
 *
 * What it cannot do: it answers for the one isolate that a request met, so Rollover asks many times; and it reports what
 * was delivered to that isolate, not what the code made of it. A client or key that the code keeps in module scope may
 * outlive the secret it was made from: make it per request, or keep it together with the secret's text.
 *
 * The answer holds stamps and tags, never a value. Without the token that Rollover delivers beside the secrets, the path
 * looks as if it did not exist.
 *
 * @example
 * import { rolloverProbe } from "./probe";
 *
 * export default {
 *   fetch(request: Request, env: Env): Response | Promise<Response> {
 *     return rolloverProbe(request, env) ?? handle(request, env);
 *   },
 * };
 *
 * @example With the share that each signing key has in what was verified lately (`JwsMetrics` of components/jws/worker.ts)
 * rolloverProbe(request, env, { signedWith: { "rounds-signing": metrics.signedWith() } });
 */

/** What the Worker itself adds to the answer. */
export interface ProbeExtra {
  /** By credential, by kid: of the tokens verified lately, the share (0 to 1) that this key made. */
  signedWith?: Record<string, Record<string, number>>;
}

/** `since`, an ISO time: since when the Worker signs with the first key of a keyset, and since when not any more with another. */
type Held = Record<string, { stamp: string; tag: string; since?: string }[]>;

/** Answers `/.well-known/rollover`; `undefined` for every other path. `env` is the Worker's own, with its secrets. */
export function rolloverProbe(request: Request, env: object, extra: ProbeExtra = {}): Response | undefined {
  if (new URL(request.url).pathname !== "/.well-known/rollover") return undefined;
  const headers = { "cache-control": "no-store" };
  if (!carriesProbeToken(request, env)) return new Response("Not Found", { status: 404, headers });
  const { signedWith } = extra;
  const generations = parseGenerations((env as Record<string, unknown>).ROLLOVER_GENERATIONS);
  // Left out where it cannot be read: a Worker that holds nothing and one that cannot say what it holds are not the same.
  return Response.json({ ...(generations && { generations }), ...(signedWith && { signedWith }) }, { headers });
}

/** Whether the request carries the token that Rollover delivers; for another path that only its holder may read. */
export function carriesProbeToken(request: Request, env: object): boolean {
  const { ROLLOVER_PROBE_TOKEN: token } = env as Record<string, unknown>;
  const given = request.headers.get("authorization") ?? "";
  return typeof token === "string" && token !== "" && sameText(given, `Bearer ${token}`);
}

/** `{"rounds-db":[{"stamp":"2026-11-20","tag":"9f…"}]}`, current first; whatever else stands there is left out. */
function parseGenerations(text: unknown): Held | undefined {
  const known: Held = {};
  try {
    const parsed = JSON.parse(String(text)) as Held | null;
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
    for (const [name, list] of Object.entries(parsed))
      known[name] = list.map(({ stamp, tag, since }) => ({
        stamp,
        tag,
        ...(typeof since === "string" ? { since } : {}),
      }));
    return known;
  } catch {
    return undefined;
  }
}

/** Compares in a time that tells nothing about where the two differ. */
function sameText(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  const left = encoder.encode(a);
  const right = encoder.encode(b);
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index++) difference |= (left[index] ?? 0) ^ (right[index] ?? 0);
  return difference === 0;
}
