// Proves that one stamp in the config rolls, rolls back and retires a Postgres login and a Worker's secrets on a real engine
// with no failed request, that the retired password is refused and its sessions ended, and that nothing is left to do after
// each update (G1, G2, G6). Not proven here: failing steps (prove, attest, crash, faults), nor more than one Worker.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as fs from "node:fs";
import { must, type Scene, startScene } from "../../local/scene";
import { loginsLike, openSession, secretOf, servedAs, settled, tryLogin, underLoad, usualCredentials } from "./rounds";

const refused = /^(28P01|28000)$/;

describe("one stamp in the config, under load", () => {
  let scene: Scene;
  /** What the Worker was given, by stamp: the URL, and the session key. */
  const urls: Record<string, string> = {};
  const keys: Record<string, string> = {};

  beforeAll(async () => {
    scene = await startScene({ needs: ["postgres", "workers"], credentials: usualCredentials("2026-11-20") });
    await must(scene.stack.up());
    await settled(scene);
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    scene.edit(["rollover:credentials", "rounds-db", "checks"], ["SELECT count(*) FROM rounds"]);
    remember("2026-11-20");
  });
  afterAll(async () => {
    await scene.end();
  });

  it("rolls: the new login is in use, the old one still works", async () => {
    generations(["2026-11-21", "2026-11-20"]);
    await underLoad(scene, () => must(scene.stack.up()));
    await settled(scene);
    remember("2026-11-21");

    expect(await tryLogin(url("2026-11-21"))).toBe("rounds_20261121 as rounds_owner");
    expect(await tryLogin(url("2026-11-20"))).toBe("rounds_20261120 as rounds_owner");
    expect(await servedAs(scene)).toBe("rounds_20261121");
    expect(keys["2026-11-21"]).not.toBe(keys["2026-11-20"]);
    expect(secretOf(scene, "SESSION_KEY_PREVIOUS")).toBe(keys["2026-11-20"]);
  });

  it("changes nothing by a second update, by another order of the credentials, or by comments", async () => {
    const before = scene.cloud.cloudflare.state("rounds-api").liveVersionId;
    await must(scene.stack.up(["--expect-no-changes"]));

    const usual = usualCredentials("2026-11-20");
    const stamps = () => ["2026-11-21", "2026-11-20"];
    scene.edit(["rollover:credentials"], {
      "rounds-db": { ...usual["rounds-db"], checks: ["SELECT count(*) FROM rounds"], generations: stamps() },
      "session-key": { ...usual["session-key"], generations: stamps() },
    });
    fs.appendFileSync(scene.configFile, "# a comment\n");
    await must(scene.stack.preview(["--expect-no-changes"]));
    await must(scene.stack.up(["--expect-no-changes"]));
    expect(scene.cloud.cloudflare.state("rounds-api").liveVersionId).toBe(before);
  });

  it("rolls back to the very values of before", async () => {
    generations(["2026-11-20", "2026-11-21"]);
    await underLoad(scene, () => must(scene.stack.up()));
    await settled(scene);

    expect(secretOf(scene, "DATABASE_URL")).toBe(url("2026-11-20"));
    expect(secretOf(scene, "SESSION_KEY")).toBe(keys["2026-11-20"]);
    expect(secretOf(scene, "SESSION_KEY_PREVIOUS")).toBe(keys["2026-11-21"]);
    expect(await tryLogin(url("2026-11-21"))).toBe("rounds_20261121 as rounds_owner");
  });

  it("retires: the withdrawn login is refused, and its open session ended", async () => {
    const session = await openSession(url("2026-11-21"));
    try {
      generations(["2026-11-20"]);
      await underLoad(scene, () => must(scene.stack.up()));
      await expect.poll(session.state).toBe("57P01");
    } finally {
      await session.end();
    }
    await settled(scene);

    expect(await tryLogin(url("2026-11-21"))).toMatch(refused);
    expect(await tryLogin(url("2026-11-20"))).toBe("rounds_20261120 as rounds_owner");
    expect(await loginsLike(scene, "rounds")).toEqual(["rounds_20261120"]);
    expect(Object.keys(scene.cloud.cloudflare.state("rounds-api").secrets)).not.toContain("SESSION_KEY_PREVIOUS");
  });

  it("rolls by the short form and withdraws the old login in the same update", async () => {
    const session = await openSession(url("2026-11-20"));
    try {
      scene.edit(["rollover:credentials", "rounds-db", "generations"], undefined);
      scene.edit(["rollover:credentials", "rounds-db", "generation"], "2026-11-22");
      await underLoad(scene, () => must(scene.stack.up()));
      await expect.poll(session.state).toBe("57P01");
    } finally {
      await session.end();
    }
    await settled(scene);
    remember("2026-11-22");

    expect(await tryLogin(url("2026-11-20"))).toMatch(refused);
    expect(await tryLogin(url("2026-11-22"))).toBe("rounds_20261122 as rounds_owner");
    expect(await servedAs(scene)).toBe("rounds_20261122");
    expect(await loginsLike(scene, "rounds")).toEqual(["rounds_20261122"]);
  });

  function generations(stamps: string[]): void {
    for (const credential of ["rounds-db", "session-key"]) scene.generations(credential, stamps);
  }

  function remember(stamp: string): void {
    urls[stamp] = secretOf(scene, "DATABASE_URL");
    keys[stamp] = secretOf(scene, "SESSION_KEY");
  }

  function url(stamp: string): string {
    return urls[stamp] ?? "";
  }
});
