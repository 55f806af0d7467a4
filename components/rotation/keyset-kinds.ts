import type { KeysetCredential } from "./model";

const KINDS: readonly unknown[] = ["signing-keyset", "encryption-keyset"] satisfies KeysetCredential["kind"][];

/** Whatever stands in `kind`. */
export function isKeysetKind(kind: unknown): kind is KeysetCredential["kind"] {
  return KINDS.includes(kind);
}
