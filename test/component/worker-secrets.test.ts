// Proves exactly what a Worker's two components register: one probe token, one intended delivery, one set of secrets, which
// waits for every value; what of it is secret; and that the order of credentials changes nothing. Under mocks. Not proven:
// delivery and attestation (test/provider, test/engine).
import { expect, it } from "vitest";
import { RandomSecret, WorkerConsumer, WorkerSecrets } from "../../components";
import type { RandomCredential, Worker } from "../../components";
import { registeredBy, valueOf } from "./registered";

const worker: Worker = {
  name: "rounds-api",
  script: "rounds-script",
  probe: "https://rounds.example.com/probe",
  answers: 5,
  withinMs: 60_000,
  settleMs: 2000,
};

function random(name: string, as: string, change: Partial<RandomCredential> = {}): RandomCredential {
  const deliver = [{ worker: "rounds-api", as, previousAs: `${as}_PREVIOUS` }];
  return {
    kind: "random",
    name,
    length: 40,
    generations: ["2026-11-21", "2026-11-20"],
    deliver,
    output: false,
    ...change,
  };
}

const session = random("session-key", "SESSION_KEY");
const hook = random("hook-key", "HOOK_KEY", { generations: ["2026-11-20"] });
const other = random("other-key", "OTHER_KEY", { deliver: [{ worker: "reports-api", as: "OTHER_KEY" }] });

it("delivers all of a Worker in one resource, and nothing of another Worker's", async () => {
  const registered = await declare([session, hook, other]);
  expect(registered.map(({ what }) => what).sort()).toEqual([
    "pulumi-nodejs:dynamic/cloudflare:WorkerDelivery rounds-api",
    "pulumi-nodejs:dynamic/cloudflare:WorkerSecretSet rounds-api",
    "random:index/randomPassword:RandomPassword rounds-api-probe",
    "rollover:cloudflare:WorkerConsumer rounds-api",
    "rollover:cloudflare:WorkerSecrets rounds-api",
  ]);
  const set = registered.find(({ what }) => what.includes(":WorkerSecretSet "));
  const { generations, ...inputs } = set?.inputs ?? {};
  expect(inputs).toEqual({
    worker: "rounds-api",
    script: "rounds-script",
    accountId: "account-1",
    touched: ["touched-of-rounds-api"],
    secrets: {
      HOOK_KEY: "password-of-hook-key@2026-11-20",
      SESSION_KEY: "password-of-session-key@2026-11-21",
      SESSION_KEY_PREVIOUS: "password-of-session-key@2026-11-20",
    },
    probe: "https://rounds.example.com/probe",
    token: "password-of-rounds-api-probe",
    answers: 5,
    withinMs: 60_000,
    settleMs: 2000,
    settles: ["hook-key", "session-key"],
    delivery: "delivery-of-rounds-api",
    keysets: {},
    signers: {},
    verifiers: {},
  });
  expect(JSON.parse(String(generations))).toEqual({
    "hook-key": [{ stamp: "2026-11-20", tag: "tag-of-hook-key@2026-11-20" }],
    "session-key": [
      { stamp: "2026-11-21", tag: "tag-of-session-key@2026-11-21" },
      { stamp: "2026-11-20", tag: "tag-of-session-key@2026-11-20" },
    ],
  });
});

it("keeps secrets and token secret, and waits for each value and for the intended delivery", async () => {
  const set = (await declare([session, hook])).find(({ what }) => what.includes(":WorkerSecretSet "));
  expect([...(set?.secrets ?? [])].sort()).toEqual(["secrets", "signers", "token", "verifiers"]);
  expect([...(set?.secretOutputs ?? [])].sort()).toEqual(["secrets", "signers", "token", "verifiers"]);
  expect(set?.after).toEqual(
    expect.arrayContaining([
      "random:index/randomPassword:RandomPassword hook-key@2026-11-20",
      "random:index/randomPassword:RandomPassword session-key@2026-11-20",
      "random:index/randomPassword:RandomPassword session-key@2026-11-21",
      "random:index/randomPassword:RandomPassword rounds-api-probe",
      "pulumi-nodejs:dynamic/cloudflare:WorkerDelivery rounds-api",
    ]),
  );
});

it("intends and delivers the same in whatever order the credentials stand", async () => {
  const inputs = async (credentials: RandomCredential[]) =>
    (await declare(credentials))
      .filter(({ what }) => what.includes(":dynamic/"))
      .map(({ what, inputs: given }) => ({ what, text: JSON.stringify(given) }));
  expect(await inputs([session, hook])).toEqual(await inputs([hook, session]));
  expect(await inputs([session, hook])).not.toEqual(await inputs([{ ...session, generations: ["2026-11-21"] }, hook]));
});

it("has no value in what it intends, a secret record of how to ask, and none without a probe", async () => {
  const { probe, ...silent } = worker;
  const made: WorkerConsumer[] = [];
  const registered = await registeredBy(() => {
    made.push(new WorkerConsumer("rounds-api", { worker, credentials: [session] }));
    made.push(new WorkerConsumer("silent", { worker: { ...silent, name: "silent" }, credentials: [session] }));
  });
  const intended = registered.filter(({ what }) => what.includes(":WorkerDelivery "));
  expect(intended).toHaveLength(2);
  expect(JSON.stringify(intended)).not.toContain("password-of-");
  const [probed, unprobed] = made;
  expect(probed?.record && (await valueOf(probed.record))).toEqual({
    value: { worker: "rounds-api", script: "rounds-script", url: probe, token: "password-of-rounds-api-probe" },
    secret: true,
  });
  expect(unprobed).toBeDefined();
  expect(unprobed?.record).toBeUndefined();
});

/** Registers a Worker that gets these credentials; the credentials' own resources are left out. */
async function declare(credentials: RandomCredential[]) {
  const registered = await registeredBy(() => {
    const consumer = new WorkerConsumer("rounds-api", { worker, credentials });
    const components = credentials.map((credential) => new RandomSecret(credential.name, { credential }));
    new WorkerSecrets("rounds-api", { worker, accountId: "account-1", consumer, credentials: components });
  });
  return registered.filter(({ what, parent }) => [what.split(" ")[1], parent].includes("rounds-api"));
}
