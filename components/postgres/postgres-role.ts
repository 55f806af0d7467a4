import * as postgresql from "@pulumi/postgresql";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { ConsumerRecord, Deliverable, Generation } from "../credential";
import { credentialLogin, loginsOf } from "../rotation/login";
import type { PostgresCredential, PostgresServer } from "../rotation/model";
import { fillTemplate } from "../rotation/url";
import { typeOf } from "../thin";
import { PostgresLogin } from "./postgres-login";
import { PostgresLoginClaim } from "./postgres-login-claim";
import { scramVerifier } from "./scram";

export interface PostgresRoleArgs {
  credential: PostgresCredential;
  server: PostgresServer;
  /** The consumers of `credential.deliver` that have a probe. */
  consumers: pulumi.Input<ConsumerRecord[]>;
  /** The official provider, logged in as the admin of `server`. */
  provider: postgresql.Provider;
  /** What must have succeeded before anything is minted. */
  after?: pulumi.Resource[];
}

/**
 * A role that owns a database, and one login for each generation that acts as it.
 *
 * It cannot give one login two passwords, so its login names change: a client that must keep one name needs `inPlace`, which
 * breaks at once, between the change of the password and its delivery. It cannot end sessions that an application opened under
 * another login of the owner. Objects that a client makes after `SET ROLE NONE` are given to the owner when its login goes.
 *
 * ```yaml
 * rollover:credentials:
 *   rounds-db:
 *     kind: postgres
 *     generations: ["2026-11-20", "2026-08-01"]
 *     checks: ["SELECT count(*) FROM rounds"]
 *     deliver: [{ worker: rounds-api, as: DATABASE_URL }]
 * ```
 *
 * Each login is made from a SCRAM verifier, proven with `checks` before anybody gets it, and withdrawn last, when no consumer
 * holds it and no session begins. To take over a live system set `existing: true`, name its owner, and its present login as
 * `adopted`: that login works until the line `adopted` is taken out.
 */
export class PostgresRole extends pulumi.ComponentResource implements Deliverable {
  readonly credential: string;
  readonly deliver: PostgresCredential["deliver"];
  readonly generations: readonly Generation[];
  readonly withdraws = true;
  /** Logins that act as the owner and that config does not name. */
  readonly debts: pulumi.Output<string[]>;

  constructor(name: string, args: PostgresRoleArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:postgres:PostgresRole", name, {}, opts);
    const { credential, server } = args;
    const child = { parent: this };
    const minted = { parent: this, dependsOn: args.after ?? [] };
    // A plain promise: as an Output it would depend on every child of ours, and so would wait for itself.
    const ownUrn = new Promise<string>((resolve) => this.urn.apply(resolve));
    const managed = { parent: this, provider: args.provider, retainOnDelete: !credential.dropOnDestroy };

    const owned = credential.existing ? [] : createOwned();
    const stamps = credential.generations;
    const inPlaceRole = credential.inPlace ? createInPlaceRole(createPassword(current())) : undefined;
    // In state before any login is touched: if the engine dies while it retires one and the edit is then taken back, state and
    // config agree, and this alone differs: every login that config names is then seen to.
    const live = [...stamps, ...(credential.adopted === undefined ? [] : [credential.adopted])].join();
    const edit = new random.RandomId(`${name}-edit`, { byteLength: 4, keepers: { live } }, minted);
    const logins = stamps.map(createLogin);
    if (credential.adopted !== undefined) createAdopted(credential.adopted);

    this.credential = credential.name;
    this.deliver = credential.deliver;
    this.generations = logins.map(({ stamp, login, password }) => ({
      stamp,
      tag: login.tag,
      // From the login's resource, not the password's: ready only when proven.
      value: pulumi.secret(
        pulumi.all([login.login, password.result]).apply(([user, text]) =>
          fillTemplate(credential.url, {
            user,
            password: text,
            host: server.host,
            port: server.port,
            database: credential.database,
          }),
        ),
      ),
    }));
    this.debts = logins[0]?.login.debts ?? pulumi.output([]);
    this.registerOutputs({ debts: this.debts });

    function current(): string {
      return stamps[0] ?? "";
    }

    /** The owner that cannot log in, its database, closed to everybody else, and its declared grants, one after the other. */
    function createOwned(): pulumi.Resource[] {
      const owner = new postgresql.Role(`${name}-owner`, { name: credential.owner }, managed);
      const database = new postgresql.Database(
        `${name}-database`,
        { name: credential.database, owner: owner.name },
        managed,
      );
      const closed = new postgresql.Grant(
        `${name}-public`,
        { database: database.name, role: "public", objectType: "database", privileges: [] },
        managed,
      );
      return credential.grants.reduce<pulumi.Resource[]>(
        (made, grant) => {
          // Two grants on one object at once fail with "tuple concurrently updated", so each waits for the one before; so
          // whoever waits for the last waits for all.
          const options = { ...managed, dependsOn: made.slice(-1) };
          return [
            ...made,
            new postgresql.Grant(
              // Named by what it is on, so that an edit of the list takes away only what was taken out.
              [`${name}-grant`, grant.objectType, grant.schema ?? [], grant.objects ?? []].flat(2).join("-"),
              { database: database.name, role: owner.name, ...grant },
              options,
            ),
          ];
        },
        [owner, database, closed],
      );
    }

    function createPassword(stamp: string): random.RandomPassword {
      // A generation's value never changes once minted, whatever is edited here later.
      return new random.RandomPassword(
        `${name}@${stamp}`,
        { length: 32, special: false },
        { ...minted, ignoreChanges: ["length", "special"] },
      );
    }

    function createInPlaceRole(password: random.RandomPassword): {
      password: random.RandomPassword;
      role: postgresql.Role;
    } {
      const verifier = pulumi.secret(
        password.result.apply((text) => scramVerifier(text, `${pulumi.getProject()}/${pulumi.getStack()}/${name}`)),
      );
      const role = new postgresql.Role(
        `${name}-login`,
        {
          name: credential.login,
          login: true,
          password: verifier,
          roles: [credential.owner],
          assumeRole: credential.owner,
          skipReassignOwned: true,
        },
        { parent: child.parent, provider: args.provider, dependsOn: owned },
      );
      return { password, role };
    }

    function createLogin(stamp: string, at: number) {
      const resource = `${name}@${stamp}`;
      const password = inPlaceRole?.password ?? createPassword(stamp);
      const madeBy = urnOfLogin(resource);
      const same = {
        login: credentialLogin(credential, stamp),
        server: `${server.host}:${server.port}`,
        owner: credential.owner,
        database: credential.database,
        credential: credential.name,
        quietMs: credential.quietMs,
        madeBy,
      };
      const claim = inPlaceRole ? [] : [new PostgresLoginClaim(`${name}@${same.login}`, same, minted)];
      const login = new PostgresLogin(
        resource,
        {
          ...same,
          mode: credential.inPlace ? "inPlace" : "login",
          password: password.result,
          checks: credential.checks,
          current: at === 0,
          edit: edit.hex,
          siblings: at === 0 ? loginsOf(credential) : [],
          consumers: args.consumers,
        },
        { ...child, dependsOn: [...owned.slice(-1), ...claim, ...(inPlaceRole ? [inPlaceRole.role] : [])] },
      );
      return { stamp, login, password };
    }

    function createAdopted(login: string): void {
      const resource = `${name}@adopted`;
      new PostgresLogin(
        resource,
        {
          mode: "adopted",
          login,
          server: `${server.host}:${server.port}`,
          owner: credential.owner,
          database: credential.database,
          password: "",
          madeBy: urnOfLogin(resource),
          credential: credential.name,
          checks: [],
          current: false,
          edit: edit.hex,
          siblings: [],
          consumers: args.consumers,
          quietMs: credential.quietMs,
        },
        child,
      );
    }

    function urnOfLogin(resource: string): pulumi.Output<string> {
      return pulumi.createUrn(resource, typeOf("PostgresLogin"), ownUrn);
    }
  }
}
