/** Keys and keysets for the tests of components/jws. */
import { randomBytes } from "node:crypto";
import type { Key } from "../../components/rotation/key-texts";
import { keySetText } from "../../components/rotation/key-texts";
import { KeysetError, TokenError } from "../../components/jws/worker";

/** A key as Rollover mints it, for each stamp. */
export function keysOf<S extends string>(...stamps: S[]): Record<S, Key> {
  const keys = stamps.map((stamp) => [stamp, { stamp, hex: randomBytes(32).toString("hex") }]);
  return Object.fromEntries(keys) as Record<S, Key>;
}

/** The text that is delivered: the first key is active. */
export function signingText(...keys: [Key, ...Key[]]): string {
  return keySetText("signing-keyset", keys, keys[0].stamp);
}

/** The reason of a TokenError or the message of a KeysetError; fails where the promise does neither. */
export async function refused(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    if (error instanceof TokenError) return error.reason;
    if (error instanceof KeysetError) return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}
