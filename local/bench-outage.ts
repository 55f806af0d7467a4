/**
 * How long consumers are without their database while the tokens of a Turso group are invalidated: through `pulumi up`, and by
 * a script that does nothing but rotate, mint and push. Both on the same servers, in turn, seen by the same light load.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { LocalCloud } from "./cloud";
import type { Engine } from "./engine";
import { must, type Scene, startScene } from "./scene";
import { DATABASE, deliver, invalidate, mint } from "./by-hand";
import { during, say } from "../operations/console";
import { invalidateIn } from "../operations/stack-file";

/** Milliseconds from the last request that went well to the first one of the last consumer that does so again. */
export interface Outages {
  pulumi: number[];
  byHand: number[];
}

/** One request each so often, so that the load is no part of what is measured: the more consumers, the more seldom each. */
const everyMsOf = (consumers: number): number => Math.max(20, 12.5 * consumers);
/** Answers in a row that show that an outage is over, and the longest wait for them. */
const GOOD_IN_A_ROW = 3;
const PATIENCE_MS = 60_000;
const GROUP = "default";

const script = (index: number): string => (index === 0 ? "rounds-api" : `rounds-api-${index + 1}`);

/** A stack whose one credential, a Turso token, goes to every consumer; each consumer is a Worker in a process of its own. */
export async function startConsumers(engine: Engine, dir: string, most: number): Promise<Scene> {
  fs.mkdirSync(dir);
  const scripts = Object.fromEntries(Array.from({ length: most }, (_, index) => [script(index), {}]));
  const scene = await startScene({
    engine,
    dir,
    needs: ["turso", "workers"],
    credentials: {},
    cloud: { cloudflare: { scripts }, turso: { databases: { [DATABASE]: { group: GROUP } } } },
  });
  return scene;
}

/** Each way `rounds` times, in turn. */
export async function measureOutages(scene: Scene, consumers: number, rounds: number): Promise<Outages> {
  const scripts = Array.from({ length: consumers }, (_, index) => script(index));
  configure(scene, scripts);
  // The script of an earlier measurement killed the token that the state holds.
  stampInvalidation(scene);
  await must(scene.stack.up());
  const outages: Outages = { pulumi: [], byHand: [] };
  for (let round = 1; round <= rounds; round++) {
    stampInvalidation(scene);
    const pulumi = await outage(scene.cloud, scripts, () => must(scene.stack.up()));
    const byHand = await outage(scene.cloud, scripts, () => invalidateByHand(scene.cloud, scripts));
    outages.pulumi.push(pulumi);
    outages.byHand.push(byHand);
    say(`round ${round} of ${rounds}, consumers ${consumers}: pulumi ${pulumi} ms, by hand ${byHand} ms`);
  }
  return outages;
}

function configure(scene: Scene, scripts: string[]): void {
  const { workers } = scene.cloud.config();
  // With their wait for the edge: no consumer's outage may hang on that of another.
  scene.edit(["rollover:workers"], Object.fromEntries(scripts.map((name) => [name, workers[name]])));
  scene.edit(["rollover:credentials"], {
    "rounds-turso": {
      kind: "turso",
      database: DATABASE,
      expiration: "7d",
      generations: ["2026-11-20"],
      deliver: scripts.map((worker) => ({ worker, as: "TURSO_AUTH_TOKEN" })),
    },
  });
}

function stampInvalidation(scene: Scene): void {
  const text = fs.readFileSync(scene.configFile, "utf8");
  fs.writeFileSync(scene.configFile, invalidateIn(text, [{ kind: "group", name: GROUP }], "2026-11-20").text);
}

/** The shortest way that there is: no look, no proof, no record. */
async function invalidateByHand(cloud: LocalCloud, scripts: string[]): Promise<void> {
  await invalidate(cloud);
  const token = await mint(cloud);
  await Promise.all(scripts.map((name) => deliver(cloud, name, token)));
}

/** Does `work` while each consumer is asked now and then, until none fails any more. */
async function outage(cloud: LocalCloud, scripts: string[], work: () => Promise<unknown>): Promise<number> {
  const everyMs = everyMsOf(scripts.length);
  const watchers = scripts.map((name, index) =>
    watch(`${cloud.workerUrl(name)}turso`, everyMs, (index / scripts.length) * everyMs),
  );
  try {
    await Promise.all(watchers.map(({ good }) => good()));
    await work();
    await Promise.all(watchers.map(({ good }) => good()));
  } finally {
    await Promise.all(watchers.map(({ stop }) => stop()));
  }
  // One whose request of before was answered after it has seen nothing of a short outage: the others have.
  const seen = watchers.flatMap(({ outage: one }) => one() ?? []);
  if (seen.length === 0) throw new Error(`none of the consumers failed a request: ${scripts.length} were asked`);
  // The rotation reaches all at one moment, and what went well anywhere was sent before it.
  return Math.round(Math.max(...seen.map(({ to }) => to)) - Math.max(...seen.map(({ from }) => from)));
}

interface Watcher {
  /** Waits for answers in a row that are good, from now on. */
  good: () => Promise<void>;
  /**
   * When its last good request before the first failed one was sent, and its first good one after the last failed; undefined
   * where none failed. Not when answers came: the process that starts a Worker is too busy to take them at once.
   */
  outage: () => { from: number; to: number } | undefined;
  stop: () => Promise<void>;
}

function watch(url: string, everyMs: number, afterMs: number): Watcher {
  let [row, stopped, from] = [0, false, performance.now()];
  let to: number | undefined;
  let hasFailed = false;
  const loop = async (): Promise<void> => {
    await pause(afterMs);
    while (!stopped) {
      const sent = performance.now();
      const isGood = await answers(url);
      row = isGood ? row + 1 : 0;
      if (!isGood) [hasFailed, to] = [true, undefined];
      else if (hasFailed) to ??= sent;
      else from = sent;
      await pause(Math.max(0, everyMs - (performance.now() - sent)));
    }
  };
  const looping = loop();
  return {
    async good() {
      row = 0;
      const until = performance.now() + PATIENCE_MS;
      while (row < GOOD_IN_A_ROW) {
        if (performance.now() > until) throw new Error(`a consumer fails for more than ${PATIENCE_MS / 1000} s`);
        await pause(everyMs);
      }
    },
    outage: () => (to === undefined ? undefined : { from, to }),
    async stop() {
      stopped = true;
      await looping;
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    await response.text();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** Starts `most` consumers and measures with each number of them. */
export async function outagesOf(
  engine: Engine,
  dir: string,
  consumers: number[],
  rounds: number,
): Promise<{ consumers: number; outages: Outages }[]> {
  const most = Math.max(...consumers);
  const scene = await during(`starting ${most} Workers`, () => startConsumers(engine, path.join(dir, "outage"), most));
  const measured: { consumers: number; outages: Outages }[] = [];
  try {
    // Fewer first: a consumer that is taken out of config would be withdrawn.
    for (const count of [...consumers].sort((a, b) => a - b)) {
      const outages = await during(`invalidating with consumers: ${count}`, () => measureOutages(scene, count, rounds));
      measured.push({ consumers: count, outages });
    }
  } finally {
    await scene.stop();
  }
  return measured;
}
