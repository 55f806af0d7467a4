/**
 * Rate limits of a Worker's routes, by the rate-limit bindings that Rollover declares (`rollover:rateLimits` with
 * `means: binding`). Copy this file into the Worker; it imports nothing.
 *
 * What it cannot do: each location of Cloudflare's edge counts for itself, and later than it answers, so a few requests too
 * many may pass; the vendor calls it no accurate accounting (https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/).
 * Paths are compared whole: where the Worker takes `/v1/start/` for `/v1/start`, only the second is limited. A limit that
 * counts by token counts anew for a new token.
 *
 * @example
 * import { rateLimited } from "./rate-limit";
 *
 * export default {
 *   async fetch(request: Request, env: Env): Promise<Response> {
 *     const client = request.headers.get("cf-connecting-ip");
 *     const token = (await roundOf(request, env))?.rid; // of a token that was verified
 *     return (await rateLimited(request, env, { client, token })) ?? handle(request, env);
 *   },
 * };
 */

/** Who asks. What is missing shares one count with everybody who lacks it too. */
export interface RateLimitKeys {
  /** The client's id or address. Not a value that the client may choose at will: it would choose a new one each time. */
  client?: string | null | undefined;
  /** A part of the verified token that stays the same while the client uses it: its text can be varied. Only its hash is counted by. */
  token?: string | null | undefined;
}

/** One entry of ROLLOVER_RATE_LIMITS. */
interface Limit {
  /** `POST /v1/rounds/start`, or `* /v1/rounds/start` for every method. */
  route: string;
  binding: string;
  per: "client" | "token";
  periodSeconds: number;
}

/**
 * 429 with Retry-After where the request's route has a limit that is used up, else `undefined`. The binding does not tell
 * how much of its period is left, so Retry-After is the whole one, in seconds.
 *
 * Where a binding or ROLLOVER_RATE_LIMITS is missing or broken the request passes: a limit protects from too much use, and
 * a mistake in it must not be an outage of the API.
 */
export async function rateLimited(request: Request, env: object, keys: RateLimitKeys): Promise<Response | undefined> {
  const bindings = env as Record<string, unknown>;
  const { pathname } = new URL(request.url);
  const limit = parseLimits(bindings["ROLLOVER_RATE_LIMITS"]).find(
    (entry) => entry?.route === `${request.method} ${pathname}` || entry?.route === `* ${pathname}`,
  );
  if (!limit || (await isAllowed(bindings[limit.binding], await keyOf(limit.per, keys)))) return undefined;
  const headers = { "retry-after": String(limit.periodSeconds), "cache-control": "no-store" };
  return Response.json({ error: "rate_limited" }, { status: 429, headers });
}

async function isAllowed(binding: unknown, key: string): Promise<boolean> {
  const { limit } = (binding ?? {}) as { limit?: unknown };
  if (typeof limit !== "function") return true;
  try {
    const { success } = await (binding as { limit(by: { key: string }): Promise<{ success?: boolean }> }).limit({
      key,
    });
    // Whatever is no plain refusal is a mistake of the binding.
    return success !== false;
  } catch {
    return true;
  }
}

/** A hash: keys are of any length, and neither a token nor an address is to leave the Worker. */
async function keyOf(per: Limit["per"], keys: RateLimitKeys): Promise<string> {
  const value = keys[per] ?? "";
  if (value === "") return "none";
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${per}:${value}`));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function parseLimits(text: unknown): (Limit | null)[] {
  try {
    const list: unknown = JSON.parse(String(text));
    return Array.isArray(list) ? (list as (Limit | null)[]) : [];
  } catch {
    return [];
  }
}
