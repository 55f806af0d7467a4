/**
 * The keys that Rollover delivers to a Worker, as it reads them. Copy it with worker.ts; it imports nothing.
 *
 * Nothing here is kept: read the secret's text on each request. A deployment that changes only secrets may reuse an
 * isolate, and a keyset in module scope would outlive the secret it was made from:
 * https://developers.cloudflare.com/workers/runtime-apis/bindings/#making-changes-to-bindings
 */

/** What a keyset is for; a key never serves both. https://www.rfc-editor.org/rfc/rfc7518#section-3.2 and 5.3 */
export type Algorithm = "HS256" | "A256GCM";

export interface Keyset<A extends Algorithm = Algorithm> {
  readonly algorithm: A;
  /** The primary first, which signs or encrypts; each of them verifies or decrypts. */
  readonly keys: readonly [Key, ...Key[]];
}

export class Key {
  readonly #bytes: Uint8Array;

  /** @param kid the generation's stamp; undefined for a key that was delivered as a text alone */
  constructor(
    readonly kid: string | undefined,
    bytes: Uint8Array,
  ) {
    this.#bytes = bytes;
  }

  /** Behind a method, so that a keyset that is logged or put into JSON shows no key. */
  bytes(): Uint8Array {
    return this.#bytes;
  }
}

/** There is no keyset, or none that is safe to use: answer 503, sign and accept nothing. Its message holds no key. */
export class KeysetError extends Error {
  override readonly name = "KeysetError";
}

export type TokenFault =
  "expired" | "not-yet-valid" | "signature" | "malformed" | "unknown-key" | "algorithm" | "decryption";

const WHY: Record<TokenFault, string> = {
  expired: "the token has expired",
  "not-yet-valid": "the token is not valid yet",
  signature: "no key that is accepted made the token's signature",
  malformed: "this is no token of the expected form",
  "unknown-key": "the token names a key that is not in the keyset",
  algorithm: "the token names an algorithm that is not accepted",
  decryption: "no key that is accepted encrypted this",
};

/** What is wrong with a token or a ciphertext; never holds a part of it. */
export class TokenError extends Error {
  override readonly name = "TokenError";

  constructor(readonly reason: TokenFault) {
    super(WHY[reason]);
  }
}

/** 256 bits: https://www.rfc-editor.org/rfc/rfc7518#section-3.2 */
const KEY_BYTES = 32;

/** @param text the secret `JWT_KEYS`: `{"active":"2026-11-20","keys":[{"kty":"oct","alg":"HS256","use":"sig",…}]}` */
export function signingKeys(text: unknown): Keyset<"HS256"> {
  return readKeyset(text, "HS256", "sig");
}

/** @param text the same for encryption: `"alg":"A256GCM","use":"enc"`, and each key of exactly 32 bytes */
export function encryptionKeys(text: unknown): Keyset<"A256GCM"> {
  return readKeyset(text, "A256GCM", "enc");
}

/**
 * Two secrets of one key each, for Workers that know nothing of kids. The HMAC key is the text's own bytes, as tokens of
 * such Workers have it; a text of 64 hexadecimal digits is a key of 64 bytes.
 *
 * @param signs the secret `JWT_SECRET`
 * @param alsoAccepted the secret `JWT_SECRET_NEW`; undefined while there is one key only
 */
export function dualKeys(signs: unknown, alsoAccepted?: unknown): Keyset<"HS256"> {
  const primary = textKey(signs, "the key that signs");
  if (alsoAccepted === undefined) return { algorithm: "HS256", keys: [primary] };
  return { algorithm: "HS256", keys: [primary, textKey(alsoAccepted, "the key that is also accepted")] };
}

/** The keys that may have made something whose header names `kid`: that one alone, or all in order where it names none. */
export function keysFor(keyset: Keyset, kid: unknown): readonly Key[] {
  if (kid === undefined) return keyset.keys;
  const named = keyset.keys.filter((key) => key.kid === kid);
  if (named.length === 0) throw new TokenError("unknown-key");
  return named;
}

function textKey(text: unknown, what: string): Key {
  // An absent secret must not become HMAC("undefined").
  if (typeof text !== "string" || text === "") throw new KeysetError(`there is no keyset: ${what} is missing`);
  const bytes = new TextEncoder().encode(text);
  if (bytes.length < KEY_BYTES) throw new KeysetError(`${what} has ${bytes.length} bytes; it needs ${KEY_BYTES}`);
  return new Key(undefined, bytes);
}

function readKeyset<A extends Algorithm>(text: unknown, algorithm: A, use: "sig" | "enc"): Keyset<A> {
  if (typeof text !== "string" || text === "") throw new KeysetError("there is no keyset: the secret is missing");
  const { active, keys } = fieldsOf(parseJson(text), "the keyset");
  if (!Array.isArray(keys) || keys.length === 0) throw new KeysetError("the keyset has no keys");
  const read = keys.map((jwk: unknown, index) => readKey(jwk, algorithm, use, `key ${index + 1} of the keyset`));
  if (new Set(read.map(({ kid }) => kid)).size < read.length) throw new KeysetError("two keys have the same kid");
  const primary = read.find(({ kid }) => kid === active);
  if (!primary) throw new KeysetError("the keyset's active key is not among its keys");
  return { algorithm, keys: [primary, ...read.filter((key) => key !== primary)] };
}

function readKey(jwk: unknown, algorithm: Algorithm, use: "sig" | "enc", where: string): Key {
  const { kty, alg, use: declared, kid, k } = fieldsOf(jwk, where);
  // A public or an asymmetric key, or one for another purpose, must not become the key of an HMAC.
  if (kty !== "oct" || alg !== algorithm || declared !== use)
    throw new KeysetError(`${where} is not of kty oct, alg ${algorithm} and use ${use}`);
  if (typeof kid !== "string" || kid === "") throw new KeysetError(`${where} has no kid`);
  const bytes = typeof k === "string" ? fromBase64Url(k) : undefined;
  if (!bytes) throw new KeysetError(`${where} has no k in base64url`);
  if (bytes.length < KEY_BYTES) throw new KeysetError(`${where} has ${bytes.length} bytes; it needs ${KEY_BYTES}`);
  if (algorithm === "A256GCM" && bytes.length > KEY_BYTES)
    throw new KeysetError(`${where} has ${bytes.length} bytes; AES-256 takes ${KEY_BYTES}`);
  return new Key(kid, bytes);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Without its cause: the parser's message quotes the text.
    throw new KeysetError("the keyset is not JSON");
  }
}

function fieldsOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new KeysetError(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function fromBase64Url(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) return undefined;
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
}
