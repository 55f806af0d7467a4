/**
 * The private PULUMI_HOME of one checkout: the plugins in it, and the environment that every run of the engine gets.
 * Nothing of the user's own Pulumi is written; installed official plugins are linked from there.
 */
import * as crypto from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { machineNow, ownClock } from "./as-of";
import { bundleHelpers } from "./bundle";
import { lastLine, run } from "./process";

export type Served = "official" | "stand-in";

/** Resource plugins that a run may need; each has a stand-in `local/plugins/<name>.ts`. */
const RESOURCE_PLUGINS = ["random", "postgresql", "cloudflare", "command"];
const INSTALL_TIMEOUT_MS = 20_000;
/** After a failed download the next is tried a day later. */
const RETRY_AFTER_MS = 24 * 3600_000;

/** All that a child needs of the environment; whatever else is there, credentials above all, stays out. */
const INHERITED = [
  "PATH HOME USER LOGNAME LANG LC_ALL TZ TMPDIR TERM XDG_CACHE_HOME",
  "HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS",
].flatMap((names) => names.split(" "));

/** The environment for the engine: no login, state or plugins of the user, no update check, nothing sent anywhere. */
export function engineEnvironment(home: string, folders: string[]): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(
    INHERITED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  return {
    ...inherited,
    ...ownClock(),
    PATH: [...folders, path.dirname(process.execPath), process.env["PATH"] ?? ""].join(path.delimiter),
    PULUMI_HOME: home,
    PULUMI_IGNORE_AMBIENT_PLUGINS: "1",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // Shows --event-log, which the leak scan reads.
    PULUMI_DEBUG_COMMANDS: "true",
  };
}

/** `<cache>/home/<hash of the checkout's path>`: two checkouts may hold different stand-ins. */
export function homeOf(cache: string, checkout: string): string {
  const home = path.join(cache, "home", crypto.createHash("sha256").update(checkout).digest("hex").slice(0, 16));
  fs.mkdirSync(home, { recursive: true });
  return home;
}

export interface PluginPlan {
  pulumi: string;
  version: string;
  home: string;
  checkout: string;
  env: NodeJS.ProcessEnv;
  log: (line: string) => void;
  /** Whether a plugin that is not installed may be downloaded. */
  download: boolean;
}

/** Installs what the engine needs and lacks; says of each plugin which of the two serves it. */
export async function installPlugins(plan: PluginPlan): Promise<Record<string, Served>> {
  const bundles = await bundleHelpers(plan.checkout, plan.home);
  const served: Record<string, Served> = {
    nodejs: installBeside(plan, bundles, "language", "nodejs", path.join(bundles, "engine", "languageHost.js")),
    // No TypeScript loader: under the official launcher the provider finds none either.
    "pulumi-nodejs": installBeside(plan, bundles, "resource", "pulumi-nodejs", dynamicProvider(plan.checkout)),
  };
  const resources = RESOURCE_PLUGINS.map(
    async (name) => [name, await installResourcePlugin(plan, bundles, name)] as const,
  );
  return { ...served, ...Object.fromEntries(await Promise.all(resources)) };
}

const dynamicProvider = (checkout: string) =>
  path.join(checkout, "node_modules", "@pulumi", "pulumi", "cmd", "dynamic-provider", "index.js");

/**
 * A plugin that the release has beside its binary. That of dynamic providers is what the SDK's own launcher script
 * starts; started without the script it costs one process less and ends with the engine.
 */
function installBeside(plan: PluginPlan, bundles: string, kind: string, name: string, program: string): Served {
  const beside = path.join(path.dirname(fs.realpathSync(plan.pulumi)), `pulumi-${kind}-${name}`);
  if (fs.existsSync(beside)) return "official";
  writeLauncher(pluginFile(plan.home, kind, name, plan.version), bundles, program);
  return "stand-in";
}

async function installResourcePlugin(plan: PluginPlan, bundles: string, name: string): Promise<Served> {
  const manifest = path.join(plan.checkout, "node_modules", "@pulumi", name, "package.json");
  // The engine takes only the plugin of the very version that the npm package names.
  const { version } = JSON.parse(fs.readFileSync(manifest, "utf8")) as { version: string };
  const target = pluginFile(plan.home, "resource", name, version);
  const own = path.join(plan.home, "official");
  const users = process.env["PULUMI_HOME"] ?? path.join(os.homedir(), ".pulumi");
  if (linkOfficial([users, own], target)) return "official";
  if (plan.download && (await download(plan, own, name, version)) && linkOfficial([own], target)) return "official";
  writeLauncher(target, bundles, path.join(bundles, "plugins", `${name}.js`));
  return "stand-in";
}

function pluginFile(home: string, kind: string, name: string, version: string): string {
  return path.join(home, "plugins", `${kind}-${name}-v${version}`, `pulumi-${kind}-${name}`);
}

/** Links the files of an installed plugin; a linked folder would not be listed by the engine. */
function linkOfficial(homes: string[], target: string): boolean {
  const folder = path.dirname(target);
  for (const home of homes) {
    const source = path.join(home, "plugins", path.basename(folder));
    if (!fs.existsSync(path.join(source, path.basename(target))) || fs.existsSync(`${source}.partial`)) continue;
    for (const name of fs.readdirSync(source))
      place(path.join(folder, name), (file) => {
        fs.symlinkSync(path.join(source, name), file);
      });
    return true;
  }
  return false;
}

/** Tries the official download once a day, into a home of its own so that a stand-in in use is not disturbed. */
async function download(plan: PluginPlan, home: string, name: string, version: string): Promise<boolean> {
  const mark = path.join(plan.home, `no-download-${name}-v${version}`);
  if (fs.existsSync(mark) && machineNow() - fs.statSync(mark).mtimeMs < RETRY_AFTER_MS) return false;
  plan.log(`fetching the official plugin ${name} v${version}`);
  const env = { ...plan.env, PULUMI_HOME: home };
  const args = ["plugin", "install", "resource", name, `v${version}`, "--non-interactive", "--color", "never"];
  const { code, stderr } = await run(plan.pulumi, args, { env, timeoutMs: INSTALL_TIMEOUT_MS });
  if (code === 0) return true;
  plan.log(`cannot fetch it, a stand-in serves it (next try in a day): ${lastLine(stderr)}`);
  fs.writeFileSync(mark, "");
  return false;
}

/** An executable that starts node with this program. `exec`, so that signals and stdin reach it. */
function writeLauncher(target: string, bundles: string, program: string): void {
  const words = [process.execPath, "--require", path.join(bundles, "engine", "lifeline.cjs"), program];
  const text = `#!/bin/sh\nexec ${words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")} "$@"\n`;
  const isLink = fs.lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  if (!isLink && fs.existsSync(target) && fs.readFileSync(target, "utf8") === text) return;
  place(target, (file) => {
    fs.writeFileSync(file, text, { mode: 0o755 });
  });
}

/** Makes a file beside its place and renames it there: a reader sees the old one or the whole new one. */
function place(target: string, make: (file: string) => void): void {
  fs.mkdirSync(path.dirname(target), { recursive: true });
  const partial = path.join(path.dirname(target), `.${path.basename(target)}-${process.pid}`);
  fs.rmSync(partial, { force: true });
  make(partial);
  fs.renameSync(partial, target);
}
