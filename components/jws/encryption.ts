/**
 * Texts encrypted (JWE, `dir` with A256GCM) by the keys that Rollover delivers. Copy it with worker.ts.
 *
 * What it cannot do: what a key encrypted is lost with the key. Re-encrypt it with the primary before the key is dropped:
 * `decrypt`, then `encrypt`. One key may encrypt 2^32 times at most, since each takes a random nonce of 96 bits
 * (https://doi.org/10.6028/NIST.SP.800-38D, 8.3). Length and moment of a text stay visible.
 *
 * @example
 * import { decrypt, encrypt, encryptionKeys } from "./jws/worker";
 *
 * const keys = encryptionKeys(env.TOKEN_KEYS); // in the request; throws KeysetError
 * const stored = await encrypt(keys, refreshToken);
 * const { text } = await decrypt(keys, stored); // throws TokenError
 */
import { compactDecrypt, CompactEncrypt, decodeProtectedHeader, errors } from "jose";
import { type Key, type Keyset, keysFor, TokenError } from "./keyset";

/** Encrypts with the keyset's primary, whose kid stands in the header. */
export async function encrypt(keyset: Keyset<"A256GCM">, text: string): Promise<string> {
  const [primary] = keyset.keys;
  return new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", ...(primary.kid === undefined ? {} : { kid: primary.kid }) })
    .encrypt(primary.bytes());
}

/**
 * @returns the text, and the kid of the key that encrypted it: another than the primary's calls for re-encryption
 * @throws TokenError `unknown-key` where the key has been dropped, `decryption` where the text was altered
 */
export async function decrypt(
  keyset: Keyset<"A256GCM">,
  encrypted: string,
): Promise<{ text: string; kid: string | undefined }> {
  for (const key of candidates(keyset, encrypted)) {
    try {
      const { plaintext } = await compactDecrypt(encrypted, key.bytes(), {
        keyManagementAlgorithms: ["dir"],
        contentEncryptionAlgorithms: ["A256GCM"],
      });
      return { text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(plaintext), kid: key.kid };
    } catch (error) {
      if (error instanceof errors.JWEDecryptionFailed) continue;
      throw error instanceof errors.JOSEError ? new TokenError("malformed") : error;
    }
  }
  throw new TokenError("decryption");
}

function candidates(keyset: Keyset<"A256GCM">, encrypted: string): readonly Key[] {
  if (typeof encrypted !== "string" || encrypted.split(".").length !== 5) throw new TokenError("malformed");
  let header: { alg?: unknown; enc?: unknown; kid?: unknown };
  try {
    header = decodeProtectedHeader(encrypted);
  } catch {
    throw new TokenError("malformed");
  }
  if (header.alg !== "dir" || header.enc !== "A256GCM") throw new TokenError("algorithm");
  return keysFor(keyset, header.kid);
}
