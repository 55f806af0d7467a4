// Proves that nothing is withdrawn while somebody still uses it (G5): with slow and sticky propagation, with a Worker that does
// not report or was rolled back by hand, with an undeclared client, with --target and with --continue-on-error; that each
// refusal says who, leaves the old login working under load, and is finished by the next update. Not proven here: an edge whose
// isolates outlive `settle` without traffic that the quiet watch could see; kinds other than a Postgres login.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLoad } from "../../local/load";
import { must, resource, type Scene, startScene } from "../../local/scene";
import { deployUsual, deployWithProbeStatus, mustFail, startReports } from "./outside";
import { loginsLike, meanwhile, secretOf, servedAs, tryLogin, underLoad, usualCredentials } from "./rounds";

const refused = /^(28P01|28000)$/;
/** Longer than any test: such a switch ends only by `setPropagation`. */
const never = 3_600_000;

/** Which of the two it is said to be hangs on whether a login or its statement is met first. */
const usedBy = (application: string) =>
  new RegExp(
    `^(somebody still logs in with it|a session that was open already is still in use): ${application} from 127\\.0\\.0\\.1`,
  );

/** One rotation: the new generation, and the one that it takes the place of. */
interface Step {
  stamp: string;
  login: string;
  old: { stamp: string; login: string; url: string };
}

describe("attested before retired", () => {
  let scene: Scene;
  let day = 10;

  beforeAll(async () => {
    scene = await startScene({
      needs: ["postgres", "workers"],
      credentials: usualCredentials("2026-11-10", "1s"),
      worker: { settle: "3s" },
    });
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  });
  afterAll(async () => {
    await scene.end();
  });

  describe("propagation", () => {
    it("waits until every isolate has switched, where they switch at random within 2 s", async () => {
      scene.cloud.cloudflare.setPropagation({ mode: "random", withinMs: 2000 });
      const step = replaced();
      await underLoad(scene, () => must(scene.stack.up()));
      await withdrawn(step);
    });

    it("waits until every pool has switched, where the one that is asked does so 2 s before the others", async () => {
      await setPools({ probe: 0, others: 2000 });
      const step = replaced();
      await underLoad(scene, () => must(scene.stack.up()));
      await withdrawn(step);
    });

    it("is stopped by the sessions that it sees, where `settle` is too short for the pools", async () => {
      setWorker("settle", "0s");
      await setPools({ probe: 0, others: never });
      const step = replaced();
      // So dense that each pool logs in many times while the retirement watches.
      await underLoad(scene, () => refusedFor(step, usedBy("rounds-api")), {
        pauseMs: 10,
      });

      scene.cloud.cloudflare.setPropagation({ mode: "instant" });
      setQuiet("0s");
      await finishes(step);
    });

    it("would fail requests without `settle` and `quiet`: the simulation does show an early retirement", async () => {
      await setPools({ probe: 0, others: never });
      replaced();
      const load = startLoad({ url: scene.cloud.workerUrl("rounds-api") });
      try {
        await load.until(40);
        expect(load.mark()).toMatchObject({ failed: 0 });
        await must(scene.stack.up());
        await load.until(load.result().requests + 40);
      } finally {
        expect((await load.stop()).failed).toBeGreaterThan(0);
        scene.cloud.cloudflare.setPropagation({ mode: "instant" });
        setQuiet("300ms");
        setWorker("settle", "1s");
      }
    });
  });

  it("names a Worker that does not report, with stamps, whatever keeps it; the update that it then attests to finishes", async () => {
    setWorker("within", "2s");
    await setPools({ probe: never, others: 0 });
    const step = replaced();
    await undisturbed(async () => {
      const text = await mustFail(scene.stack.up());
      expect(text).toContain("the Worker rounds-api did not attest its secrets within 2 s (0 of 5 answers in a row)");
      for (const credential of ["rounds-db", "session-key"])
        expect(text).toContain(`${credential}: expected ${step.stamp} as current, it reports ${step.old.stamp}`);
    });
    await bothLogIn(step);

    // Its code has no probe.
    scene.cloud.cloudflare.setPropagation({ mode: "instant" });
    await deployWithProbeStatus(scene, 404);
    await undisturbed(async () => {
      const text = await mustFail(scene.stack.up());
      expect(text).toContain(`rounds-db: expected ${step.stamp} as current, it reports 404`);
    });
    await bothLogIn(step);

    setWorker("within", "30s");
    await deployUsual(scene);
    await finishes(step);
  });

  it("withdraws nothing by --continue-on-error when the delivery fails", async () => {
    const bulk = { method: "PATCH", path: /secrets-bulk$/ };
    scene.cloud.cloudflare.faults.set([{ match: bulk, kind: "status", status: 400, code: 10021, times: 100 }]);
    const step = replaced();
    await undisturbed(() => mustFail(scene.stack.up(["--continue-on-error"])));
    expect(scene.cloud.cloudflare.faults.fired()).toEqual([1]);
    expect(await servedAs(scene)).toBe(step.old.login);
    await stillThere(step);
    scene.cloud.cloudflare.faults.set([]);
    await finishes(step);
  });

  describe("between roll and retirement", () => {
    let step: Step;
    /** The Worker's version that holds the old login. */
    let oldVersion: string;

    it("keeps a login that is targeted while the Worker's set was made with it", async () => {
      oldVersion = scene.cloud.cloudflare.state("rounds-api").liveVersionId;
      step = replaced();
      generations([step.stamp, step.old.stamp]);
      await must(scene.stack.up());
      generations([step.stamp]);
      // The engine itself holds on to what a resource outside the target depends on.
      await undisturbed(async () => must(scene.stack.up(["--target", await urnOfOld(step)])));
      await bothLogIn(step);
    });

    it("names an undeclared client that still logs in; the debt stands in the next preview", async () => {
      const reports = await startReports(step.old.url);
      await undisturbed(() => refusedFor(step, usedBy("reports")));
      const soFar = reports.logins();
      await expect.poll(reports.logins).toBeGreaterThan(soFar);
      await reports.stop();
      await bothLogIn(step);
      const preview = await mustFail(scene.stack.preview(["--expect-no-changes"]));
      expect(preview).toMatch(new RegExp(` - +\\S+:PostgresLogin rounds-db@${step.old.stamp} delete`));
    });

    it("is stopped by a Worker that was rolled back by hand, also with --target; then finishes", async () => {
      const [newest = ""] = scene.cloud.cloudflare.state("rounds-api").versionIds;
      await scene.cloud.cloudflare.deploy("rounds-api", oldVersion);
      expect(await servedAs(scene)).toBe(step.old.login);
      const holds = "the Worker rounds-api still reports it as current";
      await undisturbed(() => refusedFor(step, holds));
      await undisturbed(async () => refusedFor(step, holds, ["--target", await urnOfOld(step)]));

      await scene.cloud.cloudflare.deploy("rounds-api", newest);
      await finishes(step);
    });
  });

  describe("a Worker without a probe URL", () => {
    it("is left behind silent only where config says so", async () => {
      await deployWithProbeStatus(scene, 500);
      // Without the probe's URL the delivery succeeds; but the old login was given out when there was somebody to ask.
      setWorker("probe", undefined);
      const step = replaced();
      const silent = "the Worker rounds-api does not say what it holds (no readable answer (status 500))";
      await undisturbed(() => refusedFor(step, silent));
      await bothLogIn(step);

      scene.edit(["rollover:abandon"], ["rounds-api"]);
      const { stdout, stderr } = await must(scene.stack.up());
      expect(stdout + stderr).toContain(
        `abandoned: the Worker rounds-api is not asked whether it still uses the login ${step.old.login} of rounds-db`,
      );
      expect((await scene.stack.outputs())["abandoned"]).toEqual(["rounds-api"]);
      await withdrawn(step);
    });

    it("is delivered to, and said to be not attested", async () => {
      scene.edit(["rollover:abandon"], undefined);
      const step = replaced();
      await finishes(step);
      expect((await scene.stack.outputs())["credentials"]).toMatchObject({
        "rounds-db": { consumers: [{ worker: "rounds-api", as: "DATABASE_URL", attested: false }] },
      });
    });

    it("keeps its secrets when it is taken out of config, where that is abandoned", async () => {
      scene.edit(["rollover:abandon"], ["rounds-api"]);
      for (const credential of ["rounds-db", "session-key"])
        scene.edit(["rollover:credentials", credential, "deliver"], []);
      scene.edit(["rollover:workers"], undefined);
      const { stdout, stderr } = await must(scene.stack.up());
      expect(stdout + stderr).toContain("abandoned: the Worker rounds-api keeps its secrets");
      expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toMatch(/ as rounds_owner$/);
    });
  });

  /** Puts a new generation in the place of the current one, in config. */
  function replaced(): Step {
    const old = { stamp: `2026-11-${day}`, login: `rounds_202611${day}`, url: secretOf(scene, "DATABASE_URL") };
    day += 1;
    const step = { stamp: `2026-11-${day}`, login: `rounds_202611${day}`, old };
    generations([step.stamp]);
    return step;
  }

  function generations(stamps: string[]): void {
    for (const credential of ["rounds-db", "session-key"]) scene.generations(credential, stamps);
  }

  function setWorker(key: string, value: unknown): void {
    scene.edit(["rollover:workers", "rounds-api", key], value);
  }

  function setQuiet(value: string): void {
    scene.edit(["rollover:credentials", "rounds-db", "quiet"], value);
  }

  /** Two pools; the probe always meets the first, half of the load's connections the second. Milliseconds until each switches. */
  async function setPools({ probe, others }: { probe: number; others: number }): Promise<void> {
    const delaysMs = [probe, others];
    scene.cloud.cloudflare.setPropagation({ mode: "sticky", withinMs: never, pools: 2, delaysMs });
    // Pools are dealt in the order of arrival, and `fetch` comes as `node`, here as in the provider.
    await (await fetch(scene.cloud.workerUrl("rounds-api"))).text();
  }

  /** An update that is refused at the retirement, for this reason, and has withdrawn nothing. */
  async function refusedFor(step: Step, reason: string | RegExp, args: string[] = []): Promise<void> {
    const text = await mustFail(scene.stack.up(args));
    const [, said = ""] = text.split(`the login ${step.old.login} of rounds-db was not withdrawn: `);
    expect(said, text).toMatch(reason);
    await stillThere(step);
  }

  async function stillThere({ old, login }: Step): Promise<void> {
    expect(await tryLogin(old.url)).toBe(`${old.login} as rounds_owner`);
    expect(await loginsLike(scene, "rounds")).toEqual([old.login, login]);
    expect(await resource(scene.stack, "PostgresLogin", `rounds-db@${old.stamp}`)).not.toHaveProperty("delete");
  }

  async function bothLogIn(step: Step): Promise<void> {
    await stillThere(step);
    expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toBe(`${step.login} as rounds_owner`);
  }

  async function withdrawn({ old, login }: Step): Promise<void> {
    expect(await tryLogin(old.url)).toMatch(refused);
    expect(await loginsLike(scene, "rounds")).toEqual([login]);
    expect(await servedAs(scene)).toBe(login);
  }

  /** The next proper update goes on where the last one was stopped. */
  async function finishes(step: Step): Promise<void> {
    await must(scene.stack.up());
    await withdrawn(step);
  }

  /** Does `work` while two clients ask the Worker, of whose requests none may fail. */
  async function undisturbed(work: () => Promise<unknown>): Promise<void> {
    const load = startLoad({ url: scene.cloud.workerUrl("rounds-api"), clients: 2 });
    const [result] = await meanwhile([load], work, { before: 20, after: 20 });
    expect(result).toMatchObject({ failed: 0, failures: [] });
  }

  async function urnOfOld({ old }: Step): Promise<string> {
    return (await resource(scene.stack, "PostgresLogin", `rounds-db@${old.stamp}`)).urn;
  }
});
