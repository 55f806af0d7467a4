// Proves that a Worker whose two secrets change in one edit never answers with one old and one new, read thousands of times
// while the engine rolls forward and back (G4); and that these readers would have seen it, by secrets set one after the other.
// Not proven here: two Workers, between which no call of the vendor's is atomic.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callApi } from "../../local/cloud/client";
import { startLoad } from "../../local/load";
import { must, type Scene, startScene } from "../../local/scene";
import { settled, usualCredentials } from "./rounds";

const names = ["DATABASE_URL", "SESSION_KEY"];

describe("two secrets of one Worker", () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await startScene({ needs: ["postgres", "workers"], credentials: usualCredentials("2026-11-20") });
    await must(scene.stack.up());
  });
  afterAll(() => scene.end());

  it.each([
    ["forward", ["2026-11-21", "2026-11-20"]],
    ["back", ["2026-11-20", "2026-11-21"]],
  ])("change at once when both roll %s", async (_direction, stamps) => {
    const before = await pair();
    const { seen, reads } = await readWhile(async () => {
      // Copies: one list in two places would become an anchor and an alias in the file.
      for (const credential of ["rounds-db", "session-key"]) scene.generations(credential, [...stamps]);
      await must(scene.stack.up());
    });
    await settled(scene);

    const after = await pair();
    expect(after).not.toBe(before);
    expect([...seen.keys()].sort()).toEqual([before, after].sort());
    expect(reads).toBeGreaterThanOrEqual(2000);
  });

  it("are seen half changed when they are set by two calls", async () => {
    const { seen } = await readWhile(async () => {
      for (const name of names) {
        const { success } = await callApi(scene.cloud.cloudflare, {
          method: "PUT",
          body: { name, type: "secret_text", text: "set by hand" },
        });
        expect(success).toBe(true);
      }
    });
    expect(seen.size).toBe(3);
  });

  /**
   * Reads both secrets by 8 clients, before `work`, meanwhile and after. Returns how often each pair of digests was seen, and
   * how many reads there were meanwhile.
   */
  async function readWhile(work: () => Promise<unknown>): Promise<{ seen: Map<string, number>; reads: number }> {
    const seen = new Map<string, number>();
    const load = startLoad({
      url: url(),
      check: (status, body) => {
        seen.set(body, (seen.get(body) ?? 0) + 1);
        return status === 200;
      },
    });
    let reads: number;
    try {
      await load.until(100);
      const before = load.result().requests;
      await work();
      reads = load.result().requests - before;
      await load.until(before + reads + 100);
    } finally {
      const { failed, failures } = await load.stop();
      expect(failures).toEqual([]);
      expect(failed).toBe(0);
    }
    return { seen, reads };
  }

  async function pair(): Promise<string> {
    return (await fetch(url())).text();
  }

  function url(): string {
    return `${scene.cloud.workerUrl("rounds-api")}secrets?names=${names.join()}`;
  }
});
