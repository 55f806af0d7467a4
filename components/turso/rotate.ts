/** Turso's `auth/rotate`, called until a token that was minted before is refused, and never again after that. */
import { setTimeout as pause } from "node:timers/promises";
import { type TursoApi, TursoError } from "./api";
import { askToken, expiryOf } from "./data";
import { targetOf } from "./targets";
import { type Canary, mintCanary, mintedHere, proofPlace } from "./turso-canary.provider";

/** What is known of the other targets of one update. */
export interface Others {
  /** Whether tokens of one are dead already: then their consumers are waiting. */
  succeeded: boolean;
}

/** How long an unanswered call, or one of a run that crashed, may take to have its effect. */
const lookMs = 5000;
/** How long an answered call may take. Turso gives no figure. */
const effectMs = 60_000;

/** How long to look at a canary before believing that nothing is on its way: no time, if no run before this one had it. */
export function patienceWith(canary: Canary): number {
  return mintedHere.has(canary.tag) ? 0 : lookMs;
}

/**
 * Calls `auth/rotate` until the canary is refused, and never again after that: nothing was minted meanwhile, so nothing new is lost.
 *
 * @returns why it failed; undefined when the canary is refused.
 */
export async function rotateUntilRefused(api: TursoApi, recorded: Canary, others: Others): Promise<string | undefined> {
  const target = targetOf(recorded.on);
  const isFresh = mintedHere.has(recorded.tag);
  try {
    // Its database may be gone since an earlier run, and that is no refusal.
    let canary = isFresh ? recorded : { ...recorded, url: (await proofPlace(api, target)).url };
    let state = await watch(canary, patienceWith(canary));
    if (state === "refused") {
      if (!mayHaveExpired(canary)) return undefined; // an earlier run's call took effect, or the group's did
      canary = await mintCanary(api, target, canary.url);
      state = "works";
    }
    if (state === "unknown")
      return "the token that shows whether it takes effect could not be tried, so it was not asked for";
    const begun = performance.now();
    // With others waiting for their new tokens, a second try is left to the next update.
    for (let calls = 1; ; calls++) {
      const called = performance.now();
      const answered = await api.rotate(target).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof TursoError) return error;
          throw error;
        },
      );
      if (answered && answered.fault !== "unavailable") return answered.message;
      state = await watch(canary, answered ? lookMs : effectMs);
      if (state === "refused") {
        // An earlier call did it, perhaps, and this one is on its way still: what is minted before it arrives dies of it.
        if (calls > 1 || !isFresh) await outlast(api, canary, called + 1.5 * (performance.now() - begun) + 1000);
        return undefined;
      }
      if (!answered)
        return `Turso answered that its tokens are invalidated, but one that was minted before still works after ${effectMs / 1000} s. Run the update again: it looks before it calls again`;
      if (calls === 2 || others.succeeded)
        return `${answered.message}. A token that was minted before still works, so it was not invalidated`;
    }
  } catch (error) {
    if (error instanceof TursoError) return error.message;
    throw error;
  }
}

/** Watches a token that is minted now until a time by which a second call must have had its effect, or until it has. */
async function outlast(api: TursoApi, canary: Canary, until: number): Promise<void> {
  const fresh = await mintCanary(api, targetOf(canary.on), canary.url);
  await watch(fresh, Math.max(lookMs / 5, until - performance.now()));
}

/** Asks until the canary is refused three times in a row, or `ms` is over. */
export async function watch(canary: Canary, ms: number): Promise<"works" | "refused" | "unknown"> {
  const until = performance.now() + ms;
  for (let row = 0; ;) {
    const state = await askToken(canary.url, canary.jwt);
    row = state === "refused" ? row + 1 : 0;
    if (row === 3) return "refused";
    if (row > 0) continue;
    if (performance.now() >= until) return state === "works" ? "works" : "unknown";
    await pause(50);
  }
}

/** Refused for its age, a canary says nothing. A day's margin, so that a clock that is wrong makes one call too many, never one too few. */
function mayHaveExpired({ jwt }: Canary): boolean {
  const expires = expiryOf(jwt);
  return expires !== undefined && expires - Date.now() / 1000 < 86_400;
}
