// Proves G8 on the real engine, for every kind at once: `kill -9` of the engine, and of the provider process, at one mutating call of
// each operation of a roll, an invalidation and a retirement; then `up`. Taken back are such edits in crash-undone.test.ts; every other
// mutating call is killed at on the small engine, in test/provider/*-matrix.test.ts. It does not prove crashes of the servers themselves.
import { describe, expect, it } from "vitest";
import { must } from "../../local/scene";
import {
  backedUp,
  converged,
  DELIVERED,
  DROPPED,
  invalidate,
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
  tagInState,
  TURSO,
  urls,
  useCrashes,
} from "./crashes";
import { NAME, newToken, shown } from "./keysets";
import { openSession } from "./rounds";
import { heldToken, statusOf } from "./tokens";

useCrashes();

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
