import * as pulumi from "@pulumi/pulumi";
import { type ConsumerRecord, type Deliverable, valuesFor } from "../credential";
import type { Delivery, Worker } from "../rotation/model";
import { ThinResource } from "../thin";
import type { KeysetSpec } from "./keyset-steps";
import type { WorkerConsumer } from "./worker-consumer";
import type { Inputs } from "./worker-secret-set.provider";

export interface WorkerSecretsArgs {
  worker: Worker;
  /** The Cloudflare account that the Worker is in. */
  accountId: string;
  consumer: WorkerConsumer;
  /** Every credential; those that are delivered to another Worker are passed over. */
  credentials: readonly Deliverable[];
  /** How the Workers that share a keyset with this one are asked, and how long each settles. */
  others?: readonly { worker: Worker; consumer: WorkerConsumer }[];
  /** The announcement, where there is one, and the Workers that verify what this one signs: they know a new key first. */
  after?: pulumi.Resource[];
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
        ...keysetsFor(worker, credentials, args.others ?? []),
      },
      { parent: this, dependsOn: args.after ?? [] },
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
    super(
      "WorkerSecretSet",
      name,
      { ...args, drift: undefined, activations: undefined },
      ["secrets", "token", "signers", "verifiers"],
      opts,
    );
  }
}

/** How this Worker is handed its keysets, and how the one that signs is asked where it is another. */
function keysetsFor(
  { name, settleMs }: Worker,
  credentials: readonly Deliverable[],
  others: NonNullable<WorkerSecretsArgs["others"]>,
) {
  const keysets: Record<string, KeysetSpec> = {};
  const signers: Record<string, pulumi.Input<ConsumerRecord>> = {};
  const verifiers: Record<string, pulumi.Output<ConsumerRecord[]>> = {};
  for (const { credential, keyset, deliver } of credentials) {
    const own = deliver.find((to) => to.worker === name);
    if (!keyset || own?.worker === undefined) continue;
    const { kind, shape, atOnce, maxTokenAgeMs, drainMs, retireBelow } = keyset;
    const sharing = others.filter(({ worker }) => deliver.some((to) => to.worker === worker.name));
    const signs = deliver.find((to) => to.worker !== undefined && to.verifyOnly !== true)?.worker;
    const signer = own.verifyOnly === true ? sharing.find(({ worker }) => worker.name === signs) : undefined;
    keysets[credential] = {
      ...{ kind, shape, atOnce, maxTokenAgeMs, drainMs, retireBelow },
      as: own.as,
      alsoAs: own.alsoAs ?? "",
      verifyOnly: own.verifyOnly === true,
      settleMs: Math.max(settleMs, ...sharing.map(({ worker }) => worker.settleMs)),
      attestedMs: signer?.worker.withinMs ?? 0,
    };
    if (signs === name) {
      const verifying = sharing.filter(({ worker }) => worker.name !== name);
      verifiers[credential] = pulumi.all(verifying.flatMap(({ consumer }) => consumer.record ?? []));
    }
    if (signer?.consumer.record) signers[credential] = signer.consumer.record;
  }
  return { keysets, signers: pulumi.all(signers), verifiers: pulumi.all(verifiers) };
}

function publicPart({ generations }: Deliverable): { stamp: string; tag: pulumi.Output<string> }[] {
  return generations.map(({ stamp, tag }) => ({ stamp, tag }));
}
