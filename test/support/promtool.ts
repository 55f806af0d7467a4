/**
 * Prometheus's own checker of rules: one on the PATH, else out of Debian's package `prometheus`, unpacked without root
 * into the project's cache (48 MB, once).
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { defaultCache } from "../../local/engine";
import { onPath } from "../../local/engine/acquire";
import { type Finished, lastLine, run } from "../../local/engine/process";

export interface Promtool {
  file: string;
  origin: "path" | "debian";
}

/** What promtool says of the arguments. */
export function promtool({ file }: Promtool, args: string[]): Promise<Finished> {
  return run(file, args, { timeoutMs: 60_000 });
}

/** Undefined where there is none; `log` is told why, and what to do. */
export async function findPromtool(
  log: (line: string) => void,
  search = { path: process.env["PATH"] ?? "", cache: defaultCache() },
): Promise<Promtool | undefined> {
  for (const file of onPath("promtool", search.path)) if (await runs(file)) return { file, origin: "path" };
  const file = path.join(search.cache, "promtool", "promtool");
  if (await runs(file)) return { file, origin: "debian" };
  const [apt, dpkg] = [onPath("apt-get", search.path)[0], onPath("dpkg-deb", search.path)[0]];
  const failed = apt && dpkg ? await unpack(apt, dpkg, file) : "there is none on the PATH, and this is no Debian";
  if (failed === undefined) return { file, origin: "debian" };
  log(`no promtool: ${failed}. Install Prometheus, so that promtool is on the PATH`);
  return undefined;
}

/** Returns why it failed. Several may do so at once: each works in a folder of its own, and the rename is whole. */
async function unpack(apt: string, dpkg: string, file: string): Promise<string | undefined> {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const folder = fs.mkdtempSync(path.join(path.dirname(file), "partial-"));
  try {
    const download = await run(apt, ["download", "prometheus"], { cwd: folder, timeoutMs: 120_000 });
    const deb = fs.readdirSync(folder).find((name) => name.endsWith(".deb"));
    // Without package lists, as in a fresh container, apt knows of no package.
    if (download.code !== 0 || deb === undefined)
      return `apt-get download prometheus: ${lastLine(download.stderr)} (are there package lists? \`apt-get update\` gets them)`;
    const out = path.join(folder, "unpacked");
    const unpacked = await run(dpkg, ["-x", path.join(folder, deb), out], { timeoutMs: 120_000 });
    if (unpacked.code !== 0) return `dpkg-deb -x: ${lastLine(unpacked.stderr)}`;
    const inside = path.join(out, "usr", "bin", "promtool");
    if (!(await runs(inside))) return "the one in Debian's package does not run here";
    fs.renameSync(inside, file);
    return undefined;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function runs(file: string): Promise<boolean> {
  return (await run(file, ["--version"], { timeoutMs: 30_000 })).code === 0;
}
