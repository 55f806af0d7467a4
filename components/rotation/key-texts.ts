/** The texts that keysets are delivered as. Pure; components/jws/worker.ts reads what is written here. */
import type { KeysetCredential, Stamp } from "./model";

/** One key: 32 bytes as 64 hexadecimal digits. Its kid is its stamp, which says nothing of the key. */
export interface Key {
  stamp: Stamp;
  hex: string;
}

/** A JWK Set (RFC 7517, section 5) and the kid of the key that signs or encrypts; further members are allowed there. */
interface KeySet {
  active: Stamp;
  keys: { kid: Stamp; kty: "oct"; alg: string; use: string; k: string }[];
}

const USES = {
  "signing-keyset": { alg: "HS256", use: "sig" },
  "encryption-keyset": { alg: "A256GCM", use: "enc" },
};

export function keySetText(kind: KeysetCredential["kind"], keys: readonly Key[], active: Stamp): string {
  const jwks = keys.map(({ stamp, hex }) => ({
    kid: stamp,
    kty: "oct" as const,
    ...USES[kind],
    k: Buffer.from(hex, "hex").toString("base64url"),
  }));
  return JSON.stringify({ active, keys: jwks } satisfies KeySet);
}

/** The keys of `news`, those of `olds` that it has not, and `active` to sign with: what verifies everything that may be about. */
export function unitedKeySets(news: string, olds: string, active: Stamp): string {
  const [set, before] = [JSON.parse(news) as KeySet, JSON.parse(olds) as KeySet];
  const more = before.keys.filter(({ kid }) => !set.keys.some((key) => key.kid === kid));
  return JSON.stringify({ active, keys: [...set.keys, ...more] } satisfies KeySet);
}
