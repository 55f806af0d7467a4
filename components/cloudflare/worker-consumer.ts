import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { ConsumerRecord } from "../credential";
import type {
  Credential,
  PostgresServer,
  TursoAccount,
  TursoCredential,
  Worker,
  WorkerDelivery as Delivery,
} from "../rotation/model";
import { ThinResource } from "../thin";
import type { Inputs } from "./worker-delivery.provider";

export interface WorkerConsumerArgs {
  worker: Worker;
  /** Every credential; those that are delivered to another Worker are passed over. */
  credentials: readonly Credential[];
  server?: PostgresServer;
  turso?: TursoAccount;
  /** The script's name once this stack has deployed it. @default it is there already */
  deployed?: pulumi.Output<string>;
}

/**
 * A Worker before it gets anything: is it there, may we change it, how is it asked, and what is it about to get.
 *
 * It cannot keep somebody from deploying the Worker between this look and the delivery, which looks again. Credentials wait for
 * it (`delivery`), so a wrong API token or an unknown script stops an update before anything is minted.
 */
export class WorkerConsumer extends pulumi.ComponentResource {
  /** The bearer token that the Worker's probe asks for. */
  readonly token: pulumi.Output<string>;
  /** How to ask this Worker; undefined if it has no probe. */
  readonly record: pulumi.Output<ConsumerRecord> | undefined;
  /**
   * In state before the delivery begins. If the engine dies while it delivers and the edit is then taken back, the secrets look
   * delivered already; this alone differs, gets another value, and so has them delivered again.
   */
  readonly delivery: WorkerDelivery;

  constructor(name: string, args: WorkerConsumerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:cloudflare:WorkerConsumer", name, {}, opts);
    const { worker } = args;
    const { script, probe: url } = worker;
    const delivers = {
      worker: worker.name,
      script: args.deployed ?? script,
      intent: intentOf(args),
      names: namesOf(args),
    };
    this.delivery = new WorkerDelivery(name, delivers, { parent: this });
    const minted = { parent: this, dependsOn: this.delivery };
    const token = new random.RandomPassword(`${name}-probe`, { length: 40, special: false }, minted);
    this.token = pulumi.secret(token.result);
    this.record =
      url === undefined
        ? undefined
        : this.token.apply((secret) => ({ worker: worker.name, script, url, token: secret }));
    this.registerOutputs({});
  }
}

/** An intended delivery; its CRUD is in worker-delivery.provider.ts. */
export class WorkerDelivery extends ThinResource {
  declare readonly delivery: pulumi.Output<string>;
  declare readonly touched: pulumi.Output<string[]>;

  constructor(
    name: string,
    args: { [K in keyof Inputs]: pulumi.Input<Inputs[K]> },
    opts?: pulumi.CustomResourceOptions,
  ) {
    super("WorkerDelivery", name, { ...args, delivery: undefined, touched: undefined }, [], opts);
  }
}

/** The names of the secrets that the Worker gets. */
function namesOf({ worker, credentials }: WorkerConsumerArgs): string[] {
  const to = credentials.flatMap(({ deliver }) => deliver).filter((one): one is Delivery => one.worker === worker.name);
  return to.flatMap(({ as, alsoAs, previousAs }) => [as, alsoAs ?? previousAs ?? []].flat()).sort();
}

/** Whatever of the delivered set is known from config, sorted, so that reordering the file delivers nothing. */
function intentOf({ worker, credentials, server, turso }: WorkerConsumerArgs): string {
  const entries = credentials.flatMap((credential) => {
    const { name, generations } = credential;
    const names = credential.deliver
      .filter((to): to is Delivery => to.worker === worker.name)
      // Who begins to sign is handed its keys again: its report then says since when.
      .map(({ as, alsoAs, previousAs, verifyOnly }) => [
        as,
        alsoAs ?? previousAs,
        ...(verifyOnly ? ["verifyOnly"] : []),
      ])
      .sort();
    if (names.length === 0) return [];
    return [[name, generations, names, ...minting(credential, server, turso)]];
  });
  return JSON.stringify(entries.sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)));
}

/** What besides its stamps decides the value of a credential. */
function minting(credential: Credential, server?: PostgresServer, turso?: TursoAccount): unknown[] {
  switch (credential.kind) {
    case "random":
      return [];
    case "postgres":
      return [credential.url, credential.login, credential.adopted, credential.database, server?.host, server?.port];
    case "signing-keyset":
    case "encryption-keyset":
      return [credential.kind, credential.shape];
    case "turso":
      // An invalidation mints its token again, and begins only when the Worker was looked at.
      return [turso && invalidationsOf(credential, turso)];
  }
}

function invalidationsOf({ target }: TursoCredential, { groups, databases }: TursoAccount): unknown[] {
  const group = target.kind === "group" ? target.name : databases.find(({ name }) => name === target.name)?.group;
  const all = [...groups.filter(({ name }) => name === group), ...databases.filter((one) => one.group === group)];
  return all.flatMap(({ name, invalidated, incident }) =>
    invalidated === undefined && incident === undefined ? [] : [[name, invalidated, incident?.readOnly]],
  );
}
