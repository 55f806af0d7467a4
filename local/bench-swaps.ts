/**
 * What a roll of a signing key rejects, by three ways: one that swaps a single key, one that swaps a current and a previous one
 * together, both by hand, and `pulumi up`, which announces first. On one Worker whose isolates take up new secrets at random
 * within 3 s; clients show at each request the token that the last one gave them.
 */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { keySetText } from "../components/rotation/key-texts";
import { bulk } from "./cloud/client";
import { type LoadResult, startLoad } from "./load";
import { tokenConversation } from "./token-load";
import type { Engine } from "./engine";
import { must, type Scene, startScene } from "./scene";
import { switched } from "./by-hand";
import { during } from "../operations/console";
import { WORKER } from "./rehearse-clients";

const SPREAD_MS = 3000;

export interface Swaps {
  /** Percent of the tokens shown while isolates differ, or while the update runs. */
  single: number;
  currentAndPrevious: number;
  pulumi: number;
}

export async function measureSwaps(engine: Engine, dir: string): Promise<Swaps> {
  fs.mkdirSync(dir);
  const scene = await during("starting a Worker that signs", () => startSigner(engine, dir));
  try {
    await must(scene.stack.up());
    scene.cloud.cloudflare.setPropagation({ mode: "random", withinMs: SPREAD_MS });
    scene.generations("rounds-signing", ["2026-11-21", "2026-11-20"]);
    const pulumi = await during("rolling through pulumi up", () => rejected(scene, () => must(scene.stack.up())));
    const [first, second, third] = ["a", "b", "c"].map((stamp) => ({ stamp, hex: randomBytes(32).toString("hex") }));
    if (!first || !second || !third) throw new Error("three keys were made");
    await put(scene, keySetText("signing-keyset", [first], first.stamp));
    await switched(scene.cloud, WORKER);
    const single = await during("swapping a single key by hand", () =>
      rejected(scene, () => put(scene, keySetText("signing-keyset", [second], second.stamp))),
    );
    await switched(scene.cloud, WORKER);
    const currentAndPrevious = await during("swapping current and previous by hand", () =>
      rejected(scene, () => put(scene, keySetText("signing-keyset", [third, second], third.stamp))),
    );
    return { single, currentAndPrevious, pulumi };
  } finally {
    await scene.stop();
  }
}

async function startSigner(engine: Engine, dir: string): Promise<Scene> {
  const scene = await startScene({
    engine,
    dir,
    credentials: {
      "rounds-signing": {
        kind: "signing-keyset",
        maxTokenAge: "5s",
        generations: ["2026-11-20"],
        deliver: [{ worker: WORKER, as: "JWT_KEYS" }],
      },
    },
    worker: { settle: `${SPREAD_MS}ms` },
    needs: ["workers"],
  });
  return scene;
}

async function put(scene: Scene, keys: string): Promise<void> {
  const { status } = await bulk(scene.cloud.cloudflare, { JWT_KEYS: keys });
  if (status !== 200) throw new Error(`the swap was answered ${status}`);
}

/** Percent of the requests that failed from the begin of `work` until every isolate has switched. */
async function rejected(scene: Scene, work: () => Promise<unknown>): Promise<number> {
  const url = scene.cloud.workerUrl(WORKER);
  const load = startLoad({ url, pauseMs: 0, conversation: () => tokenConversation(url) });
  let result: LoadResult;
  try {
    await load.until(200);
    load.mark();
    await work();
    await switched(scene.cloud, WORKER);
  } finally {
    result = await load.stop();
  }
  return Number(((100 * result.failed) / result.requests).toFixed(2));
}
