// Proves G8 for logins, random secrets and their delivery, on the small engine over the real wire: `kill -9` of the engine, and of the
// provider process, at every mutating call of a roll and of a retirement; then `up`, with the edit kept or taken back. It does not prove
// what the real engine's own crash leaves (test/engine/crash.test.ts does), nor crashes of Postgres or of the API themselves.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Load, startLoad } from "../../local/load";
import { type Crashes, type Point, pointsOf, startCrashesOf, type Victim } from "../../local/crash";
import { must } from "../../local/scene";
import { openSession, secretOf, tryLogin, usualCredentials } from "../engine/rounds";
import { type SmallScene, startSmallScene } from "../support/small-scene";

const WORKER = "rounds-api";
const CREDENTIALS = ["session-key", "rounds-db"];
const ROLL_CALLS = ["CREATE", "GRANT", "ALTER ROLE SET role", "COMMENT", "COMMIT", "PATCH secrets-bulk"];
const RETIRE_CALLS = ["PATCH secrets-bulk", "COMMENT", "ALTER ROLE NOLOGIN", "pg_terminate_backend", "DROP", "COMMIT"];

let scene: SmallScene;
let crashes: Crashes;
let load: Load;
/** The stamps of every credential, current first, as the last `up` left them. */
let live = ["2026-11-20"];
let counter = 1;
/** By stamp, the URL that was delivered. */
const urls = new Map<string, string>();

beforeAll(async () => {
  scene = await startSmallScene({
    needs: ["postgres", "workers"],
    credentials: usualCredentials(live[0] ?? "", "100ms"),
    worker: { settle: "0s", answers: 3 },
  });
  crashes = await startCrashesOf(scene, scene.runs);
  scene.edit(["postgres", "port"], crashes.port);
  await must(scene.stack.up());
  urls.set("2026-11-20", secretOf(scene, "DATABASE_URL"));
  await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  // Slow queries: the clients are there all the time, and leave the processors to the engine.
  load = startLoad({ url: `${scene.cloud.workerUrl(WORKER)}?slow=100`, clients: 3, maxMs: 3_600_000 });
});

afterAll(async () => {
  await load.stop();
  await crashes.stop();
  await scene.stop();
});

it("a roll and a retirement make the mutating calls that are known", async () => {
  expect(await dryRun(rolled())).toEqual(ROLL_CALLS);
  expect(await dryRun(retired())).toEqual(RETIRE_CALLS);
});

/** An edit, and where the update that carries it out is killed; without a point it is not. */
interface Step {
  edit: "roll" | "retirement";
  point?: Point;
}

const rolls = pointsOf(ROLL_CALLS).map((point): Step => ({ edit: "roll", point }));
const retirements = pointsOf(RETIRE_CALLS).map((point): Step => ({ edit: "retirement", point }));
/** In turn, so that each begins where the one before has ended. */
const inTurn = rolls.flatMap((roll, at): Step[] => [roll, retirements[at] ?? { edit: "retirement" }]);
const takenBack: Step[] = [...rolls, { edit: "roll" }, ...retirements, { edit: "retirement" }];

const named = (steps: Step[]) =>
  steps.map((step) => {
    const { edit, point } = step;
    return { ...step, name: point ? `${edit}, killed ${point.phase} ${point.label}` : `${edit}, not killed` };
  });

describe.each(["engine", "provider"] as const)("kill -9 of the %s at every mutating call", (victim) => {
  describe("then up", () => {
    it.each(named(inTurn))("$name", async ({ edit, point }) => {
      const next = edit === "roll" ? rolled() : retired();
      if (point) await crashThenUp(victim, point, next);
      else await dryRun(next);
    });
  });

  describe("then up with the edit taken back", () => {
    it.each(named(takenBack))("$name", async ({ edit, point }) => {
      const next = edit === "roll" ? rolled() : retired();
      if (point) await crashThenTakeBack(victim, point, next);
      else await dryRun(next);
    });
  });
});

/** A stamp that no generation had before, in front. */
function rolled(): string[] {
  counter += 1;
  return [`2026-11-20.${counter}`, ...live];
}

function retired(): string[] {
  return live.slice(0, 1);
}

function edit(stamps: string[]): void {
  for (const credential of CREDENTIALS) scene.generations(credential, stamps);
}

/** An update without a crash; the mutating calls that it made. */
async function dryRun(next: string[]): Promise<string[]> {
  await openOld(next);
  edit(next);
  const { code, output, calls } = await crashes.count();
  expect(code, output).toBe(0);
  live = next;
  await converged("without a crash");
  await loginsWork("without a crash");
  return calls;
}

/** A session of what is going to be retired, so that there is one to end. */
async function openOld(next: string[]): Promise<void> {
  for (const stamp of live.filter((old) => !next.includes(old))) await openSession(urls.get(stamp) ?? "");
}

async function crashThenUp(victim: Victim, point: Point, next: string[]): Promise<void> {
  const where = describePoint(victim, point, next);
  await openOld(next);
  edit(next);
  await crashes.kill(victim, point);
  const tag = tagInState(next[0] ?? "");
  // What is delivered has been minted; before that, it may or may not be in state.
  if (point.label.startsWith("PATCH")) expect(tag, where).toBeDefined();
  await crashes.recover(victim);
  live = next;
  await converged(where);
  await loginsWork(where);
  if (tag !== undefined) expect(tagInState(next[0] ?? ""), `${where}: rolled twice`).toBe(tag);
}

async function crashThenTakeBack(victim: Victim, point: Point, next: string[]): Promise<void> {
  const where = `${describePoint(victim, point, next)}, taken back`;
  await openOld(next);
  edit(next);
  await crashes.kill(victim, point);
  edit(live);
  await crashes.recover(victim);
  await converged(where);
  await loginsWork(where);
}

function describePoint(victim: Victim, { at, label, phase }: Point, next: string[]): string {
  return `${victim} killed ${phase} call ${at} (${label}) on the way from ${live.join()} to ${next.join()}`;
}

/** What must hold when an update has succeeded: nothing left to do, the Worker current, nobody forgotten, no request failed. */
async function converged(where: string): Promise<void> {
  const [current = ""] = live;
  await must(scene.stack.preview());

  const url = secretOf(scene, "DATABASE_URL");
  urls.set(current, url);
  expect(new URL(url).username, where).toBe(loginOf(current));
  const held = JSON.parse(secretOf(scene, "ROLLOVER_GENERATIONS")) as Record<string, { stamp: string }[]>;
  const stamps = CREDENTIALS.map((credential) => held[credential]?.map(({ stamp }) => stamp));
  expect(stamps, where).toEqual([live, live]);
  expect(live.map(loginOf), where).toEqual(expect.arrayContaining(await loginsOfOwner()));

  const { requests, failed, failures } = load.mark();
  expect({ failed, failures }, where).toEqual({ failed: 0, failures: [] });
  expect(requests, where).toBeGreaterThan(0);
}

/** Each login that config names, and no other, opens with what was delivered. */
async function loginsWork(where: string): Promise<void> {
  expect(await loginsOfOwner(), where).toEqual(live.map(loginOf).sort());
  for (const stamp of live)
    expect(await tryLogin(urls.get(stamp) ?? ""), where).toBe(`${loginOf(stamp)} as rounds_owner`);
}

async function loginsOfOwner(): Promise<string[]> {
  const { rows } = await scene.cloud.postgres.query(
    `SELECT rolname FROM pg_roles
      WHERE rolcanlogin AND NOT rolsuper AND pg_has_role(oid, 'rounds_owner', 'MEMBER') AND rolname <> $1`,
    [scene.cloud.postgres.admin.user],
  );
  return rows.map(({ rolname }) => String(rolname)).sort();
}

/** `rounds` and `2026-11-20.2` give `rounds_20261120_2`. */
function loginOf(stamp: string): string {
  return `rounds_${stamp.replaceAll("-", "").replace(".", "_")}`;
}

/** The tag of the random credential's generation as the state has it: minted once, it must stay. */
function tagInState(stamp: string): unknown {
  return scene.state().find(({ urn }) => urn.endsWith(`RandomId::session-key@${stamp}`))?.outputs["hex"];
}
