// Proves on a real engine that a platform token which may not do what config asks for stops preview and update with one error, before
// anything is changed; that one edit invalidates the tokens of 20 groups whose tokens one Worker holds, that groups which fail
// keep tokens that work while the others get new ones in the same update, that the failed ones and nothing else are named, and that
// the next update touches only them. Not: an invalidation of one database, crashes, how long real Turso takes, nor each refusal of
// the look before (test/provider/turso-preflight.test.ts).
import * as fs from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Fault } from "../../local/cloud/faults";
import { SCOPES } from "../../local/cloud/turso";
import { must, type Scene, startScene } from "../../local/scene";
import { mustFail } from "./outside";
import { held } from "./rounds";
import { statusOf, tokenCredential, workerSays } from "./tokens";

const groups = [
  ...["production", "staging", "development"],
  ...Array.from({ length: 17 }, (_, index) => `customer-${String(index + 4).padStart(2, "0")}`),
];
/** The Worker asks the first one at each request. */
const databaseOf = (group: string): string => (group === "production" ? "rounds" : `of-${group}`);
const variableOf = (group: string): string =>
  group === "production" ? "TURSO_AUTH_TOKEN" : `TOKEN_${group.replace("-", "_").toUpperCase()}`;
/** Why a rotate of it fails. */
const failing: Record<string, Partial<Fault>> = {
  staging: { status: 404 },
  development: { status: 403 },
  "customer-04": { status: 500, times: 10 },
};
const failed = Object.keys(failing);
const others = groups.filter((group) => !failed.includes(group));

let scene: Scene;
let before: Record<string, string>;
let after: Record<string, string>;

beforeAll(async () => {
  const databases = Object.fromEntries(groups.map((group) => [databaseOf(group), { group }]));
  const credentials = groups.map((group) => [
    `${group}-turso`,
    tokenCredential(["2026-11-20"], {
      database: databaseOf(group),
      deliver: [{ worker: "rounds-api", as: variableOf(group) }],
    }),
  ]);
  scene = await startScene({
    needs: ["turso", "workers"],
    credentials: Object.fromEntries(credentials) as Record<string, unknown>,
    worker: { settle: "0s", answers: 3 },
    cloud: { turso: { databases } },
  });
  await must(scene.stack.up());
  before = tokens();
});
afterAll(() => scene.end());

it("delivers a token a group to the one Worker", async () => {
  expect(new Set(Object.values(before)).size).toBe(20);
  expect(await statuses(before)).toEqual(all(groups, 200));
});

it("stops preview and update with one error where the platform token lacks a scope; nothing is changed", async () => {
  const file = fs.readFileSync(scene.configFile);
  const { turso } = scene.cloud;
  const everything = () => [turso.events(), turso.calls.filter(({ method }) => method !== "GET"), held(scene)];
  const untouched = everything();
  const scopes = SCOPES.filter((one) => one !== "group:rotate-creds");
  await scene.stack.setConfig("tursoApiToken", turso.mintPlatform({ scopes }), { secret: true });
  invalidate(groups, "2026-11-21");
  for (const run of [() => scene.stack.preview(), () => scene.stack.up()]) {
    const problems = [...(await mustFail(run())).matchAll(/has a problem: .*/g)].map(([words]) => words);
    expect(new Set(problems).size).toBe(1);
    expect(problems[0]).toContain("the platform token lacks the scope `group:rotate-creds`");
    expect(everything()).toEqual(untouched);
  }
  fs.writeFileSync(scene.configFile, file);
});

it("invalidates 20 groups by one edit, of which 3 fail and are named; the other 17 are delivered", async () => {
  const from = scene.cloud.turso.events().length;
  faults(failing);
  invalidate(groups, "2026-11-21");
  const text = await mustFail(scene.stack.up());
  expect(scene.cloud.turso.faults.fired()).toEqual([1, 1, 1]);
  expect(reasons(text)).toEqual([
    expect.stringMatching(/^group customer-04 \(rollover:turso\.groups\.customer-04\): .*auth\/rotate: status 500: /),
    expect.stringMatching(
      /^group development \(rollover:turso\.groups\.development\): .* the scope `group:rotate-creds`/,
    ),
    expect.stringMatching(/^group staging \(rollover:turso\.groups\.staging\): .*status 404: no such group staging /),
  ]);
  expect(text).toContain("3 invalidations failed; everything else of this update is done and delivered:");

  after = tokens();
  expect(await statuses(before)).toEqual({ ...all(others, 401), ...all(failed, 200) });
  expect(await statuses(after)).toEqual(all(groups, 200));
  for (const group of failed) expect(after[group]).toBe(before[group]);
  for (const group of others) expect(after[group]).not.toBe(before[group]);
  expect(await workerSays(scene, "?write=1")).toMatchObject({ ok: true });
  // Two canaries each, and for the 17 an effect and one new token; the calls of the failed ones were answered by the fault.
  expect(happened(from)).toEqual(
    [
      ...groups.flatMap((group) => [`mint group ${group}`, `mint database ${databaseOf(group)}`]),
      ...others.flatMap((group) => [
        `effective group ${group}`,
        `mint database ${databaseOf(group)}`,
        `rotate group ${group}`,
      ]),
    ].sort(),
  );
});

it("touches the 3 alone in the next update, and nothing after that", async () => {
  const from = scene.cloud.turso.events().length;
  faults({});
  await must(scene.stack.up());
  const now = tokens();
  for (const group of others) expect(now[group]).toBe(after[group]);
  // A second call is outlasted: its group gets a canary of its own, since the first may have its effect yet.
  expect(happened(from)).toEqual(
    failed
      .flatMap((group) => [
        `effective group ${group}`,
        `mint database ${databaseOf(group)}`,
        `mint group ${group}`,
        `rotate group ${group}`,
      ])
      .sort(),
  );
  expect(await statuses(before)).toEqual(all(groups, 401));
  expect(await statuses(now)).toEqual(all(groups, 200));
});

it("delivers to the others where one group's new token cannot be minted, names it, and mints it in the next update", async () => {
  const part = ["production", "staging", "customer-20"];
  const old = tokens();
  scene.cloud.turso.faults.set([
    // The first one mints a canary.
    {
      match: { method: "POST", path: /databases\/of-staging\/auth\/tokens$/ },
      kind: "status",
      status: 503,
      nth: 2,
      times: 4,
    },
  ]);
  invalidate(part, "2026-11-22");
  const text = await mustFail(scene.stack.up());
  expect(reasons(text)).toEqual([expect.stringMatching(/^staging-turso@2026-11-20: .*auth\/tokens: status 503: /)]);
  expect(await statuses(old)).toEqual({ ...all(groups, 200), ...all(part, 401) });
  const then = tokens();
  expect(await statuses(then)).toEqual({ ...all(groups, 200), staging: 401 });

  const from = scene.cloud.turso.events().length;
  faults({});
  await must(scene.stack.up());
  expect(happened(from)).toEqual(["mint database of-staging"]);
  expect(tokens()).toEqual({ ...then, staging: expect.stringMatching(/^ey/) as string });
  expect(await statuses(tokens())).toEqual(all(groups, 200));
});

/** By group, the token that the Worker holds. */
function tokens(): Record<string, string> {
  const { secrets } = held(scene);
  return Object.fromEntries(groups.map((group) => [group, secrets[variableOf(group)] ?? ""]));
}

async function statuses(of: Record<string, string>): Promise<Record<string, number>> {
  const asked = groups.map(
    async (group) => [group, await statusOf(scene, of[group] ?? "", databaseOf(group))] as const,
  );
  return Object.fromEntries(await Promise.all(asked));
}

function all(of: string[], status: number): Record<string, number> {
  return Object.fromEntries(of.map((group) => [group, status]));
}

/** What Turso did since then, sorted. */
function happened(from: number): string[] {
  const events = scene.cloud.turso.events().slice(from);
  return events.map(({ kind, target }) => `${kind} ${target.kind} ${target.name}`).sort();
}

/** The entries of the last resource's list, sorted; each must stand in the output at least once. */
function reasons(text: string): string[] {
  const found = [...text.matchAll(/^\s*- ((?:group|database) \S+ \(.*|\S+@\S+: .*)$/gm)].map(([, line = ""]) => line);
  return [...new Set(found)].sort();
}

function faults(of: Record<string, Partial<Fault>>): void {
  scene.cloud.turso.faults.set(
    Object.entries(of).map(([group, fault]) => ({
      match: { method: "POST", path: new RegExp(`groups/${group}/auth/rotate$`) },
      kind: "status",
      ...fault,
    })),
  );
}

function invalidate(list: string[], stamp: string): void {
  for (const group of list) scene.edit(["rollover:turso", "groups", group], { invalidated: stamp });
}
