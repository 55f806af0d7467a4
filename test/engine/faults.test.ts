// Proves, on the real engine, that each kind of fault on each Cloudflare API call of a roll and of a retirement, one after
// another, is survived by the same update, with no failed request and one version a delivery; that a lasting fault, a wrong
// token and an unknown script end in one clear error and withdraw nothing (G10). Not proven here: faults of Postgres, of which
// every statement is cut in test/provider/postgres-login.test.ts, and strange answers (test/provider/cloudflare-api.test.ts).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loginName } from "../../components/rotation/login";
import type { Fault } from "../../local/cloud/faults";
import { type Load, startLoad } from "../../local/load";
import { must, type Scene, startScene } from "../../local/scene";
import type { Result, StateResource } from "../../local/stack";
import { loginsLike, secretOf, settled, tryLogin, usualCredentials } from "./rounds";

const kinds: Omit<Fault, "match" | "nth">[] = [
  { kind: "status", status: 429, code: 10429, retryAfter: 1 },
  { kind: "status", status: 500 },
  { kind: "reset-before" },
  { kind: "reset-after" },
  { kind: "late", ms: 500 },
];

/** A call of the API, counted among those of its kind: two that run at once have no order between them. */
interface Point {
  method: string;
  resource: string;
  nth: number;
}

describe("faults of the Cloudflare API", () => {
  let scene: Scene;
  let load: Load;
  /** Generations of `rounds-db` that are live, current first. */
  let live = ["2026-11-20"];
  let counter = 1;

  beforeAll(async () => {
    const credentials = { "rounds-db": { ...usualCredentials("2026-11-20")["rounds-db"], quiet: "50ms" } };
    scene = await startScene({ needs: ["postgres", "workers"], credentials, worker: { settle: "0s" } });
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    load = startLoad({ url: scene.cloud.workerUrl("rounds-api"), clients: 2 });
    await load.until(20);
  });
  afterAll(async () => {
    await load.stop();
    await scene.end();
  });

  const api = () => scene.cloud.cloudflare;
  const versionsMade = () => api().state("rounds-api").versionIds.length;

  /** Puts a new generation in front, or takes the last one away; in config alone. */
  function edit(step: "roll" | "retire"): void {
    if (step === "roll") counter += 1;
    live = step === "roll" ? [`2026-11-21.${counter}`, ...live] : live.slice(0, -1);
    scene.generations("rounds-db", live);
  }

  /** The Worker holds exactly the live generations, the server has their logins and no other, and no request failed. */
  async function isHeld(): Promise<void> {
    const generations = JSON.parse(secretOf(scene, "ROLLOVER_GENERATIONS")) as Record<string, { stamp: string }[]>;
    expect(generations["rounds-db"]?.map(({ stamp }) => stamp)).toEqual(live);
    expect(await loginsLike(scene, "rounds")).toEqual(live.map(loginOf).sort());
    expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toBe(`${loginOf(live[0] ?? "")} as rounds_owner`);
    expect(load.result()).toMatchObject({ failed: 0, failures: [] });
  }

  /**
   * Faults for an update that makes these calls: each call is struck once, one after the other. A call that is made again
   * counts again, so the second of its kind is then the third.
   */
  function onEach(points: Point[], fault: Omit<Fault, "match" | "nth">): Fault[] {
    return points.map(({ method, resource, nth }) => ({
      ...fault,
      match: { method, path: new RegExp(`/${resource}$`) },
      nth: fault.kind === "late" ? nth : 2 * nth - 1,
    }));
  }

  /** One step with faults: each strikes, the same update is done all the same, and it delivers once. */
  async function survives(step: "roll" | "retire", faults: Fault[]): Promise<void> {
    const before = versionsMade();
    edit(step);
    api().faults.set(faults);
    const { stdout } = await must(scene.stack.up());
    expect(api().faults.fired(), stdout).toEqual(faults.map(() => 1));
    expect(versionsMade(), stdout).toBe(before + 1);
    await isHeld();
  }

  /** What a failing update may not touch: resources in state, logins, versions and values at Cloudflare. */
  async function everything(): Promise<unknown> {
    const { deployment } = await scene.stack.exportState();
    return {
      resources: (deployment.resources ?? []).filter(isOurs).map(comparable).sort(),
      pending: deployment.pending_operations,
      logins: await loginsLike(scene, "rounds"),
      // Processes that are still ending do not count.
      cloudflare: { ...api().state("rounds-api"), instances: undefined },
    };
  }

  describe("on each call of a roll and of a retirement", () => {
    const points: Record<"roll" | "retire", Point[]> = { roll: [], retire: [] };

    it("are set on the calls that a dry run counts", async () => {
      for (const step of ["roll", "retire"] as const) {
        edit(step);
        api().calls.length = 0;
        await must(scene.stack.up());
        points[step] = count(api().calls);
        expect(points[step].length).toBeGreaterThanOrEqual(5);
        expect(points[step].filter(({ method }) => method === "PATCH")).toHaveLength(1);
        await isHeld();
      }
    });

    it.each(kinds.map((fault) => [`${fault.kind} ${fault.status ?? ""}`.trim(), fault] as const))(
      "%s is survived",
      async (_name, fault) => {
        for (const step of ["roll", "retire"] as const) {
          expect(points[step].length).toBeGreaterThan(0);
          await survives(step, onEach(points[step], fault));
        }
      },
    );

    it("a call that is never answered is given up after 30 s, and survived", async () => {
      const change = points.roll.filter(({ method }) => method === "PATCH");
      expect(change).toHaveLength(1);
      await survives("roll", onEach(change, { kind: "hang" }));
      edit("retire");
      await must(scene.stack.up());
      await settled(scene);
    });
  });

  it("that last end the update with one error; nothing is withdrawn, and the next update finishes", async () => {
    edit("roll");
    const before = versionsMade();
    api().faults.set([{ match: { method: "PATCH" }, kind: "status", status: 500, times: 1000 }]);
    const failed = await scene.stack.up();
    expect(failed.code).not.toBe(0);
    const { accountId } = api();
    expect(errorsIn(failed)).toEqual([
      `error: Cloudflare, PATCH /workers/scripts/rounds-api/secrets-bulk of account ${accountId}: status 500, code 10013: the API failed; run the update again`,
    ]);
    expect(versionsMade()).toBe(before);
    expect(await loginsLike(scene, "rounds")).toEqual(live.map(loginOf).sort());
    api().faults.set([]);
    await must(scene.stack.up());
    await isHeld();

    edit("retire");
    const old = secretOf(scene, "DATABASE_URL");
    api().faults.set([{ match: { method: "PATCH" }, kind: "status", status: 500, times: 1000 }]);
    expect(errorsIn(await scene.stack.up())).toHaveLength(1);
    expect(await loginsLike(scene, "rounds")).toHaveLength(live.length + 1);
    expect(await tryLogin(old)).toMatch(/ as rounds_owner$/);
    api().faults.set([]);
    await must(scene.stack.up());
    await isHeld();
    await settled(scene);
  });

  it.each([
    [
      "a wrong API token",
      async () => {
        await scene.stack.setConfig("cloudflareApiToken", "not-the-token", { secret: true });
        return () => scene.stack.setConfig("cloudflareApiToken", api().token, { secret: true });
      },
      "rounds-api",
      "status 403, code 10000: the API token is wrong, expired or lacks `Workers Scripts Write`; set it with `pulumi config set --secret cloudflareApiToken`",
    ],
    [
      "an unknown script",
      () => {
        scene.edit(["rollover:workers", "rounds-api", "script"], "no-such-script");
        return Promise.resolve(() => {
          scene.edit(["rollover:workers", "rounds-api", "script"], "rounds-api");
          return Promise.resolve();
        });
      },
      "no-such-script",
      "status 404, code 10007: no such account or script; check rollover:cloudflare.accountId and the Worker's `script`, and deploy the script before its secrets",
    ],
  ])(
    "%s is one clear error before anything is changed, with a preview and without",
    async (_name, breaks, script, text) => {
      const before = await everything();
      const mend = await breaks();
      edit("roll");
      for (const args of [["--yes"], ["--yes", "--skip-preview"]]) {
        const failed = await scene.stack.run(["up", ...args]);
        expect(failed.code).not.toBe(0);
        const said = errorsIn(failed);
        expect(said).toHaveLength(1);
        expect(said[0]?.replace(/\b(versions|deployments)\b/, "versions")).toBe(
          `error: pulumi-nodejs:dynamic/cloudflare:WorkerDelivery resource '${script}': property script value {${script}} has a problem: ` +
            `Cloudflare, GET /workers/scripts/${script}/versions of account ${api().accountId}: ${text}`,
        );
        expect(await everything()).toEqual(before);
      }
      await mend();
      await must(scene.stack.up());
      await isHeld();
      edit("retire");
      await must(scene.stack.up());
      await isHeld();
    },
  );
});

/**
 * The engine keeps each provider's config in state as well, as it is now: it is not what an update changes. A component is a
 * name for its children and nothing by itself.
 */
const isOurs = ({ type, custom }: StateResource) => custom && !type.startsWith("pulumi:providers:");

/** As text, without what each save of the same state writes anew: a secret's encryption, and times. */
function comparable(resource: StateResource): string {
  const anew = ["ciphertext", "modified", "created"];
  return JSON.stringify(resource, (key, value: unknown) => (anew.includes(key) ? undefined : value));
}

const loginOf = (stamp: string) => loginName("rounds", stamp);

function count(calls: { method: string; path: string }[]): Point[] {
  const seen = new Map<string, number>();
  return calls.map(({ method, path }) => {
    const resource = path.split("/").at(-1) ?? "";
    const key = `${method} ${resource}`;
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    return { method, resource, nth };
  });
}

/** The errors that an update shows to its user, without the engine's own summary. */
function errorsIn({ stdout, stderr }: Result): string[] {
  const lines = `${stdout}\n${stderr}`.split("\n").map((line) => line.trim());
  return [...new Set(lines.filter((line) => line.startsWith("error: ") && line !== "error: update failed"))];
}
