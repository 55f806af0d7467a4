import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { ConsumerRecord, Deliverable, Generation } from "../credential";
import type { Worker } from "../rotation/model";
import { ThinResource } from "../thin";
import type { Inputs } from "./worker-secret-set.provider";

/**
 * The bearer token that a Worker's probe asks for, and where the probe is. A component of its own, since logins record it
 * before the Worker gets anything.
 */
export class WorkerProbe extends pulumi.ComponentResource {
  readonly token: pulumi.Output<string>;
  /** How to ask this Worker; undefined if it has no probe. */
  readonly record: pulumi.Output<ConsumerRecord> | undefined;

  constructor(name: string, args: { worker: Worker }, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:cloudflare:WorkerProbe", name, {}, opts);
    const { worker } = args;
    this.token = pulumi.secret(
      new random.RandomPassword(`${name}-probe`, { length: 40, special: false }, { parent: this }).result,
    );
    const url = worker.probe;
    this.record =
      url === undefined
        ? undefined
        : this.token.apply((token) => ({ worker: worker.name, script: worker.script, url, token }));
    this.registerOutputs({});
  }
}

export interface WorkerSecretsArgs {
  worker: Worker;
  probe: WorkerProbe;
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
    const { worker, probe } = args;
    // Sorted, so that reordering the config file delivers nothing.
    const credentials = args.credentials
      .filter(({ deliver }) => deliver.some((to) => to.worker === worker.name))
      .sort((a, b) => (a.credential < b.credential ? -1 : 1));
    const named = credentials.flatMap(({ deliver, generations, shape }) =>
      deliver
        .filter((to) => to.worker === worker.name)
        .flatMap((to) => valuesOf(to, generations).map((value) => ({ ...value, shape }))),
    );
    const generations = pulumi.jsonStringify(
      Object.fromEntries(credentials.map((credential) => [credential.credential, publicPart(credential)])),
    );

    // In state before the delivery begins. If the engine dies while it delivers and the edit is then taken back, the secrets
    // look delivered already; this alone differs, gets another value, and so has them delivered again.
    const delivery = new random.RandomId(
      `${name}-delivery`,
      {
        byteLength: 8,
        keepers: { generations, shape: pulumi.jsonStringify(named.map(({ name: as, shape }) => [as, shape])) },
      },
      { parent: this },
    );
    new WorkerSecretSet(
      name,
      {
        worker: worker.name,
        script: worker.script,
        secrets: pulumi.secret(pulumi.all(Object.fromEntries(named.map((value) => [value.name, value.value])))),
        generations,
        probe: worker.probe ?? "",
        token: probe.token,
        answers: worker.answers,
        withinMs: worker.withinMs,
        settleMs: worker.settleMs,
        delivery: delivery.hex,
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

function valuesOf(
  to: Deliverable["deliver"][number],
  [current, previous]: readonly Generation[],
): { name: string; value: pulumi.Output<string> }[] {
  return [
    ...(current ? [{ name: to.as, value: current.value }] : []),
    ...(previous && to.previousAs !== undefined ? [{ name: to.previousAs, value: previous.value }] : []),
  ];
}

function publicPart({ generations }: Deliverable): { stamp: string; tag: pulumi.Output<string> }[] {
  return generations.map(({ stamp, tag }) => ({ stamp, tag }));
}
