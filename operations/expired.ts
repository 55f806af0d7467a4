/** Which retired Turso tokens have expired, from the stack's outputs and this command's clock. */
import { z } from "zod";
import { json, pulumi, readyCli, type Where } from "./cli";

/** Turso takes a token for a minute longer, and clocks differ. */
const MARGIN_MS = 86_400_000;
/** Clearing is housekeeping: nobody is to wait longer for it. */
const TIMEOUT_MS = 20_000;

/** Of an ISO time at which a token expires, or `never`. */
export function isSurelyRefused(expiry: string, now: Date): boolean {
  return now.getTime() - Date.parse(expiry) > MARGIN_MS; // false for `never`, which is no number
}

/** By credential and stamp: an ISO date and time, or `never`. */
const expires = z.record(z.string(), z.record(z.string(), z.string()));

export type HasExpired = (credential: string, stamp: string) => boolean;

/** Reads the output `expires`; `why` where it cannot be read in time, without a word of what the engine printed. */
export async function readExpired(
  where: Where,
  now: Date,
  timeoutMs: number = TIMEOUT_MS,
): Promise<{ hasExpired: HasExpired } | { why: string }> {
  const begun = performance.now();
  const cli = await readyCli();
  if (cli === undefined) return { why: "there is no Pulumi CLI to read it with" };
  const found = await pulumi(cli, where, ["stack", "output", "expires", "--json"], timeoutMs);
  if (performance.now() - begun >= timeoutMs) return { why: `which took longer than ${timeoutMs / 1000} s` };
  if (found.code !== 0) return { why: "`pulumi stack output expires` failed; see what it says when you run it" };
  const read = expires.safeParse(json(found.stdout));
  if (!read.success) return { why: "its output `expires` is not one of this program" };
  return {
    hasExpired(credential, stamp) {
      return isSurelyRefused(read.data[credential]?.[stamp] ?? "", now);
    },
  };
}
