/** What the engine tests share: the usual credentials, the Worker's URL, logins tried for real, and a load that was measured. */
import { Client, DatabaseError } from "pg";
import { expect } from "vitest";
import { type Load, type LoadResult, startLoad } from "../../local/load";
import { must, type Scene } from "../../local/scene";

/** A random secret and a login, both of the Worker `rounds-api`, current at `stamp`. */
export function usualCredentials(stamp: string, quiet = "300ms"): Record<string, Record<string, unknown>> {
  return {
    "session-key": {
      kind: "random",
      length: 40,
      generations: [stamp],
      deliver: [{ worker: "rounds-api", as: "SESSION_KEY", previousAs: "SESSION_KEY_PREVIOUS" }],
    },
    "rounds-db": {
      kind: "postgres",
      database: "rounds",
      owner: "rounds_owner",
      login: "rounds",
      quiet,
      generations: [stamp],
      deliver: [{ worker: "rounds-api", as: "DATABASE_URL" }],
    },
  };
}

/** A secret that the Worker's live version holds; a program may not ask for it, the local cloud tells. */
export function secretOf(scene: Pick<Scene, "cloud">, name: string, script = "rounds-api"): string {
  const value = scene.cloud.cloudflare.state(script).secrets[name];
  if (value === undefined) throw new Error(`the Worker ${script} holds no ${name}`);
  return value;
}

/** What a Worker was given and which version serves it; not its processes, which come and go. */
export function held(scene: Scene, script = "rounds-api") {
  const { versionIds, liveVersionId, secrets } = scene.cloud.cloudflare.state(script);
  return { versionIds, liveVersionId, secrets };
}

/** Logs in with a URL and asks who it is: `session_user as current_user`, or the SQLSTATE of the refusal. */
export async function tryLogin(connectionString: string): Promise<string> {
  const client = new Client({ connectionString, application_name: "test" });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ who: string }>("SELECT session_user || ' as ' || current_user AS who");
    return rows[0]?.who ?? "nobody";
  } catch (error) {
    if (error instanceof DatabaseError && error.code !== undefined) return error.code;
    throw error;
  } finally {
    await client.end();
  }
}

/** A session that stays open, idle; `state` says `open`, or the SQLSTATE with which the server ended it. */
export async function openSession(connectionString: string): Promise<{ state: () => string; end(): Promise<void> }> {
  const client = new Client({ connectionString, application_name: "idle-test" });
  let state = "open";
  client.on("error", (error) => {
    // The lost connection comes after the server's own word.
    if (state === "open") state = error instanceof DatabaseError ? (error.code ?? "ended") : "ended";
  });
  await client.connect();
  await client.query("SELECT 1");
  return { state: () => state, end: () => client.end().catch(() => undefined) };
}

/** A preview that must be empty: nothing is left to do (G1). */
export async function settled(scene: Scene): Promise<void> {
  await must(scene.stack.preview(["--expect-no-changes"]));
}

/**
 * Does `work` while 4 clients ask the Worker, before, meanwhile and after: of at least 60 requests none may fail (G2). The rehearsal
 * makes 1,000 a step; each costs Postgres a process.
 */
export async function underLoad(
  scene: Scene,
  work: () => Promise<unknown>,
  { script = "rounds-api", ...options }: { script?: string; pauseMs?: number } = {},
): Promise<void> {
  const load = startLoad({ url: scene.cloud.workerUrl(script), ...options });
  const [result] = await meanwhile([load], work, { before: 20, after: 20, atLeast: 60 });
  expect(result).toMatchObject({ failed: 0, failures: [] });
}

/** Does `work` once each load has made so many requests, and ends the loads when each has made so many more, and so many in all. */
export async function meanwhile(
  loads: readonly Load[],
  work: () => Promise<unknown>,
  { before, after, atLeast = 0 }: { before: number; after: number; atLeast?: number },
): Promise<LoadResult[]> {
  const results: LoadResult[] = [];
  try {
    await Promise.all(loads.map((load) => load.until(before)));
    await work();
    await Promise.all(loads.map((load) => load.until(Math.max(atLeast, load.result().requests + after))));
  } finally {
    for (const load of loads) results.push(await load.stop());
  }
  return results;
}

/** The names of the roles that may log in and begin with `prefix`. */
export async function loginsLike(scene: Scene, prefix: string): Promise<unknown[]> {
  const { rows } = await scene.cloud.postgres.query(
    "SELECT rolname FROM pg_roles WHERE rolcanlogin AND starts_with(rolname, $1) ORDER BY 1",
    [prefix],
  );
  return rows.map(({ rolname }) => rolname);
}

/** As whom the Worker meets the database now. */
export async function servedAs(scene: Scene, script = "rounds-api"): Promise<unknown> {
  const response = await fetch(scene.cloud.workerUrl(script));
  return ((await response.json()) as { user?: unknown }).user;
}
