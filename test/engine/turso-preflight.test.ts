// Proves on a real engine that whatever Turso's API can tell of a wrong platform token, a missing scope or a wrong name is said in
// one clear error at preview, and that neither preview nor `up --skip-preview` then changes anything at Turso or at the Worker. Not:
// what Turso's cloud answers in words of its own, nor a scope that only the call itself can show, but for the rotate's.
import * as fs from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SCOPES, type Scope } from "../../local/cloud/turso";
import { must, type Scene, startScene } from "../../local/scene";
import { mustFail } from "./outside";
import { held, settled } from "./rounds";
import { heldToken, statusOf, tokenCredential, workerSays } from "./tokens";

let scene: Scene;

beforeAll(async () => {
  scene = await startScene({
    needs: ["turso", "workers"],
    credentials: { "rounds-turso": tokenCredential(["2026-11-20"]) },
    worker: { settle: "0s", answers: 3 },
    cloud: { turso: { databases: { rounds: { group: "default" }, notes: { group: "other" } } } },
  });
  await must(scene.stack.up());
});
afterAll(() => scene.end());

interface Case {
  name: string;
  /** The platform token in its place. */
  token?: () => string;
  /** What config asks for. @default a roll */
  edit?: () => void;
  /** What stands in the one error. */
  says: string[];
}

const WRONG = "the platform token is wrong, revoked or expired; mint one (`turso auth api-tokens mint`";
const lacking = (scope: Scope) => () => scene.cloud.turso.mintPlatform({ scopes: without(scope) });
const without = (scope: Scope): Scope[] => SCOPES.filter((one) => one !== scope);
const lacks = (scope: Scope) => `the platform token lacks the scope \`${scope}\``;
const expired = () => scene.cloud.turso.mintPlatform({ expired: true });
const revoked = (): string => {
  const token = scene.cloud.turso.mintPlatform();
  scene.cloud.turso.revokePlatform(token);
  return token;
};

function roll(): void {
  scene.generations("rounds-turso", ["2026-11-21", "2026-11-20"]);
}

function invalidate(): void {
  declare(["groups", "default"], { invalidated: "2026-11-21" });
}

describe("permission", () => {
  const SET = "`pulumi config set --secret tursoApiToken`";
  const cases: Case[] = [
    { name: "an expired platform token, in a roll", token: expired, says: [WRONG, SET] },
    { name: "an expired platform token, in an invalidation", token: expired, edit: invalidate, says: [WRONG, SET] },
    { name: "a revoked platform token, in a roll", token: revoked, says: [WRONG, SET] },
    { name: "no scope read, in a roll", token: lacking("read"), says: [lacks("read"), SET] },
    { name: "no scope read, in an invalidation", token: lacking("read"), edit: invalidate, says: [lacks("read"), SET] },
    { name: "no scope db:mint-token, in a roll", token: lacking("db:mint-token"), says: [lacks("db:mint-token"), SET] },
    {
      name: "no scope group:rotate-creds, in an invalidation",
      token: lacking("group:rotate-creds"),
      edit: invalidate,
      says: [lacks("group:rotate-creds"), SET],
    },
    {
      name: "no scope db:configure, in an incident",
      token: lacking("db:configure"),
      edit: () => {
        declare(["groups", "default"], { incident: { reason: "a laptop is lost", readOnly: "7d" } });
      },
      says: [lacks("db:configure"), SET],
    },
  ];
  it.each(cases)("$name", stopsEverything);

  it("of the rotate that only the call itself can show: the outcome names the scope, and the old token still works", async () => {
    const [old, before] = [heldToken(scene), everything()];
    await scene.stack.setConfig("tursoApiToken", lacking("group:rotate-creds")(), { secret: true });
    // Then nobody can tell what the token may do.
    const match = { method: "GET", path: /\/api-tokens$/ };
    scene.cloud.turso.faults.set([{ match, kind: "status", status: 403, times: 100 }]);
    invalidate();
    await must(scene.stack.preview());
    expect(everything()).toEqual(before);
    const text = await mustFail(scene.stack.up());
    expect(text).toContain("1 invalidation failed; everything else of this update is done and delivered:");
    expect(text).toMatch(
      /- group default \(rollover:turso\.groups\.default\): .* lacks the scope `group:rotate-creds`/,
    );
    expect(heldToken(scene)).toBe(old);
    expect(await statusOf(scene, old)).toBe(200);
    expect(scene.cloud.turso.rotations()).toEqual([]);

    scene.cloud.turso.faults.set([]);
    declare(["groups"], undefined);
    await scene.stack.setConfig("tursoApiToken", scene.cloud.turso.platformToken, { secret: true });
    await must(scene.stack.up());
    expect(heldToken(scene)).toBe(old);
    await settled(scene);
  });
});

describe("not found", () => {
  const cases: Case[] = [
    {
      name: "organisation",
      edit: () => {
        declare(["organization"], "nosuch");
      },
      says: [
        "no such",
        "or no organisation nosuch (rollover:turso.organization)",
        "so it is with all 4 groups and databases",
      ],
    },
    {
      name: "group",
      edit: () => {
        declare(["groups"], { nosuch: { invalidated: "2026-11-21" } });
      },
      says: [
        "no such group nosuch (rollover:turso.groups.nosuch)",
        "check the names, or create what is missing at Turso",
      ],
    },
    {
      name: "database",
      edit: () => {
        declare(["databases", "nosuch"], { group: "default" });
      },
      says: ["no such database nosuch (rollover:turso.databases.nosuch)"],
    },
    {
      name: "database in that group",
      edit: () => {
        declare(["databases", "notes"], { group: "default" });
      },
      says: ["the database notes is in the group other, but rollover:turso.databases.notes.group is default"],
    },
  ];
  it.each(cases)("$name", stopsEverything);
});

it("refuses an API off loopback that is not Turso's", async () => {
  const edit = () => {
    declare(["apiUrl"], "https://turso.example.com");
  };
  await stopsEverything({ name: "", edit, says: ["rollover:turso.apiUrl", "https://api.turso.tech"] });
  await settled(scene);
});

/** Preview and update both fail with one error, and nothing is changed; then config is as it was. */
async function stopsEverything({ token, edit = roll, says }: Case): Promise<void> {
  const file = fs.readFileSync(scene.configFile);
  const before = everything();
  try {
    if (token) await scene.stack.setConfig("tursoApiToken", token(), { secret: true });
    edit();
    for (const run of [() => scene.stack.preview(), () => scene.stack.up()]) {
      const text = await mustFail(run());
      for (const words of says) expect(text).toContain(words);
      expect(problemsIn(text), text).toHaveLength(1);
      expect(everything()).toEqual(before);
    }
  } finally {
    fs.writeFileSync(scene.configFile, file);
  }
  expect(await workerSays(scene)).toMatchObject({ ok: true });
}

/** What Turso did and was asked to do, and what the Worker holds. */
function everything() {
  const { turso } = scene.cloud;
  return { events: turso.events(), calls: turso.calls.filter(({ method }) => method !== "GET"), held: held(scene) };
}

/** Each problem of a resource's properties or of config, once. */
function problemsIn(text: string): string[] {
  const found = [...text.matchAll(/(?:has a problem: .*|The stack's config has \d+ problems?)/g)];
  return [...new Set(found.map(([words]) => words))];
}

function declare(path: string[], value: unknown): void {
  scene.edit(["rollover:turso", ...path], value);
}
