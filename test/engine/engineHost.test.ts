// Proves that programs run under the engine as under the official language host: messages, exit codes, exported
// functions; that config and secrets reach them; that the harness reads and writes a stack as the CLI does; and that no helper outlives a killed engine. Not proven: the official
// host itself, which is not to be had offline, and the provider plugins, which have tests of their own.
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareEngine, type Engine } from "../../local/engine";
import { descendants, isRunning } from "../../local/engine/descendants";
import { temporaryFolder } from "../../local/engine/temporary";
import { Stack, type State } from "../../local/stack";

const CHECKOUT = path.join(__dirname, "..", "..");
const RUN_MS = 60_000;

const folder = temporaryFolder("engine-host-test");
let engine: Engine;
beforeAll(async () => {
  engine = await prepareEngine();
}, 30 * 60_000);
afterAll(() => {
  folder.remove();
});

/** A stack of a project of one file. */
async function stackOf(name: string, program: string, runtime = "nodejs", configFile?: string): Promise<Stack> {
  const cwd = folder.make(name);
  fs.writeFileSync(path.join(cwd, "Pulumi.yaml"), `name: ${name}\nruntime: ${runtime}\n`);
  fs.writeFileSync(path.join(cwd, "package.json"), JSON.stringify({ name, main: "index.ts" }));
  fs.copyFileSync(path.join(CHECKOUT, "tsconfig.json"), path.join(cwd, "tsconfig.json"));
  fs.symlinkSync(path.join(CHECKOUT, "node_modules"), path.join(cwd, "node_modules"));
  fs.writeFileSync(path.join(cwd, "index.ts"), program);
  const file = configFile === undefined ? {} : { configFile: path.join(cwd, configFile) };
  const stack = new Stack(engine, { cwd, stack: "test", dir: folder.make(`${name}-runs`), ...file });
  await stack.init();
  return stack;
}

const PULUMI = 'import * as pulumi from "@pulumi/pulumi";\n';
/** A dynamic resource whose create writes its process id to a file, and waits. */
const DYNAMIC = (file: string, waitMs: number) => `${PULUMI}
const provider: pulumi.dynamic.ResourceProvider = {
  create: async () => {
    const fs = require("node:fs") as typeof import("node:fs");
    fs.writeFileSync(${JSON.stringify(file)}, String(process.pid));
    await new Promise((resolve) => setTimeout(resolve, ${waitMs}));
    return { id: "made" };
  },
};
class Thing extends pulumi.dynamic.Resource {
  constructor() {
    super(provider, "thing", {}, {}, "test", "Thing");
  }
}
`;

describe("a program that fails", () => {
  it.each([
    [
      "throws",
      'throw new Error("the cause");',
      /index\.ts' failed with an unhandled exception:[\s\S]*Error: the cause/,
    ],
    ["throws a RunError", `${PULUMI}throw new pulumi.RunError("only this");`, /error: only this\n/],
    ["exits", "process.exit(3);", /Program exited with non-zero exit code: 3/],
    ["has a type error", 'export const n: number = "text";', /TSError[\s\S]*error TS2322/],
    ["rejects later", 'void Promise.reject(new Error("the cause"));', /unhandled exception[\s\S]*the cause/],
  ])("and %s fails the update and says why", { timeout: RUN_MS }, async (what, program, message) => {
    const stack = await stackOf(`fails-${what.replaceAll(" ", "-")}`, program);
    const up = await stack.up();
    expect(up.code).not.toBe(0);
    expect(up.stdout).toMatch(message);
    expect(fs.readFileSync(stack.transcript, "utf8")).toContain(up.stdout);
  });

  it("before any resource changes nothing that stands", { timeout: RUN_MS }, async () => {
    const stack = await stackOf("keeps", `${DYNAMIC(path.join(folder.make("keeps"), "pid"), 0)}new Thing();`);
    expect((await stack.up()).code).toBe(0);
    fs.writeFileSync(path.join(stack.options.cwd, "index.ts"), 'throw new Error("early");');
    expect((await stack.up()).code).not.toBe(0);
    const { resources = [] } = (await stack.exportState()).deployment;
    expect(resources.filter(({ id }) => id === "made")).toHaveLength(1);
  });
});

it("awaits an exported function, and registers what it makes", { timeout: RUN_MS }, async () => {
  const program = `${DYNAMIC(path.join(folder.make("function"), "pid"), 0)}
export = async () => {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { id: new Thing().id };
};`;
  const stack = await stackOf("function", program);
  expect((await stack.up()).code).toBe(0);
  expect(await stack.outputs()).toEqual({ id: "made" });
  expect((await stack.preview(["--expect-no-changes"])).code).toBe(0);
  expect((await stack.destroy()).code).toBe(0);
  expect((await stack.exportState()).deployment.resources ?? []).toEqual([]);
});

it("passes config, and secrets without showing them, from a config file elsewhere", { timeout: RUN_MS }, async () => {
  const program = `${PULUMI}
const config = new pulumi.Config();
export const list = config.requireObject<string[]>("list");
export const length = config.requireSecret("word").apply((word) => word.length);
export const dry = pulumi.runtime.isDryRun();`;
  const stack = await stackOf("config", program, "nodejs", "elsewhere.yaml");
  await stack.setConfig("list[0]", "- first", { path: true });
  await stack.setConfig("word", "correct horse", { secret: true });
  const up = await stack.up();
  expect(up.code).toBe(0);
  expect(await stack.outputs()).toEqual({ list: ["- first"], length: "[secret]", dry: false });
  expect((await stack.run(["stack", "output", "length", "--show-secrets"])).stdout).toBe("13\n");
  expect(fs.readFileSync(stack.transcript, "utf8")).not.toContain("correct horse");
  expect(fs.readdirSync(stack.options.cwd).filter((name) => name.startsWith("Pulumi."))).toEqual(["Pulumi.yaml"]);
  expect(fs.readdirSync(stack.options.dir)).toContain("events-1.json");
});

it("reads and writes a stack in the harness's own way as the CLI does", { timeout: RUN_MS }, async () => {
  const program = `${PULUMI}
const word = new pulumi.Config().requireSecret("word");
export const both = { public: "seen", hidden: word };
export const length = word.apply((text) => text.length);`;
  const stack = await stackOf("agree", program, "nodejs", "elsewhere.yaml");
  const cli = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await stack.run(args);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  await stack.setConfig("word", "correct horse", { secret: true });
  expect(await cli("config", "get", "word")).toBe("correct horse\n");
  expect((await stack.run(["config", "set", "other", "--secret"], "battery staple")).code).toBe(0);
  const [, ciphertext = ""] = /agree:other:\s+secure: (\S+)/.exec(fs.readFileSync(configOf(stack), "utf8")) ?? [];
  expect((await stack.decrypter())(ciphertext)).toBe("battery staple");

  expect((await stack.up()).code).toBe(0);
  const own = await stack.exportState();
  expect(own.deployment.resources).toHaveLength(1);
  expect(withoutCiphertext(own)).toEqual(withoutCiphertext(JSON.parse(await cli("stack", "export")) as State));
  const shown = JSON.parse(await cli("stack", "export", "--show-secrets")) as State;
  expect((await stack.revealState()).deployment.resources).toEqual(shown.deployment.resources);
  expect(await stack.outputs()).toEqual(JSON.parse(await cli("stack", "output", "--json")));
  expect(await stack.revealOutputs()).toEqual(JSON.parse(await cli("stack", "output", "--json", "--show-secrets")));
  expect((await stack.run(["stack", "init"])).stderr).toContain("already exists");
});

function configOf({ options }: Stack): string {
  return options.configFile ?? "";
}

/** What each save of the same state writes anew. */
function withoutCiphertext(state: State): unknown {
  return JSON.parse(JSON.stringify(state), (key, value: unknown) => (key === "ciphertext" ? "" : value));
}

it("passes the runtime options of Pulumi.yaml", { timeout: RUN_MS }, async () => {
  const runtime = '{ name: nodejs, options: { typescript: false, nodeargs: "--require tsx/cjs --title=of-options" } }';
  const stack = await stackOf("options", "export const title: string = process.title;", runtime);
  expect((await stack.up()).code).toBe(0);
  expect(await stack.outputs()).toEqual({ title: "of-options" });
});

it("leaves no helper behind when the engine is killed", { timeout: RUN_MS }, async () => {
  const mark = path.join(folder.make("killed"), "pid");
  const stack = await stackOf("killed", `${DYNAMIC(mark, 600_000)}new Thing();`);
  const cli = stack.spawn(["up", "--yes", "--skip-preview"]);
  await expect.poll(() => fs.existsSync(mark) && fs.readFileSync(mark, "utf8"), { timeout: 30_000 }).toMatch(/^\d+$/);
  const helpers = descendants(cli.pid ?? 0);
  expect(helpers).toContain(Number(fs.readFileSync(mark, "utf8")));
  expect(helpers.length).toBeGreaterThanOrEqual(3);
  cli.kill("SIGKILL");
  await expect.poll(() => helpers.filter(isRunning), { timeout: 5_000 }).toEqual([]);

  expect((await stack.up()).stderr).toContain("the stack is currently locked by 1 lock(s)");
  expect((await stack.cancel()).code).toBe(0);
  fs.writeFileSync(path.join(stack.options.cwd, "index.ts"), `${DYNAMIC(mark, 0)}new Thing();`);
  expect((await stack.up()).code).toBe(0);
});

it("ends in time on Ctrl-C, with what was made on record and no helper behind", { timeout: RUN_MS }, async () => {
  const mark = path.join(folder.make("interrupted"), "pid");
  const stack = await stackOf("interrupted", `${DYNAMIC(mark, 1_500)}new Thing();`);
  const cli = stack.spawn(["up", "--yes", "--skip-preview"]);
  const closed = new Promise<number | null>((resolve) => cli.once("close", resolve));
  await expect.poll(() => fs.existsSync(mark), { timeout: 30_000 }).toBe(true);
  const helpers = descendants(cli.pid ?? 0);
  cli.kill("SIGINT");
  expect(await closed).not.toBe(0);
  await expect.poll(() => helpers.filter(isRunning), { timeout: 5_000 }).toEqual([]);
  const { resources = [] } = (await stack.exportState()).deployment;
  expect(resources.filter(({ id }) => id === "made")).toHaveLength(1);
  expect(fs.readFileSync(stack.transcript, "utf8")).not.toContain("exited prematurely");
});
