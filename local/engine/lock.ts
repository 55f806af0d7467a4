/**
 * One owner at a time over a folder, among processes. The lock is a series of files `lock.<n>`: the highest is in
 * force, and whoever finds it released or its owner dead creates n + 1, which only one can. So a lock left behind by a
 * killed process is taken over without two takers meeting.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { machineNow } from "./as-of";

const HEARTBEAT_MS = 5_000;
/** An owner on another machine or in another container counts as dead after this long without a heartbeat. */
const SILENT_MS = 60_000;
const POLL_MS = 200;

interface Owner {
  pid: number;
  host: string;
  /** Start time of the process, since pids are used again; empty where /proc is missing. */
  started: string;
}

export interface LockOptions {
  /** Gives up after this long. */
  timeoutMs: number;
  /** Called once when somebody else holds it. */
  onWait?: (owner: string) => void;
}

/** Runs `work` as the only owner of `folder`. Throws, naming the owner, when it stays taken for `timeoutMs`. */
export async function withLock<T>(folder: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  fs.mkdirSync(folder, { recursive: true });
  const file = await acquire(folder, options);
  const heartbeat = setInterval(() => {
    fs.utimes(file, machineNow() / 1000, machineNow() / 1000, () => undefined);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    // Emptied, not removed: a removed file could be created again by one who looked before.
    if (fs.existsSync(file)) fs.truncateSync(file);
  }
}

async function acquire(folder: string, options: LockOptions): Promise<string> {
  const deadline = performance.now() + options.timeoutMs;
  let told = false;
  for (;;) {
    const highest = Math.max(0, ...numbers(folder));
    const holder = liveOwner(path.join(folder, `lock.${highest}`));
    if (holder === undefined) {
      const file = claim(folder, highest + 1);
      if (file !== undefined) return file;
      continue;
    }
    if (performance.now() > deadline) {
      const seconds = options.timeoutMs / 1000;
      throw new Error(`${folder} has been locked by ${holder} for ${seconds} s: wait for that process, or end it`);
    }
    if (!told) options.onWait?.(holder);
    told = true;
    await sleep(POLL_MS);
  }
}

/** Creates lock n, whole at once; undefined when somebody else was first. */
function claim(folder: string, n: number): string | undefined {
  const file = path.join(folder, `lock.${n}`);
  const whole = path.join(folder, `claim-${os.hostname()}-${process.pid}`);
  fs.writeFileSync(whole, JSON.stringify({ pid: process.pid, host: os.hostname(), started: startOf(process.pid) }));
  try {
    if (!linkExclusively(whole, file)) return undefined;
  } finally {
    fs.rmSync(whole);
  }
  if (Math.max(...numbers(folder)) > n) {
    // Looked before a later lock was made and its forerunners removed: not in force.
    fs.rmSync(file);
    return undefined;
  }
  for (const other of numbers(folder)) if (other < n) fs.rmSync(path.join(folder, `lock.${other}`), { force: true });
  return file;
}

function numbers(folder: string): number[] {
  return fs.readdirSync(folder).flatMap((name) => (/^lock\.\d+$/.test(name) ? [Number(name.slice(5))] : []));
}

function linkExclusively(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Who holds the lock, in words; undefined when it is free: missing, released, or its owner dead. */
function liveOwner(file: string): string | undefined {
  let text: string;
  let touched: number;
  try {
    text = fs.readFileSync(file, "utf8");
    touched = fs.statSync(file).mtimeMs;
  } catch {
    return undefined;
  }
  if (text === "") return undefined;
  const owner = JSON.parse(text) as Owner;
  const name = `process ${owner.pid} on ${owner.host}`;
  if (owner.host !== os.hostname()) return machineNow() - touched < SILENT_MS ? name : undefined;
  return isAlive(owner.pid) && startOf(owner.pid) === owner.started ? name : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function startOf(pid: number): string {
  try {
    // Field 22, counted after the command's name, which may hold spaces: proc(5).
    return fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19] ?? "";
  } catch {
    return "";
  }
}
