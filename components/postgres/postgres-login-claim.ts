import type * as pulumi from "@pulumi/pulumi";
import { ThinResource } from "../thin";
import type { Inputs } from "./postgres-login-claim.provider";

export type PostgresLoginClaimArgs = { [K in keyof Inputs]: pulumi.Input<Inputs[K]> };

/**
 * Says in state that a login of this name may exist, before the server hears of it. It makes nothing.
 *
 * If the engine dies while `PostgresLogin` creates the login, neither state nor, once the edit is taken back, config names
 * it any more. The claim does: deleted after its login, it sweeps what carries that login's URN.
 */
export class PostgresLoginClaim extends ThinResource {
  constructor(name: string, args: PostgresLoginClaimArgs, opts?: pulumi.CustomResourceOptions) {
    super("PostgresLoginClaim", name, args, [], opts);
  }
}
