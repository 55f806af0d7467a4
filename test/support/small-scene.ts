/**
 * The program of this project on the small engine and the local cloud: index.ts as it is, its providers in a process of their own,
 * the stand-ins in theirs, over the real wire. In the shape of local/scene.ts, so that one test can be lived on either.
 * An update here costs a tenth of one of the real engine, and shows nothing that only that can: secrets in state, its own crash.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import * as os from "node:os";
import * as path from "node:path";
import { compileFunction } from "node:vm";
import { build, type Plugin } from "esbuild";
import { type CloudOptions, type LocalCloud, type Need, startCloud } from "../../local/cloud";
import type { Runs, Victim } from "../../local/crash";
import { PluginClient } from "../../local/plugins/client";
import type { Result } from "../../local/stack";
import type { Kind } from "../../components/thin";
import type { Call, Reply } from "./provider-process";
import { type Kept, type Props, type Provider, SmallEngine } from "./small-engine";
import { programOf, typeIn } from "./small-program";

const checkout = path.resolve(__dirname, "..", "..");
const PROJECT = { project: "rollover", stack: "local" };
const SECRETS = ["postgresPassword", "cloudflareApiToken", "tursoApiToken", "vaultToken"];

export interface SmallSceneOptions {
  needs: readonly Need[];
  /** `rollover:credentials` to begin with. */
  credentials: Record<string, unknown>;
  /** Merged into each Worker's settings. */
  worker?: Record<string, unknown>;
  cloud?: Omit<CloudOptions, "needs">;
}

export interface SmallScene {
  cloud: LocalCloud;
  stack: {
    up(): Promise<Result>;
    /** With the exit code of `--expect-no-changes`. */
    preview(): Promise<Result>;
    /** Nothing locks this stack. */
    cancel(): Promise<Result>;
  };
  /** For local/crash.ts. */
  runs: Runs;
  edit(path: string[], value: unknown): void;
  generations(credential: string, stamps: string[]): void;
  state(): readonly Kept[];
  stop(): Promise<void>;
}

export async function startSmallScene(options: SmallSceneOptions): Promise<SmallScene> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-small-"));
  const started: { stop(): Promise<unknown> }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((one) => one.stop()));
    fs.rmSync(dir, { recursive: true, force: true });
  };
  const keep = async <T extends { stop(): Promise<unknown> }>(starting: Promise<T>): Promise<T> => {
    const one = await starting;
    started.push(one);
    return one;
  };
  try {
    const { needs } = options;
    const [cloud, random, postgresql, program] = await Promise.all([
      keep(startCloud({ ...options.cloud, needs })),
      keep(PluginClient.start("random")),
      needs.includes("postgres") ? keep(PluginClient.start("postgresql")) : undefined,
      bundled(dir),
    ]);
    const { secrets, workers: served, ...settings } = cloud.config();
    const workers = Object.entries(served).map(([name, own]): [string, unknown] => [
      name,
      { ...own, ...options.worker },
    ]);
    const config = { ...settings, ...secrets, credentials: options.credentials, workers: Object.fromEntries(workers) };
    if (settings.postgres) {
      const own = { ...settings.postgres, password: secrets.postgresPassword };
      const texts = Object.entries(own).map(([key, value]): [string, string] => [key, String(value)]);
      await postgresql?.configure(Object.fromEntries(texts));
    }
    return { ...sceneOf({ cloud, config, program, plugins: { random, postgresql } }), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Parts {
  cloud: LocalCloud;
  config: Props;
  program: Bundled;
  plugins: { random: PluginClient; postgresql: PluginClient | undefined };
}

function sceneOf({ cloud, config, program, plugins }: Parts): Omit<SmallScene, "stop"> {
  let providers: ProviderProcess | undefined;
  const engine = new SmallEngine({
    providerOf(urn) {
      const type = typeIn(urn);
      const [, kind] = /^pulumi-nodejs:dynamic\/\w+:(\w+)$/.exec(type) ?? [];
      if (kind !== undefined) return (providers ??= new ProviderProcess(program.providers, texts())).of(kind as Kind);
      const plugin = type.startsWith("random:") ? plugins.random : plugins.postgresql;
      if (!plugin) throw new Error(`no stand-in was started for ${urn}`);
      return ofPlugin(plugin, type);
    },
  });
  const texts = () =>
    Object.fromEntries(
      Object.entries(config)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => [`rollover:${key}`, typeof value === "string" ? value : JSON.stringify(value)]),
    );
  const programNow = () =>
    programOf(program.run, { ...PROJECT, config: texts(), secrets: SECRETS.map((key) => `rollover:${key}`) });
  /** Each update has a process of providers of its own, as the real engine's has. */
  const ended = async (): Promise<void> => {
    await providers?.kill();
    providers = undefined;
  };

  const start = () => {
    let killed = false;
    const done = engine.up(programNow()).then(async ({ failed }): Promise<Result> => {
      await ended();
      const stderr = [...failed].map(([urn, { message }]) => `${urn}: ${message}`).join("\n");
      return { code: killed ? -1 : failed.size > 0 ? 1 : 0, stdout: "", stderr, ms: 0 };
    });
    const kill = async (victim: Victim): Promise<void> => {
      if (victim === "engine") {
        killed = true;
        engine.die();
      }
      await providers?.kill();
    };
    return { kill, done };
  };
  const done = (code: number, stderr = ""): Result => ({ code, stdout: "", stderr, ms: 0 });
  return {
    cloud,
    stack: {
      up: () => start().done,
      async preview() {
        const change = await engine.preview(programNow());
        await ended();
        return change === undefined ? done(0) : done(7, `there is a change: ${change}`);
      },
      cancel: () => Promise.resolve(done(0)),
    },
    runs: {
      start() {
        const run = start();
        return { kill: run.kill, done: run.done.then(({ code, stderr }) => ({ code, output: stderr })) };
      },
    },
    edit: (at, value) => {
      set(config, at, value);
    },
    generations: (credential, stamps) => {
      set(config, ["credentials", credential, "generations"], stamps);
    },
    state: () => engine.state,
  };
}

interface Bundled {
  /** Evaluates index.ts anew. */
  run: () => void;
  /** The file of the providers' process. */
  providers: string;
}

/** esbuild follows `require`, and not the one of the same use that components/providers.ts makes for itself. */
const followed: Plugin = {
  name: "followed",
  setup(build) {
    build.onLoad({ filter: /components[\\/]providers\.ts$/ }, ({ path: file }) => ({
      loader: "ts",
      contents: fs.readFileSync(file, "utf8").replaceAll(/\bfrom\("/g, 'require("'),
    }));
  },
};

/** Program and providers as one file each, as they are now: both are started often. */
async function bundled(dir: string): Promise<Bundled> {
  const common = { bundle: true, platform: "node", format: "cjs", absWorkingDir: checkout, logLevel: "error" } as const;
  const providers = path.join(dir, "providers.cjs");
  const [{ outputFiles }] = await Promise.all([
    build({ ...common, entryPoints: ["index.ts"], packages: "external", write: false }),
    build({
      ...common,
      entryPoints: ["test/support/provider-process.ts"],
      outfile: providers,
      external: ["pg-native"],
      plugins: [followed],
    }),
  ]);
  const text = outputFiles[0]?.text ?? "";
  // As Node evaluates a module, and in this process, whose SDK the small engine answers.
  const evaluate = compileFunction(text, ["require", "module", "exports", "__dirname"]);
  const requireFrom = createRequire(path.join(checkout, "index.ts"));
  return {
    providers,
    run: () => {
      const module = { exports: {} };
      Reflect.apply(evaluate, undefined, [requireFrom, module, module.exports, path.join(checkout, "components")]);
    },
  };
}

/** Calls of the providers' process by messages. */
class ProviderProcess {
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private readonly waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  private counter = 0;

  constructor(file: string, config: Record<string, string>) {
    this.child = fork(file, { env: { ...process.env, SMALL_ENGINE_CONFIG: JSON.stringify(config) }, execArgv: [] });
    this.exited = once(this.child, "exit").then(() => {
      for (const { reject } of this.waiting.values()) reject(new Error("the process of the providers has ended"));
      this.waiting.clear();
    });
    this.child.on("message", (reply: Reply) => {
      const call = this.waiting.get(reply.number);
      this.waiting.delete(reply.number);
      if ("error" in reply) call?.reject(Object.assign(new Error(reply.error), reply.more));
      else call?.resolve(reply.result);
    });
  }

  of(kind: Kind): Provider {
    const by = <T>(method: Call["method"]) => {
      return (...args: unknown[]) => this.call(kind, method, args) as Promise<T>;
    };
    return {
      ...{ check: by("check"), diff: by("diff"), create: by("create") },
      ...{ update: by("update"), delete: by("delete"), read: by("read") },
    };
  }

  /** `kill -9`; returns when it has gone. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  private call(kind: Kind, method: Call["method"], args: unknown[]): Promise<unknown> {
    const number = (this.counter += 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      this.child.send({ number, kind, method, args } satisfies Call, (error) => {
        if (error) reject(error);
      });
    });
  }
}

/** A stand-in over its own wire. */
function ofPlugin(plugin: PluginClient, type: string): Provider {
  return {
    async diff(_, olds, news) {
      const { changed, replaces } = await plugin.diff(type, olds, news);
      return { changes: changed, replaces };
    },
    async create(news) {
      const { id, values } = await plugin.create(type, news);
      return { id, outs: values };
    },
    update: async (_, olds, news) => ({ outs: await plugin.update(type, olds, news) }),
    async delete(id, props) {
      await plugin.remove(type, id, props);
    },
  };
}

function set(target: Props, [key = "", ...rest]: string[], value: unknown): void {
  if (rest.length === 0) target[key] = value;
  else set((target[key] ??= {}) as Props, rest, value);
}
