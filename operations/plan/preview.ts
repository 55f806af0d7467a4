/** Runs the real engine for the plan: one preview and one export, neither of which changes anything. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { prepareEngine } from "../../test/support/engine";
import { fromPath } from "../../test/support/engine/acquire";
import { run } from "../../test/support/engine/process";
import type { Facts } from "./describe";
import { exported, kindOf, outputs, planFile, preview, readable, type Outputs } from "./shapes";

export interface Where {
  /** The folder with Pulumi.yaml. */
  cwd: string;
  /** @default the selected stack */
  stack: string | undefined;
  /** In place of `Pulumi.<stack>.yaml`. */
  configFile: string | undefined;
}

interface Cli {
  pulumi: string;
  env: NodeJS.ProcessEnv;
}

const TIMEOUT_MS = 15 * 60_000;
/** Where the state is and how it is read; all that an engine of ours is told of the user's environment. */
const BACKEND = [
  "PULUMI_BACKEND_URL",
  "PULUMI_ACCESS_TOKEN",
  "PULUMI_CONFIG_PASSPHRASE",
  "PULUMI_CONFIG_PASSPHRASE_FILE",
];

export async function readFacts(where: Where): Promise<Facts> {
  const cli = await findCli();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-plan-")); // 0700
  try {
    return await previewIn(dir, cli, where);
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** The user's own CLI with their login and settings, or else one of the project's. */
async function findCli(): Promise<Cli> {
  const log = (line: string) => process.stderr.write(`engine: ${line}\n`);
  const { env } = process;
  const found = await fromPath({ path: env["PATH"] ?? "", engines: "", env, log });
  if ("pulumi" in found) return { pulumi: found.pulumi, env };
  const engine = await prepareEngine({ log, ways: ["npm", "go-build"] });
  const told = Object.fromEntries(BACKEND.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  return { pulumi: engine.pulumi, env: engine.env(told) };
}

async function previewIn(dir: string, cli: Cli, where: Where): Promise<Facts> {
  const file = path.join(dir, "plan.json");
  const config = where.configFile === undefined ? [] : ["--config-file", path.resolve(where.cwd, where.configFile)];
  // Not `--event-log`: the SDK's debug lines in it hold secrets in the clear. The plan file holds them encrypted.
  const previewed = await pulumi(cli, where, ["preview", "--json", "--save-plan", file, ...config]);
  const shown = preview.safeParse(json(previewed.stdout));
  const errors = shown.success
    ? shown.data.diagnostics.filter(({ severity }) => severity === "error").map(({ message }) => message)
    : [];
  if (previewed.code !== 0 && errors.length === 0) errors.push(previewed.stderr, shown.success ? "" : previewed.stdout);

  const state = await pulumi(cli, where, ["stack", "export"]);
  const read = exported.safeParse(json(state.stdout));
  if (state.code !== 0) errors.push(state.stderr);
  else if (!read.success) errors.push("`pulumi stack export` printed no state that can be read");
  const deployment = read.success ? read.data.deployment : { resources: [], pending_operations: [] };

  const before = outputs.safeParse(deployment.resources.find(({ urn }) => kindOf(urn) === "Stack")?.outputs ?? {});
  const after = previewed.code === 0 ? afterOf(file) : undefined;
  if (!before.success) errors.push("the outputs in state are not those of this program");
  if (previewed.code === 0 && !after) errors.push("the preview gave no outputs of this program");
  return {
    stack: stackOf(deployment.resources[0]?.urn) ?? where.stack?.split("/").at(-1) ?? "",
    before: before.success ? before.data : { credentials: {}, debts: {}, abandoned: [] },
    after: errors.length === 0 ? after : undefined,
    steps: shown.success ? shown.data.steps : [],
    state: deployment,
    errors: [...new Set(errors.map(readable))].filter((text) => text !== ""),
  };
}

function afterOf(file: string): Outputs | undefined {
  const plan = planFile.safeParse(json(fs.existsSync(file) ? fs.readFileSync(file, "utf8") : ""));
  if (!plan.success) return undefined;
  const [, stack] = Object.entries(plan.data.resourcePlans).find(([urn]) => kindOf(urn) === "Stack") ?? [];
  return outputs.safeParse(stack?.state ?? undefined).data;
}

function pulumi(cli: Cli, { cwd, stack }: Where, args: string[]) {
  const flags = ["--non-interactive", "--color", "never", ...(stack === undefined ? [] : ["--stack", stack])];
  return run(cli.pulumi, [...args, ...flags], { cwd, env: cli.env, timeoutMs: TIMEOUT_MS });
}

/** Undefined where it is no JSON: the caller says what that means. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `urn:pulumi:STACK::PROJECT::...` */
function stackOf(urn: string | undefined): string | undefined {
  return /^urn:pulumi:([^:]+)::/.exec(urn ?? "")?.[1];
}
