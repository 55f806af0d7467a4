// Proves that one stamp in the config rolls, rolls back and retires a Postgres login, a random secret and a Turso token at once, for a
// Worker and an env file, on a real engine: with no failed request; no reader of the Worker ever sees one old and one new secret (and
// these readers would have, G4); the retired password is refused and its sessions ended; a token that nobody can revoke stays listed
// until it is refused; and nothing is left to do afterwards (G1, G2, G4, G6). Not proven here: failing steps (prove, attest, faults),
// nor more than one Worker, between which no call of the vendor's is atomic; the env file's own rules (test/provider/env-file.test.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { parseEnv } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { callApi } from "../../local/cloud/client";
import { type Load, startLoad } from "../../local/load";
import { must, resource, type Scene, startScene } from "../../local/scene";
import { mustFail } from "./outside";
import { loginsLike, meanwhile, openSession, secretOf, servedAs, tryLogin, usualCredentials } from "./rounds";
import { heldToken, statusOf, tokenCredential, workerSays } from "./tokens";

const refused = /^(28P01|28000)$/;
const paired = ["DATABASE_URL", "SESSION_KEY"];
/** In the project's folder, where env files are; ignored by git. */
const envName = `.env.test-${process.pid}`;
const envFile = path.resolve(__dirname, "..", "..", envName);
const mine = "# mine\nPORT=8080\n";

let scene: Scene;
/** What the Worker was given, by stamp. */
const urls: Record<string, string> = {};
const keys: Record<string, string> = {};
const tokens: Record<string, string> = {};

const usual = usualCredentials("2026-11-20");
const checks = ["SELECT count(*) FROM rounds"];
const toWorker = { worker: "rounds-api", as: "TURSO_AUTH_TOKEN" };

beforeAll(async () => {
  fs.writeFileSync(envFile, mine);
  const deliver = [toWorker, { file: envName, as: "TURSO_AUTH_TOKEN" }];
  scene = await startScene({
    needs: ["postgres", "workers", "turso"],
    credentials: { ...usual, "rounds-turso": tokenCredential(["2026-11-20"], { deliver }) },
  });
});
afterAll(async () => {
  await scene.end();
  fs.rmSync(envFile, { force: true });
});

it("mints, proves and delivers; the env file keeps what was there, for its owner alone", async () => {
  await must(scene.stack.up());
  await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  scene.edit(["rollover:credentials", "rounds-db", "checks"], checks);
  remember("2026-11-20");
  expect(await workerSays(scene)).toMatchObject({ ok: true });
  expect(await scene.cloud.turso.query("rounds", "SELECT name FROM sqlite_schema")).toEqual([{ name: "rounds" }]);
  expect(fs.readFileSync(envFile, "utf8").startsWith(mine)).toBe(true);
  expect(fs.statSync(envFile).mode & 0o777).toBe(0o600);
  expect(tokenInFile()).toBe(tokens["2026-11-20"]);
  expect(await statusOf(scene, tokenInFile())).toBe(200);
});

it("rolls: new values are in use, all at once, and the old ones still work", async () => {
  stamps("2026-11-21", "2026-11-20");
  await changingAtOnce(() => must(scene.stack.up()));
  remember("2026-11-21");

  expect(await tryLogin(of(urls, "2026-11-21"))).toBe("rounds_20261121 as rounds_owner");
  expect(await tryLogin(of(urls, "2026-11-20"))).toBe("rounds_20261120 as rounds_owner");
  expect(await servedAs(scene)).toBe("rounds_20261121");
  expect(keys["2026-11-21"]).not.toBe(keys["2026-11-20"]);
  expect(secretOf(scene, "SESSION_KEY_PREVIOUS")).toBe(keys["2026-11-20"]);
  expect(tokens["2026-11-21"]).not.toBe(tokens["2026-11-20"]);
  for (const stamp of ["2026-11-20", "2026-11-21"]) expect(await statusOf(scene, of(tokens, stamp))).toBe(200);
  expect(tokenInFile()).toBe(tokens["2026-11-21"]);
});

it("changes nothing by a second update, by another order of the credentials, or by comments", async () => {
  const before = scene.cloud.cloudflare.state("rounds-api").liveVersionId;
  // Copies: one list in two places would become an anchor and an alias in the file.
  const generations = () => ["2026-11-21", "2026-11-20"];
  scene.edit(["rollover:credentials", "session-key"], undefined);
  scene.edit(["rollover:credentials", "rounds-db"], undefined);
  scene.edit(["rollover:credentials", "rounds-db"], { ...usual["rounds-db"], checks, generations: generations() });
  scene.edit(["rollover:credentials", "session-key"], { ...usual["session-key"], generations: generations() });
  fs.appendFileSync(scene.configFile, "# a comment\n");
  await must(scene.stack.up(["--expect-no-changes"]));
  expect(scene.cloud.cloudflare.state("rounds-api").liveVersionId).toBe(before);
});

it("rolls back to the very values of before, all at once", async () => {
  stamps("2026-11-20", "2026-11-21");
  await changingAtOnce(() => must(scene.stack.up()));

  expect(secretOf(scene, "DATABASE_URL")).toBe(urls["2026-11-20"]);
  expect(secretOf(scene, "SESSION_KEY")).toBe(keys["2026-11-20"]);
  expect(secretOf(scene, "SESSION_KEY_PREVIOUS")).toBe(keys["2026-11-21"]);
  expect(await tryLogin(of(urls, "2026-11-21"))).toBe("rounds_20261121 as rounds_owner");
  expect(heldToken(scene)).toBe(tokens["2026-11-20"]);
  expect(tokenInFile()).toBe(tokens["2026-11-20"]);
});

it("retires: the login is refused, its open session ended; the token is listed with its date; the file is repaired", async () => {
  fs.writeFileSync(envFile, fs.readFileSync(envFile, "utf8").replace(tokenInFile(), "changed-by-hand"));
  await must(scene.stack.refresh());
  const session = await openSession(of(urls, "2026-11-21"));
  try {
    stamps("2026-11-20");
    retiredToken("2026-11-21");
    await withoutFailure(() => must(scene.stack.up()));
    await expect.poll(session.state).toBe("57P01");
  } finally {
    await session.end();
  }

  expect(await tryLogin(of(urls, "2026-11-21"))).toMatch(refused);
  expect(await tryLogin(of(urls, "2026-11-20"))).toBe("rounds_20261120 as rounds_owner");
  expect(await loginsLike(scene, "rounds")).toEqual(["rounds_20261120"]);
  expect(Object.keys(scene.cloud.cloudflare.state("rounds-api").secrets)).not.toContain("SESSION_KEY_PREVIOUS");
  const expires = await expiry("2026-11-21");
  expect(expires).toMatch(/^\d{4}-\d\d-\d\dT/);
  expect(Date.parse(expires)).toBeGreaterThan(Date.now() + 29 * 86_400_000);
  expect(scene.cloud.turso.tokensMinted()).toHaveLength(2);
  expect(tokenInFile()).toBe(heldToken(scene));
});

it("refuses to forget a token that still works", async () => {
  retiredToken(undefined);
  const text = await mustFail(scene.stack.up());
  expect(text).toContain(`the token rounds-turso@2026-11-21 still works, until ${await expiry("2026-11-21")}`);
  expect(text).toContain("put 2026-11-21 back under `retired` of rounds-turso and wait until it has expired");
  expect(text).toContain("set rollover:turso.groups.default.invalidated");
  expect(await workerSays(scene)).toMatchObject({ ok: true });
  retiredToken("2026-11-21");
});

it("rolls by the short form and withdraws the old login in the same update", async () => {
  // What time would do to the retired token: the group's keys are another's. The live one is minted after that.
  scene.edit(["rollover:turso", "groups"], { default: { invalidated: "2026-11-22" } });
  scene.edit(["rollover:credentials", "rounds-db", "generations"], undefined);
  scene.edit(["rollover:credentials", "rounds-db", "generation"], "2026-11-22");
  const session = await openSession(of(urls, "2026-11-20"));
  try {
    await withoutFailure(() => must(scene.stack.up()), [""]);
    await expect.poll(session.state).toBe("57P01");
  } finally {
    await session.end();
  }

  expect(await tryLogin(of(urls, "2026-11-20"))).toMatch(refused);
  expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toBe("rounds_20261122 as rounds_owner");
  expect(await servedAs(scene)).toBe("rounds_20261122");
  expect(await loginsLike(scene, "rounds")).toEqual(["rounds_20261122"]);
  expect(await statusOf(scene, of(tokens, "2026-11-21"))).toBe(401);
});

it("forgets a retired token once it is refused; the env file's line leaves with its delivery, and nothing else", async () => {
  retiredToken(undefined);
  scene.edit(["rollover:credentials", "rounds-turso", "deliver"], [toWorker]);
  await must(scene.stack.up());
  await expect(resource(scene.stack, "TursoToken", "rounds-turso@2026-11-21")).rejects.toThrow("no TursoToken");
  expect(fs.readFileSync(envFile, "utf8")).toBe(mine);
});

it("its readers see two secrets half changed when they are set by two calls", async () => {
  const reader = readPairs();
  try {
    await reader.load.until(100);
    for (const name of paired) {
      const body = { name, type: "secret_text", text: "set by hand" };
      expect((await callApi(scene.cloud.cloudflare, { method: "PUT", body })).success).toBe(true);
      await reader.load.until(reader.load.result().requests + 100);
    }
  } finally {
    await reader.load.stop();
  }
  expect(reader.seen.size).toBe(3);
});

function stamps(...list: string[]): void {
  for (const credential of ["rounds-db", "session-key", "rounds-turso"]) scene.generations(credential, [...list]);
}

function retiredToken(stamp: string | undefined): void {
  scene.edit(["rollover:credentials", "rounds-turso", "retired"], stamp === undefined ? undefined : [stamp]);
}

function remember(stamp: string): void {
  urls[stamp] = secretOf(scene, "DATABASE_URL");
  keys[stamp] = secretOf(scene, "SESSION_KEY");
  tokens[stamp] = heldToken(scene);
}

function of(values: Record<string, string>, stamp: string): string {
  return values[stamp] ?? "";
}

function tokenInFile(): string {
  return parseEnv(fs.readFileSync(envFile, "utf8"))["TURSO_AUTH_TOKEN"] ?? "";
}

/** As the stack's outputs say it. */
async function expiry(stamp: string): Promise<string> {
  const { expires } = (await scene.stack.outputs()) as { expires?: Record<string, Record<string, string>> };
  return expires?.["rounds-turso"]?.[stamp] ?? "";
}

/** Does `work` while clients use the database, and Turso, through the Worker, before, meanwhile and after: none may fail (G2). */
async function withoutFailure(work: () => Promise<unknown>, paths = ["", "turso"]): Promise<void> {
  const loads = paths.map((at) => startLoad({ url: `${scene.cloud.workerUrl("rounds-api")}${at}`, clients: 3 }));
  for (const result of await meanwhile(loads, work, { before: 20, after: 20, atLeast: 60 }))
    expect(result).toMatchObject({ failed: 0, failures: [] });
}

/** The same; and no reader may see other pairs of secrets than the one of before and the one of after (G4). */
async function changingAtOnce(work: () => Promise<unknown>): Promise<void> {
  const before = await pair();
  const reader = readPairs();
  let reads = 0;
  try {
    await reader.load.until(100);
    const first = reader.load.result().requests;
    await withoutFailure(async () => {
      await work();
      await reader.load.until(first + 1000);
    });
    reads = reader.load.result().requests - first;
  } finally {
    expect(await reader.load.stop()).toMatchObject({ failed: 0, failures: [] });
  }
  const after = await pair();
  expect(after).not.toBe(before);
  expect([...reader.seen.keys()].sort()).toEqual([before, after].sort());
  expect(reads).toBeGreaterThanOrEqual(1000);
}

/** Clients that read digests of both secrets; how often each pair was seen. */
function readPairs(): { load: Load; seen: Map<string, number> } {
  const seen = new Map<string, number>();
  const load = startLoad({
    url: pairUrl(),
    clients: 2,
    pauseMs: 10, // a pair that two calls change stays mixed for about as long as a call takes
    check: (status, body) => {
      seen.set(body, (seen.get(body) ?? 0) + 1);
      return status === 200;
    },
  });
  return { load, seen };
}

async function pair(): Promise<string> {
  return (await fetch(pairUrl())).text();
}

function pairUrl(): string {
  return `${scene.cloud.workerUrl("rounds-api")}secrets?names=${paired.join()}`;
}
