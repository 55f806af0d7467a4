/** What the Turso engine tests share: a credential, tokens tried for real, a load on the Worker's database. */
import { expect } from "vitest";
import { statusOf as statusAt } from "../../local/by-hand";
import { type LoadResult, startLoad } from "../../local/load";
import type { Scene } from "../../local/scene";
import { meanwhile, secretOf } from "./rounds";

/** A token for the database `rounds`, delivered to `rounds-api`; current at the first stamp. */
export function tokenCredential(generations: string[], more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    kind: "turso",
    database: "rounds",
    expiration: "30d",
    generations,
    deliver: [{ worker: "rounds-api", as: "TURSO_AUTH_TOKEN" }],
    ...more,
  };
}

/** The token that the Worker holds now. */
export function heldToken(scene: Pick<Scene, "cloud">, name = "TURSO_AUTH_TOKEN", script = "rounds-api"): string {
  return secretOf(scene, name, script);
}

/** The status with which a database answers a token: 200, or 401 once it is dead. */
export function statusOf(scene: Pick<Scene, "cloud">, token: string, database = "rounds"): Promise<number> {
  return statusAt(scene.cloud, token, database);
}

/** What the Worker answers that uses its token on each request. */
export async function workerSays(
  scene: Pick<Scene, "cloud">,
  query = "",
  script = "rounds-api",
): Promise<Record<string, unknown>> {
  const response = await fetch(`${scene.cloud.workerUrl(script)}turso${query}`);
  return (await response.json()) as Record<string, unknown>;
}

/** Does `work` while clients use the database through the Worker, at least 100 times: none may fail. */
export async function underTursoLoad(scene: Scene, work: () => Promise<unknown>): Promise<void> {
  expect(await tursoLoad(scene, work)).toMatchObject({ failed: 0, failures: [] });
}

/** The same for what may fail. */
export async function tursoLoad(scene: Scene, work: () => Promise<unknown>): Promise<LoadResult> {
  const load = startLoad({ url: `${scene.cloud.workerUrl("rounds-api")}turso` });
  const [result = load.result()] = await meanwhile([load], work, { before: 20, after: 40, atLeast: 100 });
  return result;
}
