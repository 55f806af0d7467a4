import * as pulumi from "@pulumi/pulumi";
import type { Stamp, VaultPath } from "../rotation/model";
import { ThinResource } from "../thin";

export interface VaultKeyArgs extends VaultPath {
  credential: string;
  stamp: Stamp;
  /** 64 hexadecimal digits, to be written; secret. Left out with `restore`. */
  key?: pulumi.Input<string>;
  /**
   * Reads the key instead.
   *
   * @default false
   */
  restore?: boolean;
}

/**
 * The backup of one key in Vault's KV engine, version 2: one secret `{ credential, stamp, key }` a generation, at `<path>/<stamp>`.
 *
 * What is alive at Vault is never overwritten, and the backup is never deleted: a key that is retired, or whose stack is destroyed,
 * stays there until somebody deletes it by hand, and `restore: true` brings it back. It cannot know whether Vault keeps it: a mount
 * with `delete_version_after` deletes it in time, which a refresh finds, and the next update writes it again.
 *
 * ```ts
 * const kept = new VaultKey("rounds-signing@2026-11-20", { mount: "secret", path: "rollover/rounds", credential, stamp, key });
 * ```
 *
 * `key` is known only when it has been read back from Vault: whoever takes it from here delivers nothing that is not backed up.
 */
export class VaultKey extends ThinResource {
  /** 64 hexadecimal digits; secret. */
  declare readonly key: pulumi.Output<string>;

  constructor(name: string, args: VaultKeyArgs, opts?: pulumi.CustomResourceOptions) {
    super("VaultKey", name, { key: undefined, ...args, drift: undefined }, ["key"], opts);
  }
}
