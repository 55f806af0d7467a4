/** Which retired Turso tokens have expired, from the stack's outputs and this command's clock. */
import { z } from "zod";
import { findCli, json, pulumi, type Where } from "./cli";

/** Turso takes a token for a minute longer, and clocks differ. */
const MARGIN_MS = 86_400_000;

/** Of an ISO time at which a token expires, or `never`. */
export function isSurelyRefused(expiry: string, now: Date): boolean {
  return now.getTime() - Date.parse(expiry) > MARGIN_MS; // false for `never`, which is no number
}

/** By credential and stamp: an ISO date and time, or `never`. */
const expires = z.record(z.string(), z.record(z.string(), z.string()));

export type HasExpired = (credential: string, stamp: string) => boolean;

/** Reads the output `expires`; `why` where it cannot be read, without a word of what the engine printed. */
export async function readExpired(where: Where, now: Date): Promise<{ hasExpired: HasExpired } | { why: string }> {
  let found;
  try {
    found = await pulumi(await findCli(), where, ["stack", "output", "expires", "--json"]);
  } catch {
    return { why: "there is no Pulumi CLI to read it with" };
  }
  if (found.code !== 0) return { why: "`pulumi stack output expires` failed; see what it says when you run it" };
  const read = expires.safeParse(json(found.stdout));
  if (!read.success) return { why: "its output `expires` is not one of this program" };
  return {
    hasExpired(credential, stamp) {
      return isSurelyRefused(read.data[credential]?.[stamp] ?? "", now);
    },
  };
}
