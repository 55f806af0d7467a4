/** Runs `npm run plan` as a process on a scene, and finds what of the scene's secrets it printed. */
import { spawn } from "node:child_process";
import * as path from "node:path";
import type { Scene } from "../../local/scene";

const checkout = path.resolve(__dirname, "..", "..");

export interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** With the test's engine as the user's own on the PATH, which is told to stream events in place of a preview. `clock` is asOf. */
export function runPlan({ stack, engine }: Scene, args: string[], clock: NodeJS.ProcessEnv = {}): Promise<Run> {
  const env = stack.env();
  const child = spawn(process.execPath, ["--require", "tsx/cjs", "operations/plan.ts", ...args], {
    cwd: checkout,
    env: {
      ...env,
      ...clock,
      PATH: `${path.dirname(engine.pulumi)}${path.delimiter}${env["PATH"] ?? ""}`,
      PULUMI_ENABLE_STREAMING_JSON_PREVIEW: "true",
    },
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

/** Every text of at least 12 characters that state marks as a secret, in the clear. */
export async function secretsIn({ stack }: Scene): Promise<string[]> {
  return [...new Set(secretsOf(await stack.revealState()))];
}

/** `plaintext` is a secret's JSON. */
function secretsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  const plaintext: unknown = "plaintext" in value ? value.plaintext : undefined;
  if (typeof plaintext === "string") return textsOf(JSON.parse(plaintext)).filter((text) => text.length >= 12);
  return Object.values(value).flatMap(secretsOf);
}

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : [];
}
