/**
 * For crashes on the real engine: every kind on one stack, updates that are killed at one call of an operation, and what must hold
 * when an update has succeeded after them.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { EVERYTHING } from "../../local/cloud";
import { type Load, startLoad } from "../../local/load";
import { type Crashes, type First, startCrashes, type Victim } from "../../local/crash";
import { must, type Scene, startScene } from "../../local/scene";
import type { State } from "../../local/stack";
import { NAME, signing } from "./keysets";
import { secretOf, settled, tryLogin, usualCredentials } from "./rounds";
import { heldToken, statusOf, tokenCredential } from "./tokens";

const WORKER = "rounds-api";
export const TURSO = "rounds-turso";
/** One call of each operation; of those whose effect lasts the moment after it, when nobody has heard of it. */
export const MADE: First = { label: "COMMIT", phase: "after" };
export const DROPPED: First = { label: "DROP", phase: "before" };
export const MINTED: First = { label: "POST tokens", phase: "after" };
export const ROTATED: First = { label: "POST rotate", phase: "after" };
/** Of a roll of keys the announcement. */
export const DELIVERED: First = { label: "PATCH secrets-bulk", phase: "after" };
export const backedUp = (stamp: string): First => ({ label: `POST ${stamp}`, phase: "after" });

/** Of the test file. */
export let scene: Scene;
let crashes: Crashes;
let load: Load;
/** By credential its stamps, current first, as the last edit left them. */
export const live: Record<string, string[]> = Object.fromEntries(
  ["session-key", "rounds-db", NAME, TURSO].map((credential) => [credential, ["2026-11-20"]]),
);
export let invalidated = "";
let counter = 1;
/** By stamp, the URL that was delivered. */
export const urls = new Map<string, string>();

/** Starts it for the tests of the file that calls this. */
export function useCrashes(): void {
  beforeAll(async () => {
    const stamp = "2026-11-20";
    const backup = { vault: { path: "rollover/rounds-signing" } };
    scene = await startScene({
      needs: EVERYTHING,
      credentials: {
        ...usualCredentials(stamp, "100ms"),
        [NAME]: signing("keyset", [stamp], { backup }),
        [TURSO]: tokenCredential([stamp]),
      },
      worker: { settle: "0s", answers: 3 },
      cloud: { cloudflare: { scripts: { [WORKER]: { vars: { TOKEN_TTL_SECONDS: "600" } } } } },
    });
    crashes = await startCrashes(scene);
    scene.edit(["rollover:postgres", "port"], crashes.port);
    await must(scene.stack.up());
    urls.set(stamp, secretOf(scene, "DATABASE_URL"));
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    // Slow queries: the clients are there all the time, and leave the processors to the engine.
    load = startLoad({ url: `${scene.cloud.workerUrl(WORKER)}?slow=100`, clients: 3, maxMs: 3_600_000 });
  });
  afterAll(async () => {
    await load.stop();
    await crashes.stop();
    await scene.end();
  });
}

/** Kills at the point; a killed engine leaves its lock. */
export async function kill(victim: Victim, point: First): Promise<void> {
  await crashes.kill(victim, point);
  if (victim === "engine") await must(scene.stack.cancel());
}

export function stampOf(): string {
  counter += 1;
  return `2026-11-20.${counter}`;
}

/** A stamp that no generation had before, in front. */
export function roll(...credentials: string[]): string {
  const stamp = stampOf();
  for (const credential of credentials) edit(credential, [stamp, ...(live[credential] ?? [])]);
  return stamp;
}

/** Of what Turso and a keyset have, the small engine retires. */
export function retire(): void {
  for (const credential of ["session-key", "rounds-db"]) edit(credential, (live[credential] ?? []).slice(0, 1));
}

export function edit(credential: string, stamps: string[]): void {
  live[credential] = stamps;
  scene.generations(credential, stamps);
}

export function invalidate(to: string): void {
  invalidated = to;
  scene.edit(["rollover:turso", "groups"], to === "" ? undefined : { default: { invalidated: to } });
}

export function rotates(from: number): number {
  return scene.cloud.turso
    .events()
    .slice(from)
    .filter(({ kind }) => kind === "rotate").length;
}

/** What must hold when an update has succeeded: nothing left to do, the Worker current, nobody forgotten, no request failed. */
export async function converged(): Promise<void> {
  const [current = ""] = live["rounds-db"] ?? [];
  await settled(scene);
  const url = secretOf(scene, "DATABASE_URL");
  urls.set(current, url);
  expect(new URL(url).username).toBe(loginOf(current));
  const held = JSON.parse(secretOf(scene, "ROLLOVER_GENERATIONS")) as Record<string, { stamp: string }[]>;
  const stamps = Object.keys(live).map((credential) => [credential, held[credential]?.map(({ stamp }) => stamp)]);
  expect(Object.fromEntries(stamps)).toEqual(live);
  expect(await statusOf(scene, heldToken(scene))).toBe(200);
  await loginsWork();
  const { requests, failed, failures } = load.mark();
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect(requests).toBeGreaterThan(0);
}

/** Each login that config names, and no other, opens with what was delivered. */
async function loginsWork(): Promise<void> {
  const stamps = live["rounds-db"] ?? [];
  const { rows } = await scene.cloud.postgres.query(
    `SELECT rolname FROM pg_roles
      WHERE rolcanlogin AND NOT rolsuper AND pg_has_role(oid, 'rounds_owner', 'MEMBER') AND rolname <> $1`,
    [scene.cloud.postgres.admin.user],
  );
  expect(rows.map(({ rolname }) => String(rolname)).sort()).toEqual(stamps.map(loginOf).sort());
  for (const stamp of stamps) expect(await tryLogin(urls.get(stamp) ?? "")).toBe(`${loginOf(stamp)} as rounds_owner`);
}

/** `rounds` and `2026-11-20.2` give `rounds_20261120_2`. */
function loginOf(stamp: string): string {
  return `rounds_${stamp.replaceAll("-", "").replace(".", "_")}`;
}

/** The tag of the random credential's generation as the state file has it: minted once, it must stay. */
export function tagInState(stamp: string): unknown {
  const file = path.join(scene.stack.backend, ".pulumi", "stacks", "rollover", "local.json");
  const { checkpoint } = JSON.parse(fs.readFileSync(file, "utf8")) as { checkpoint: { latest: State["deployment"] } };
  const made = checkpoint.latest.resources?.find(({ urn }) => urn.endsWith(`RandomId::session-key@${stamp}`));
  return made?.outputs?.["hex"];
}
