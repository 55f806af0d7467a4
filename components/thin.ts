import { createRequire } from "node:module";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";

/** The custom resources of this library, with the module that stands in their type: `pulumi-nodejs:dynamic/<module>:<kind>`. */
const modules = {
  PostgresLoginClaim: "postgres",
  PostgresLogin: "postgres",
  WorkerDelivery: "cloudflare",
  WorkerSecretSet: "cloudflare",
  VaultKey: "vault",
  TursoCanary: "turso",
  TursoInvalidation: "turso",
  TursoSettings: "turso",
  TursoToken: "turso",
  TursoOutcome: "turso",
  EnvFile: "file",
  Announcement: "notify",
  Completion: "notify",
};

export type Kind = keyof typeof modules;

/** The type token of a kind, as it stands in URNs. */
export function typeOf(kind: Kind): string {
  return `pulumi-nodejs:dynamic/${modules[kind]}:${kind}`;
}

/**
 * A dynamic resource whose provider is a loader. `pulumi.dynamic.Resource` would serialise a provider object by the
 * TypeScript compiler at each run, into 760 bytes that state holds twice; this text does the same in 85: loader.cjs loads
 * today's module when it is configured. So a code edit makes no diff, and `delete` and `refresh` of an old resource run the
 * code of the checkout, not the code that was saved with it. It holds no value of ours.
 *
 * @param secrets Names of inputs and outputs that are secret, whatever the caller passes.
 */
export abstract class ThinResource extends pulumi.CustomResource {
  constructor(kind: Kind, name: string, props: pulumi.Inputs, secrets: string[], opts?: pulumi.CustomResourceOptions) {
    const wrapped = Object.fromEntries(
      Object.entries(props).map(([key, value]) => [
        key,
        // An output that is declared here has no value: a secret around it would be an input, null.
        secrets.includes(key) && value !== undefined ? pulumi.secret(value as unknown) : (value as unknown),
      ]),
    );
    super(
      typeOf(kind),
      name,
      // Nothing else tells a dynamic provider which stack it acts for; audit records and messages name it. No diff looks at it.
      { ...wrapped, stack: pulumi.getStack(), __provider: loaderOf(kind) },
      pulumi.mergeOptions(opts, { additionalSecretOutputs: secrets }),
    );
  }
}

function loaderOf(kind: Kind): string {
  return `exports.handler=()=>require(${loaderPath()})("${kind}")`;
}

/**
 * How a provider's process, whose folder is the program's, finds loader.cjs. In Rollover's own program it stays what old states
 * hold. In another one it is the package's name, which outlives a move or an update of the package, or else the way there.
 */
function loaderPath(): string {
  const way = path.relative(process.cwd(), __dirname).replaceAll(path.sep, "/");
  const byName = "rollover/components/loader.cjs";
  if (way !== "components" && found(byName) === path.join(__dirname, "loader.cjs")) return JSON.stringify(byName);
  return `process.cwd()+${JSON.stringify(`/${way}/loader.cjs`)}`;
}

function found(byName: string): string | undefined {
  try {
    // As the provider's process looks: in the node_modules on the way up. A require of this file, or of one beside package.json,
    // would find this package by its own name, which that process does not.
    return createRequire(path.join(process.cwd(), "node_modules", "any.js")).resolve(byName);
  } catch {
    return undefined; // imported by its path
  }
}
