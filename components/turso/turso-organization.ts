import * as pulumi from "@pulumi/pulumi";
import type { TursoCredential, TursoAccount as Organization, TursoTarget } from "../rotation/model";
import { ThinResource } from "../thin";
import type { Inputs as CanaryInputs } from "./turso-canary.provider";
import type { Inputs as InvalidationInputs, Standing } from "./turso-invalidation.provider";
import type { Inputs as SettingsInputs } from "./turso-settings.provider";
import { keyOf, targetsOf } from "./targets";

export interface TursoOrganizationArgs {
  organization: Organization;
  /** Every credential of kind turso. */
  credentials: readonly TursoCredential[];
  /** What must have succeeded before anything is changed: an invalidation is an outage until its new tokens are delivered. */
  after?: pulumi.Resource[];
}

/**
 * The groups and databases of a Turso organisation: their settings, and the invalidation of their tokens.
 *
 * It cannot revoke one token, and cannot invalidate without an outage: from Turso's `auth/rotate` on until a consumer holds a token
 * that was minted after it, that consumer's requests fail. Old and new never overlap. Whether the invalidation of one database spares
 * the others of its group is documented both ways, so every token of the group is minted again.
 *
 * ```yaml
 * rollover:turso:
 *   organization: acme
 *   groups:
 *     production: { deleteProtection: true, invalidated: "2026-11-20" }
 *   databases:
 *     rounds: { group: production }
 * ```
 *
 * Adding or changing `invalidated` calls `auth/rotate` once all else that the update needs has succeeded. `incident: { reason, readOnly:
 * 7d }` invalidates too, then blocks writes, and read-only tokens take the place of the others; taking it out unblocks, and mints
 * tokens that write. All targets of one edit are invalidated at once, each with an outcome of its own (`failures`).
 */
export class TursoOrganization extends pulumi.ComponentResource {
  /** By target, in words, the reason why its invalidation failed; such a target keeps its tokens. */
  readonly failures: pulumi.Output<Record<string, string>>;
  /** By invalidated target, what became of tokens that nobody asked to invalidate: `refused` or `works`. */
  readonly findings: pulumi.Output<Record<string, Record<string, string>>>;
  private readonly standing: pulumi.Output<Record<string, Standing> | undefined>;

  constructor(name: string, args: TursoOrganizationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:turso:TursoOrganization", name, {}, opts);
    const { organization } = args.organization;
    const after = { parent: this, dependsOn: args.after ?? [] };
    const same = { organization, ...targetsOf(args.organization, args.credentials) };
    const canary = new TursoCanary(name, { ...same, needs: needsOf(args) }, after);
    const settings = declareSettings();
    const before = canary.before.apply((recorded) => withDeclared(recorded ?? {}, args.organization));
    const invalidation = new TursoInvalidation(
      name,
      { ...same, canaries: canary.canaries, unwatched: canary.failures, before, edit: canary.edit },
      { ...after, dependsOn: [...(args.after ?? []), ...settings] },
    );
    this.standing = invalidation.standing;
    this.failures = invalidation.failures.apply((all) => all ?? {});
    this.findings = invalidation.findings;
    this.registerOutputs({});

    /** Before any invalidation: a token that writes is proven by writing. */
    function declareSettings(): pulumi.Resource[] {
      const { groups, databases } = args.organization;
      const all = [
        ...groups.map(({ name: group, settings }) => ({ target: { kind: "group" as const, name: group }, settings })),
        ...databases.map((database) => ({
          target: { kind: "database" as const, name: database.name },
          settings: settingsOf(database.settings, isInIncident(args.organization, database)),
        })),
      ];
      return all
        .filter(({ settings }) => Object.keys(settings).length > 0)
        .map(
          (one) =>
            new TursoSettings(
              `${name}-${keyOf(one.target)}`,
              { organization, ...one },
              { parent: canary, dependsOn: canary },
            ),
        );
    }
  }

  /** What of an invalidation or an incident concerns tokens of this target; ready only when it has taken effect. */
  standingOf(target: TursoTarget): pulumi.Output<Standing> {
    return this.standing.apply((all) => all?.[keyOf(target)] ?? { mark: "", readOnly: "" });
  }
}

/** During an incident Rollover blocks writes itself, and gives back afterwards what was there before. */
function settingsOf(settings: Organization["databases"][number]["settings"], incident: boolean) {
  const { blockWrites, ...rest } = settings;
  return incident || blockWrites === undefined ? rest : { ...rest, blockWrites };
}

/** What the end of an incident gives back: what config declares by then, else what was there when it began. */
function withDeclared(recorded: InvalidationInputs["before"], { databases }: Organization): typeof recorded {
  const declared = new Map(databases.map(({ name, settings }) => [name, settings.blockWrites]));
  return Object.fromEntries(
    Object.entries(recorded).map(([name, was]) => [name, { ...was, blocked: declared.get(name) ?? was.blocked }]),
  );
}

function isInIncident({ groups }: Organization, database: Organization["databases"][number]): boolean {
  const group = groups.find(({ name }) => name === database.group);
  return database.incident !== undefined || group?.incident !== undefined;
}

/** The scopes that the platform token needs for what config declares. */
function needsOf({ organization, credentials }: TursoOrganizationArgs): string[] {
  const { groups, databases } = organization;
  const sets = (entries: readonly { settings: object }[]) =>
    entries.some(({ settings }) => Object.keys(settings).length > 0);
  const begins = (entries: readonly { invalidated?: string; incident?: object }[]) =>
    entries.some(({ invalidated, incident }) => invalidated !== undefined || incident !== undefined);
  const blocks = [...groups, ...databases].some(({ incident }) => incident !== undefined);
  const mints = (kind: TursoTarget["kind"]) => credentials.some(({ target }) => target.kind === kind);
  return [
    "read",
    // A group's invalidation is looked at in each database, and carried out there too where its tokens outlive it.
    ...(mints("database") || begins(databases) || begins(groups) ? ["db:mint-token"] : []),
    ...(mints("group") || begins(groups) ? ["group:mint-token"] : []),
    ...(begins(databases) || begins(groups) ? ["db:rotate-creds"] : []),
    ...(begins(groups) ? ["group:rotate-creds"] : []),
    ...(sets(databases) || blocks ? ["db:configure"] : []),
    ...(sets(groups) ? ["group:configure"] : []),
  ];
}

type Args<T> = { [K in keyof T]: pulumi.Input<T[K]> };

/** Tokens that tell whether an invalidation took effect; CRUD in turso-canary.provider.ts. */
class TursoCanary extends ThinResource {
  declare readonly canaries: pulumi.Output<InvalidationInputs["canaries"]>;
  declare readonly failures: pulumi.Output<Record<string, string>>;
  /** Undefined in a destroy that runs the program after one that failed: there it is deleted already. */
  declare readonly before: pulumi.Output<InvalidationInputs["before"] | undefined>;
  declare readonly edit: pulumi.Output<string>;

  constructor(name: string, args: Args<CanaryInputs>, opts: pulumi.CustomResourceOptions) {
    const outputs = { canaries: undefined, failures: undefined, before: undefined, edit: undefined };
    super("TursoCanary", name, { ...args, ...outputs }, ["canaries"], opts);
  }
}

/** Every invalidation of the organisation; CRUD in turso-invalidation.provider.ts. */
class TursoInvalidation extends ThinResource {
  /** Undefined as `before` of the canary is. */
  declare readonly standing: pulumi.Output<Record<string, Standing> | undefined>;
  declare readonly failures: pulumi.Output<Record<string, string> | undefined>;
  declare readonly findings: pulumi.Output<Record<string, Record<string, string>>>;

  constructor(name: string, args: Args<InvalidationInputs>, opts: pulumi.CustomResourceOptions) {
    const outputs = { done: undefined, standing: undefined, failures: undefined, findings: undefined };
    super("TursoInvalidation", name, { ...args, ...outputs }, ["canaries"], opts);
  }
}

/** Declared settings of one group or database; CRUD in turso-settings.provider.ts. */
class TursoSettings extends ThinResource {
  constructor(name: string, args: Args<SettingsInputs>, opts: pulumi.CustomResourceOptions) {
    super("TursoSettings", name, args, [], opts);
  }
}
