/**
 * The local cloud's Worker, run by workerd. It stands for a user's: it has secrets, uses them on each request, and
 * answers the probe by the module that users copy.
 *
 * - `/` runs a query as the owner of the table `rounds`: 200 `{ ok, user, role, rounds }`, or 500 `{ ok, code }`, the
 *   code being Postgres's or a short word. `?slow=MS` (3000 at most) keeps the query running that long.
 * - `/secrets?names=A,B`: for each name the first 16 hex digits of the value's SHA-256, or null; no database.
 * - `/session`: 200 `{ ok, session }`, a session signed with SESSION_KEY; with the header `x-session` instead whether that
 *   session is good: signed with SESSION_KEY or SESSION_KEY_PREVIOUS 200, else 401. Without SESSION_KEY 500.
 * - `/turso` asks the Turso database at TURSO_DATABASE_URL with TURSO_AUTH_TOKEN: 200 `{ ok, rounds }`, or 500
 *   `{ ok, code }`, the client's code and the HTTP status that it met: `SERVER_ERROR-401`. `?write=1` first adds a row in
 *   a transaction that is rolled back.
 * - `/.well-known/rollover`: the probe.
 */
import postgres from "postgres";
import { rolloverProbe } from "../../../components/cloudflare/probe";

interface Context {
  waitUntil(work: Promise<unknown>): void;
}
type Env = Partial<Record<string, string>>;

async function handle(request: Request, env: Env, context: Context): Promise<Response> {
  const url = new URL(request.url);
  const probe = rolloverProbe(request, env);
  if (probe) return probe;
  if (url.pathname === "/secrets") return Response.json(await digests(env, url.searchParams.get("names") ?? ""));
  if (url.pathname === "/session") return session(env, request.headers.get("x-session"));
  if (url.pathname === "/turso") return turso(env, url.searchParams.has("write"));
  if (url.pathname === "/") return rounds(env, context, Math.min(Number(url.searchParams.get("slow") ?? 0), 3000));
  return new Response("Not Found", { status: 404 });
}

async function rounds(env: Env, context: Context, slowMs: number): Promise<Response> {
  if (!env.DATABASE_URL) return Response.json({ ok: false, code: "no-database-url" }, { status: 500 });
  // A client per request: workerd forbids the use of another request's socket, and a new secret is picked up at once.
  const sql = postgres(env.DATABASE_URL, {
    max: 1,
    fetch_types: false,
    prepare: false,
    connection: { application_name: "rounds-api" },
  });
  try {
    const [row] = await sql`
      SELECT session_user AS user, current_user AS role, count(*)::int AS rounds, pg_sleep(${slowMs / 1000})::text AS slept
      FROM rounds`;
    return Response.json({
      ok: true,
      user: row?.user as string,
      role: row?.role as string,
      rounds: row?.rounds as number,
    });
  } catch (error) {
    // Never the message: some drivers put the URL into it.
    const code = (error as { code?: unknown }).code;
    return Response.json({ ok: false, code: typeof code === "string" ? code : "no-answer" }, { status: 500 });
  } finally {
    context.waitUntil(sql.end({ timeout: 1 }));
  }
}

async function turso(env: Env, write: boolean): Promise<Response> {
  const { TURSO_DATABASE_URL: url, TURSO_AUTH_TOKEN: authToken } = env;
  if (!url || !authToken) return Response.json({ ok: false, code: "no-turso" }, { status: 500 });
  // The package's types are for ES modules, and this file is none; bundled, it is one all the same.
  const { createClient } = await import("@libsql/client/web");
  // A client per request, for the same reasons.
  const client = createClient({ url, authToken });
  try {
    // In one call: a transaction of several would hold the write lock if the token died between them.
    if (write) await client.executeMultiple("BEGIN IMMEDIATE; INSERT INTO rounds DEFAULT VALUES; ROLLBACK");
    const { rows } = await client.execute("SELECT count(*) AS rounds FROM rounds");
    return Response.json({ ok: true, rounds: rows[0]?.rounds as number });
  } catch (error) {
    // Never the message: it may quote what the server said.
    const { code, cause } = error as { code?: unknown; cause?: { status?: unknown } };
    const parts = [code, cause?.status].filter((part) => typeof part === "string" || typeof part === "number");
    return Response.json({ ok: false, code: parts.join("-") || "no-answer" }, { status: 500 });
  } finally {
    client.close();
  }
}

/** A session is an id and its HMAC: who holds one notices when the key that signed it is no longer accepted. */
async function session(env: Env, held: string | null): Promise<Response> {
  const { SESSION_KEY: current, SESSION_KEY_PREVIOUS: previous } = env;
  if (!current) return Response.json({ ok: false, code: "no-session-key" }, { status: 500 });
  if (held === null) {
    const id = crypto.randomUUID();
    return Response.json({
      ok: true,
      session: `${id}.${hex(await crypto.subtle.sign("HMAC", await key(current), bytes(id)))}`,
    });
  }
  const [id = "", signature = ""] = held.split(".");
  for (const text of [current, previous])
    if (text && (await crypto.subtle.verify("HMAC", await key(text), unhex(signature), bytes(id))))
      return Response.json({ ok: true });
  return Response.json({ ok: false, code: "unknown-session" }, { status: 401 });
}

function key(text: string): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bytes(text), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}

async function digests(env: Env, names: string): Promise<Record<string, string | null>> {
  const found: Record<string, string | null> = {};
  for (const name of names.split(",")) {
    const value = env[name];
    found[name] = value === undefined ? null : await digest(value);
  }
  return found;
}

async function digest(text: string): Promise<string> {
  return hex((await crypto.subtle.digest("SHA-256", bytes(text))).slice(0, 8));
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function hex(buffer: ArrayBuffer): string {
  return [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unhex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export default { fetch: handle };
