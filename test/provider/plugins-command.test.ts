// Proves, over the wire: when the stand-in for command runs what, with which environment, what it hides, and that a failure's text
// holds the command and its output, as the official plugin's does.
// Does not prove: that the official plugin does the same; the facts are from its source.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PluginClient } from "../../local/plugins/client";
import { UNKNOWN } from "../../local/plugins/wire";

const TYPE = "command:local:Command";
const SIGNATURE = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };
let command: PluginClient;
let log: string;
beforeAll(async () => {
  log = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "rollover-command-")), "log");
  command = await PluginClient.start("command");
});
afterAll(async () => {
  await command.stop();
  fs.rmSync(path.dirname(log), { recursive: true });
});

const writes = (word: string) => `echo "${word} $SECRET" >> ${log}`;
/** What ran since the last look. */
function ran(): string[] {
  const lines = fs.existsSync(log) ? fs.readFileSync(log, "utf8").trimEnd().split("\n") : [];
  fs.rmSync(log, { force: true });
  return lines;
}

it("runs create with the environment, keeps what it prints, and hides what depends on a secret", async () => {
  const environment = { ...SIGNATURE, value: { SECRET: "s-1" } };
  const inputs = { create: `${writes("create")}; cat; echo err >&2`, stdin: "in", environment, logging: "none" };
  const { values, secrets, id } = await command.create(TYPE, inputs);
  expect(values).toMatchObject({ stdout: "in", stderr: "err", environment: { SECRET: "s-1" }, logging: "none" });
  expect(values["addPreviousOutputInEnv"]).toBe(true);
  expect([...secrets]).toEqual(["environment"]);
  expect(id).toMatch(/^command[0-9a-f]{16}$/);
  expect(ran()).toEqual(["create s-1"]);
});

it("runs nothing in a preview", async () => {
  const { values } = await command.create(TYPE, { create: writes("create"), triggers: [UNKNOWN] }, true);
  expect(values).toMatchObject({ stdout: UNKNOWN, stderr: UNKNOWN });
  expect(ran()).toEqual([]);
});

it("replaces for another trigger, and updates for any other input", async () => {
  const inputs = { create: "true", triggers: ["2026-11-20", "tag"], environment: { A: "1" } };
  const { values } = await command.create(TYPE, inputs);
  const diff = (news: object) => command.diff(TYPE, values, { ...inputs, ...news });
  expect(await diff({})).toMatchObject({ changed: false, replaces: [] });
  expect(await diff({ triggers: ["2026-11-21", "tag"] })).toMatchObject({ changed: true, replaces: ["triggers"] });
  expect(await diff({ triggers: [UNKNOWN, "tag"] })).toMatchObject({ replaces: ["triggers"] });
  expect(await diff({ environment: { A: "2" } })).toMatchObject({ changed: true, replaces: [] });
});

it("runs create again on an update without its own command, and delete with what state holds", async () => {
  const inputs = { create: writes("create"), delete: writes("delete"), environment: { SECRET: "s-1" } };
  const { values, id } = await command.create(TYPE, inputs);
  await command.update(TYPE, values, { ...inputs, environment: { SECRET: "s-2" } });
  await command.update(TYPE, values, {
    ...inputs,
    update: `${writes("update")}; echo "$PULUMI_COMMAND_STDOUT" >> ${log}`,
  });
  await command.remove(TYPE, id, values);
  expect(ran()).toEqual(["create s-1", "create s-2", "update s-1", "", "delete s-1"]);
});

it("gives the output before to the next command, unless told not to", async () => {
  const inputs = { create: "echo first", update: `echo "<$PULUMI_COMMAND_STDOUT>" >> ${log}` };
  const { values } = await command.create(TYPE, inputs);
  await command.update(TYPE, values, inputs);
  await command.update(TYPE, values, { ...inputs, addPreviousOutputInEnv: false });
  expect(ran()).toEqual(["<first>", "<>"]);
});

it("fails with the command and all that it printed, whatever logging says", async () => {
  const create = 'echo "value $SECRET"; echo on-stderr >&2; exit 3';
  const failing = command.create(TYPE, { create, environment: { SECRET: "s-1" }, logging: "none" });
  await expect(failing).rejects.toThrow(
    /exit status 3: running "echo .*":\n(value s-1\non-stderr|on-stderr\nvalue s-1)\n/,
  );
});

it("refuses what it does not know", async () => {
  expect(await command.check(TYPE, { create: "true", assetPaths: ["*"] })).toEqual([
    expect.stringMatching(/^assetPaths: command:local:Command has no input "assetPaths"; it has /),
  ]);
  expect(await command.check(TYPE, { create: "true", logging: "loud" })).toEqual([
    'logging: "logging" must be one of stdout, stderr, stdoutAndStderr, none',
  ]);
  expect(await command.check(TYPE, { create: "true", environment: { A: 1 } })).toEqual([
    'environment: "environment.A" must be a string',
  ]);
  await expect(command.create("command:remote:Command", { create: "true" })).rejects.toThrow(/has no resource type/);
});
