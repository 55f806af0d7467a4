/**
 * Stand-in for the plugin of @pulumi/command 1.2.1: local.Command (https://www.pulumi.com/registry/packages/command/), as
 * components/command declares it. `create` runs again on any change where there is no `update`; another trigger makes a new
 * resource, and then the old one's `delete` runs; a preview runs nothing. The child gets this process's whole environment. A
 * failure's text holds the command and all that it printed, whatever `logging` says; both may hold a secret, as with the
 * official one.
 *
 * What it cannot do: assets and archives, which it refuses, the live log of what a command prints, and the engine's
 * timeouts: a command is ended after ten minutes.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { name, version } from "@pulumi/command/package.json";
import type { Failure, ResourceType } from "./resource";
import { serve } from "./server";
import type { Properties } from "./wire";
import { isObject, isUnknown } from "./wire";

const LOGGING = ["stdout", "stderr", "stdoutAndStderr", "none"];
const LONGEST_MS = 600_000;

interface Printed {
  stdout: string;
  stderr: string;
}

const type: ResourceType = {
  token: "command:local:Command",
  rules: {
    addPreviousOutputInEnv: { kind: "boolean", initial: true, fill: true },
    create: { kind: "string" },
    delete: { kind: "string" },
    dir: { kind: "string" },
    environment: { kind: "map" },
    interpreter: { kind: "list" },
    logging: { kind: "string" },
    stdin: { kind: "string" },
    triggers: { kind: "list", replace: true },
    update: { kind: "string" },
  },
  generated: ["stdout", "stderr"],
  secrets: [],
  check(inputs) {
    const failures: Failure[] = [];
    const { logging, environment } = inputs;
    if (typeof logging === "string" && !isUnknown(logging) && !LOGGING.includes(logging))
      failures.push({ property: "logging", reason: `"logging" must be one of ${LOGGING.join(", ")}` });
    if (isObject(environment) && !isUnknown(environment))
      for (const [name, value] of Object.entries(environment))
        if (typeof value !== "string")
          failures.push({ property: "environment", reason: `"environment.${name}" must be a string` });
    return failures;
  },
  async create(planned) {
    return {
      id: `command${randomBytes(8).toString("hex")}`,
      outputs: { ...planned, ...(await run(planned, "create")) },
    };
  },
  async update(olds, planned) {
    const printed = await run(planned, planned["update"] === undefined ? "create" : "update", olds);
    return { ...planned, ...printed };
  },
  async delete(olds) {
    await run(olds, "delete", olds);
  },
  read: (_, olds) => Promise.resolve(olds),
};

/** Runs one of the three commands; without it nothing happens, and what was printed stays. */
async function run(inputs: Properties, which: "create" | "update" | "delete", olds: Properties = {}): Promise<Printed> {
  const before = { stdout: textOf(olds["stdout"]) ?? "", stderr: textOf(olds["stderr"]) ?? "" };
  const text = textOf(inputs[which]);
  if (text === undefined) return before;
  const previous =
    inputs["addPreviousOutputInEnv"] === false || olds["stdout"] === undefined
      ? {}
      : { PULUMI_COMMAND_STDOUT: before.stdout, PULUMI_COMMAND_STDERR: before.stderr };
  const [program = "/bin/sh", ...args] = listOf(inputs["interpreter"]) ?? ["/bin/sh", "-c"];
  const environment = isObject(inputs["environment"]) ? (inputs["environment"] as Record<string, string>) : {};
  const child = spawn(program, [...args, text], {
    cwd: textOf(inputs["dir"]),
    env: { ...process.env, ...previous, ...environment },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: LONGEST_MS,
  });
  // A command may end without having read its stdin.
  child.stdin.on("error", () => undefined).end(textOf(inputs["stdin"]) ?? "");
  const printed = { stdout: "", stderr: "" };
  let all = "";
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (part: string) => {
      printed[stream] += part;
      all += part;
    });
  const end = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      resolve(code === 0 ? "" : code === null ? `signal: ${signal ?? "unknown"}` : `exit status ${code}`);
    });
  });
  if (end !== "") throw new Error(`${end}: running ${JSON.stringify(text)}:\n${all}`);
  return { stdout: printed.stdout.trimEnd(), stderr: printed.stderr.trimEnd() };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function listOf(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.length > 0 ? value.map(String) : undefined;
}

void serve({ package: { name, version }, types: [type], secretConfig: [] });
