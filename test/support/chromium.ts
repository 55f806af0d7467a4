/**
 * A real browser for tests: Debian's Chromium, driven by playwright-core. One on the PATH, else installed with apt-get by root,
 * else unpacked with the libraries it lacks into the project's cache (about 500 MB, once).
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { type Browser, chromium } from "playwright-core";
import { defaultCache } from "../../local/engine";
import { onPath } from "../../local/engine/acquire";
import { withLock } from "../../local/engine/lock";
import { lastLine, run } from "../../local/engine/process";

export interface Chromium {
  file: string;
  origin: "path" | "apt-get" | "unpacked";
  /** Of an unpacked one: where its libraries are, as LD_LIBRARY_PATH. */
  libraries: string;
}

export interface Search {
  path: string;
  cache: string;
  isRoot: boolean;
}

const WAIT_MS = 10 * 60_000;
/** No address but the test's own is asked for anything. */
const QUIET = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/** Ends with the test that closes it, at the latest with this process. Throws where there is no browser, and says what to do. */
export async function launchChromium(log: (line: string) => void): Promise<Browser> {
  const { file, libraries } = await findChromium(log);
  const env = { ...process.env, ...(libraries === "" ? {} : { LD_LIBRARY_PATH: libraries }) };
  return chromium.launch({ executablePath: file, args: QUIET, env, timeout: 60_000 });
}

export async function findChromium(log: (line: string) => void, search = usual()): Promise<Chromium> {
  const found = await present(search);
  if (found) return found;
  const lock = path.join(search.cache, "chromium.lock");
  fs.mkdirSync(search.cache, { recursive: true });
  return withLock(lock, { timeoutMs: WAIT_MS }, async () => (await present(search)) ?? (await get(search, log)));
}

function usual(): Search {
  return { path: process.env["PATH"] ?? "", cache: defaultCache(), isRoot: process.getuid?.() === 0 };
}

async function present(search: Search): Promise<Chromium | undefined> {
  for (const name of ["chromium", "chromium-browser", "google-chrome"])
    for (const file of onPath(name, search.path))
      if (await runs(file, "")) return { file, origin: "path", libraries: "" };
  return unpacked(search);
}

async function get(search: Search, log: (line: string) => void): Promise<Chromium> {
  const [apt, dpkg] = [onPath("apt-get", search.path)[0], onPath("dpkg-deb", search.path)[0]];
  const fix = "Install Chromium, so that `chromium` is on the PATH";
  if (apt === undefined || dpkg === undefined) throw new Error(`No Chromium, and this is no Debian. ${fix}`);
  log(`getting Debian's chromium, ${search.isRoot ? "as root" : "without root, into the cache"}`);
  const failed = search.isRoot ? await install(apt) : await unpack(apt, dpkg, search);
  const found = failed === undefined ? await present(search) : undefined;
  if (!found) throw new Error(`No Chromium: ${failed ?? "what was installed does not run"}. ${fix}`);
  return search.isRoot ? { ...found, origin: "apt-get" } : found;
}

/** Returns why it failed. */
async function install(apt: string): Promise<string | undefined> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run(apt, ["update", "-qq"], { env, timeoutMs: 120_000 });
  const args = ["install", "-y", "-qq", "--no-install-recommends", "chromium"];
  const done = await run(apt, args, { env, timeoutMs: WAIT_MS });
  return done.code === 0 ? undefined : `apt-get install chromium: ${lastLine(done.stderr)}`;
}

/**
 * The packages that apt would install here, and not those it would upgrade: a newer C library would not fit this machine.
 * Returns why it failed.
 */
async function unpack(apt: string, dpkg: string, { cache }: Search): Promise<string | undefined> {
  const plan = await run(apt, ["install", "--simulate", "--no-install-recommends", "chromium"], { timeoutMs: 60_000 });
  const names = [...plan.stdout.matchAll(/^Inst (\S+) \(/gm)].map(([, name = ""]) => name);
  if (plan.code !== 0 || names.length === 0)
    return `apt-get install --simulate chromium: ${lastLine(plan.stderr)} (are there package lists? \`apt-get update\` gets them)`;
  const folder = fs.mkdtempSync(path.join(cache, "chromium-partial-"));
  try {
    const download = await run(apt, ["download", "-qq", ...names], { cwd: folder, timeoutMs: WAIT_MS });
    if (download.code !== 0) return `apt-get download: ${lastLine(download.stderr)}`;
    for (const deb of fs.readdirSync(folder).filter((name) => name.endsWith(".deb"))) {
      const done = await run(dpkg, ["-x", path.join(folder, deb), path.join(folder, "root")], { timeoutMs: 120_000 });
      if (done.code !== 0) return `dpkg-deb -x ${deb}: ${lastLine(done.stderr)}`;
    }
    fs.rmSync(rootIn(cache), { recursive: true, force: true });
    fs.renameSync(path.join(folder, "root"), rootIn(cache));
    return undefined;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function unpacked({ cache }: Search): Promise<Chromium | undefined> {
  const root = rootIn(cache);
  // Not the script in usr/bin: it looks for its parts below /usr.
  const file = path.join(root, "usr", "lib", "chromium", "chromium");
  if (!fs.existsSync(file)) return undefined;
  const inUsr = fs.readdirSync(path.join(root, "usr", "lib")).filter((name) => name.endsWith("-linux-gnu"));
  const folders = inUsr.flatMap((name) => [path.join(root, "usr", "lib", name), path.join(root, "lib", name)]);
  const libraries = folders.filter((folder) => fs.existsSync(folder)).join(path.delimiter);
  return (await runs(file, libraries)) ? { file, origin: "unpacked", libraries } : undefined;
}

function rootIn(cache: string): string {
  return path.join(cache, "chromium");
}

async function runs(file: string, libraries: string): Promise<boolean> {
  const env = { ...process.env, ...(libraries === "" ? {} : { LD_LIBRARY_PATH: libraries }) };
  return (await run(file, ["--version"], { env, timeoutMs: 30_000 })).code === 0;
}
