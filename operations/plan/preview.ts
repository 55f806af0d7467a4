/** Runs the real engine for the plan: one preview and one export, neither of which changes anything. */
import * as fs from "node:fs";
import * as path from "node:path";
import { type Cli, findCli, json, pulumi, type Where } from "../cli";
import { withFolder } from "../command";
import { fileOf, readText } from "../stack-file/file";
import { Refusal } from "../stack-file/text";
import { readWhy } from "./base";
import type { Facts } from "./describe";
import { readSessions, retiringIn } from "./sessions";
import { configIn, isAuditTable, serverIn } from "./settings";
import { exported, kindOf, outputs, planFile, preview, readable, type Outputs } from "./shapes";

export interface Preview extends Where {
  /** In place of `Pulumi.<stack>.yaml`. */
  configFile: string | undefined;
  /** What the stack file is compared with. @default where HEAD left the default branch */
  base: string | undefined;
}

export async function readFacts(where: Preview, now: Date): Promise<Facts> {
  const cli = await findCli();
  return withFolder("rollover-plan-", (dir) => previewIn(dir, cli, where, now));
}

async function previewIn(dir: string, cli: Cli, where: Preview, now: Date): Promise<Facts> {
  const file = path.join(dir, "plan.json");
  const config = configArgs(where);
  // Not `--event-log`: the SDK's debug lines in it hold secrets in the clear. The plan file holds them encrypted.
  // The user may have it stream events instead, in which nobody would find a step.
  const whole = { ...cli, env: { ...cli.env, PULUMI_ENABLE_STREAMING_JSON_PREVIEW: "false" } };
  const previewed = await pulumi(whole, where, ["preview", "--json", "--save-plan", file, ...config]);
  const shown = preview.safeParse(json(previewed.stdout));
  const errors = shown.success
    ? shown.data.diagnostics.filter(({ severity }) => severity === "error").map(({ message }) => message)
    : [];
  if (previewed.code !== 0 && errors.length === 0) errors.push(previewed.stderr, shown.success ? "" : previewed.stdout);
  if (previewed.code === 0 && !shown.success) errors.push("`pulumi preview --json` printed nothing that can be read");

  const state = await pulumi(cli, where, ["stack", "export"]);
  const read = exported.safeParse(json(state.stdout));
  if (state.code !== 0) errors.push(state.stderr);
  else if (!read.success) errors.push("`pulumi stack export` printed no state that can be read");
  const deployment = read.success ? read.data.deployment : { resources: [], pending_operations: [] };

  const before = outputs.safeParse(deployment.resources.find(({ urn }) => kindOf(urn) === "Stack")?.outputs ?? {});
  const after = previewed.code === 0 ? afterOf(file) : undefined;
  if (!before.success) errors.push("the outputs in state are not those of this program");
  if (previewed.code === 0 && !after) errors.push("the preview gave no outputs of this program");
  // A stack that was never updated has nothing in state.
  const urn = deployment.resources[0]?.urn ?? shown.data?.steps[0]?.urn;
  const facts = {
    now,
    stack: stackOf(urn) ?? where.stack?.split("/").at(-1) ?? "",
    before: before.success ? before.data : outputs.parse({}),
    after: errors.length === 0 ? after : undefined,
    steps: shown.success ? shown.data.steps : [],
    state: deployment,
  };
  return {
    ...facts,
    ...(await fromFile(cli, where, facts)),
    errors: [...new Set(errors.map(readable))].filter((text) => text !== ""),
  };
}

function configArgs({ cwd, configFile }: Preview): string[] {
  return configFile === undefined ? [] : ["--config-file", path.resolve(cwd, configFile)];
}

/** What the stack file itself is needed for. */
async function fromFile(
  cli: Cli,
  where: Preview,
  { stack, steps, after }: Pick<Facts, "stack" | "steps" | "after">,
): Promise<Pick<Facts, "why" | "sessions" | "audited">> {
  const { cwd, configFile, base } = where;
  const file = fileOf({ cwd, stack: where.stack ?? stack, ...(configFile === undefined ? {} : { configFile }) });
  if (file === undefined) return {};
  try {
    const text = readText(file);
    const config = configIn(text);
    const password = async () => {
      const got = await pulumi(cli, where, ["config", "get", "rollover:postgresPassword", ...configArgs(where)]);
      return got.code === 0 ? got.stdout.replace(/\r?\n$/, "") : undefined;
    };
    const retiring = after ? retiringIn(steps, after.abandoned) : [];
    return {
      why: await readWhy(file, text, base),
      sessions: await readSessions(retiring, serverIn(config), password),
      audited: isAuditTable(config),
    };
  } catch (error) {
    if (error instanceof Refusal) return { why: { unknown: error.message, edits: [] } };
    throw error;
  }
}

function afterOf(file: string): Outputs | undefined {
  const plan = planFile.safeParse(json(fs.existsSync(file) ? fs.readFileSync(file, "utf8") : ""));
  if (!plan.success) return undefined;
  const [, stack] = Object.entries(plan.data.resourcePlans).find(([urn]) => kindOf(urn) === "Stack") ?? [];
  return outputs.safeParse(stack?.state ?? undefined).data;
}

/** `urn:pulumi:STACK::PROJECT::...` */
function stackOf(urn: string | undefined): string | undefined {
  return /^urn:pulumi:([^:]+)::/.exec(urn ?? "")?.[1];
}
