import * as pulumi from "@pulumi/pulumi";
import { type Deliverable, valuesFor } from "../credential";
import { ThinResource } from "../thin";
import type { Inputs } from "./env-file.provider";

export interface EnvFileArgs {
  /** Relative to the project's folder and inside it. */
  file: string;
  /** Every credential; those that are delivered elsewhere are passed over. */
  credentials: readonly Deliverable[];
}

/**
 * The lines `NAME=value` of one env file, for the programs that a developer runs by hand. Written in one step, mode 0600;
 * lines of others stay byte for byte.
 *
 * It cannot tell whether a program has read the file since: nothing is attested, and a program keeps what it read at its start.
 * The file is on the machine that ran the update; another one, and one whose update was killed, gets it by `pulumi up --refresh`.
 * A shell (`. ./.env.local`), Node's `--env-file` and dotenv read the same; `docker run --env-file` takes quotes for part of a
 * value, and dotenv-expand expands a `$` in one. A file that git tracks is refused, and so are symbolic links.
 *
 * ```yaml
 * rollover:credentials:
 *   rounds-turso: { ..., deliver: [{ file: .env.local, as: TURSO_AUTH_TOKEN }] }
 * ```
 */
export class EnvFile extends pulumi.ComponentResource {
  constructor(name: string, args: EnvFileArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:file:EnvFile", name, {}, opts);
    const { file, credentials } = args;
    const lines = pulumi.all(valuesFor(credentials, (to) => to.file === file));
    new EnvFileLines(name, { file, lines, generations: generationsIn(file, credentials) }, { parent: this });
    this.registerOutputs({});
  }
}

/** JSON: by credential the stamps whose values the file gets (`valuesFor`), current first. */
function generationsIn(file: string, credentials: readonly Deliverable[]): string {
  const held = credentials.flatMap(({ credential, deliver, generations, keyset }): [string, string[]][] => {
    const own = deliver.filter((to) => to.file === file);
    if (own.length === 0) return [];
    const stamps = generations.map(({ stamp }) => stamp);
    if (keyset?.shape === "keyset") return [[credential, stamps]];
    const second = own.some(({ previousAs }) => previousAs !== undefined);
    return [[credential, stamps.slice(0, second ? 2 : 1)]];
  });
  return JSON.stringify(Object.fromEntries(held.sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** The resource behind `EnvFile`; its CRUD is in env-file.provider.ts. */
class EnvFileLines extends ThinResource {
  constructor(
    name: string,
    args: { [K in keyof Inputs]: pulumi.Input<Inputs[K]> },
    opts?: pulumi.CustomResourceOptions,
  ) {
    // Replaced the other way round, the delete of the old one would take out the same lines that the new one has just written.
    const order = pulumi.mergeOptions(opts, { deleteBeforeReplace: true });
    super("EnvFile", name, { ...args, made: undefined, drift: undefined }, ["lines"], order);
  }
}
