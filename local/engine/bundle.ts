/**
 * The helper processes of this checkout, each in one file. From its sources, through tsx and some 500 files of packages, a helper
 * takes three times the CPU to start, and every update starts five.
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
const PRELOADED = ["engine/lifeline.cjs", "engine/deferred.cjs"];
/** All of their sources lie here; a build that finds another one fails. */
const FOLDERS = ["engine", "plugins"];
/** Long enough for whatever was started from an older bundle to have read it. */
const OLD_MS = 24 * 3600_000;

/**
 * The folder in which `engine/languageHost.js` and `plugins/<name>.js` lie, made where it is missing. Its name is a hash of their
 * sources and of the packages' versions: an edit makes a new one beside it, and two processes that make the same do not meet.
 *
 * @param local The folder of FOLDERS.
 */
export async function bundleHelpers(local: string, home: string): Promise<string> {
  const bundles = path.join(home, "bundles");
  const folder = path.join(bundles, hashOf(local));
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

function isHashed(file: string): boolean {
  return file.split("/").includes("node_modules") || FOLDERS.some((folder) => file.startsWith(`${folder}/`));
}

function hashOf(local: string): string {
  const sources = FOLDERS.flatMap((folder) =>
    fs
      .readdirSync(path.join(local, folder), { encoding: "utf8", recursive: true })
      .filter((file) => /\.c?[jt]s$/.test(file))
      .map((file) => path.join(local, folder, file)),
  );
  const hash = crypto.createHash("sha256");
  for (const file of [...sources.sort(), path.join(local, "..", "package-lock.json")]) {
    hash.update(file).update("\0").update(fs.readFileSync(file)).update("\0");
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
