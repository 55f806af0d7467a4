// Proves G8 on the real engine, for every kind at once: `kill -9` of the engine, and of the provider process, at one mutating call of
// each operation of a roll, an invalidation and a retirement; then `up`, with the edit kept or taken back. Every other mutating call is
// killed at on the small engine, in test/provider/*-matrix.test.ts. It does not prove crashes of the servers themselves.
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EVERYTHING } from "../../local/cloud";
import { type Load, startLoad } from "../../local/load";
import { type Crashes, type First, startCrashes, type Victim } from "../../local/crash";
import { must, type Scene, startScene } from "../../local/scene";
import type { State } from "../../local/stack";
import { NAME, newToken, shown, signing } from "./keysets";
import { openSession, secretOf, settled, tryLogin, usualCredentials } from "./rounds";
import { heldToken, statusOf, tokenCredential } from "./tokens";

const WORKER = "rounds-api";
const TURSO = "rounds-turso";
/** One call of each operation; of those whose effect lasts the moment after it, when nobody has heard of it. */
const MADE: First = { label: "COMMIT", phase: "after" };
const DROPPED: First = { label: "DROP", phase: "before" };
const MINTED: First = { label: "POST tokens", phase: "after" };
const ROTATED: First = { label: "POST rotate", phase: "after" };
/** Of a roll of keys the announcement. */
const DELIVERED: First = { label: "PATCH secrets-bulk", phase: "after" };
const backedUp = (stamp: string): First => ({ label: `POST ${stamp}`, phase: "after" });

let scene: Scene;
let crashes: Crashes;
let load: Load;
/** By credential its stamps, current first, as the last edit left them. */
const live: Record<string, string[]> = Object.fromEntries(
  ["session-key", "rounds-db", NAME, TURSO].map((credential) => [credential, ["2026-11-20"]]),
);
let invalidated = "";
let counter = 1;
/** By stamp, the URL that was delivered. */
const urls = new Map<string, string>();

beforeAll(async () => {
  const stamp = "2026-11-20";
  const backup = { vault: { path: "rollover/rounds-signing" } };
  scene = await startScene({
    needs: EVERYTHING,
    credentials: {
      ...usualCredentials(stamp),
      [NAME]: signing("keyset", [stamp], { backup }),
      [TURSO]: tokenCredential([stamp]),
    },
    worker: { settle: "0s", answers: 3 },
    cloud: { cloudflare: { scripts: { [WORKER]: { vars: { TOKEN_TTL_SECONDS: "600" } } } } },
  });
  crashes = await startCrashes(scene);
  scene.edit(["rollover:postgres", "port"], crashes.port);
  scene.edit(["rollover:credentials", "rounds-db", "quiet"], "100ms");
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

/** The victim of every other kill, so that each operation loses the engine in one round and its providers in the other. */
const pairs = [
  { first: "engine", second: "provider" },
  { first: "provider", second: "engine" },
] as const;

describe.each(pairs)("killed: $first, then $second, and so on; the edit kept", ({ first, second }) => {
  it("a roll of every kind goes on: nothing rolls twice, no token is rejected, an invalidation rotates once", async () => {
    const [shownBefore, replaced, from] = [await newToken(scene), heldToken(scene), scene.cloud.turso.events().length];
    // One after the other: what does not wait for the killed call would be done beside it.
    const stamp = roll("session-key", "rounds-db");
    await kill(first, MADE);
    await kill(second, backedUp(roll(NAME)));
    roll(TURSO);
    await kill(first, MINTED);
    await kill(second, DELIVERED);
    // What is delivered was minted: it stays.
    const tag = tagInState(stamp);
    expect(tag).toBeDefined();
    const meanwhile = await newToken(scene);
    // Of the invalidation the canary is minted first.
    invalidate(stampOf());
    await kill(first, ROTATED);
    await must(scene.stack.up());
    expect(tagInState(stamp)).toBe(tag);
    expect([await shown(scene, shownBefore), await shown(scene, meanwhile)]).toEqual(["200", "200"]);
    expect([await statusOf(scene, replaced), await statusOf(scene, heldToken(scene))]).toEqual([401, 200]);
    expect(rotates(from)).toBe(1);
    await converged();
  });

  it("a retirement goes on", async () => {
    await openSession(urls.get(live["rounds-db"]?.[1] ?? "") ?? "");
    retire();
    await kill(first, DELIVERED);
    await kill(second, DROPPED);
    await must(scene.stack.up());
    await converged();
  });
});

describe.each(["engine", "provider"] as const)("killed: %s; the edit taken back", (victim) => {
  it("rolls leave nothing behind: of a login, a key, a token, a set", async () => {
    const rolls: [credential: string, point: (stamp: string) => First][] = [
      ["rounds-db", () => MADE],
      [NAME, backedUp],
      [TURSO, () => MINTED],
      ["session-key", () => DELIVERED],
    ];
    for (const [credential, point] of rolls) {
      const before = live[credential] ?? [];
      await kill(victim, point(roll(credential)));
      edit(credential, before);
    }
    await must(scene.stack.up());
    await converged();
  });

  it("an invalidation that rotated comes to its end", async () => {
    const [before, old, from] = [invalidated, heldToken(scene), scene.cloud.turso.events().length];
    invalidate(stampOf());
    await kill(victim, ROTATED);
    invalidate(before);
    await must(scene.stack.up());
    expect(rotates(from)).toBe(1);
    expect(await statusOf(scene, old)).toBe(401);
    await converged();
  });

  it("a retirement is undone, at its delivery and at its last call", async () => {
    if ((live["rounds-db"] ?? []).length < 2) {
      roll("session-key", "rounds-db");
      await must(scene.stack.up());
      urls.set(live["rounds-db"]?.[0] ?? "", secretOf(scene, "DATABASE_URL"));
    }
    const before = ["session-key", "rounds-db"].map((credential) => live[credential] ?? []);
    for (const point of [DELIVERED, DROPPED]) {
      retire();
      await kill(victim, point);
      ["session-key", "rounds-db"].forEach((credential, at) => {
        edit(credential, before[at] ?? []);
      });
    }
    await must(scene.stack.up());
    await converged();
  });
});

/** Kills at the point; a killed engine leaves its lock. */
async function kill(victim: Victim, point: First): Promise<void> {
  await crashes.kill(victim, point);
  if (victim === "engine") await must(scene.stack.cancel());
}

function stampOf(): string {
  counter += 1;
  return `2026-11-20.${counter}`;
}

/** A stamp that no generation had before, in front. */
function roll(...credentials: string[]): string {
  const stamp = stampOf();
  for (const credential of credentials) edit(credential, [stamp, ...(live[credential] ?? [])]);
  return stamp;
}

/** Of what Turso and a keyset have, the small engine retires. */
function retire(): void {
  for (const credential of ["session-key", "rounds-db"]) edit(credential, (live[credential] ?? []).slice(0, 1));
}

function edit(credential: string, stamps: string[]): void {
  live[credential] = stamps;
  scene.generations(credential, stamps);
}

function invalidate(to: string): void {
  invalidated = to;
  scene.edit(["rollover:turso", "groups"], to === "" ? undefined : { default: { invalidated: to } });
}

function rotates(from: number): number {
  return scene.cloud.turso
    .events()
    .slice(from)
    .filter(({ kind }) => kind === "rotate").length;
}

/** What must hold when an update has succeeded: nothing left to do, the Worker current, nobody forgotten, no request failed. */
async function converged(): Promise<void> {
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
function tagInState(stamp: string): unknown {
  const file = path.join(scene.stack.backend, ".pulumi", "stacks", "rollover", "local.json");
  const { checkpoint } = JSON.parse(fs.readFileSync(file, "utf8")) as { checkpoint: { latest: State["deployment"] } };
  const made = checkpoint.latest.resources?.find(({ urn }) => urn.endsWith(`RandomId::session-key@${stamp}`));
  return made?.outputs?.["hex"];
}
