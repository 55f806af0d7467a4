/**
 * The API of rounds, whose tokens are signed with the keys that Rollover delivers: JWT_KEYS, else JWT_SECRET and
 * JWT_SECRET_NEW. A token lives 120 s, or TOKEN_TTL_SECONDS.
 *
 * - `POST /v1/rounds/start`: 200 `{ token, round }`, a new round.
 * - `POST /v1/rounds/next` with the token as bearer: 200 `{ token, round }`, the round's next question; 401
 *   `{ ok, code }`, the code being the `reason` of a TokenError or `no-token`.
 * - `POST /v1/metrics`: 204 for a body of at most 64 kB. `GET /v1/manifest`: 200.
 * - `GET /metrics` with the probe's token: the counters as text for Prometheus; 404 without it.
 *
 * A request over a limit of ROLLOVER_RATE_LIMITS is answered 429, with Retry-After; `x-client-id` is the client, which the
 * seed's own pages send, and a round the token: each of its tokens is another.
 *
 * Without a keyset that is safe to use, what needs one answers 503 `{ ok, code: "no-keyset" }`.
 */
import { carriesProbeToken, type ProbeExtra } from "../../../components/cloudflare/probe";
import { rateLimited } from "../../../components/cloudflare/rate-limit";
import {
  dualKeys,
  JwsMetrics,
  type Keyset,
  KeysetError,
  sign,
  signingKeys,
  TokenError,
  verify,
} from "../../../components/jws/worker";

export type Env = Partial<Record<string, string>>;

/** What a token says; see the seed's example. */
interface Round {
  rid: string;
  /** Of the question, from 0. */
  idx: number;
  total: number;
  seed: string;
  /** The first 8 hex digits of the SHA-256 of `filtersKey`. */
  filtersHash: string;
  filtersKey: string;
  ver: 1;
}

/** In module scope, which outlives a change of the secrets: numbers only. */
let counted: JwsMetrics | undefined;

function metricsOf(env: Env): JwsMetrics {
  return (counted ??= new JwsMetrics({ turnMs: 500 * ttlSeconds(env) }));
}

const ROUTES: Partial<Record<string, (request: Request, env: Env) => Promise<Response>>> = {
  "POST /v1/rounds/start": start,
  "POST /v1/rounds/next": next,
  "POST /v1/metrics": takeMetrics,
  "GET /v1/manifest": manifest,
};

/** Answers the paths above; `undefined` for every other. */
export async function roundsApi(request: Request, env: Env): Promise<Response | undefined> {
  const route = routeOf(request);
  const metrics = metricsOf(env);
  if (route === "GET /metrics" && carriesProbeToken(request, env))
    return new Response(metrics.prometheus(), { headers: { "content-type": "text/plain; version=0.0.4" } });
  const answer = ROUTES[route];
  if (!answer) return undefined;
  const began = Date.now();
  try {
    return await answer(request, env);
  } catch (error) {
    if (error instanceof KeysetError) return Response.json({ ok: false, code: "no-keyset" }, { status: 503 });
    if (error instanceof TokenError) return Response.json({ ok: false, code: error.reason }, { status: 401 });
    throw error;
  } finally {
    metrics.requestTook(route, Date.now() - began);
  }
}

/** For the probe. SIGNING_CREDENTIAL names the credential whose keys these are: several may have the same stamps. */
export function probeExtra(env: Env): ProbeExtra {
  const shares = metricsOf(env).signedWith();
  if (Object.keys(shares).length === 0) return {};
  return { signedWith: { [env.SIGNING_CREDENTIAL ?? "rounds-signing"]: shares } };
}

async function start(request: Request, env: Env): Promise<Response> {
  const refused = await limited(request, env);
  if (refused) return refused;
  const filtersKey = "{}";
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(filtersKey));
  const filtersHash = [...new Uint8Array(digest, 0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const seed = crypto.randomUUID().replace(/-/g, "");
  return withToken(env, { rid: crypto.randomUUID(), idx: 0, total: 10, seed, filtersHash, filtersKey, ver: 1 });
}

async function next(request: Request, env: Env): Promise<Response> {
  const keys = keysOf(env);
  const [, token] = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "") ?? [];
  if (token === undefined) return Response.json({ ok: false, code: "no-token" }, { status: 401 });
  const { payload } = await verify(keys, token, { metrics: metricsOf(env) });
  const round = payload as unknown as Round;
  const refused = await limited(request, env, round.rid);
  if (refused) return refused;
  return withToken(env, { ...round, idx: round.idx + 1 });
}

async function withToken(env: Env, round: Round): Promise<Response> {
  const token = await sign(keysOf(env), { ...round }, { ttlSeconds: ttlSeconds(env) });
  const { rid, idx, total } = round;
  return Response.json({ token, round: { rid, idx, total } });
}

function ttlSeconds(env: Env): number {
  return Number(env.TOKEN_TTL_SECONDS ?? 120);
}

async function takeMetrics(request: Request, env: Env): Promise<Response> {
  const refused = await limited(request, env);
  if (refused) return refused;
  const { byteLength } = await request.arrayBuffer();
  return new Response(null, { status: byteLength > 64 * 1024 ? 413 : 204 });
}

async function manifest(request: Request, env: Env): Promise<Response> {
  const refused = await limited(request, env);
  return refused ?? Response.json({ schema: 1, modes: ["default"], facets: { era: ["90s", "00s"] } });
}

/** @param rid of a verified token: who makes tokens up must not use up another's limit */
async function limited(request: Request, env: Env, rid?: string): Promise<Response | undefined> {
  const { headers } = request;
  // Only where no edge says who asks, as on a developer's machine, the client's own word counts.
  const client = headers.get("cf-connecting-ip") ?? headers.get("x-client-id") ?? "anonymous";
  const refused = await rateLimited(request, env, { client, token: rid });
  if (refused) metricsOf(env).rateLimited(routeOf(request));
  return refused;
}

function routeOf(request: Request): string {
  return `${request.method} ${new URL(request.url).pathname}`;
}

/** Read on each request: the secrets may have changed since the last. */
function keysOf(env: Env): Keyset<"HS256"> {
  return env.JWT_KEYS === undefined ? dualKeys(env.JWT_SECRET, env.JWT_SECRET_NEW) : signingKeys(env.JWT_KEYS);
}
