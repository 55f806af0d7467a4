import type * as pulumi from "@pulumi/pulumi";
import { ThinResource } from "../thin";
import type { Inputs } from "./completion.provider";

export type CompletionArgs = { [K in keyof Inputs]: pulumi.Input<Inputs[K]> };

/**
 * The end of an update that changes stamps: tells that everything is delivered. It is to depend on whatever delivers, proves or
 * invalidates, and on programs that run after a roll. Its first update tells nothing, as the announcement's lists nothing.
 *
 * It cannot be told after the withdrawals: Pulumi deletes last of all, when every resource of the program is done. A withdrawal
 * that fails is told of by itself.
 */
export class Completion extends ThinResource {
  constructor(name: string, args: CompletionArgs, opts?: pulumi.CustomResourceOptions) {
    super("Completion", name, args, [], opts);
  }
}
