/**
 * What somebody without Rollover does to a Turso token: the vendors' calls, one after the other. Rehearse shows what comes of
 * their usual order, bench takes the time of their best one. Only for the local cloud.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { LocalCloud } from "./cloud";
import { bulk } from "./cloud/client";
import { callTurso, mintToken } from "./cloud/turso/client";

/** The database that the local Worker asks. */
export const DATABASE = "rounds";

/** https://docs.turso.tech/api-reference/databases/create-token */
export function mint(cloud: LocalCloud): Promise<string> {
  return mintToken(cloud.turso, `databases/${DATABASE}`, "?expiration=7d");
}

/** One version of the script that has the token. Throws without its value. */
export async function deliver(cloud: LocalCloud, script: string, token: string): Promise<void> {
  const request = { path: `${script}/secrets-bulk` };
  const { status } = await bulk(cloud.cloudflare, { TURSO_AUTH_TOKEN: token }, request);
  if (status !== 200) throw new Error(`the delivery to ${script} was answered ${status}`);
}

/** https://docs.turso.tech/api-reference/databases/invalidate-tokens: every token of the database's group dies. */
export async function invalidate(cloud: LocalCloud): Promise<void> {
  const { status } = await callTurso(cloud.turso, "POST", `databases/${DATABASE}/auth/rotate`);
  if (status !== 200) throw new Error(`the invalidation of ${DATABASE} was answered ${status}`);
}

/** The status with which a database answers a token: 200, or 401 once it is dead. */
export async function statusOf(cloud: LocalCloud, token: string, database = DATABASE): Promise<number> {
  const response = await fetch(`${cloud.turso.hostOf(database)}/v2/pipeline`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    signal: AbortSignal.timeout(10_000),
    body: JSON.stringify({ requests: [{ type: "execute", stmt: { sql: "SELECT 1" } }, { type: "close" }] }),
  });
  await response.text();
  return response.status;
}

/** Waits until every isolate of a Worker has its newest secrets. */
export async function switched(cloud: LocalCloud, script: string): Promise<void> {
  const until = performance.now() + 30_000;
  const isSwitched = () => {
    const { served, liveVersionId } = cloud.cloudflare.state(script);
    return served.every((id) => id === liveVersionId);
  };
  while (!isSwitched()) {
    if (performance.now() > until) throw new Error(`the isolates of ${script} did not switch`);
    await pause(50);
  }
}
