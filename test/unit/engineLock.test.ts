// Proves the lock of the engine's cache: one owner at a time, and takeover from the dead only. Not proven: file systems
// without atomic link(2).
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import { withLock } from "../../local/engine/lock";
import { machineNow } from "../../local/engine/as-of";
import { temporaryFolder } from "../../local/engine/temporary";

const folder = temporaryFolder("engine-lock-test");
afterAll(() => {
  folder.remove();
});

const LOCK = JSON.stringify(path.join(__dirname, "..", "..", "local", "engine", "lock.ts"));
const SOON = { timeoutMs: 300 };

function leave(name: string, owner: { pid: number; host: string; started: string }): string {
  const lock = folder.make(name);
  fs.writeFileSync(path.join(lock, "lock.7"), JSON.stringify(owner));
  return lock;
}

it("lets one in at a time, among tasks and processes", { timeout: 60_000 }, async () => {
  const lock = folder.make("contended");
  const log = path.join(folder.make("log"), "log");
  const task = `require(${LOCK}).withLock(${JSON.stringify(lock)}, { timeoutMs: 30000 }, async () => {
    const fs = require("node:fs");
    fs.appendFileSync(${JSON.stringify(log)}, "in\\n");
    await new Promise((resolve) => setTimeout(resolve, 5));
    fs.appendFileSync(${JSON.stringify(log)}, "out\\n");
  })`;
  const program = `Promise.all([1, 2, 3].map(() => ${task}))`;
  const codes = [1, 2, 3, 4].map(
    () =>
      new Promise<number | null>((resolve) => {
        spawn(process.execPath, ["--require", "tsx/cjs", "-e", program], { stdio: "inherit" }).once("close", resolve);
      }),
  );
  expect(await Promise.all(codes)).toEqual([0, 0, 0, 0]);
  expect(fs.readFileSync(log, "utf8")).toBe("in\nout\n".repeat(12));
});

it("is free again after work that failed", async () => {
  const lock = folder.make("failed");
  await expect(withLock(lock, SOON, () => Promise.reject(new Error("of the work")))).rejects.toThrow("of the work");
  expect(await withLock(lock, SOON, () => Promise.resolve("in"))).toBe("in");
});

it("takes over from a dead process, from a pid used again, and from a silent machine", async () => {
  const dead = spawnSync(process.execPath, ["-e", "0"]).pid;
  const here = os.hostname();
  const left = [
    leave("dead", { pid: dead, host: here, started: "" }),
    leave("reused", { pid: process.pid, host: here, started: "of another" }),
    leave("silent", { pid: 1, host: "elsewhere", started: "" }),
  ];
  const old = (machineNow() - 61_000) / 1000;
  fs.utimesSync(path.join(left[2] ?? "", "lock.7"), old, old);
  for (const lock of left) expect(await withLock(lock, SOON, () => Promise.resolve("in"))).toBe("in");
});

it("waits for the living, names them, and gives up in time", async () => {
  const lock = folder.make("held");
  let release: () => void = () => undefined;
  const held = withLock(lock, SOON, () => new Promise<void>((resolve) => (release = resolve)));
  await sleep(10);
  const told: string[] = [];
  const owner = `process ${process.pid} on ${os.hostname()}`;
  await expect(withLock(lock, { ...SOON, onWait: (by) => told.push(by) }, () => Promise.resolve("in"))).rejects.toThrow(
    `${lock} has been locked by ${owner} for 0.3 s: wait for that process, or end it`,
  );
  expect(told).toEqual([owner]);
  release();
  await held;
  const elsewhere = leave("fresh", { pid: 1, host: "elsewhere", started: "" });
  await expect(withLock(elsewhere, SOON, () => Promise.resolve("in"))).rejects.toThrow("process 1 on elsewhere");
});
