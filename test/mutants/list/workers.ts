/** What Workers and env files are handed, and what Workers say of it. */
import type { Mutant } from "../mutant";

const CONSUMER = "components/cloudflare/worker-consumer.ts";
const SECRETS = "components/cloudflare/worker-secrets.ts";

const declared = ["test/component/worker-secrets.test.ts"];

export const workerMutants: readonly Mutant[] = [
  {
    id: "worker-secrets-in-state",
    guarantee: "G7",
    fault: "a Worker's secrets stand in state in clear",
    file: SECRETS,
    text: `["secrets", "token", "signers", "verifiers"]`,
    becomes: `["token", "signers", "verifiers"]`,
    tests: declared,
    named: "keeps secrets and token secret",
  },
  {
    id: "intent-unrecorded",
    guarantee: "G8",
    fault: "a delivery does not hang on the intent that stands in state before it",
    file: SECRETS,
    text: "delivery: consumer.delivery.delivery,",
    becomes: `delivery: "",`,
    tests: declared,
  },
  {
    id: "clock-in-program",
    guarantee: "G1",
    fault: "what is to be delivered hangs on the time of day",
    file: CONSUMER,
    text: "return [[name, generations, names, ...minting(credential, server, turso)]];",
    becomes: "return [[name, generations, names, performance.now(), ...minting(credential, server, turso)]];",
    tests: declared,
  },
  {
    id: "order-of-config-delivers",
    guarantee: "G1",
    fault: "another order of the same config delivers everything again",
    file: CONSUMER,
    text: "entries.sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1))",
    becomes: "entries",
    tests: declared,
    named: "in whatever order the credentials stand",
  },
  {
    id: "probe-answers-anybody",
    guarantee: "G7",
    fault: "the probe answers without its token",
    file: "components/cloudflare/probe.ts",
    text: `if (!carriesProbeToken(request, env)) return new`,
    becomes: `if (request.method === "TRACE") return new`,
    tests: ["test/unit/probe.test.ts"],
  },
  {
    id: "limits-lose-secrets",
    guarantee: "G4",
    fault: "a deployment of a Worker's code takes its secrets away",
    file: "components/cloudflare/worker-script.ts",
    text: `keepBindings: ["secret_text", "secret_key"],`,
    becomes: "keepBindings: [],",
    tests: ["test/component/rate-limits.test.ts"],
  },
  {
    id: "limits-follow-the-order",
    guarantee: "G1",
    fault: "another order of the same rate limits deploys the Worker again",
    file: "components/cloudflare/worker-script.ts",
    text: "].sort((a, b) => (a.name < b.name ? -1 : 1));",
    becomes: "];",
    tests: ["test/component/rate-limits.test.ts"],
    named: "is the same in whatever order routes and variables stand",
  },
  {
    id: "limit-rounded",
    guarantee: "G9",
    fault: "a rate limit's period that cannot be counted in is accepted",
    file: "components/rotation/rate-limits.ts",
    text: "if (rate.periodMs === 0 || means.periodsMs.includes(rate.periodMs)) return rate;",
    becomes: "if (rate.periodMs === 0 || means.periodsMs.length > 0) return rate;",
    tests: ["test/unit/rate-limits.test.ts"],
  },
  {
    id: "env-file-lines-in-state",
    guarantee: "G7",
    fault: "the values of an env file stand in state in clear",
    file: "components/file/env-file.ts",
    text: `["lines"], order`,
    becomes: `[], order`,
    tests: ["test/component/env-file.test.ts"],
  },
];
