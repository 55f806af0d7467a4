/**
 * The local cloud's Worker, run by workerd. It stands for a user's: it has secrets, uses them on each request, and
 * answers the probe by the module that users copy.
 *
 * - `/` and `/turso` ask a database: databases.ts.
 * - `/secrets` and `/session` show and use what was delivered: secrets.ts.
 * - `/v1/...` and `/metrics`, an API of signed tokens: rounds-api.ts.
 * - `/.well-known/rollover`: the probe.
 */
import { rolloverProbe } from "../../../components/cloudflare/probe";
import { type Context, rounds, turso } from "./databases";
import { type Env, probeExtra, roundsApi } from "./rounds-api";
import { digests, session } from "./secrets";

async function handle(request: Request, env: Env, context: Context): Promise<Response> {
  const url = new URL(request.url);
  const probe = rolloverProbe(request, env, probeExtra(env));
  if (probe) return probe;
  if (url.pathname === "/secrets") return Response.json(await digests(env, url.searchParams.get("names") ?? ""));
  if (url.pathname === "/session") return session(env, request.headers.get("x-session"));
  if (url.pathname === "/turso") return turso(env, url.searchParams.has("write"));
  if (url.pathname === "/") return rounds(env, context, Math.min(Number(url.searchParams.get("slow") ?? 0), 3000));
  return (await roundsApi(request, env)) ?? new Response("Not Found", { status: 404 });
}

export default { fetch: handle };
