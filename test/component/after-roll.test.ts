// Proves exactly what a hook registers: one command that only creates, triggered by stamp and tag, with the value in a secret
// environment and nowhere else, quiet, after every delivery; and that a program that cannot be run is refused. Under mocks. Not
// proven: that it runs (test/engine/operate.test.ts).
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { expect, it } from "vitest";
import { AfterRoll } from "../../components";
import { registeredBy } from "./registered";

const PROGRAM = "./test/fixtures/after-roll/hook.mjs";

function declare() {
  return registeredBy(() => {
    const after = [new random.RandomId("rounds-api", { byteLength: 8 })];
    const value = pulumi.output("value-of-rounds-db");
    new AfterRoll("rounds-db", {
      ...{ program: PROGRAM, credential: "rounds-db", stamp: "2026-11-20" },
      ...{ tag: "tag-1", value, after },
    });
  });
}

it("is one quiet command that waits for the deliveries and gets the value by environment", async () => {
  const registered = await declare();
  expect(registered.map(({ what, parent }) => `${parent}/${what}`).sort()).toEqual([
    "/random:index/randomId:RandomId rounds-api",
    "/rollover:command:AfterRoll rounds-db",
    "rounds-db/command:local:Command rounds-db",
  ]);
  const hook = registered.find(({ parent }) => parent === "rounds-db");
  expect(hook?.inputs).toEqual({
    create:
      "unset PULUMI_CONFIG_PASSPHRASE PULUMI_CONFIG_PASSPHRASE_FILE PULUMI_ACCESS_TOKEN; exec ./test/fixtures/after-roll/hook.mjs </dev/null >/dev/null 2>&1",
    triggers: ["2026-11-20", "tag-1"],
    environment: {
      ...{ ROLLOVER_STACK: "test", ROLLOVER_CREDENTIAL: "rounds-db", ROLLOVER_STAMP: "2026-11-20" },
      ROLLOVER_VALUE: "value-of-rounds-db",
    },
    logging: "none",
    addPreviousOutputInEnv: false,
  });
  expect(hook?.secrets).toEqual(["environment"]);
  expect(hook?.secretOutputs).toEqual(["environment", "stdout", "stderr"]);
  expect(hook?.after).toContain("random:index/randomId:RandomId rounds-api");
});

it.each(["./deploy.sh --now", "deploy.sh", "./deploy.sh; true", "./$(id)", ""])(
  "refuses %j, which is no path of a program",
  async (program) => {
    const build = () => new AfterRoll("x", { program, credential: "x", stamp: "1", tag: "t", value: "v", after: [] });
    await expect(registeredBy(build)).rejects.toThrow("is no path of a program; allowed is one such as ./deploy.sh");
  },
);

it.each([
  ["./no-such-program.sh", "is not there"],
  ["./package.json", "cannot be run (EACCES)"],
  ["./test/fixtures", "is no file"],
])("refuses %s, which could not be run, and registers no command", async (program, what) => {
  const args = { program, credential: "rounds-db", stamp: "2026-11-20", tag: "t", value: "v", after: [] };
  const registered = await registeredBy(() => {
    expect(() => new AfterRoll("rounds-db", args)).toThrow(
      `afterRoll of rounds-db: ${program} ${what}; it is to be an executable file, relative to the project's folder: put it there and \`chmod +x\` it (it has to be in the branch that is previewed), or correct the path`,
    );
  });
  expect(registered.filter(({ what: one }) => one.includes("Command"))).toEqual([]);
});
