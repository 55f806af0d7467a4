/**
 * Runs the real CLI for one stack on a private file backend, and keeps a transcript of all that it was told and said,
 * for the leak scan.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import type { Readable, Writable } from "node:stream";
import { isMap, parse, parseDocument, YAMLMap } from "yaml";
import type { Engine } from "./engine";
import { watchArguments } from "./arguments";
import { type Cipher, cipherOf } from "./passphrase";

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

/** The parts of `pulumi stack export` that tests read. */
export interface State {
  version: number;
  deployment: {
    /** Absent before the first update. */
    secrets_providers?: { state: { salt: string } };
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
  /** What processes showed as their arguments to the whole machine while the CLI ran. */
  readonly shown = new Set<string>();
  private readonly watch = watchArguments(this.shown);

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
    if (fs.existsSync(options.configFile)) fs.copyFileSync(options.configFile, this.copyAside());
  }

  /** The environment of a run: a passphrase and a backend of the stack's own. */
  env(): NodeJS.ProcessEnv {
    return this.engine.env({
      PULUMI_BACKEND_URL: `file://${this.backend}`,
      PULUMI_CONFIG_PASSPHRASE: "of a test, protects nothing",
      ...this.options.env,
    });
  }

  /**
   * Creates the stack as `pulumi stack init` does, without a start of the CLI. The salt of its passphrase is added to the
   * config file, where that has none.
   */
  async init(): Promise<void> {
    if (fs.existsSync(this.stateFile())) throw new Error(`the stack ${this.options.stack} is there already`);
    fs.mkdirSync(path.dirname(this.stateFile()), { recursive: true });
    fs.writeFileSync(path.join(this.backend, ".pulumi", "meta.yaml"), "version: 1\n");
    const stack = `organization/${this.project}/${this.options.stack}`;
    fs.writeFileSync(this.stateFile(), JSON.stringify({ version: 0, checkpoint: { stack } }));
    const { salt } = await this.cipher();
    const files = [this.configFile(), ...(this.options.configFile === undefined ? [] : [this.copyAside()])];
    for (const file of files) {
      const text = readIfThere(file);
      const end = text === "" || text.endsWith("\n") ? "" : "\n";
      if (saltOf(file) === undefined) fs.appendFileSync(file, `${end}encryptionsalt: ${salt}\n`);
    }
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

  /** What `pulumi stack export` prints: secrets are ciphertext. Read from the backend, past the CLI and the transcript. */
  exportState(): Promise<State> {
    return Promise.resolve(this.readState());
  }

  /** The same with `--show-secrets`. */
  async revealState(): Promise<State> {
    const state = this.readState();
    const cipher = await this.cipher(saltIn(state));
    return withSecrets(state, (ciphertext) => ({
      [SECRET_MARK]: SECRET,
      plaintext: cipher.decrypt(ciphertext),
    })) as State;
  }

  /** What `pulumi stack output --json` prints: a secret one is the text `[secret]`. */
  outputs(): Promise<Record<string, unknown>> {
    return Promise.resolve(withSecrets(this.rawOutputs(), () => "[secret]") as Record<string, unknown>);
  }

  /** The same with `--show-secrets`. */
  async revealOutputs(): Promise<Record<string, unknown>> {
    const cipher = await this.cipher(saltIn(this.readState()));
    const shown = withSecrets(this.rawOutputs(), (ciphertext) => JSON.parse(cipher.decrypt(ciphertext)) as unknown);
    return shown as Record<string, unknown>;
  }

  /** Decrypts what the stack's file or state holds. */
  async decrypter(): Promise<(ciphertext: string) => string> {
    const cipher = await this.cipher();
    return (ciphertext) => cipher.decrypt(ciphertext);
  }

  /** Sets config; a secret value is encrypted here and not by the CLI. */
  async setConfig(key: string, value: string, options: { secret?: boolean; path?: boolean } = {}): Promise<void> {
    if (options.secret === true) return this.setSecrets({ [key]: value });
    const args = ["config", "set", key, ...(options.path === true ? ["--path"] : []), "--", value];
    succeeded(args, await this.run(args));
  }

  /** Writes values into the stack file as `pulumi config set --secret` does. */
  async setSecrets(secrets: Record<string, string>): Promise<void> {
    const cipher = await this.cipher();
    const document = parseDocument(readIfThere(this.configFile()));
    if (!isMap(document.get("config"))) document.set("config", new YAMLMap());
    for (const [key, value] of Object.entries(secrets))
      document.setIn(
        ["config", key.includes(":") ? key : `${this.project}:${key}`],
        document.createNode({ secure: cipher.encrypt(value) }),
      );
    fs.writeFileSync(this.configFile(), document.toString());
  }

  /** Runs to the end; a failure of the CLI is a result, not an error. */
  run(args: string[], input = ""): Promise<Result> {
    const begun = performance.now();
    const child = this.spawn(args);
    child.stdin.end(input);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (text: string) => (stdout += text));
    child.stderr.on("data", (text: string) => (stderr += text));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        resolve({ code: code ?? -1, stdout, stderr, ms: Math.round(performance.now() - begun) });
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
    this.watch.begin();
    const stop = () => child.kill("SIGKILL");
    process.once("exit", stop);
    child.once("close", () => {
      process.off("exit", stop);
      this.watch.end();
      fs.closeSync(log);
    });
    return child;
  }

  /** As Pulumi.yaml says it, which `pulumi new` may still have to write. */
  private get project(): string {
    return projectIn(this.options.cwd);
  }

  private configName(): string {
    return `Pulumi.${this.options.stack}.yaml`;
  }

  private configFile(): string {
    return this.options.configFile ?? path.join(this.options.cwd, this.configName());
  }

  private copyAside(): string {
    return path.join(this.aside, this.configName());
  }

  private stateFile(): string {
    return path.join(this.backend, ".pulumi", "stacks", this.project, `${this.options.stack}.json`);
  }

  private cipher(salt = saltOf(this.configFile())): Promise<Cipher> {
    return cipherOf(this.env().PULUMI_CONFIG_PASSPHRASE ?? "", salt);
  }

  private readState(): State {
    const { version, checkpoint } = JSON.parse(fs.readFileSync(this.stateFile(), "utf8")) as {
      version: number;
      checkpoint: { latest?: State["deployment"] };
    };
    return { version, deployment: checkpoint.latest ?? {} };
  }

  private rawOutputs(): unknown {
    const { resources = [] } = this.readState().deployment;
    return resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs ?? {};
  }

  private events(): string[] {
    this.runs += 1;
    return ["--event-log", path.join(this.options.dir, `events-${this.runs}.json`)];
  }
}

function projectIn(cwd: string): string {
  const { name } = parse(fs.readFileSync(path.join(cwd, "Pulumi.yaml"), "utf8")) as { name: string };
  return name;
}

function readIfThere(file: string): string {
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
}

function saltIn({ deployment }: State): string | undefined {
  return deployment.secrets_providers?.state.salt;
}

function saltOf(file: string): string | undefined {
  return /^encryptionsalt: *(.*)$/m.exec(readIfThere(file))?.[1];
}

/** The mark of a secret in a state: https://www.pulumi.com/docs/iac/concepts/secrets/ */
export const SECRET_MARK = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

/** A copy of a part of a state, with something in the place of each secret. */
function withSecrets(value: unknown, instead: (ciphertext: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((part) => withSecrets(part, instead));
  if (typeof value !== "object" || value === null) return value;
  if ((value as Record<string, unknown>)[SECRET_MARK] === SECRET && "ciphertext" in value)
    return instead(String(value.ciphertext));
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withSecrets(part, instead)]));
}

function succeeded(args: string[], result: Result): Result {
  if (result.code === 0) return result;
  throw new Error(`pulumi ${args.join(" ")} ended with code ${result.code}:\n${result.stdout}${result.stderr}`);
}
