/**
 * Asks the databases whose credentials were delivered.
 *
 * - `/` runs a query as the owner of the table `rounds`: 200 `{ ok, user, role, rounds }`, or 500 `{ ok, code }`, the
 *   code being Postgres's or a short word. `?slow=MS` (3000 at most) keeps the query running that long.
 * - `/turso` asks the Turso database at TURSO_DATABASE_URL with TURSO_AUTH_TOKEN: 200 `{ ok, rounds }`, or 500
 *   `{ ok, code }`, the client's code and the HTTP status that it met: `SERVER_ERROR-401`. `?write=1` first adds a row in
 *   a transaction that is rolled back.
 */
import postgres from "postgres";
import type { Env } from "./rounds-api";

export interface Context {
  waitUntil(work: Promise<unknown>): void;
}

export async function rounds(env: Env, context: Context, slowMs: number): Promise<Response> {
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

export async function turso(env: Env, write: boolean): Promise<Response> {
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
