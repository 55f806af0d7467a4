import * as pulumi from "@pulumi/pulumi";
import { type Deliverable, valuesFor } from "../credential";
import type { Delivery, Worker } from "../rotation/model";
import { ThinResource } from "../thin";
import type { WorkerConsumer } from "./worker-consumer";
import type { Inputs } from "./worker-secret-set.provider";

export interface WorkerSecretsArgs {
  worker: Worker;
  /** The Cloudflare account that the Worker is in. */
  accountId: string;
  consumer: WorkerConsumer;
  /** Every credential; those that are delivered to another Worker are passed over. */
  credentials: readonly Deliverable[];
}

/**
 * Everything that one Worker gets, in one call that makes one deployed version, then attested.
 *
 * It cannot read back a value, so drift is seen by missing names and by the probe alone. It cannot switch the edge at one
 * instant: for some seconds old and new are both served, which is why credentials overlap. Without a probe URL nothing is
 * attested, and whether the Worker uses the new value is not known when the old one goes. It is for scripts that are deployed
 * elsewhere; their code is never touched.
 *
 * ```yaml
 * rollover:workers:
 *   rounds-api: { probe: https://rounds.example.com/.well-known/rollover }
 * ```
 */
export class WorkerSecrets extends pulumi.ComponentResource {
  constructor(name: string, args: WorkerSecretsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:cloudflare:WorkerSecrets", name, {}, opts);
    const { worker, consumer } = args;
    const takes = (to: Delivery) => to.worker === worker.name;
    // Sorted, so that reordering the config file delivers nothing.
    const credentials = args.credentials
      .filter(({ deliver }) => deliver.some(takes))
      .sort((a, b) => (a.credential < b.credential ? -1 : 1));
    const generations = pulumi.jsonStringify(
      Object.fromEntries(credentials.map((credential) => [credential.credential, publicPart(credential)])),
    );

    new WorkerSecretSet(
      name,
      {
        worker: worker.name,
        script: worker.script,
        accountId: args.accountId,
        touched: consumer.delivery.touched,
        secrets: pulumi.all(valuesFor(credentials, takes)),
        generations,
        probe: worker.probe ?? "",
        token: consumer.token,
        answers: worker.answers,
        withinMs: worker.withinMs,
        settleMs: worker.settleMs,
        settles: credentials.filter(({ withdraws }) => withdraws).map(({ credential }) => credential),
        delivery: consumer.delivery.delivery,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** The resource behind `WorkerSecrets`; its CRUD is in worker-secret-set.provider.ts. */
class WorkerSecretSet extends ThinResource {
  constructor(
    name: string,
    args: { [K in keyof Inputs]: pulumi.Input<Inputs[K]> },
    opts?: pulumi.CustomResourceOptions,
  ) {
    super("WorkerSecretSet", name, { ...args, drift: undefined }, ["secrets", "token"], opts);
  }
}

function publicPart({ generations }: Deliverable): { stamp: string; tag: pulumi.Output<string> }[] {
  return generations.map(({ stamp, tag }) => ({ stamp, tag }));
}
