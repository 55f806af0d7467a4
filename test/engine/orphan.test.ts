// Proves G8 where nothing but the product ends a provider: its process, started by the SDK's own launcher script, does not outlive an
// engine that is killed alone, so that a retirement whose edit is taken back withdraws nothing behind the next update's back. Not: the
// official language host and plugins of vendors, nor a kill at each call (crash.test.ts).
import * as fs from "node:fs";
import { createRequire } from "node:module";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { descendants } from "../../local/engine/descendants";
import { temporaryFolder } from "../../local/engine/temporary";
import { must, type Scene, startScene } from "../../local/scene";
import { secretOf, settled, tryLogin, usualCredentials } from "./rounds";

/** Longer than an engine takes to be killed and an update to be made. */
const QUIET_MS = 20_000;
const folder = temporaryFolder("orphan-test");
let scene: Scene;

beforeAll(async () => {
  const credentials = usualCredentials("2026-11-20", `${QUIET_MS / 1000}s`);
  scene = await startScene({ needs: ["postgres", "workers"], credentials, worker: { settle: "0s", answers: 3 } });
  scene.stack.options.env = { PULUMI_HOME: homeWithLauncher() };
  await must(scene.stack.up());
  await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
});
afterAll(async () => {
  await scene.end();
  folder.remove();
});

it("a provider ends with an engine that is killed in a retirement, whose edit is then taken back", async () => {
  const old = secretOf(scene, "DATABASE_URL");
  scene.generations("rounds-db", ["2026-11-21", "2026-11-20"]);
  await must(scene.stack.up());

  scene.generations("rounds-db", ["2026-11-21"]);
  const engine = scene.stack.spawn(["up", "--yes", "--skip-preview"]);
  const killed = new Promise((resolve) => engine.once("close", resolve));
  await expect.poll(watching).toBeGreaterThan(0);
  const helpers = descendants(engine.pid ?? 0);
  const until = performance.now() + QUIET_MS;
  engine.kill("SIGKILL");
  await killed;

  scene.generations("rounds-db", ["2026-11-21", "2026-11-20"]);
  await must(scene.stack.cancel());
  await must(scene.stack.up());
  expect(helpers.filter(isProvider)).toEqual([]);
  // What an orphan would do it would have done by then.
  await expect.poll(() => performance.now() > until).toBe(true);
  expect(await tryLogin(old)).toBe("rounds_20261120 as rounds_owner");
  await settled(scene);
});

/** How many of the admin's sessions watch for logins. */
async function watching(): Promise<number> {
  const { rows } = await scene.cloud.postgres.query(
    "SELECT FROM pg_stat_activity WHERE usename = $1 AND query LIKE '%pg_stat_activity WHERE usename%'",
    [scene.cloud.postgres.admin.user],
  );
  return rows.length;
}

/** The engine's home, with the SDK's launcher script in the place of ours, which ends with the engine by itself. */
function homeWithLauncher(): string {
  const home = folder.make("home");
  fs.cpSync(scene.engine.home, home, { recursive: true, verbatimSymlinks: true });
  const launcher = path.join(
    path.dirname(createRequire(__filename).resolve("@pulumi/pulumi/package.json")),
    "pulumi-resource-pulumi-nodejs",
  );
  const at = path.join(home, "plugins", `resource-pulumi-nodejs-v${scene.engine.version}`);
  fs.copyFileSync(launcher, path.join(at, "pulumi-resource-pulumi-nodejs"));
  fs.chmodSync(path.join(at, "pulumi-resource-pulumi-nodejs"), 0o755);
  return home;
}

function isProvider(pid: number): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("dynamic-provider");
  } catch {
    return false; // it has ended
  }
}
