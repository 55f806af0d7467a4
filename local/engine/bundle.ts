/**
 * The helper processes of this checkout, each in one file, and its program as JavaScript. From its sources, through tsx and some 500
 * files of packages, a helper takes three times the CPU to start, and every update starts five; transpiled.cjs says it of the program.
 */
import * as crypto from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { machineNow } from "./as-of";

/** Without their ending; the plugins' names are those of RESOURCE_PLUGINS (home.ts). */
const ENTRIES = [
  "engine/languageHost",
  "plugins/random",
  "plugins/postgresql",
  "plugins/cloudflare",
  "plugins/command",
];
const PRELOADED = ["engine/lifeline.cjs", "engine/deferred.cjs", "engine/transpiled.cjs"];
/** All of their sources lie here; a build that finds another one fails. */
const FOLDERS = ["local/engine", "local/plugins"];
const PROGRAM = ["index.ts", "components"];
/** Long enough for whatever was started from an older bundle to have read it. */
const OLD_MS = 24 * 3600_000;

/**
 * The folder in which `engine/languageHost.js`, `plugins/<name>.js` and `program/` lie, made where it is missing. Its name is a hash of
 * their sources and of the packages' versions: an edit makes a new one beside it, and two processes that make the same do not meet.
 */
export async function bundleHelpers(checkout: string, home: string): Promise<string> {
  const local = path.join(checkout, "local");
  const program = sourcesIn(checkout, PROGRAM);
  const bundles = path.join(home, "bundles");
  const folder = path.join(bundles, hashOf(checkout, [...sourcesIn(checkout, FOLDERS), ...program]));
  if (fs.existsSync(folder)) return folder;
  const partial = `${folder}-${process.pid}`;
  const { buildSync } = await import("esbuild");
  const { metafile } = buildSync({
    absWorkingDir: local,
    entryPoints: ENTRIES.map((entry) => `${entry}.ts`),
    outdir: partial,
    bundle: true,
    minify: true,
    platform: "node",
    target: "node20",
    external: ["pg-native"], // asked for by pg where it is installed
    metafile: true,
    logLevel: "silent", // what is wrong is thrown
  });
  buildSync({
    absWorkingDir: checkout,
    entryPoints: program.filter((file) => file.endsWith(".ts")),
    outdir: path.join(partial, "program"),
    outbase: checkout,
    format: "cjs",
    platform: "node",
    target: "node20",
    logLevel: "silent",
  });
  fs.writeFileSync(path.join(partial, "program", "checkout"), fs.realpathSync(checkout));
  // The host hands each program what lies beside itself.
  for (const file of PRELOADED) fs.copyFileSync(path.join(local, file), path.join(partial, file));
  const stranger = Object.keys(metafile.inputs).find((file) => !isHashed(file));
  if (stranger !== undefined) throw new Error(`${stranger} is bundled, but an edit of it would make no new bundle`);
  removeOld(bundles);
  try {
    fs.renameSync(partial, folder);
  } catch (error) {
    fs.rmSync(partial, { recursive: true });
    if (!fs.existsSync(folder)) throw error; // else somebody else was first
  }
  return folder;
}

/** esbuild names files from `local`. */
function isHashed(file: string): boolean {
  return file.split("/").includes("node_modules") || FOLDERS.some((folder) => `local/${file}`.startsWith(`${folder}/`));
}

/** Source files and those of folders, from the checkout. */
function sourcesIn(checkout: string, names: string[]): string[] {
  const files = names.flatMap((name) => {
    const at = path.join(checkout, name);
    if (!fs.statSync(at).isDirectory()) return [name];
    const found = fs.readdirSync(at, { encoding: "utf8", recursive: true });
    return found.map((file) => path.join(name, file));
  });
  return files.filter((file) => /\.c?[jt]s$/.test(file)).sort();
}

function hashOf(checkout: string, sources: string[]): string {
  const hash = crypto.createHash("sha256");
  for (const file of [...sources, "package-lock.json"]) {
    hash
      .update(file)
      .update("\0")
      .update(fs.readFileSync(path.join(checkout, file)))
      .update("\0");
  }
  return hash.digest("hex").slice(0, 16);
}

function removeOld(bundles: string): void {
  if (!fs.existsSync(bundles)) return;
  for (const name of fs.readdirSync(bundles)) {
    const folder = path.join(bundles, name);
    const { mtimeMs } = fs.statSync(folder);
    if (machineNow() - mtimeMs > OLD_MS) fs.rmSync(folder, { recursive: true, force: true });
  }
}
