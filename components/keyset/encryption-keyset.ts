import type * as pulumi from "@pulumi/pulumi";
import { Keyset, type KeysetArgs } from "./keyset";

/**
 * AES-256 keys for what a Worker encrypts and decrypts: the current key encrypts, every live one decrypts.
 *
 * It cannot encrypt anew what is stored: when a key is dropped, what is still encrypted with it is lost for good, but for a backup
 * of the key. So `maxTokenAge` is the longest time that anything stays encrypted with a key: the life of a cookie, or how long the
 * Worker takes to write everything anew. It cannot be proven against anybody (G3 and G6 do not apply).
 *
 * ```yaml
 * rollover:credentials:
 *   oauth-store:
 *     kind: encryption-keyset
 *     generations: ["2026-11-20", "2026-08-01"]
 *     maxTokenAge: 90d
 *     backup: { vault: { path: rollover/oauth-store } }
 *     deliver: [{ worker: rounds-api, as: STORE_KEYS }]
 * ```
 */
export class EncryptionKeyset extends Keyset {
  constructor(name: string, args: KeysetArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:keyset:EncryptionKeyset", name, args, opts);
  }
}
