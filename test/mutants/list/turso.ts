/** Turso tokens and their invalidation. */
import type { Mutant } from "../mutant";

const ORGANIZATION = "components/turso/turso-organization.ts";

const declared = ["test/component/turso.test.ts"];

export const tursoMutants: readonly Mutant[] = [
  {
    id: "invalidates-before-all-else",
    guarantee: "G2",
    fault: "an invalidation's outage begins before what else the update does has succeeded",
    file: ORGANIZATION,
    text: "{ ...after, dependsOn: [...(args.after ?? []), ...settings] },",
    becomes: "{ parent: this, dependsOn: settings },",
    tests: declared,
    named: "invalidates last",
  },
  {
    id: "token-in-state",
    guarantee: "G7",
    fault: "a Turso token stands in state in clear",
    file: "components/turso/turso-token.ts",
    text: `["jwt", "replaced", "unproven"], opts`,
    becomes: `["replaced", "unproven"], opts`,
    tests: declared,
    named: "keeps tokens and canaries secret",
  },
  {
    id: "canary-secret-in-state",
    guarantee: "G7",
    fault: "a canary token stands in state in clear",
    file: ORGANIZATION,
    text: `super("TursoCanary", name, { ...args, ...outputs }, ["canaries"], opts);`,
    becomes: `super("TursoCanary", name, { ...args, ...outputs }, [], opts);`,
    tests: declared,
    named: "keeps tokens and canaries secret",
  },
];
