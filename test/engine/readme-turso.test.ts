// Proves that docs/turso.md is true where a reader would try it: its stack, commands and diffs are run as they stand, in a clone, on
// the real engine and the local cloud, in the order of a token's life, with platform tokens of exactly the scopes that it names; a
// block that nothing runs fails. Not proven: Turso's own CLI (the form of its commands alone), the figures (rehearse.test.ts),
// failures and crashes in between (the other turso tests), real Turso.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { EVERYTHING, type LocalCloud, startCloud } from "../../local/cloud";
import { SCOPES, type Scope } from "../../local/cloud/turso";
import { claimsOf, runSql } from "../../local/cloud/turso/client";
import { prepareEngine } from "../../local/engine";
import { cloneInto, Reader, Readme } from "../support/readme";

const FILE = "Pulumi.prod.yaml";
const page = new Readme("docs/turso.md");
const write = "INSERT INTO rounds DEFAULT VALUES";
/** `turso auth api-tokens mint NAME --org ORG --group GROUP --scope SCOPE...` */
const MINT = /^turso auth api-tokens mint ([\w-]+) --org acme --group production((?: --scope [a-z:-]+)+)$/;
let dir: string;
let cloud: LocalCloud;
let reader: Reader;
/** Sets the platform token; the same line stands in two blocks. */
let setToken: string | undefined;

beforeAll(async () => {
  const engine = await prepareEngine();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-readme-turso-"));
  cloneInto(dir);
  const databases = {
    rounds: { group: "production" },
    ...{ a: { group: "customer-a" }, b: { group: "customer-b" } },
  };
  cloud = await startCloud({ needs: EVERYTHING, turso: { databases } });
  reader = new Reader(dir, engine, cloud);
});
afterAll(async () => {
  await cloud.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

it("has a smallest stack that comes up with the scopes of the day-to-day token", async () => {
  const [init, setCloudflare, setTurso, up] = page.commands(/^pulumi stack init prod/);
  setToken = setTurso;
  reader.write(FILE, page.take("yaml", /rollover:turso:/));
  reader.fillIn(FILE);
  await reader.ok(init);
  await reader.ok(setCloudflare, cloud.cloudflare.token);
  await reader.ok(setTurso, minted(page.commands(/mint rollover-prod --org/)[0]));
  await reader.ok(up);
  expect(await status(held(), write)).toBe(200);
});

it("rolls, rolls back and retires, by commands that print its diffs", async () => {
  const first = held();
  const [rotate, up] = page.commands(/^npm run rotate -- rounds-turso --stack prod\n/);
  expect(changed(await reader.ok(rotate))).toBe(page.take("diff", /^\+ .*\["2026-12-01", "2026-11-20"\]$/m));
  await reader.ok(up);
  const second = held();
  expect([second === first, await status(first), await status(second)]).toEqual([false, 200, 200]);

  const [rollback, again] = page.commands(/--rollback/);
  expect(changed(await reader.ok(rollback))).toBe(page.take("diff", /^\+ .*\["2026-11-20", "2026-12-01"\]$/m));
  await reader.ok(again);
  expect(held()).toBe(first);

  await reader.ok(rollback); // forward again
  const [retire, update, expires] = page.commands(/--retire/);
  expect(changed(await reader.ok(retire))).toBe(page.take("diff", /retired:/));
  await reader.ok(update);
  expect([held() === second, await status(first)]).toEqual([true, 200]);
  const until = new Date(Number(claimsOf(first)["exp"]) * 1000).toISOString();
  expect(JSON.parse(await reader.ok(`${expires} --json`))).toMatchObject({
    "rounds-turso": { "2026-11-20": until },
  });
});

it("invalidates by a stamp, with the scopes of the other token and not without", async () => {
  const old = [held(), ...cloud.turso.tokensMinted()];
  const [revoke, plan, up] = page.commands(/--revoke group\/production --reason/);
  const [mint, set] = page.commands(/mint rollover-prod-kill/);
  expect(changed(await reader.ok(revoke))).toBe(onlyChanges(page.take("diff", /invalidated:/)));
  expect(await reader.fails(plan)).toContain("the platform token lacks the scope `group:mint-token`");
  expect(set).toBe(setToken);
  await reader.ok(set, minted(mint));
  expect(await reader.ok(plan)).toContain("an outage: these fail from then until each is delivered to: `rounds-api`");
  await reader.ok(up);
  expect(new Set(await Promise.all(old.map((token) => status(token))))).toEqual(new Set([401]));
  expect(await status(held(), write)).toBe(200);
  const { findings } = JSON.parse(await reader.ok("pulumi stack output --json --stack prod")) as Record<
    string,
    unknown
  >;
  expect(findings).toEqual({ "group:production": { "database:rounds": "refused" } });
});

it("begins and ends an incident by its diffs", async () => {
  const [begin, end] = [page.take("diff", /^\+ +incident:/m), page.take("diff", /^- +incident:/m)];
  const before = held();
  reader.patch(FILE, begin);
  await reader.ok("pulumi up --stack prod");
  const readOnly = held();
  expect([await status(before), await status(readOnly)]).toEqual([401, 200]);
  expect(await status(readOnly, write)).not.toBe(200);
  await expect(cloud.turso.query("rounds", write)).rejects.toThrow("blocked");

  reader.patch(FILE, end);
  await reader.ok("pulumi up --stack prod");
  expect([await status(held(), write), await status(readOnly)]).toEqual([200, 200]);
  expect(await reader.ok("pulumi stack output debts --stack prod")).toContain("a token of ");
});

it("needs no rotate scope once the stamp is out of the file, and asks Turso for nothing then", async () => {
  const rotations = cloud.turso.rotations().length;
  const [now, stamp] = [held(), /\n +invalidated: .*/.exec(reader.read(FILE))?.[0] ?? "none"];
  reader.write(FILE, reader.read(FILE).replace(stamp, ""));
  const [revoke] = page.commands(/^turso auth api-tokens revoke/);
  expect(revoke).toBe("turso auth api-tokens revoke rollover-prod-kill");
  await reader.ok(setToken, daily);
  await reader.ok("pulumi up --stack prod");
  expect([cloud.turso.rotations().length, held()]).toEqual([rotations, now]);
});

it("invalidates many groups at once; one that fails is named, and the next update does it alone", async () => {
  const [revoke, up] = page.commands(/group\/customer-a/);
  reader.edit(FILE, (document) => {
    for (const [name, group] of Object.entries({ a: "customer-a", b: "customer-b" }))
      document.setIn(["config", "rollover:turso", "databases", name], document.createNode({ group }));
  });
  await reader.ok(setToken, cloud.turso.platformToken);
  await reader.ok(revoke);
  cloud.turso.faults.set([{ match: { path: /groups\/customer-b\/auth\/rotate$/ }, kind: "status", status: 403 }]);
  const [old, from] = [held(), cloud.turso.rotations().length];
  const text = await reader.fails(up);
  expect(text).toContain("1 invalidation failed; everything else of this update is done and delivered:");
  expect(text).toContain("- group customer-b (rollover:turso.groups.customer-b): ");
  expect([await status(old), await status(held(), write)]).toEqual([401, 200]);
  await reader.ok(up);
  const names = cloud.turso
    .rotations()
    .slice(from)
    .map(({ target }) => target.name);
  expect([...names.slice(0, 2).sort(), ...names.slice(2)]).toEqual(["customer-a", "production", "customer-b"]);
});

it("takes a credential away together with its tokens, and then the stack", async () => {
  const [revoke, up, destroy] = page.commands(/pulumi destroy/);
  const last = held();
  reader.edit(FILE, (document) => document.deleteIn(["config", "rollover:credentials", "rounds-turso"]));
  expect(await reader.fails(up)).toContain("still works, until");
  await reader.ok(revoke);
  await reader.ok(up);
  expect(await status(last)).toBe(401);
  expect(cloud.cloudflare.state("rounds-api").secrets).not.toHaveProperty("TURSO_AUTH_TOKEN");
  await reader.ok(destroy);
  expect(cloud.cloudflare.state("rounds-api").secrets).toEqual({});
});

it("quotes messages that exist, and has no command, diff or example that was not run", () => {
  const { quoted, unknown } = page.unknownMessages(reader.printed);
  expect(quoted).toBeGreaterThan(8);
  expect(unknown).toEqual([]);
  expect(page.untaken()).toEqual([]);
});

let daily = "";

/** A platform token as the command asks Turso's CLI for it. */
function minted(command = ""): string {
  const [, name = "", flags = ""] = MINT.exec(command) ?? [];
  const asked = flags.split(" --scope ").slice(1);
  const scopes = asked.filter((scope): scope is Scope => SCOPES.some((known) => known === scope));
  if (name === "" || scopes.length !== asked.length) throw new Error(`no command of Turso's CLI: ${command}`);
  const token = cloud.turso.mintPlatform({ name, group: "production", scopes });
  if (name === "rollover-prod") daily = token;
  return token;
}

/** What the Worker holds. */
function held(): string {
  return cloud.cloudflare.state("rounds-api").secrets["TURSO_AUTH_TOKEN"] ?? "";
}

function status(token: string, sql = "SELECT 1"): Promise<number | string> {
  return runSql(cloud.turso, "rounds", token, sql);
}

function changed(output: string): string {
  return reader.changed(FILE, output);
}

function onlyChanges(diff: string): string {
  return diff.replace(/^ .*\n/gm, "");
}
