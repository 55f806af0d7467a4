// Proves that a consumer that is taken out of config loses its secrets; that `destroy` leaves neither login nor secret, but
// owner and database unless config says otherwise; and that it waits for an undeclared client, goes on after a kill -9 in the
// middle, and works when the Worker's script is gone. Not proven here: kills at every call (crash.test.ts).
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { descendants, isRunning } from "../../local/engine/descendants";
import { must, type Scene, startScene } from "../../local/scene";
import { mustFail, startReports } from "./outside";
import { secretOf, servedAs, settled, tryLogin, usualCredentials } from "./rounds";

describe("destroy and removed consumers", () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await startScene({ needs: ["postgres", "workers"], credentials: usualCredentials("2026-11-20") });
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  });
  afterAll(async () => {
    await scene.end({ changes: "the last update destroyed everything" });
  });

  it("takes the secrets of one credential from a Worker that it is no longer delivered to, then those of a Worker that is gone", async () => {
    const url = secretOf(scene, "DATABASE_URL");
    scene.edit(["rollover:credentials", "session-key", "deliver"], []);
    await must(scene.stack.up());
    expect(names()).toEqual(["DATABASE_URL", "ROLLOVER_GENERATIONS", "ROLLOVER_PROBE_TOKEN"]);
    expect(await servedAs(scene)).toBe("rounds_20261120");

    scene.edit(["rollover:credentials", "rounds-db", "deliver"], []);
    scene.edit(["rollover:workers"], undefined);
    await must(scene.stack.up());
    await settled(scene);
    expect(names()).toEqual([]);
    // The login is still declared: it lives on, without a consumer.
    expect(await tryLogin(url)).toBe("rounds_20261120 as rounds_owner");
  });

  it("blocks while an undeclared client logs in, then leaves no login and no secret, but owner and database", async () => {
    scene.edit(["rollover:workers"], scene.cloud.config().workers);
    scene.edit(["rollover:credentials"], usualCredentials("2026-11-20"));
    await must(scene.stack.up());
    expect(await servedAs(scene)).toBe("rounds_20261120");
    const url = secretOf(scene, "DATABASE_URL");

    const reports = await startReports(url);
    const refusal = await mustFail(scene.stack.destroy());
    const soFar = reports.logins();
    await expect.poll(reports.logins).toBeGreaterThan(soFar);
    await reports.stop();
    expect(refusal).toContain("the login rounds_20261120 of rounds-db was not withdrawn");
    expect(refusal).toContain("reports from 127.0.0.1");
    expect(await tryLogin(url)).toBe("rounds_20261120 as rounds_owner");

    await must(scene.stack.destroy());
    await nothingLeft();
    expect(await tryLogin(url)).toMatch(/^(28P01|28000)$/);
    expect(await roles()).toEqual(["rounds_owner"]);
    const { rows } = await scene.cloud.postgres.query("SELECT * FROM rounds", [], "rounds");
    expect(rows).toEqual([{ id: 1 }]);
  });

  it("finishes after a kill -9 behind the deletion of the Worker's secrets; owner and database go where config says so", async () => {
    await scene.cloud.postgres.query("DROP DATABASE rounds");
    await scene.cloud.postgres.query("DROP ROLE rounds_owner");
    scene.edit(["rollover:credentials", "rounds-db", "dropOnDestroy"], true);
    await must(scene.stack.up());
    const url = secretOf(scene, "DATABASE_URL");

    await destroyKilledAfterSecrets();
    expect(names()).toEqual([]);
    expect(await tryLogin(url)).toBe("rounds_20261120 as rounds_owner");

    await must(scene.stack.cancel());
    await must(scene.stack.destroy());
    await nothingLeft();
    await nothingOfTheOwner();
  });

  it("works when the Worker's script is gone at Cloudflare", async () => {
    await must(scene.stack.up());
    expect(names()).toContain("DATABASE_URL");
    await scene.cloud.cloudflare.remove("rounds-api");

    await must(scene.stack.destroy());
    expect(await resources()).toEqual([]);
    await nothingOfTheOwner();
  });

  /** `destroy` until the API has deleted the Worker's secrets and not yet said so; then the engine is killed. */
  async function destroyKilledAfterSecrets(): Promise<void> {
    const engine = scene.stack.spawn(["destroy", "--yes", "--skip-preview"]);
    const ended = once(engine, "close");
    engine.stdin.end();
    let helpers: number[] = [];
    scene.cloud.cloudflare.onCall(async ({ phase, path }) => {
      if (phase !== "after" || !path.endsWith("/secrets-bulk")) return;
      helpers = descendants(engine.pid ?? 0);
      engine.kill("SIGKILL");
      await ended;
    });
    try {
      const [code, signal] = (await ended) as [number | null, string | null];
      expect({ code, signal }).toEqual({ code: null, signal: "SIGKILL" });
      expect(helpers.length).toBeGreaterThan(0);
      await expect.poll(() => helpers.filter(isRunning), { timeout: 10_000 }).toEqual([]);
    } finally {
      scene.cloud.cloudflare.onCall(undefined);
    }
  }

  async function nothingLeft(): Promise<void> {
    expect(names()).toEqual([]);
    expect(await resources()).toEqual([]);
    const { rows } = await scene.cloud.postgres.query(
      "SELECT rolname FROM pg_roles WHERE rolcanlogin AND starts_with(rolname, 'rounds')",
    );
    expect(rows).toEqual([]);
  }

  async function nothingOfTheOwner(): Promise<void> {
    expect(await roles()).toEqual([]);
    const { rows } = await scene.cloud.postgres.query("SELECT datname FROM pg_database WHERE datname = 'rounds'");
    expect(rows).toEqual([]);
  }

  function names(): string[] {
    return Object.keys(scene.cloud.cloudflare.state("rounds-api").secrets).sort();
  }

  async function roles(): Promise<unknown[]> {
    const { rows } = await scene.cloud.postgres.query(
      "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'rounds') ORDER BY 1",
    );
    return rows.map(({ rolname }) => rolname);
  }

  async function resources(): Promise<string[]> {
    const { deployment } = await scene.stack.exportState();
    return (deployment.resources ?? []).map(({ urn }) => urn);
  }
});
