/**
 * Gets a Pulumi engine and a private home for it, for the project's scripts and tests. Users run their own `pulumi`;
 * where there is none this finds, downloads or builds one, once, and keeps it outside the checkout.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import {
  fromCache,
  fromGo,
  fromNpm,
  fromPath,
  GO_VERSION,
  NPM_VERSION,
  OLDEST,
  type Origin,
  type Search,
} from "./acquire";
import { engineEnvironment, homeOf, installPlugins, type Served } from "./home";
import { withLock } from "./lock";

export interface Engine {
  /** Absolute path of the CLI. */
  pulumi: string;
  /** Its version, without a leading v. */
  version: string;
  origin: Origin;
  /** The private PULUMI_HOME. */
  home: string;
  /** Who serves each plugin. */
  plugins: Record<string, Served>;
  /** The environment for a run of it, with `extra` on top; of the caller's own only what is harmless. */
  env: (extra?: NodeJS.ProcessEnv) => NodeJS.ProcessEnv;
}

export interface EngineOptions {
  /** Where engines and homes are kept. @default $ROLLOVER_CACHE, else $XDG_CACHE_HOME/rollover, else ~/.cache/rollover */
  cache?: string;
  /** Where pulumi, npm and go are looked for. @default $PATH */
  path?: string;
  /** Which ways may be tried, in this order. @default ["path", "npm", "go-build"] */
  ways?: Origin[];
  /** Whether official provider plugins may be downloaded. @default true */
  downloadPlugins?: boolean;
  /** Takes a line of progress. @default prints it on stderr */
  log?: (line: string) => void;
}

/** The longest of the ways, a build on a slow machine, and some. */
const WAIT_MS = 30 * 60_000;
const CHECKOUT = path.resolve(__dirname, "..", "..");

const announced = new Set<string>();

/** An engine that runs, and its home. Throws one error that says of each way why it failed. */
export async function prepareEngine(options: EngineOptions = {}): Promise<Engine> {
  const log = options.log ?? ((line: string) => process.stderr.write(`engine: ${line}\n`));
  const cache = path.resolve(options.cache ?? defaultCache());
  const home = homeOf(cache, CHECKOUT);
  const search: Search = {
    path: options.path ?? process.env["PATH"] ?? "",
    engines: path.join(cache, "engines"),
    env: engineEnvironment(home, []),
    log,
  };
  fs.mkdirSync(search.engines, { recursive: true });
  const found = await acquire(search, options.ways ?? ["path", "npm", "go-build"]);
  const env = engineEnvironment(home, [path.dirname(found.pulumi)]);
  const plan = { ...found, home, checkout: CHECKOUT, env, log, download: options.downloadPlugins ?? true };
  const plugins = await withLock(path.join(home, "lock"), { timeoutMs: WAIT_MS }, () => installPlugins(plan));
  const engine: Engine = {
    ...found,
    home,
    plugins,
    env: (extra = {}) => ({
      ...env,
      // The official language host asks for the plugin of every @pulumi package; ours asks for none, so that a missing
      // one is an error at once, not a download.
      ...(plugins["nodejs"] === "stand-in" ? { PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true" } : {}),
      ...extra,
    }),
  };
  announce(engine, log);
  return engine;
}

export function defaultCache(): string {
  const { ROLLOVER_CACHE: own, XDG_CACHE_HOME: xdg } = process.env;
  if (own !== undefined && own !== "") return own;
  return path.join(xdg !== undefined && xdg !== "" ? xdg : path.join(os.homedir(), ".cache"), "rollover");
}

type Found = Pick<Engine, "pulumi" | "version" | "origin">;

async function acquire(search: Search, ways: Origin[]): Promise<Found> {
  const failures: string[] = [];
  if (ways.includes("path")) {
    const found = await fromPath(search);
    if ("pulumi" in found) return { ...found, origin: "path" };
    failures.push(`pulumi v${OLDEST} or newer on the PATH: ${found.failed}`);
  }
  const options = {
    timeoutMs: WAIT_MS,
    onWait: (owner: string) => {
      search.log(`waiting for ${owner}, which gets an engine`);
    },
  };
  const cached = await fromCache(search, ways);
  if (cached !== undefined) return cached;
  return withLock(path.join(search.engines, "lock"), options, async () => {
    const meanwhile = await fromCache(search, ways);
    if (meanwhile !== undefined) return meanwhile;
    if (ways.includes("npm")) {
      const found = await fromNpm(search);
      if ("pulumi" in found) return { ...found, origin: "npm" };
      failures.push(`the npm package pulumi ${NPM_VERSION}: ${found.failed}`);
      search.log(failures.at(-1) ?? "");
    }
    if (ways.includes("go-build")) {
      const found = await fromGo(search);
      if ("pulumi" in found) return { ...found, origin: "go-build" };
      failures.push(`a build of v${GO_VERSION} from its Go module: ${found.failed}`);
    }
    throw new Error(
      `No Pulumi engine. Tried:\n${failures.map((line) => `  - ${line}\n`).join("")}` +
        "Install pulumi (https://www.pulumi.com/docs/iac/download-install/) so that it is on the PATH, or Go 1.21 or newer.",
    );
  });
}

/** Once a process and engine. */
function announce(engine: Engine, log: (line: string) => void): void {
  const standIns = Object.keys(engine.plugins).filter((name) => engine.plugins[name] === "stand-in");
  const line = `pulumi v${engine.version} (${engine.origin}), stand-ins: ${standIns.join(", ") || "none"}`;
  if (!announced.has(line)) log(line);
  announced.add(line);
}
