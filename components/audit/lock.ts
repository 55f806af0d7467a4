/** One writer of a file at a time, also of several processes of one machine. */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import * as os from "node:os";
import { setTimeout as pause } from "node:timers/promises";

const WAIT_MS = 15_000;
const LOOK_EVERY_MS = 15;

/**
 * Holds the lock `<target>.lock` while it works. The lock of a process of this machine that is dead is taken over.
 *
 * @param file How messages name the target.
 */
export async function locked<T>(target: string, file: string, work: () => Promise<T>): Promise<T> {
  const lock = `${target}.lock`;
  const until = performance.now() + WAIT_MS;
  while (!(await acquire(lock))) {
    if (await isStale(lock)) await takeAway(lock);
    if (performance.now() > until) {
      throw new Error(
        `the audit file ${file} is being written by another process for more than ${WAIT_MS / 1000} s; if none runs, delete ${file}.lock and ${file}.lock.stale`,
      );
    }
    await pause(LOOK_EVERY_MS);
  }
  try {
    return await work();
  } finally {
    await fs.rm(lock, { force: true });
  }
}

/** By a link, so that a lock never stands there without its owner's name. */
async function acquire(lock: string): Promise<boolean> {
  const own = `${lock}.${process.pid}.${randomBytes(4).toString("hex")}`;
  await fs.writeFile(own, `${process.pid} ${os.hostname()}`, { mode: 0o600, flag: "wx" });
  try {
    await fs.link(own, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await fs.rm(own, { force: true });
  }
}

/** Whether its owner is dead. Another machine's, or another container's, cannot be asked. */
async function isStale(lock: string): Promise<boolean> {
  const text = await fs.readFile(lock, "utf8").catch(() => "");
  const [, pid, host] = /^(\d+) (.+)$/.exec(text) ?? [];
  if (pid === undefined || host !== os.hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Only one at a time looks again and deletes: else a second one would delete the lock of whoever came first. */
async function takeAway(lock: string): Promise<void> {
  const guard = `${lock}.stale`;
  if (!(await acquire(guard))) return;
  try {
    if (await isStale(lock)) await fs.rm(lock, { force: true });
  } finally {
    await fs.rm(guard, { force: true });
  }
}
