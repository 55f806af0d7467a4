/**
 * Tokens (JWS, HS256) signed and verified by the keys that Rollover delivers. Copy this folder into the Worker; beyond
 * itself it imports only `jose` (6).
 *
 * What it cannot do:
 * - A token cannot be withdrawn by itself: it is accepted until it expires or until its key leaves the keyset.
 * - A Worker that holds an older keyset does not know a newer key. Rollover therefore hands out a new key to every Worker
 *   before any signs with it; whoever sets the secrets by hand must do so too, or fresh tokens are refused.
 * - It reads the keyset of the request that it is in: call `signingKeys(env.JWT_KEYS)` there, not in module scope.
 * - Keys in two secrets (`dualKeys`) have no kid: who made a token is then found by trying, and not reported.
 *
 * @example
 * import { sign, signingKeys, verify } from "./jws/worker";
 *
 * const keys = signingKeys(env.JWT_KEYS); // throws KeysetError: answer 503
 * const token = await sign(keys, { rid }, { ttlSeconds: 120 });
 * const { payload } = await verify(keys, token); // throws TokenError: answer 401
 *
 * @example Two secrets, and counters for the probe and for Prometheus
 * import { dualKeys, JwsMetrics, verify } from "./jws/worker";
 *
 * const metrics = new JwsMetrics(); // in module scope: it keeps numbers only
 * await verify(dualKeys(env.JWT_SECRET, env.JWT_SECRET_NEW), token, { metrics });
 */
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { type Key, type Keyset, keysFor, TokenError } from "./keyset";
import type { JwsMetrics } from "./metrics";

export { decrypt, encrypt } from "./encryption";
export { dualKeys, encryptionKeys, type Keyset, KeysetError, signingKeys, TokenError, type TokenFault } from "./keyset";
export { JwsMetrics } from "./metrics";

/** The only one accepted, whatever a token's header says: https://www.rfc-editor.org/rfc/rfc8725#section-3.1 */
const ALGORITHM = "HS256";

export interface Verified {
  /** Has `iat` and `exp`; whatever else stands in it was signed, and is of the shape that the signer gave it. */
  payload: JWTPayload & { iat: number; exp: number };
  /** Of the key that verified it; undefined where keys have none. */
  kid: string | undefined;
}

export interface VerifyOptions {
  /** How far the clocks of signer and verifier may differ. @default 0 */
  clockToleranceSeconds?: number;
  metrics?: JwsMetrics;
}

/**
 * Signs with the keyset's primary. `iat` and `exp` are set from the clock, also where the payload has them.
 *
 * @throws RangeError where `ttlSeconds` is not a positive number
 */
export async function sign(
  keyset: Keyset<"HS256">,
  payload: JWTPayload,
  { ttlSeconds }: { ttlSeconds: number },
): Promise<string> {
  if (!(ttlSeconds > 0 && Number.isFinite(ttlSeconds))) throw new RangeError("ttlSeconds must be a positive number");
  const [primary] = keyset.keys;
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ ...payload, iat: now, exp: now + ttlSeconds })
    .setProtectedHeader({ alg: ALGORITHM, typ: "JWT", ...(primary.kid === undefined ? {} : { kid: primary.kid }) })
    .sign(primary.bytes());
}

/**
 * Accepts a token that a key of the keyset made and that has not expired. A token that names a key is held against that
 * one alone, and refused where it is not in the keyset; one that names none is tried with each key, the primary first.
 *
 * @throws TokenError with the `reason`; it holds no part of the token
 */
export async function verify(keyset: Keyset<"HS256">, token: string, options: VerifyOptions = {}): Promise<Verified> {
  const { clockToleranceSeconds = 0, metrics } = options;
  try {
    const { key, payload } = await verifyWith(candidates(keyset, token), token, clockToleranceSeconds);
    metrics?.verified({ kid: key.kid, isPrimary: key === keyset.keys[0] }, payload.iat);
    return { payload, kid: key.kid };
  } catch (error) {
    if (error instanceof TokenError) metrics?.failed(error.reason);
    throw error;
  }
}

/**
 * Base64url without padding, whose last character has no bits that do not count (RFC 7515, section 2): jose takes further forms of the same
 * signature, and whoever counts or remembers tokens by their text would take those for other tokens. 43 characters are an HS256.
 */
const COMPACT = /^[\w-]+\.[\w-]*\.(?:[\w-]{42}[AEIMQUYcgkosw048])?$/;

/** By the header, which nobody has vouched for yet: it only chooses among the keys that are accepted. */
function candidates(keyset: Keyset<"HS256">, token: string): readonly Key[] {
  // Five parts are a JWE; jose would read its header too.
  if (typeof token !== "string" || token.split(".").length !== 3) throw new TokenError("malformed");
  let header: { alg?: unknown; kid?: unknown };
  try {
    header = decodeProtectedHeader(token);
  } catch {
    throw new TokenError("malformed");
  }
  if (header.alg !== ALGORITHM) throw new TokenError("algorithm");
  if (!COMPACT.test(token)) throw new TokenError("malformed");
  return keysFor(keyset, header.kid);
}

async function verifyWith(
  keys: readonly Key[],
  token: string,
  clockTolerance: number,
): Promise<{ key: Key; payload: Verified["payload"] }> {
  const options = { algorithms: [ALGORITHM], clockTolerance, requiredClaims: ["iat", "exp"] };
  for (const key of keys) {
    try {
      const { payload } = await jwtVerify<{ iat: number; exp: number }>(token, key.bytes(), options);
      return { key, payload };
    } catch (error) {
      // Any other fault was found behind a good signature, or has nothing to do with the key.
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw asTokenError(error);
    }
  }
  throw new TokenError("signature");
}

/** Without its cause: jose's errors carry the payload. What jose does not name is no fault of the token. */
function asTokenError(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new TokenError("expired");
  if (error instanceof errors.JOSEAlgNotAllowed) return new TokenError("algorithm");
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === "nbf" && error.reason === "check_failed")
    return new TokenError("not-yet-valid");
  return error instanceof errors.JOSEError ? new TokenError("malformed") : error;
}
