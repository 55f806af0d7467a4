// Proves, on the real engine, that edits beside a rotation take nothing away that is in use: a Worker renamed in config, a login
// prefix changed and changed back around a failed update, settings taken out too early, another server. It does not prove a
// move to a second real server: there is one.
import { afterAll, beforeAll, expect, it } from "vitest";
import { must, type Scene, startScene } from "../../local/scene";
import { mustFail } from "./outside";
import { secretOf, tryLogin, underLoad, usualCredentials } from "./rounds";

const first = "2026-11-20";
const second = "2026-11-21";
let scene: Scene;
let urls: string[];

beforeAll(async () => {
  scene = await startScene({
    needs: ["postgres", "workers"],
    credentials: usualCredentials(first),
    worker: { settle: "0s", answers: 3 },
  });
  await must(scene.stack.up());
  await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  const old = secretOf(scene, "DATABASE_URL");
  scene.generations("rounds-db", [second, first]);
  await must(scene.stack.up());
  urls = [old, secretOf(scene, "DATABASE_URL")];
});

afterAll(() => scene.end());

const db = (key: string) => ["rollover:credentials", "rounds-db", key];

/** Both generations work. */
async function unharmed(): Promise<void> {
  const works = await Promise.all(urls.map(tryLogin));
  expect(works).toEqual(["rounds_20261120 as rounds_owner", "rounds_20261121 as rounds_owner"]);
  expect(secretOf(scene, "DATABASE_URL")).toBe(urls[1]);
}

it("a Worker that is renamed in config keeps its secrets", async () => {
  const { workers } = scene.cloud.config();
  const settings = { ...workers["rounds-api"], settle: "0s", answers: 3 };
  scene.edit(["rollover:workers"], { api: settings });
  scene.edit(db("deliver"), [{ worker: "api", as: "DATABASE_URL" }]);
  scene.edit(["rollover:credentials", "session-key", "deliver"], [{ worker: "api", as: "SESSION_KEY" }]);
  await underLoad(scene, () => must(scene.stack.up()));
  await unharmed();
});

it("a login prefix that is changed in a failed update, and changed back, leaves the logins in use", async () => {
  scene.edit(db("login"), "other");
  scene.edit(db("checks"), ["SELECT count(*) FROM no_such_table"]);
  expect(await mustFail(scene.stack.up())).toContain("failed its check `SELECT count(*) FROM no_such_table`");
  scene.edit(db("login"), "rounds");
  scene.edit(db("checks"), undefined);
  await underLoad(scene, () => must(scene.stack.up()));
  await unharmed();
  const { rows } = await scene.cloud.postgres.query("SELECT FROM pg_roles WHERE rolname LIKE 'other%'");
  expect(rows).toEqual([]);
});

it("settings that are taken out together with their credential withdraw and forget nothing", async () => {
  const { postgres } = scene.cloud.config();
  const before = usualCredentials(first)["rounds-db"];
  scene.edit(["rollover:credentials", "rounds-db"], undefined);
  scene.edit(["rollover:postgres"], undefined);
  expect(await mustFail(scene.stack.up())).toContain("rollover:postgres is not set");
  const { resources = [] } = (await scene.stack.exportState()).deployment;
  expect(resources.filter(({ type }) => type.endsWith(":PostgresLogin"))).toHaveLength(2);
  expect(await Promise.all(urls.map(tryLogin))).toEqual([
    "rounds_20261120 as rounds_owner",
    "rounds_20261121 as rounds_owner",
  ]);

  scene.edit(["rollover:postgres"], postgres);
  scene.edit(["rollover:credentials", "rounds-db"], {
    ...before,
    existing: true,
    generations: [second, first],
    deliver: [{ worker: "api", as: "DATABASE_URL" }],
  });
  await must(scene.stack.up());
  await unharmed();
});

it("a retirement in the same edit as another server's address is refused, and nothing is forgotten", async () => {
  // The same server by another name, which config cannot know.
  scene.edit(["rollover:postgres", "host"], "localhost");
  scene.generations("rounds-db", [second]);
  expect(await mustFail(scene.stack.up())).toMatch(/is on 127\.0\.0\.1:\d+, but rollover:postgres names localhost:\d+/);
  expect(await tryLogin(urls[0] ?? "")).toBe("rounds_20261120 as rounds_owner");
  scene.edit(["rollover:postgres", "host"], "127.0.0.1");
  await must(scene.stack.up());
  expect(await tryLogin(urls[0] ?? "")).toMatch(/^28/);
});
