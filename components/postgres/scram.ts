import { createHash, createHmac, pbkdf2Sync } from "node:crypto";

const iterations = 4096;

/**
 * The SCRAM-SHA-256 verifier of a password, as Postgres stores it, so that the server never hears the password itself
 * (https://www.postgresql.org/docs/18/catalog-pg-authid.html). The salt is derived from `owner` (stack and name), so the
 * same login always gives the same verifier and a pooler's copy stays true.
 *
 * @param password ASCII only: SASLprep is then the identity.
 * @throws if the password has other characters, since a client would derive other keys from it.
 */
export function scramVerifier(password: string, owner: string): string {
  if (!/^[\x21-\x7e]+$/.test(password)) throw new Error("a password for SCRAM must be printable ASCII without spaces");
  const salt = createHash("sha256").update(`rollover:${owner}`).digest().subarray(0, 16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const storedKey = createHash("sha256").update(createHmac("sha256", salted).update("Client Key").digest()).digest();
  const serverKey = createHmac("sha256", salted).update("Server Key").digest();
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey.toString("base64")}:${serverKey.toString("base64")}`;
}
