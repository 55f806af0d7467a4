/** Turso tokens and their invalidation. */
import type { Mutant } from "../mutant";

const API = "components/turso/api.ts";
const TOKEN = "components/turso/turso-token.provider.ts";
const ROTATE = "components/turso/rotate.ts";
const ORGANIZATION = "components/turso/turso-organization.ts";

const faults = ["test/provider/turso-api-faults.test.ts"];
const invalidated = ["test/provider/turso-invalidation.test.ts"];
const tokens = ["test/provider/turso-edits-tokens.test.ts"];
const declared = ["test/component/turso.test.ts"];

export const tursoMutants: readonly Mutant[] = [
  {
    id: "rotate-repeated",
    guarantee: "G10",
    fault: "an auth/rotate whose answer was lost is called again at once",
    file: API,
    text: "      once: true,\n",
    becomes: "",
    tests: faults,
    named: "is asked once where its effect is unknown",
  },
  {
    id: "rotate-called-twice",
    guarantee: "G8",
    fault: "an auth/rotate that a killed run called is called a second time",
    file: ROTATE,
    text: "if (!mayHaveExpired(canary)) return undefined;",
    becomes: "if (mayHaveExpired(canary)) return undefined;",
    tests: invalidated,
    named: "is found to be done where the run that called was killed",
  },
  {
    id: "canary-trusted-once",
    guarantee: "G6",
    fault: "one refusal of the canary is enough to believe that every token is dead",
    file: ROTATE,
    text: `if (row === 3) return "refused";`,
    becomes: `if (row === 1) return "refused";`,
    tests: ["test/unit/turso-watch.test.ts"],
  },
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
    id: "token-unproven",
    guarantee: "G3",
    fault: "a new token is delivered without having been used",
    file: TOKEN,
    text: `await prove(api, minted);
        return { id`,
    becomes: `return { id`,
    tests: ["test/provider/turso-lies.test.ts"],
  },
  {
    id: "token-never-expires",
    guarantee: "G3",
    fault: "a token that never expires passes for one of 90 days",
    file: TOKEN,
    text: `if (expiration !== "never" && outs.expires === "never")`,
    becomes: `if (expiration === "" && outs.expires === "never")`,
    tests: ["test/provider/turso-lies.test.ts"],
  },
  {
    id: "token-forgotten",
    guarantee: "G6",
    fault: "a token that works on is let go, and listed nowhere",
    file: TOKEN,
    text: "if (left.length === 0 || (isOpen && (await isGone(api, props)))) return;",
    becomes: "if (left.length >= 0 || (isOpen && (await isGone(api, props)))) return;",
    tests: tokens,
  },
  {
    id: "unproven-token-lost",
    guarantee: "G8",
    fault: "a token that was minted and could not be proven works on, and no state knows it",
    file: TOKEN,
    text: `return Object.assign(new Error(message), { id, properties: { ...minted, proven: false }, reasons: [message] });`,
    becomes: `return Object.assign(new Error(message), minted.jwt === id ? {} : { reasons: [message] });`,
    tests: ["test/provider/turso-lies.test.ts"],
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
    id: "token-sent-to-a-stranger",
    guarantee: "G7",
    fault: "a token is sent to whatever host the API names",
    file: API,
    text: "if (url && plain && trusted) return text;",
    becomes: "if (url && (plain || trusted)) return text;",
    tests: ["test/provider/turso-api.test.ts"],
    named: "where a token may be sent",
  },
  {
    id: "wrong-scopes-accepted",
    guarantee: "G9",
    fault: "a platform token without the scopes that config needs passes the preview",
    file: API,
    text: `if (scopes.includes("full-access")) return [];`,
    becomes: `if (scopes.length > 0) return [];`,
    tests: ["test/provider/turso-api.test.ts"],
    named: "are compared with what is needed",
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
