/**
 * Runs the real CLI for one stack on a private file backend, and keeps a transcript of all that it was told and said,
 * for the leak scan.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Engine } from "./engine";

export interface StackOptions {
  /** The folder with Pulumi.yaml. */
  cwd: string;
  stack: string;
  /** Config file to use in place of `Pulumi.<stack>.yaml` in cwd. */
  configFile?: string;
  /** A temp folder of the test's own: backend, event logs and transcript are kept in it. */
  dir: string;
  /** On top of the engine's environment. */
  env?: NodeJS.ProcessEnv;
}

export interface Result {
  /** The exit code: https://www.pulumi.com/docs/iac/cli/; -1 when a signal ended the CLI. */
  code: number;
  stdout: string;
  stderr: string;
  ms: number;
}

/** The parts of `pulumi stack export` that tests read. Secrets in it are ciphertext. */
export interface State {
  version: number;
  deployment: {
    resources?: StateResource[];
    pending_operations?: { type: string; resource: StateResource }[];
  };
}

export interface StateResource {
  urn: string;
  type: string;
  id?: string;
  custom: boolean;
  delete?: boolean;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
}

export type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const TAKES_CONFIG_FILE = new Set(["up", "preview", "refresh", "destroy", "config", "import"]);

export class Stack {
  /** All arguments, stdout and stderr so far. */
  readonly transcript: string;
  /** The folder of the state, its history and its backups. */
  readonly backend: string;
  /** A copy of the project file, for commands that know no --config-file: they would write to cwd. */
  private readonly aside: string;
  private runs = 0;

  constructor(
    readonly engine: Engine,
    readonly options: StackOptions,
  ) {
    this.transcript = path.join(options.dir, "transcript.txt");
    this.backend = path.join(options.dir, "backend");
    this.aside = path.join(options.dir, "project");
    fs.mkdirSync(this.backend, { recursive: true });
    if (options.configFile === undefined) return;
    fs.mkdirSync(this.aside, { recursive: true });
    fs.copyFileSync(path.join(options.cwd, "Pulumi.yaml"), path.join(this.aside, "Pulumi.yaml"));
    if (fs.existsSync(options.configFile))
      fs.copyFileSync(options.configFile, path.join(this.aside, this.configName()));
  }

  /** The environment of a run: a passphrase and a backend of the stack's own. */
  env(): NodeJS.ProcessEnv {
    return this.engine.env({
      PULUMI_BACKEND_URL: `file://${this.backend}`,
      PULUMI_CONFIG_PASSPHRASE: "of a test, protects nothing",
      ...this.options.env,
    });
  }

  /** Creates the stack. The salt of its passphrase is added to the config file, where one is given and has none. */
  async init(): Promise<Result> {
    const result = await this.run(["stack", "init", "--no-select", "--secrets-provider", "passphrase"]);
    const { configFile } = this.options;
    if (configFile === undefined || result.code !== 0) return result;
    const salt = saltOf(path.join(this.aside, this.configName()));
    if (salt !== undefined && saltOf(configFile) === undefined) fs.appendFileSync(configFile, `${salt}\n`);
    return result;
  }

  up(args: string[] = []): Promise<Result> {
    return this.run(["up", "--yes", "--skip-preview", ...this.events(), ...args]);
  }

  preview(args: string[] = []): Promise<Result> {
    return this.run(["preview", ...this.events(), ...args]);
  }

  refresh(args: string[] = []): Promise<Result> {
    return this.run(["refresh", "--yes", "--skip-preview", ...this.events(), ...args]);
  }

  destroy(args: string[] = []): Promise<Result> {
    return this.run(["destroy", "--yes", "--skip-preview", ...this.events(), ...args]);
  }

  /** Takes away the lock that a killed run left. */
  cancel(): Promise<Result> {
    return this.run(["cancel", "--yes"]);
  }

  async exportState(): Promise<State> {
    return JSON.parse(await this.output(["stack", "export"])) as State;
  }

  /** The stack's outputs; a secret one is the text `[secret]`. */
  async outputs(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.output(["stack", "output", "--json"])) as Record<string, unknown>;
  }

  /** Sets config; a secret value goes by stdin, since arguments are visible to the whole machine. */
  async setConfig(key: string, value: string, options: { secret?: boolean; path?: boolean } = {}): Promise<void> {
    const flags = [...(options.secret === true ? ["--secret"] : []), ...(options.path === true ? ["--path"] : [])];
    const args = ["config", "set", key, ...flags, ...(options.secret === true ? [] : ["--", value])];
    succeeded(args, await this.run(args, options.secret === true ? value : ""));
  }

  /** Runs to the end; a failure of the CLI is a result, not an error. */
  run(args: string[], input = ""): Promise<Result> {
    const begun = Date.now();
    const child = this.spawn(args);
    child.stdin.end(input);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (text: string) => (stdout += text));
    child.stderr.on("data", (text: string) => (stderr += text));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        resolve({ code: code ?? -1, stdout, stderr, ms: Date.now() - begun });
      });
    });
  }

  /**
   * Starts the CLI and returns at once; what it prints goes to the transcript. It ends with this process. Helpers are
   * not ended here: they end themselves.
   */
  spawn(args: string[]): Child {
    const { stack, configFile, cwd, dir } = this.options;
    const flags = ["--stack", stack, "--non-interactive", "--color", "never"];
    const isElsewhere = configFile !== undefined;
    const isAside = isElsewhere && !TAKES_CONFIG_FILE.has(args[0] ?? "");
    if (isElsewhere && !isAside) flags.push("--config-file", configFile);
    // Before `--`, after which nothing is a flag.
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const all = [...args.slice(0, end), ...flags, ...args.slice(end)];
    const log = fs.openSync(path.join(dir, "transcript.txt"), "a");
    fs.writeSync(log, `$ pulumi ${all.join(" ")}\n`);
    const child = spawn(this.engine.pulumi, all, {
      cwd: isAside ? this.aside : cwd,
      env: this.env(),
      stdio: ["pipe", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => fs.writeSync(log, text));
    // The CLI may end without having read its stdin.
    child.stdin.on("error", () => undefined);
    const stop = () => child.kill("SIGKILL");
    process.once("exit", stop);
    child.once("close", () => {
      process.off("exit", stop);
      fs.closeSync(log);
    });
    return child;
  }

  private configName(): string {
    return `Pulumi.${this.options.stack}.yaml`;
  }

  private async output(args: string[]): Promise<string> {
    return succeeded(args, await this.run(args)).stdout;
  }

  private events(): string[] {
    this.runs += 1;
    return ["--event-log", path.join(this.options.dir, `events-${this.runs}.json`)];
  }
}

function saltOf(file: string): string | undefined {
  return fs.existsSync(file) ? /^encryptionsalt:.*$/m.exec(fs.readFileSync(file, "utf8"))?.[0] : undefined;
}

function succeeded(args: string[], result: Result): Result {
  if (result.code === 0) return result;
  throw new Error(`pulumi ${args.join(" ")} ended with code ${result.code}:\n${result.stdout}${result.stderr}`);
}
