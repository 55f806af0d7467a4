import type * as pulumi from "@pulumi/pulumi";
import { ThinResource } from "../thin";
import type { Inputs } from "./postgres-login.provider";

export type PostgresLoginArgs = { [K in keyof Inputs]: pulumi.Input<Inputs[K]> };

/**
 * One generation of a Postgres login.
 *
 * It cannot have two passwords: overlap is two logins under one owner. It cannot see which application a session belongs
 * to beyond its application name and address, nor a session shorter than the some 10 ms between two looks.
 *
 * `create` makes the login in one transaction, from a SCRAM verifier, marks it with this resource's URN and a random tag,
 * then logs in as it and runs the declared checks. `delete` retires it: see components/postgres/retire.ts. A role of that name
 * without the URN is refused and left untouched.
 */
export class PostgresLogin extends ThinResource {
  declare readonly login: pulumi.Output<string>;
  /** Random and public; consumers report it. */
  declare readonly tag: pulumi.Output<string>;
  /** Logins that act as the owner and that config does not name. */
  declare readonly debts: pulumi.Output<string[]>;

  constructor(name: string, args: PostgresLoginArgs, opts?: pulumi.CustomResourceOptions) {
    super("PostgresLogin", name, { ...args, tag: undefined, debts: undefined }, ["password", "consumers"], opts);
  }
}
