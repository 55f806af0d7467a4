/** The one way in which the commands find a Pulumi CLI and run it. None of them changes anything by it. */
import * as path from "node:path";
import { defaultCache, prepareEngine } from "../local/engine";
import { fromCache, fromPath } from "../local/engine/acquire";
import { engineEnvironment, homeOf } from "../local/engine/home";
import { type Finished, run } from "../local/engine/process";
import { unlessQuick } from "./console";

export interface Where {
  /** The folder with Pulumi.yaml. */
  cwd: string;
  /** @default the selected stack */
  stack: string | undefined;
}

export interface Cli {
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

/** The user's own CLI with their login and settings, or else one of the project's. */
export async function findCli(): Promise<Cli> {
  const own = await ownCli();
  if (own) return own;
  const engine = await prepareEngine({ log, ways: ["npm", "go-build"] });
  return { pulumi: engine.pulumi, env: engine.env(told()) };
}

/** The same for reading state, and only where there is one already: nothing is fetched or built. */
export async function readyCli(): Promise<Cli | undefined> {
  const own = await ownCli();
  if (own) return own;
  const cache = path.resolve(defaultCache());
  const home = homeOf(cache, path.resolve(__dirname, ".."));
  const env = { ...engineEnvironment(home, []), ...told() };
  const kept = await fromCache({ path: "", engines: path.join(cache, "engines"), env, log }, ["npm", "go-build"]);
  return kept && { pulumi: kept.pulumi, env };
}

async function ownCli(): Promise<Cli | undefined> {
  const { env } = process;
  const found = await fromPath({ path: env["PATH"] ?? "", engines: "", env, log });
  return "pulumi" in found ? { pulumi: found.pulumi, env } : undefined;
}

function told(): NodeJS.ProcessEnv {
  const { env } = process;
  return Object.fromEntries(BACKEND.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

function log(line: string): void {
  process.stderr.write(`engine: ${line}\n`);
}

/** Says on standard error what it waits for, where that takes longer than 2 s. */
export function pulumi(
  cli: Cli,
  { cwd, stack }: Where,
  args: string[],
  timeoutMs: number = TIMEOUT_MS,
): Promise<Finished> {
  const flags = ["--non-interactive", "--color", "never", ...(stack === undefined ? [] : ["--stack", stack])];
  const words = args.slice(
    0,
    [...args, "-"].findIndex((arg) => arg.startsWith("-")),
  );
  return unlessQuick(`pulumi ${words.join(" ")}`, () =>
    run(cli.pulumi, [...args, ...flags], { cwd, env: cli.env, timeoutMs }),
  );
}

/** Undefined where it is no JSON: the caller says what that means. */
export function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
