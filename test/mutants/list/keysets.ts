/** Signing and encryption keysets, their backups in Vault, and random secrets. */
import type { Mutant } from "../mutant";

const GATE = "components/cloudflare/keyset-gate.ts";
const STEPS = "components/cloudflare/keyset-steps.ts";
const KEYSET = "components/keyset/keyset.ts";

const steps = ["test/unit/keyset-steps.test.ts"];
const declared = ["test/component/keyset.test.ts"];
const random = ["test/component/random-secret.test.ts"];

export const keysetMutants: readonly Mutant[] = [
  {
    id: "announcement-loses-a-key",
    guarantee: "G2",
    fault: "the announced set lacks a key that tokens are about of",
    file: "components/rotation/key-texts.ts",
    text: "keys: [...set.keys, ...more]",
    becomes: "keys: [...set.keys, ...more.slice(1)]",
    tests: ["test/unit/key-texts.test.ts"],
  },
  {
    id: "key-dropped-while-in-use",
    guarantee: "G5",
    fault: "a key is dropped though isolates verify much that it signed",
    file: GATE,
    text: "if (share <= step.spec.retireBelow) continue;",
    becomes: "if (share <= 1 + step.spec.retireBelow) continue;",
    tests: steps,
    named: "a share above",
  },
  {
    id: "report-without-since",
    guarantee: "G8",
    fault: "a Worker is not told since when it signs with a key",
    file: STEPS,
    text: "return at === undefined ? entry : { ...entry, since: at };",
    becomes: "return at === undefined ? entry : { ...entry };",
    tests: steps,
    named: "is told to the Worker in its report",
  },
  {
    id: "key-minted-again",
    guarantee: "G1",
    fault: "a later edit mints a key again under its stamp",
    file: KEYSET,
    text: `ignoreChanges: ["byteLength", ...Object.keys(KEY)]`,
    becomes: `ignoreChanges: ["byteLength"]`,
    tests: declared,
    named: "mints one key and one tag a generation, and never again",
  },
  {
    id: "encryption-key-signs",
    guarantee: "G3",
    fault: "a key that encrypts is delivered as one that signs",
    file: "components/rotation/key-texts.ts",
    text: `{ alg: "A256GCM", use: "enc" }`,
    becomes: `{ alg: "HS256", use: "sig" }`,
    tests: ["test/unit/key-texts.test.ts"],
  },
  {
    id: "jws-algorithm-of-the-token",
    guarantee: "G6",
    fault: "a dropped key's tokens are accepted where they name no key that is known",
    file: "components/jws/keyset.ts",
    text: `if (named.length === 0) throw new TokenError("unknown-key");`,
    becomes: `if (named.length === 0) return keyset.keys;`,
    tests: ["test/unit/jws.test.ts"],
  },
  {
    id: "keyset-error-shows-text",
    guarantee: "G7",
    fault: "a Worker's error repeats a keyset that it could not read",
    file: "components/jws/keyset.ts",
    text: `throw new KeysetError("the keyset is not JSON");`,
    becomes: "throw new KeysetError(`the keyset is not JSON: ${text}`);",
    tests: ["test/unit/jws-keyset.test.ts"],
  },
  {
    id: "key-before-backup",
    guarantee: "G3",
    fault: "a key is delivered before its backup has been read back",
    file: KEYSET,
    text: "return pulumi.secret(kept.key);",
    becomes: "return key ?? pulumi.secret(kept.key);",
    tests: declared,
    named: "is delivered out of its backup",
  },
  {
    id: "backup-key-in-state",
    guarantee: "G7",
    fault: "a backed-up key stands in state in clear",
    file: "components/vault/vault-key.ts",
    text: `["key"], opts`,
    becomes: `[], opts`,
    tests: declared,
    named: "is delivered out of its backup",
  },
  {
    id: "random-minted-again",
    guarantee: "G1",
    fault: "an edit of `length` mints a live random secret again",
    file: "components/random/random-secret.ts",
    text: `ignoreChanges: ["length", "special", "byteLength"]`,
    becomes: `ignoreChanges: ["special", "byteLength"]`,
    tests: random,
    named: "mints a value and a tag for each generation, and never again",
  },
  {
    id: "random-in-clear",
    guarantee: "G7",
    fault: "a random secret leaves its component in clear",
    file: "components/random/random-secret.ts",
    text: "value: pulumi.secret(value.result)",
    becomes: "value: pulumi.unsecret(value.result)",
    tests: random,
  },
  {
    id: "random-order",
    guarantee: "G2",
    fault: "the previous value is delivered as the current one",
    file: "components/credential.ts",
    text: "const [current, previous] = generations;",
    becomes: "const [previous, current] = generations;",
    tests: ["test/component/worker-secrets.test.ts", "test/component/env-file.test.ts"],
  },
];
