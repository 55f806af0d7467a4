import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Deliverable, Generation } from "../credential";
import type { KeysetCredential, Stamp } from "../rotation/model";
import { VaultKey } from "../vault/vault-key";

export interface KeysetArgs {
  credential: KeysetCredential;
  /** What must have succeeded before anything is minted. */
  after?: pulumi.Resource[];
}

/**
 * 64 hexadecimal digits, each drawn alike: 32 random bytes. Not RandomBytes: its id is the value, and ids stand in state in clear
 * (https://github.com/pulumi/pulumi/issues/8946, and so in a state that the official plugin wrote).
 */
const KEY = {
  length: 64,
  lower: false,
  upper: false,
  numeric: false,
  special: true,
  overrideSpecial: "0123456789abcdef",
};

/** What a signing and an encryption keyset have in common: one random key of 32 bytes a generation, backed up if config says so. */
export abstract class Keyset extends pulumi.ComponentResource implements Deliverable {
  readonly credential: string;
  readonly deliver: KeysetCredential["deliver"];
  readonly generations: readonly Generation[];
  readonly keyset: KeysetCredential;
  /** A key that is no longer delivered is only forgotten: nothing has to let go of it first. */
  readonly withdraws = false;

  constructor(type: string, name: string, args: KeysetArgs, opts?: pulumi.ComponentResourceOptions) {
    super(type, name, {}, opts);
    const { credential, after = [] } = args;
    this.credential = credential.name;
    this.deliver = credential.deliver;
    this.keyset = credential;
    this.generations = credential.generations.map((stamp) => {
      const minted = { parent: this, dependsOn: after, ignoreChanges: ["byteLength", ...Object.keys(KEY)] };
      // A restored key may be another one than the stamp had: it has a tag of its own.
      const mark = credential.restore.includes(stamp) ? `${name}@${stamp}-restored` : `${name}@${stamp}`;
      const tag = new random.RandomId(mark, { byteLength: 8 }, minted);
      return { stamp, tag: tag.hex, value: this.keyOf(name, stamp, minted) };
    });
    this.registerOutputs({});
  }

  /** 64 hexadecimal digits; with a backup only when that has been proven by reading it. */
  private keyOf(name: string, stamp: Stamp, minted: pulumi.CustomResourceOptions): pulumi.Output<string> {
    const { backup, restore, name: credential } = this.keyset;
    const isRestored = restore.includes(stamp);
    const key = isRestored
      ? undefined
      : pulumi.secret(new random.RandomPassword(`${name}@${stamp}`, KEY, minted).result);
    if (!backup) {
      if (!key) throw new pulumi.RunError(`${credential}: ${stamp} has no backup to be restored from`);
      return key;
    }
    const from = key ? { key } : { restore: true as const };
    const kept = new VaultKey(
      `${name}@${stamp}`,
      { ...backup, credential, stamp, ...from },
      { ...minted, ignoreChanges: [] },
    );
    return pulumi.secret(kept.key);
  }
}
