import * as pulumi from "@pulumi/pulumi";
import type { Deliverable, Generation } from "../credential";
import type { TursoCredential, TursoAccount as Organization } from "../rotation/model";
import { ThinResource } from "../thin";
import type { TursoOrganization } from "./turso-organization";
import type { Inputs } from "./turso-token.provider";

export interface TursoTokensArgs {
  credential: TursoCredential;
  settings: Organization;
  organization: TursoOrganization;
}

/**
 * Tokens for one Turso database, or for every database of a group; one resource a generation.
 *
 * A token cannot be revoked alone: it works until it expires, or until every token of its group is invalidated. So a stamp that is no
 * longer delivered moves to `retired`, where it stays, with its expiry in the outputs, until the token is refused; taking it out
 * earlier is refused. A token whose minting crashed is in no state: its expiry alone bounds it. Permissions on schemas
 * (`schema_update`, `schema_delete`) are not tried, since a try that succeeds changes a schema.
 *
 * ```yaml
 * rollover:credentials:
 *   rounds-turso:
 *     kind: turso
 *     database: rounds
 *     expiration: 90d
 *     generations: ["2026-11-20"]
 *     retired: ["2026-08-01"]
 *     deliver: [{ worker: rounds-api, as: TURSO_AUTH_TOKEN }]
 * ```
 *
 * Minted by https://docs.turso.tech/api-reference/databases/create-token or its twin for groups, then used for real, with the access
 * that it claims, before anybody gets it. An edit of `expiration`, `authorization` or `permissions` applies from the next generation on.
 */
export class TursoTokens extends pulumi.ComponentResource implements Deliverable {
  readonly credential: string;
  readonly deliver: TursoCredential["deliver"];
  readonly generations: readonly Generation[];
  /** An old token is dead before its delivery ends, or goes on working. */
  readonly withdraws = false;
  /** By stamp, when the token expires: an ISO date and time, or `never`. */
  readonly expires: pulumi.Output<Record<string, string>>;
  /** Tokens that were replaced and still worked when last looked at: revocation debt. */
  readonly debts: pulumi.Output<string[]>;
  /** Why a token could not be minted again after an invalidation. */
  readonly failures: pulumi.Output<string[]>;

  constructor(name: string, args: TursoTokensArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:turso:TursoTokens", name, {}, opts);
    const { credential, organization } = args;
    const { target, authorization, expiration, permissions, attach, proveOn = "" } = credential;
    const { databases } = args.settings;
    const targetGroup =
      target.kind === "group" ? target.name : (databases.find(({ name: one }) => one === target.name)?.group ?? "");
    const standing = organization.standingOf(target);
    const declare = (stamp: string, place: Inputs["place"]) => {
      const token = new TursoToken(
        `${name}@${stamp}`,
        {
          credential: credential.name,
          stamp,
          place,
          organization: args.settings.organization,
          target,
          group: targetGroup,
          proveOn,
          minting: { authorization, expiration, permissions, attach },
          mark: standing.mark,
          readOnly: standing.readOnly,
        },
        { parent: this },
      );
      return { stamp, token };
    };
    const live = credential.generations.map((stamp, at) => declare(stamp, at === 0 ? "current" : "previous"));
    const retired = credential.retired.map((stamp) => declare(stamp, "retired"));
    const all = [...live, ...retired];
    this.credential = credential.name;
    this.deliver = credential.deliver;
    this.generations = live.map(({ stamp, token }) => ({ stamp, tag: token.tag, value: pulumi.secret(token.jwt) }));
    this.expires = pulumi.output(Object.fromEntries(all.map(({ stamp, token }) => [stamp, token.expires])));
    this.debts = pulumi
      .all(
        all.map(({ stamp, token }) =>
          token.replacedExpire.apply((ends) =>
            (ends ?? []).map((end) => `a token of ${stamp} that was replaced, until ${end}`),
          ),
        ),
      )
      .apply((lists) => lists.flat());
    this.failures = pulumi
      .all(live.map(({ token }) => token.failure))
      .apply((texts) => texts.flatMap((text) => (text === undefined || text === "" ? [] : [text])));
    this.registerOutputs({});
  }
}

/** One generation; its CRUD is in turso-token.provider.ts. */
class TursoToken extends ThinResource {
  declare readonly jwt: pulumi.Output<string>;
  declare readonly tag: pulumi.Output<string>;
  declare readonly expires: pulumi.Output<string>;
  /** Undefined, as `failure`, in a destroy that runs the program after one that failed: there it may be deleted already. */
  declare readonly replacedExpire: pulumi.Output<string[] | undefined>;
  declare readonly failure: pulumi.Output<string | undefined>;

  constructor(
    name: string,
    args: { [K in keyof Inputs]: pulumi.Input<Inputs[K]> },
    opts: pulumi.CustomResourceOptions,
  ) {
    const outputs = {
      jwt: undefined,
      tag: undefined,
      expires: undefined,
      replaced: undefined,
      lost: undefined,
      unproven: undefined,
      replacedExpire: undefined,
    };
    super("TursoToken", name, { ...args, ...outputs, failure: undefined }, ["jwt", "replaced", "unproven"], opts);
  }
}
