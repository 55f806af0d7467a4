// Proves on a real engine what an incident does to a database and to a group, what its end gives back, and that declared settings are
// kept while all others are left alone. Not: who reads the reason, whether Turso blocks writes of its own platform too, nor a crash in
// between (test/provider/turso-edits.test.ts; of an invalidation crash.test.ts).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callTurso, claimsOf, runSql } from "../../local/cloud/turso/client";
import { must, resource, type Scene, startScene } from "../../local/scene";
import { held } from "./rounds";
import { heldToken, statusOf, tokenCredential, workerSays } from "./tokens";

const WEEK = 7 * 86_400;
const reason = "A laptop with .env was lost at the airport";
const incident = { reason, readOnly: "7d" };
const write = "INSERT INTO rounds DEFAULT VALUES";

let scene: Scene;

beforeAll(async () => {
  const to = (as: string) => [{ worker: "rounds-api", as }];
  scene = await startScene({
    needs: ["turso", "workers"],
    credentials: {
      "rounds-turso": tokenCredential(["2026-11-20"]),
      "notes-turso": tokenCredential(["2026-11-20"], { database: "notes", deliver: to("NOTES_TOKEN") }),
      "lab-turso": tokenCredential(["2026-11-20"], { database: "lab", deliver: to("LAB_TOKEN") }),
    },
    worker: { settle: "0s", answers: 3 },
    cloud: {
      turso: { databases: { rounds: { group: "default" }, notes: { group: "default" }, lab: { group: "lab" } } },
    },
  });
  await must(scene.stack.up());
});
afterAll(() => scene.end());

describe("an incident on a database, and one on a group of another", () => {
  let readOnly: string;

  it("invalidate, block writes, and deliver a read-only token of 7 days in place of the others", async () => {
    const [old, sibling] = [heldToken(scene), heldToken(scene, "NOTES_TOKEN")];
    const began = Date.now() / 1000;
    declare(["databases", "rounds"], { group: "default", incident });
    declare(["groups"], { lab: { incident } });
    await must(scene.stack.up());
    readOnly = heldToken(scene);
    expect(await statusOf(scene, old)).toBe(401);
    expect(await statusOf(scene, sibling, "notes")).toBe(401);
    const { exp } = claimsOf(readOnly);
    expect(Number(exp) - began).toBeGreaterThan(WEEK - 5);
    // The update's own time, on a slow machine.
    expect(Number(exp) - began).toBeLessThan(WEEK + 600);
    await readsOnly("rounds", readOnly);
    await readsOnly("lab", heldToken(scene, "LAB_TOKEN"));
    expect(await workerSays(scene)).toMatchObject({ ok: true });
    expect(await workerSays(scene, "?write=1")).toMatchObject({ ok: false });
    // The sibling has no incident: its token was minted again, and writes.
    expect(await runSql(scene.cloud.turso, "notes", heldToken(scene, "NOTES_TOKEN"), write)).toBe(200);
  });

  it("are done once: the second update changes nothing and mints nothing", async () => {
    const minted = scene.cloud.turso.events().length;
    await must(scene.stack.up(["--expect-no-changes"]));
    expect(scene.cloud.turso.events()).toHaveLength(minted);
    expect(heldToken(scene)).toBe(readOnly);
  });

  it("say why in state, in clear, and nowhere among secrets", async () => {
    const { inputs } = await resource(scene.stack, "TursoInvalidation", "turso");
    const asked = { stamp: "", readOnly: "7d", reason };
    expect(inputs?.["asked"]).toEqual({ "database:rounds": asked, "group:lab": asked });
    expect(JSON.stringify(held(scene).secrets)).not.toContain(reason);
  });

  it("end: a token that writes is delivered, the read-only one is listed while it works; writes stay blocked where the same edit says so", async () => {
    declare(["databases", "rounds"], { group: "default" });
    declare(["databases", "lab"], { group: "lab", blockWrites: true });
    declare(["groups"], undefined);
    await must(scene.stack.up());
    expect(heldToken(scene)).not.toBe(readOnly);
    expect(await workerSays(scene, "?write=1")).toMatchObject({ ok: true });
    await scene.cloud.turso.query("rounds", write);
    expect(await statusOf(scene, readOnly)).toBe(200);
    const until = new Date(Number(claimsOf(readOnly)["exp"]) * 1000).toISOString();
    expect(await debtsOf("rounds-turso")).toEqual([`a token of 2026-11-20 that was replaced, until ${until}`]);
    expect(await runSql(scene.cloud.turso, "lab", heldToken(scene, "LAB_TOKEN"), write)).toBe("BLOCKED");
  });
});

describe("an incident on a group", () => {
  it("reaches every database of it, and none of another group", async () => {
    await callTurso(scene.cloud.turso, "PATCH", "databases/notes/configuration", { body: { block_writes: true } });
    declare(["databases", "notes"], { group: "default", blockWrites: true });
    declare(["databases", "lab"], { group: "lab", blockWrites: false });
    const old = {
      rounds: heldToken(scene),
      notes: heldToken(scene, "NOTES_TOKEN"),
      lab: heldToken(scene, "LAB_TOKEN"),
    };
    declare(["groups"], { default: { incident } });
    await must(scene.stack.up());
    expect(await statusOf(scene, old.rounds)).toBe(401);
    expect(await statusOf(scene, old.notes, "notes")).toBe(401);
    await readsOnly("rounds", heldToken(scene));
    await readsOnly("notes", heldToken(scene, "NOTES_TOKEN"));
    expect(heldToken(scene, "LAB_TOKEN")).toBe(old.lab);
    expect(await runSql(scene.cloud.turso, "lab", old.lab, write)).toBe(200);
    // The read-only token of the incident before was replaced, and is dead by this one: no debt any more.
    expect(await debtsOf("rounds-turso")).toEqual([]);
  });

  it("ends: what was blocked before stays blocked, its token proven by reading", async () => {
    declare(["groups"], undefined);
    declare(["databases", "lab"], { group: "lab" });
    await must(scene.stack.up());
    expect(await runSql(scene.cloud.turso, "rounds", heldToken(scene), write)).toBe(200);
    const notes = heldToken(scene, "NOTES_TOKEN");
    expect(await runSql(scene.cloud.turso, "notes", notes, "SELECT 1")).toBe(200);
    expect(await runSql(scene.cloud.turso, "notes", notes, write)).toBe("BLOCKED");
    // It is a token that writes: the block alone is in its way.
    await callTurso(scene.cloud.turso, "PATCH", "databases/notes/configuration", { body: { block_writes: false } });
    expect(await runSql(scene.cloud.turso, "notes", notes, write)).toBe(200);
  });
});

describe("settings", () => {
  const database = "databases/rounds/configuration";
  const group = "groups/default/configuration";

  it("are set where config declares them", async () => {
    declare(["databases", "notes"], { group: "default" });
    declare(["groups"], { default: { deleteProtection: true } });
    declare(["databases", "rounds"], { group: "default", deleteProtection: true, blockWrites: true });
    await must(scene.stack.up());
    expect(await configuration(group)).toEqual({ delete_protection: true });
    expect(await configuration(database)).toMatchObject({ delete_protection: true, block_writes: true });
    expect(await workerSays(scene, "?write=1")).toMatchObject({ ok: false, code: "BLOCKED" });
  });

  it("that somebody changed by hand are seen by refresh and set again by up; undeclared ones are left alone", async () => {
    await patch(group, { delete_protection: false });
    await patch(database, { delete_protection: false, block_writes: false, block_reads: true, size_limit: "500mb" });
    await must(scene.stack.refresh());
    const drifted = await scene.stack.preview(["--expect-no-changes"]);
    expect(drifted.code).not.toBe(0);
    expect(drifted.stdout).toMatch(/TursoSettings turso-group:default update/);
    expect(drifted.stdout).toMatch(/TursoSettings turso-database:rounds update/);
    await must(scene.stack.up());
    expect(await configuration(group)).toEqual({ delete_protection: true });
    expect(await configuration(database)).toMatchObject({
      ...{ delete_protection: true, block_writes: true },
      ...{ block_reads: true, size_limit: "500mb" },
    });
    await must(scene.stack.preview(["--refresh", "--expect-no-changes"]));
  });

  it("stay as they are when they leave config", async () => {
    await patch(database, { block_reads: false, block_writes: true });
    declare(["groups"], undefined);
    declare(["databases", "rounds"], { group: "default" });
    await must(scene.stack.up());
    expect(await configuration(group)).toEqual({ delete_protection: true });
    expect(await configuration(database)).toMatchObject({ delete_protection: true, block_writes: true });
  });

  async function patch(path: string, body: object): Promise<void> {
    expect(await callTurso(scene.cloud.turso, "PATCH", path, { body })).toMatchObject({ status: 200 });
  }

  async function configuration(path: string): Promise<unknown> {
    return (await callTurso(scene.cloud.turso, "GET", path)).body;
  }
});

function declare(path: string[], value: unknown): void {
  scene.edit(["rollover:turso", ...path], value);
}

/** The token reads and is refused a write, and nobody else may write either: not even who owns the database. */
async function readsOnly(database: string, token: string): Promise<void> {
  expect(await runSql(scene.cloud.turso, database, token, "SELECT count(*) FROM rounds")).toBe(200);
  expect(await runSql(scene.cloud.turso, database, token, write)).not.toBe(200);
  await expect(scene.cloud.turso.query(database, write)).rejects.toThrow("blocked");
}

async function debtsOf(credential: string): Promise<unknown> {
  const { debts } = await scene.stack.outputs();
  return (debts as Record<string, unknown>)[credential];
}
