// Proves that nothing of the local cloud outlives it: no process and no folder, after stop, after signals, after a
// SIGKILL of the parent, and after one in the middle of its start. Does not prove it for a crash of the machine.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as readline from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EVERYTHING, startCloud } from "../../local/cloud";
import { isRunning, supervisor } from "../../local/cloud/supervise";

const HOLD = path.join(__dirname, "..", "..", "local", "cloud", "hold.ts");

let dir: string;
let children: ChildProcess[] = [];
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-lifetime-"));
  // As root, postgres runs as `nobody` and must reach its data.
  fs.chmodSync(dir, 0o711);
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  // The watchdog finds in this folder what it is to end: also after a failed test it must not go before.
  await expect.poll(traces, { timeout: 15_000 }).toEqual([]);
  fs.rmSync(dir, { recursive: true, force: true });
});

/** A process that holds a cloud, with its temporary files below `dir`, by which its processes are known. */
function hold(environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, ["--require", require.resolve("tsx/cjs"), HOLD], {
    env: { ...process.env, TMPDIR: dir, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return child;
}

/** Processes that have `dir` in their command line or environment. */
function traces(): string[] {
  const all = execFileSync("ps", ["axeww", "-o", "pid=,command="], { encoding: "utf8", maxBuffer: 64 << 20 });
  return all.split("\n").filter((line) => line.includes(dir));
}

/** Folders that it left below `dir`. */
function folders(): string[] {
  return fs.readdirSync(dir).filter((name) => /^(rollover-cloud|miniflare)-/.test(name));
}

async function ready(child: ChildProcess): Promise<number[]> {
  if (!child.stdout) throw new Error("the holder has no standard output");
  const [line] = (await once(readline.createInterface(child.stdout), "line")) as [string];
  return (JSON.parse(line) as { pids: number[] }).pids;
}

describe("the local cloud's processes", { timeout: 60_000 }, () => {
  it("end with stop, and its ports close", async () => {
    const cloud = await startCloud({ needs: EVERYTHING });
    const pids = supervisor().alive();
    expect(pids).toContain(cloud.postgres.pid);
    expect(pids).toHaveLength(3);
    const { apiUrl } = cloud.cloudflare;
    const url = cloud.workerUrl("rounds-api");
    const { turso } = cloud;
    const database = turso.hostOf("rounds");
    await cloud.stop();
    expect(pids.filter(isRunning)).toEqual([]);
    for (const closed of [apiUrl, url, turso.apiUrl, database])
      await expect(fetch(closed)).rejects.toThrow("fetch failed");
    expect(fs.readdirSync(supervisor().dir).filter((name) => /^(postgres|turso)-/.test(name))).toEqual([]);
  });

  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("end when their parent gets %s", async (signal) => {
    const child = hold();
    const pids = await ready(child);
    expect(pids).toHaveLength(3);
    expect(pids.filter(isRunning)).toEqual(pids);
    expect(traces().length).toBeGreaterThanOrEqual(3);
    child.kill(signal);
    await expect.poll(() => [pids.filter(isRunning), traces()], { timeout: 15_000 }).toEqual([[], []]);
    expect(folders()).toEqual([]);
  });

  it("end when their parent is killed at any moment of their start", async () => {
    // Recognised by what there is to see, so that each stage is met however slow the machine.
    for (const stage of ["initdb", "postgres -D", "sqld --db-path", "workerd serve"]) {
      // Where nothing is cached, the data that every Postgres begins with is made first.
      const child = hold(stage === "initdb" ? { ROLLOVER_CACHE: path.join(dir, "cache") } : {});
      await expect
        .poll(() => traces().some((line) => line.includes(stage)), { message: stage, interval: 5, timeout: 15_000 })
        .toBe(true);
      child.kill("SIGKILL");
      await expect.poll(traces, { timeout: 15_000 }).toEqual([]);
      expect(folders()).toEqual([]);
    }
  });
});
