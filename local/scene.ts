/**
 * A stack of this program on the local cloud: real servers, the real engine, a stack file of its own in a temp folder.
 * What rehearse and the engine tests start from.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseDocument } from "yaml";
import { type CloudOptions, type LocalCloud, startCloud } from "./cloud";
import { type Engine, prepareEngine } from "./engine";
import { type Result, Stack, type StateResource } from "./stack";

const checkout = path.resolve(__dirname, "..");

export interface SceneOptions {
  /** `rollover:credentials` to begin with. @default those of Pulumi.local.yaml */
  credentials?: Record<string, unknown>;
  /** Merged into each Worker's settings. @default settle and waits as short as the local cloud allows */
  worker?: Record<string, unknown>;
  cloud?: CloudOptions;
  engine?: Engine;
  /** Where everything is kept. @default a new temp folder */
  dir?: string;
}

export interface Scene {
  engine: Engine;
  cloud: LocalCloud;
  stack: Stack;
  /** The stack file in use, a copy in `dir`. */
  configFile: string;
  /** Temp folder of stack file, backend, transcript, events and server logs. */
  dir: string;
  /** Sets something in the stack file, by its path below `config:`; undefined deletes. */
  edit(path: (string | number)[], value: unknown): void;
  /** Sets the list of a credential's stamps. */
  generations(credential: string, stamps: string[]): void;
  stop(): Promise<void>;
}

/** Starts everything; nothing is deployed yet. */
export async function startScene(options: SceneOptions = {}): Promise<Scene> {
  const engine = options.engine ?? (await prepareEngine());
  const dir = options.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), "rollover-scene-"));
  const configFile = path.join(dir, "Pulumi.local.yaml");
  const cloud = await startCloud({ logDir: dir, ...options.cloud });
  try {
    fs.copyFileSync(path.join(checkout, "Pulumi.local.yaml"), configFile);
    const stack = new Stack(engine, { cwd: checkout, stack: "local", configFile, dir });
    const scene: Scene = {
      engine,
      cloud,
      stack,
      configFile,
      dir,
      edit: (at, value) => {
        editFile(configFile, at, value);
      },
      generations: (credential, stamps) => {
        editFile(configFile, ["rollover:credentials", credential, "generations"], stamps);
      },
      stop: async () => {
        await cloud.stop();
        fs.rmSync(dir, { recursive: true, force: true });
      },
    };
    await configure(scene, options);
    return scene;
  } catch (error) {
    await cloud.stop();
    throw error;
  }
}

async function configure(scene: Scene, options: SceneOptions): Promise<void> {
  const { secrets, ...settings } = scene.cloud.config();
  for (const [key, value] of Object.entries(settings)) scene.edit([`rollover:${key}`], value);
  for (const worker of Object.keys(settings.workers)) {
    for (const [key, value] of Object.entries(options.worker ?? {}))
      scene.edit(["rollover:workers", worker, key], value);
  }
  if (options.credentials) scene.edit(["rollover:credentials"], options.credentials);
  const made = await scene.stack.init();
  if (made.code !== 0) throw new Error(`the stack was not made:\n${made.stdout}${made.stderr}`);
  for (const [key, value] of Object.entries(secrets)) await scene.stack.setConfig(key, value, { secret: true });
}

/** Comments and order of the file stay. */
function editFile(file: string, at: (string | number)[], value: unknown): void {
  const document = parseDocument(fs.readFileSync(file, "utf8"));
  if (value === undefined) document.deleteIn(["config", ...at]);
  else document.setIn(["config", ...at], document.createNode(value));
  fs.writeFileSync(file, document.toString());
}

/** The one resource of a type (its last part) and name in the state. */
export async function resource(stack: Stack, type: string, name: string): Promise<StateResource> {
  const { resources = [] } = (await stack.exportState()).deployment;
  const found = resources.filter(({ urn }) => urn.endsWith(`:${type}::${name}`));
  if (!found[0]) throw new Error(`no ${type} ${name} in the state`);
  return found[0];
}

/** Runs to the end and fails, with what was printed, on any exit code but 0. */
export async function must(run: Promise<Result>): Promise<Result> {
  const result = await run;
  if (result.code !== 0) throw new Error(`pulumi ended with ${result.code}:\n${result.stdout}\n${result.stderr}`);
  return result;
}
