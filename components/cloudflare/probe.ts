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
 */

/** Answers `/.well-known/rollover`; `undefined` for every other path. `env` is the Worker's own, with its secrets. */
export function rolloverProbe(request: Request, env: object): Response | undefined {
  if (new URL(request.url).pathname !== "/.well-known/rollover") return undefined;

  const { ROLLOVER_PROBE_TOKEN: token, ROLLOVER_GENERATIONS: generations } = env as Record<string, unknown>;
  const headers = { "cache-control": "no-store" };
  const given = request.headers.get("authorization") ?? "";
  if (typeof token !== "string" || token === "" || !sameText(given, `Bearer ${token}`))
    return new Response("Not Found", { status: 404, headers });
  const known = parseGenerations(generations);
  // Left out where it cannot be read: a Worker that holds nothing and one that cannot say what it holds are not the same.
  return Response.json(known ? { generations: known } : {}, { headers });
}

/** `{"rounds-db":[{"stamp":"2026-11-20","tag":"9f…"}]}`, current first; whatever else stands there is left out. */
function parseGenerations(text: unknown): Record<string, { stamp: string; tag: string }[]> | undefined {
  const known: Record<string, { stamp: string; tag: string }[]> = {};
  try {
    const parsed = JSON.parse(String(text)) as Record<string, { stamp: string; tag: string }[]> | null;
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
    for (const [name, list] of Object.entries(parsed)) known[name] = list.map(({ stamp, tag }) => ({ stamp, tag }));
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
