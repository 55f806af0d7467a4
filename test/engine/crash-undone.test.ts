// Proves G8 on the real engine, for every kind at once: `kill -9` of the engine, and of the provider process, at one mutating call of
// each operation of a roll, an invalidation and a retirement; then `up` with the edit taken back. Not: the edit kept (crash.test.ts),
// nor every other mutating call (test/provider/*-matrix.test.ts), nor crashes of the servers themselves.
import { describe, expect, it } from "vitest";
import type { First } from "../../local/crash";
import { must } from "../../local/scene";
import {
  backedUp,
  converged,
  DELIVERED,
  DROPPED,
  edit,
  invalidate,
  invalidated,
  kill,
  live,
  MADE,
  MINTED,
  retire,
  roll,
  ROTATED,
  rotates,
  scene,
  stampOf,
  TURSO,
  urls,
  useCrashes,
} from "./crashes";
import { NAME } from "./keysets";
import { secretOf } from "./rounds";
import { heldToken, statusOf } from "./tokens";

useCrashes();

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
