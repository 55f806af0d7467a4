import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Deliverable, Generation } from "../credential";
import type { RandomCredential } from "../rotation/model";

export interface RandomSecretArgs {
  credential: RandomCredential;
  /** What must have succeeded before anything is minted. */
  after?: pulumi.Resource[];
}

/**
 * A random text of `[A-Za-z0-9]` that only its consumers know.
 *
 * Nobody can be asked whether it works, so it is neither proven nor seen refused (G3 and G6 do not apply). Delivered under one
 * name it breaks at once for whoever still holds the old value; with `previousAs` a consumer can accept both.
 *
 * ```yaml
 * rollover:credentials:
 *   session-key:
 *     kind: random
 *     generations: ["2026-11-20", "2026-08-01"]
 *     deliver: [{ worker: rounds-api, as: SESSION_KEY, previousAs: SESSION_KEY_PREVIOUS }]
 * ```
 */
export class RandomSecret extends pulumi.ComponentResource implements Deliverable {
  readonly credential: string;
  readonly deliver: RandomCredential["deliver"];
  readonly generations: readonly Generation[];
  readonly withdraws = true;

  constructor(name: string, args: RandomSecretArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:random:RandomSecret", name, {}, opts);
    const { credential } = args;
    this.credential = credential.name;
    this.deliver = credential.deliver;
    this.generations = credential.generations.map((stamp) => {
      // A generation's value never changes once minted, whatever is edited here later.
      const minted = { parent: this, dependsOn: args.after ?? [], ignoreChanges: ["length", "special", "byteLength"] };
      const value = new random.RandomPassword(
        `${name}@${stamp}`,
        { length: credential.length, special: false },
        minted,
      );
      const tag = new random.RandomId(`${name}@${stamp}`, { byteLength: 8 }, minted);
      return { stamp, tag: tag.hex, value: pulumi.secret(value.result) };
    });
    this.registerOutputs({});
  }
}
