/**
 * A stack of this program on the local cloud: real servers, the real engine, a stack file of its own in a temp folder.
 * What rehearse and the engine tests start from.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseDocument } from "yaml";
import { type CloudOptions, type LocalCloud, type Need, startCloud } from "./cloud";
import { type Engine, prepareEngine } from "./engine";
import { broken, type Unless } from "./invariants";
import { type Result, Stack, type StateResource } from "./stack";

const checkout = path.resolve(__dirname, "..");

export interface SceneOptions {
  /** The servers that it is on; a setting of Pulumi.local.yaml for another one is left out. @default none */
  needs?: readonly Need[];
  /** `rollover:credentials` to begin with. @default those of Pulumi.local.yaml */
  credentials?: Record<string, unknown>;
  /** Merged into each Worker's settings. @default settle and waits as short as the local cloud allows */
  worker?: Record<string, unknown>;
  /** How the servers are to be. */
  cloud?: Omit<CloudOptions, "needs">;
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
  /** Ends it, and throws where a secret has leaked or a preview finds something to do: local/invariants.ts. */
  end(unless?: Unless): Promise<void>;
  /** Ends it without a look. */
  stop(): Promise<void>;
}

/** Starts everything; nothing is deployed yet. */
export async function startScene(options: SceneOptions = {}): Promise<Scene> {
  const { needs = [] } = options;
  const dir = options.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), "rollover-scene-"));
  const configFile = path.join(dir, "Pulumi.local.yaml");
  const [engine, cloud] = await bothOf(
    options.engine === undefined ? prepareEngine() : Promise.resolve(options.engine),
    startCloud({ logDir: dir, ...options.cloud, needs }),
  );
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
        editFile(configFile, [[at, value]]);
      },
      generations: (credential, stamps) => {
        editFile(configFile, [[["rollover:credentials", credential, "generations"], stamps]]);
      },
      end: async (unless = {}) => {
        try {
          const problems = await broken(scene, unless);
          if (problems.length > 0) throw new Error(`at the scene's end:\n${problems.join("\n")}`);
        } finally {
          await scene.stop();
        }
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

/** Both at once; a cloud does not outlive a failure of the other. */
async function bothOf(preparing: Promise<Engine>, starting: Promise<LocalCloud>): Promise<[Engine, LocalCloud]> {
  const [engine, cloud] = await Promise.allSettled([preparing, starting]);
  if (cloud.status === "rejected") throw cloud.reason;
  if (engine.status === "fulfilled") return [engine.value, cloud.value];
  await cloud.value.stop();
  throw engine.reason;
}

/** What the stack file says of a server, by the server. */
const SETTINGS: Record<Need, string[]> = {
  postgres: ["postgres"],
  workers: ["cloudflare", "workers"],
  turso: ["turso"],
  vault: ["vault"],
};

async function configure(scene: Scene, { needs = [], worker = {}, credentials }: SceneOptions): Promise<void> {
  const { secrets, workers: served, ...settings } = scene.cloud.config();
  const workers = Object.entries(served).map(([name, own]) => [name, { ...own, ...worker }]);
  const absent = Object.entries(SETTINGS).flatMap(([need, names]) => (needs.includes(need as Need) ? [] : names));
  editFile(scene.configFile, [
    ...absent.map((name): Edit => [[`rollover:${name}`], undefined]),
    ...Object.entries(settings).map(([name, value]): Edit => [[`rollover:${name}`], value]),
    ...(workers.length === 0 ? [] : [[["rollover:workers"], Object.fromEntries(workers)] satisfies Edit]),
    ...(credentials === undefined ? [] : [[["rollover:credentials"], credentials] satisfies Edit]),
  ]);
  await scene.stack.init();
  await scene.stack.setSecrets(secrets);
}

type Edit = [at: (string | number)[], value: unknown];

/** Comments and order of the file stay. */
function editFile(file: string, edits: Edit[]): void {
  const document = parseDocument(fs.readFileSync(file, "utf8"));
  for (const [at, value] of edits) {
    if (value === undefined) document.deleteIn(["config", ...at]);
    else document.setIn(["config", ...at], document.createNode(value));
  }
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
