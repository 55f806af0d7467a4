/**
 * Kills the engine, or the process of the dynamic providers, at a chosen mutating call of an update: at Postgres by a
 * proxy, at the vendors' APIs by their own listeners. A run without a point to stop at lists the calls that there are.
 */
import * as fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { type Gate, type Phase, startPostgresProxy } from "./crash-proxy";
import type { LocalCloud } from "./cloud";
import type { CallEvent } from "./cloud/faults";
import { descendants } from "./engine/descendants";
import { must, type Scene } from "./scene";
import type { Result } from "./stack";

export type Victim = "engine" | "provider";

/** The first mutating call of a label, before or after its effect. */
export interface First {
  label: string;
  phase: Phase;
}

/** The n-th mutating call of an update, from 0: for updates that make theirs one after the other. */
export interface Point extends First {
  at: number;
}

export interface Crashes {
  /** The port that stands for Postgres's in the stack's config. Throws in a scene without one. */
  readonly port: number;
  /** `up` to its end, as it is; the mutating calls that it made, in order. */
  count(): Promise<{ code: number; output: string; calls: string[] }>;
  /** `up` with the victim killed at the point. Throws unless the point was met and the update failed of it. */
  kill(victim: Victim, point: First | Point): Promise<void>;
  /** `up` after that, which must succeed; a killed engine leaves its lock behind. */
  recover(victim: Victim): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Every state that a crash at a mutating call can leave: before each call; and after those whose effect lasts and which end
 * their operation, a commit and a call of an API. After any other statement the server holds what it holds before the next.
 */
export function pointsOf(calls: string[]): Point[] {
  return calls.flatMap((label, at): Point[] => {
    const before: Point = { at, label, phase: "before" };
    const lasts = label === "COMMIT" || /^(PATCH|POST) /.test(label);
    return lasts ? [before, { at, label, phase: "after" }] : [before];
  });
}

const UP = ["up", "--yes", "--skip-preview"];

/** How updates are started and killed: on the real engine, or on the small one of the tests. */
export interface Runs {
  /** An update that can be killed; `kill` returns when the victim has gone. */
  start(): { kill(victim: Victim): Promise<void>; done: Promise<{ code: number; output: string }> };
}

/** What a crash needs of a scene. */
export interface Crashed {
  cloud: Pick<LocalCloud, "postgres" | "apis" | "has">;
  stack: { up(): Promise<Result>; cancel(): Promise<Result> };
}

export async function startCrashes(scene: Scene): Promise<Crashes> {
  return startCrashesOf(scene, runsOf(scene));
}

export async function startCrashesOf(scene: Crashed, runs: Runs): Promise<Crashes> {
  let calls: string[] = [];
  let strike: ((label: string, phase: Phase) => Promise<boolean>) | undefined;
  const gate: Gate = async (label, phase) => {
    if (phase === "before") calls.push(label);
    return (await strike?.(label, phase)) === true ? "drop" : "pass";
  };
  const proxy = scene.cloud.has("postgres") ? await startPostgresProxy(scene.cloud.postgres, gate) : undefined;
  const onCall = async ({ phase, method, path }: CallEvent): Promise<void> => {
    const verdict = await gate(`${method} ${path.split("/").at(-1) ?? ""}`, phase);
    // Whoever asked is dead; a refusal keeps the call from being applied after all.
    if (verdict === "drop") throw new Error("the client was killed at this call");
  };
  const { apis } = scene.cloud;
  for (const api of apis) api.onCall(onCall);

  const up = (): ReturnType<Runs["start"]> => {
    calls = [];
    return runs.start();
  };

  return {
    get port() {
      return proxy?.port ?? scene.cloud.postgres.port;
    },
    async count() {
      const { code, output } = await up().done;
      return { code, output, calls: [...calls] };
    },
    async kill(victim, point) {
      const { label, phase } = point;
      const at = "at" in point ? point.at : undefined;
      let struck: string | undefined;
      let failure: Error | undefined;
      let killRun: (victim: Victim) => Promise<void> = () => Promise.reject(new Error("the update has not begun"));
      strike = async (met, metPhase) => {
        const isMet = at === undefined ? met === label : calls.length === at + 1;
        if (struck !== undefined || !isMet || metPhase !== phase) return false;
        struck = met;
        await killRun(victim).catch((error: unknown) => {
          failure = error instanceof Error ? error : new Error(String(error));
        });
        return true;
      };
      try {
        const run = up();
        killRun = (whom) => run.kill(whom);
        const { code, output } = await run.done;
        if (failure) throw failure;
        if (struck !== label)
          throw new Error(
            `call ${at ?? "of that kind"} was ${struck ?? "never made"}, not ${label}; calls: ${calls.join(", ")}\n${output}`,
          );
        if (code === 0) throw new Error(`the update succeeded although its ${victim} was killed ${phase} ${label}`);
      } finally {
        strike = undefined;
      }
    },
    async recover(victim) {
      if (victim === "engine") await must(scene.stack.cancel());
      await must(scene.stack.up());
    },
    async stop() {
      for (const api of apis) api.onCall(undefined);
      await proxy?.stop();
    },
  };
}

/** Updates of the real engine. */
function runsOf(scene: Scene): Runs {
  return {
    start() {
      const child = scene.stack.spawn(UP);
      child.stdin.end();
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: string) => (output += text));
      const done = new Promise<{ code: number; output: string }>((resolve) => {
        child.once("close", (code) => {
          resolve({ code: code ?? -1, output });
        });
      });
      const { pid } = child;
      if (pid === undefined) throw new Error("the engine was not started");
      return { kill: (victim) => kill(pid, victim), done };
    },
  };
}

/** Kills, and returns when the victim and, if it was the engine, all that it had started are gone. */
async function kill(engine: number, victim: Victim): Promise<void> {
  const below = descendants(engine);
  const providers = below.filter((pid) => commandOf(pid).includes("dynamic-provider"));
  const targets = victim === "engine" ? [engine] : providers;
  if (targets.length === 0) throw new Error(`the engine ${engine} has no process of dynamic providers`);
  killAll(targets);
  const ends = victim === "engine" ? [engine, ...below] : targets;
  // Our helpers notice the engine's death by their closed stdin; the official ones live on for minutes. The call is held
  // meanwhile, so that none acts after this.
  if (await ended(ends, 3000)) return;
  killAll(ends.filter(isAlive));
  if (!(await ended(ends, 3000))) throw new Error(`still running after SIGKILL: ${ends.filter(isAlive).join(", ")}`);
}

function killAll(pids: number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

async function ended(pids: number[], withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (pids.some(isAlive)) {
    if (performance.now() > until) return false;
    await pause(10);
  }
  return true;
}

/** A zombie, which has ended but was not collected, has no arguments. */
function isAlive(pid: number): boolean {
  return commandOf(pid) !== "";
}

/** The arguments of a process; empty for one that has ended. Linux. */
function commandOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}
