// Proves on a real engine: a Worker whose code and limits this stack declares is deployed before it gets secrets, limits at
// the right request, keeps its secrets over an edit of code or limits and its limits over a roll of secrets; the zone's ruleset
// follows its config; nothing is left to do after each update (G1), and nothing is left after destroy. Not proven here: each
// of the seed's four limits (test/provider/rate-limit.test.ts), nor Cloudflare's own counting.
import * as fs from "node:fs";
import * as path from "node:path";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must, type Scene, startScene } from "../../local/scene";
import { inOneWindow } from "../support/windows";
import { mustFail } from "./outside";
import { secretOf, settled } from "./rounds";

const CHECKOUT = path.resolve(__dirname, "../..");
const SOURCE = path.join(__dirname, "../fixtures/rate-limits/worker.ts");
const WORKER = ["rollover:workers", "rounds-api"];

describe("a Worker's code and rate limits", () => {
  let scene: Scene;
  let folder: string;
  let file: string;

  beforeAll(async () => {
    // In the project's folder, as config wants it, and where git and the linters do not look.
    const cache = path.join(CHECKOUT, "node_modules", ".cache");
    fs.mkdirSync(cache, { recursive: true });
    folder = fs.mkdtempSync(path.join(cache, "rate-limits-"));
    file = path.relative(CHECKOUT, path.join(folder, "worker.mjs"));
    const key = {
      ...{ kind: "random", length: 40, generations: ["2026-11-20"] },
      deliver: [{ worker: "rounds-api", as: "SESSION_KEY" }],
    };
    scene = await startScene({
      needs: ["workers"],
      credentials: { "session-key": key },
      cloud: { cloudflare: { scripts: {} } },
    });
    scene.edit(["rollover:workers"], {
      "rounds-api": {
        settle: "0s",
        code: { file, compatibilityDate: "2026-07-01", compatibilityFlags: ["nodejs_compat"], vars: { REGION: "eu" } },
      },
    });
    scene.edit(["rollover:rateLimits"], {
      rounds: {
        means: "binding",
        worker: "rounds-api",
        routes: { start: { route: "POST /v1/rounds/start", limit: 10, period: "10s", per: "client" } },
      },
      edge: {
        ...{ means: "ruleset", zone: scene.cloud.cloudflare.zoneId, host: "api.example.com", plan: "business" },
        routes: {
          manifest: { route: "GET /v1/manifest", limit: 1, period: "60s", per: "client" },
          start: { route: "POST /v1/rounds/start", limit: 10, period: "10s", per: "client" },
        },
      },
    });
  });
  afterAll(async () => {
    await scene.end({ changes: "the last update destroyed everything" });
    fs.rmSync(folder, { recursive: true, force: true });
  });

  it("stops before anything is made where the Worker is not built", async () => {
    const refusal = await mustFail(scene.stack.preview());
    expect(refusal).toContain(`rollover:workers.rounds-api.code.file: ${file} cannot be read (ENOENT)`);
  });

  it("is deployed first, then given its secrets, then attested, and limits", async () => {
    build("first");
    await must(scene.stack.run(["up", "--yes"]));
    // Its address is known only now.
    scene.edit([...WORKER, "probe"], scene.cloud.probeUrl("rounds-api"));
    await must(scene.stack.up());
    expect(await edition()).toBe("first");
    expect(secretOf(scene, "SESSION_KEY")).toHaveLength(40);
    await limitedTo(10);
  });

  it("keeps its secrets over an edit of the code", async () => {
    const before = scene.cloud.cloudflare.state("rounds-api");
    build("second");
    await must(scene.stack.up());
    const now = scene.cloud.cloudflare.state("rounds-api");
    expect(await edition()).toBe("second");
    expect(now.secrets).toEqual(before.secrets);
    expect(now.versionIds).toHaveLength(before.versionIds.length + 1);
  });

  it("follows an edit of a limit, of the ruleset too, whose rules keep their ids", async () => {
    const idOf = (name: string) => rules().find(({ ref }) => ref === name)?.["id"];
    const [secrets, id] = [scene.cloud.cloudflare.state("rounds-api").secrets, idOf("start")];
    scene.edit(["rollover:rateLimits", "rounds", "routes", "start", "limit"], 3);
    scene.edit(["rollover:rateLimits", "edge", "routes", "start", "limit"], 3);
    scene.edit(["rollover:rateLimits", "edge", "routes", "manifest"], undefined);
    await must(scene.stack.up());
    await limitedTo(3);
    expect(rules()).toMatchObject([{ ref: "start", id, ratelimit: { period: 10, requests_per_period: 3 } }]);
    expect(scene.cloud.cloudflare.state("rounds-api").secrets).toEqual(secrets);
  });

  it("keeps its limits over a roll of secrets", async () => {
    const before = secretOf(scene, "SESSION_KEY");
    scene.generations("session-key", ["2026-11-21"]);
    await must(scene.stack.up());
    expect(secretOf(scene, "SESSION_KEY")).not.toBe(before);
    await limitedTo(3);
  });

  it("is refused where the limit cannot be expressed", async () => {
    scene.edit(["rollover:rateLimits", "rounds", "routes", "start", "period"], "1s");
    const refusal = await mustFail(scene.stack.preview());
    expect(refusal).toContain("write `limit: 30, period: 10s`, the same on average: bursts of 30 are then allowed");
    scene.edit(["rollover:rateLimits", "rounds", "routes", "start", "period"], "10s");
  });

  it("has nothing left to do, and leaves neither script nor ruleset after destroy", async () => {
    await settled(scene);
    await must(scene.stack.destroy());
    expect(rules()).toEqual([]);
    expect(scene.cloud.cloudflare.rulesets()).toEqual([]);
    expect(() => scene.cloud.cloudflare.state("rounds-api")).toThrow("no script rounds-api");
  });

  function build(name: string): void {
    const { outputFiles } = buildSync({ entryPoints: [SOURCE], bundle: true, format: "esm", write: false });
    const text = outputFiles[0]?.text ?? "";
    expect(text).toContain('EDITION = "first"');
    fs.writeFileSync(path.join(folder, "worker.mjs"), text.replace('EDITION = "first"', `EDITION = "${name}"`));
  }

  function rules(): Record<string, unknown>[] {
    return scene.cloud.cloudflare.rulesets()[0]?.rules ?? [];
  }

  async function edition(): Promise<unknown> {
    const response = await fetch(`${scene.cloud.workerUrl("rounds-api")}tell`);
    return ((await response.json()) as { edition?: unknown }).edition;
  }

  /** The request after so many in one window is the first that is refused. */
  async function limitedTo(limit: number): Promise<void> {
    const headers = { "x-client": crypto.randomUUID() };
    const url = `${scene.cloud.workerUrl("rounds-api")}v1/rounds/start`;
    const found = await inOneWindow(10_000, async () => {
      const statuses: number[] = [];
      for (let i = 0; i <= limit; i++) statuses.push((await fetch(url, { method: "POST", headers })).status);
      return statuses;
    });
    expect(found).toEqual([...Array<number>(limit).fill(200), 429]);
  }
});
