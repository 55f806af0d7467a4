/** Runs `npm run plan` on a scene: as a process, or by its own code in this one, which says more for one preview. */
import { spawn } from "node:child_process";
import * as path from "node:path";
import { vi } from "vitest";
import { exitCodeOf } from "../../operations/plan";
import { describePlan, type Plan } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import { readFacts } from "../../operations/plan/preview";
import type { Scene } from "../../local/scene";

const checkout = path.resolve(__dirname, "..", "..");

export interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Planned {
  plan: Plan;
  markdown: string;
  /** With which the command would end. */
  code: number;
}

/** With the test's engine as the user's own on the PATH, which is told to stream events in place of a preview. */
function environment({ stack, engine }: Scene): NodeJS.ProcessEnv {
  const env = stack.env();
  return {
    ...env,
    PATH: `${path.dirname(engine.pulumi)}${path.delimiter}${env["PATH"] ?? ""}`,
    PULUMI_ENABLE_STREAMING_JSON_PREVIEW: "true",
  };
}

/** The command as a user starts it. */
export function runPlan(scene: Scene, args: string[]): Promise<Run> {
  return runCommand(scene, "plan", ["--stack", "local", "--config-file", scene.configFile, ...args]);
}

/** One of the commands in operations/, as a process. */
export function runCommand(scene: Scene, name: string, args: string[]): Promise<Run> {
  const child = spawn(process.execPath, ["--require", "tsx/cjs", `operations/${name}.ts`, ...args], {
    cwd: checkout,
    env: environment(scene),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stop = () => child.kill("SIGKILL");
  process.once("exit", stop);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      process.off("exit", stop);
      resolve({ code, stdout, stderr });
    });
  });
}

/** The same plan in both forms, made of one preview and one export. `now` is its clock. */
export async function planOf(scene: Scene, now: string, base?: string): Promise<Planned> {
  const where = { stack: "local", cwd: checkout, configFile: scene.configFile, base };
  const plan = describePlan(await withEnvironment(environment(scene), () => readFacts(where, new Date(now))));
  return { plan, markdown: toMarkdown(plan), code: exitCodeOf(plan) };
}

/** A command's `main`, with what it writes kept from this process's output. */
export async function runHere(scene: Scene, main: () => Promise<number>): Promise<Run> {
  const run: Run = { code: null, stdout: "", stderr: "" };
  const out = vi.spyOn(process.stdout, "write").mockImplementation((part) => ((run.stdout += String(part)), true));
  const err = vi.spyOn(process.stderr, "write").mockImplementation((part) => ((run.stderr += String(part)), true));
  try {
    run.code = await withEnvironment(environment(scene), main);
    return run;
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

/** As this process's own, with nothing of it beside. The commands read it at their begin, so it may be no other's meanwhile. */
export async function withEnvironment<T>(env: NodeJS.ProcessEnv, work: () => Promise<T>): Promise<T> {
  const own = process.env;
  process.env = { ...env };
  try {
    return await work();
  } finally {
    process.env = own;
  }
}
