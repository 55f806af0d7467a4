import type * as pulumi from "@pulumi/pulumi";
import { ThinResource } from "../thin";
import type { Inputs } from "./turso-outcome.provider";

/**
 * The end of an update in which some invalidations failed: it fails, naming each, when all else is delivered. It changes nothing.
 */
export class TursoOutcome extends ThinResource {
  constructor(
    name: string,
    args: { [K in keyof Inputs]: pulumi.Input<Inputs[K]> },
    opts?: pulumi.CustomResourceOptions,
  ) {
    super("TursoOutcome", name, args, [], opts);
  }
}
