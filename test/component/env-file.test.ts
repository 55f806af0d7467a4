// Proves exactly what an env file's component registers: one resource with all lines of that file, secret, which waits for every
// value; and that the order of credentials changes nothing. Under mocks. Not proven: what is written (test/provider).
import { expect, it } from "vitest";
import { RandomSecret } from "../../components";
import type { Delivery, RandomCredential } from "../../components";
import { EnvFile } from "../../components/file/env-file";
import { registeredBy } from "./registered";

const file = ".env.local";

function random(name: string, deliver: Delivery[], generations = ["2026-11-21", "2026-11-20"]): RandomCredential {
  return { kind: "random", name, length: 40, generations, deliver, output: false };
}

const session = random("session-key", [
  { file, as: "SESSION_KEY", previousAs: "SESSION_KEY_PREVIOUS" },
  { worker: "rounds-api", as: "WORKER_KEY" },
]);
const hook = random("hook-key", [{ file, as: "HOOK_KEY", previousAs: "HOOK_KEY_PREVIOUS" }], ["2026-11-20"]);
const elsewhere = random("other-key", [{ file: "web/.env", as: "OTHER_KEY" }]);

it("writes all lines of a file in one resource, and nothing that goes elsewhere", async () => {
  const registered = await declare([session, hook, elsewhere]);
  expect(registered.map(({ what, parent }) => ({ what, parent }))).toEqual([
    { what: "rollover:file:EnvFile .env.local", parent: "" },
    { what: "pulumi-nodejs:dynamic/file:EnvFile .env.local", parent: ".env.local" },
  ]);
  expect(registered[1]?.inputs).toEqual({
    file,
    lines: {
      HOOK_KEY: "password-of-hook-key@2026-11-20",
      SESSION_KEY: "password-of-session-key@2026-11-21",
      SESSION_KEY_PREVIOUS: "password-of-session-key@2026-11-20",
    },
    generations: JSON.stringify({ "hook-key": ["2026-11-20"], "session-key": ["2026-11-21", "2026-11-20"] }),
  });
});

it("keeps the lines secret, and waits for each value", async () => {
  const lines = (await declare([session, hook, elsewhere]))[1];
  expect(lines?.secrets).toEqual(["lines"]);
  expect(lines?.secretOutputs).toEqual(["lines"]);
  expect([...(lines?.after ?? [])].sort()).toEqual([
    "random:index/randomPassword:RandomPassword hook-key@2026-11-20",
    "random:index/randomPassword:RandomPassword session-key@2026-11-20",
    "random:index/randomPassword:RandomPassword session-key@2026-11-21",
  ]);
});

it("writes the same in whatever order the credentials stand", async () => {
  const inputs = async (credentials: RandomCredential[]) => JSON.stringify((await declare(credentials))[1]?.inputs);
  expect(await inputs([session, hook])).toEqual(await inputs([hook, session]));
  expect(await inputs([session, hook])).not.toEqual(await inputs([{ ...session, generations: ["2026-11-21"] }, hook]));
});

/** Registers the env file of these credentials; the credentials' own resources are left out. */
async function declare(credentials: RandomCredential[]) {
  const registered = await registeredBy(() => {
    const components = credentials.map((credential) => new RandomSecret(credential.name, { credential }));
    new EnvFile(file, { file, credentials: components });
  });
  return registered.filter(({ what, parent }) => [what.split(" ")[1], parent].includes(file));
}
