// Proves what the wrapper around a provider records and whom it tells where things go wrong: no journal, a failure that is no step or
// stands in state alone, a record that is not whole, a Turso token that could not be proven. Not that a real journal keeps it.
import { describe, expect, it } from "vitest";
import { type Memory, newMemory } from "../../components/audit/recorded";
import { fails, login, scene, token } from "./audit-recorded-fixture";

describe("while the audit is dead and required", () => {
  const dead = (memory = newMemory()) => ({ dead: true, memory });
  const done = { update: () => Promise.resolve({ outs: {} }) };

  it("the announcement is refused, so that nothing is minted after it", async () => {
    let announced = 0;
    const create = () => Promise.resolve({ id: String(++announced), outs: {} });
    const { wrapped, messages } = scene("Announcement", { create }, dead());
    await expect(wrapped.create({ stamps: { "rounds-db": "2026-11-20" }, stack: "prod" })).rejects.toThrow(
      /^not begun, since its audit record could not be written: announce rounds-db\. No credential was touched\. /,
    );
    expect(announced).toBe(0);
    expect(messages).toMatchObject([{ event: "failed", step: "announce" }]);
  });

  it("what mends an outage goes on: a password that is altered already, a token that is dead, the same stamps again", async () => {
    const inPlace = scene("PostgresLogin", {}, dead());
    await inPlace.wrapped.create({ ...login, mode: "inPlace" });
    expect(inPlace.warnings).toHaveLength(2);
    const olds = { ...token, under: { mark: "old", readOnly: "" }, tag: "t1", lost: false, proven: true, failure: "" };
    await scene("TursoToken", done, dead()).wrapped.update?.("1", olds, token);
    const set = (credential: string, stamp: string, tag: string) => ({
      ...{ worker: "w", probe: "", delivery: "", drift: [] },
      generations: JSON.stringify({ [credential]: [{ stamp, tag }] }),
    });
    const deliver = (memory: Memory, was: object, now: object) =>
      scene("WorkerSecretSet", done, dead(memory)).wrapped.update?.("1", { ...was }, { ...now });
    const memory = newMemory();
    await deliver(memory, set("rounds-db", "2026-11-20", "t1"), set("rounds-db", "2026-11-20", "t2"));
    // The next one is no repair.
    await expect(scene("PostgresLogin", {}, dead(memory)).wrapped.create(login)).rejects.toThrow("not begun");
    await deliver(newMemory(), set("legacy-db", "2026-11-01", "t1"), set("legacy-db", "2026-11-20", "t2"));
    await expect(
      deliver(newMemory(), set("rounds-db", "2026-11-01", "t1"), set("rounds-db", "2026-11-20", "t2")),
    ).rejects.toThrow("not begun");
  });

  it("nothing that comes after an invalidation of the same update waits for a record", async () => {
    const memory = newMemory();
    const news = { asked: { "group:production": { stamp: "2026-11-20", readOnly: "", reason: "" } } };
    await expect(scene("TursoInvalidation", {}, dead(memory)).wrapped.create(news)).rejects.toThrow("not begun");
    await expect(scene("PostgresLogin", {}, dead(memory)).wrapped.create(login)).rejects.toThrow("not begun");
    await scene("TursoInvalidation", {}, { memory }).wrapped.create(news);
    const later = scene("PostgresLogin", {}, dead(memory));
    await later.wrapped.create(login);
    expect(later.warnings[0]).toMatch(/^no audit record that this began: mint rounds-db\./);
  });
});

describe("a call that is no step of a credential", () => {
  it("is recorded and told where it fails, by its credential or by what it is of", async () => {
    const claim = scene("PostgresLoginClaim", { delete: fails("somebody logs in\nmore") });
    await expect(claim.wrapped.delete?.("1", login)).rejects.toThrow("somebody logs in");
    expect(claim.records).toMatchObject([
      { credential: "rounds-db", step: "other", result: "failed", to: ["2026-11-20"], error: "somebody logs in" },
    ]);
    expect(claim.messages).toMatchObject([{ event: "failed", step: "other", text: "somebody logs in" }]);
    const named = [
      ["WorkerDelivery", { worker: "rounds-api" }, { credential: "Worker rounds-api", consumer: "rounds-api" }],
      ["EnvFile", { file: "web/.env", lines: {} }, { credential: "file web/.env", consumer: "web/.env" }],
      ["TursoCanary", { organization: "acme" }, { credential: "Turso organization acme", consumer: "" }],
    ] as const;
    for (const [kind, news, record] of named) {
      const { wrapped, records } = scene(kind, { create: fails("refused") });
      await expect(wrapped.create(news)).rejects.toThrow("refused");
      expect(records).toMatchObject([{ ...record, step: "other", result: "failed", error: "refused" }]);
    }
    const proof = scene("PostgresLogin", { update: fails("not proven") });
    await expect(proof.wrapped.update?.("1", login, login)).rejects.toThrow("not proven");
    expect(proof.records).toMatchObject([{ credential: "rounds-db", step: "other", error: "not proven" }]);
    const good = scene("PostgresLoginClaim", {});
    await good.wrapped.create(login);
    expect(good.records).toEqual([]);
  });

  it("an update's outcome is told only where its failures were not told already", async () => {
    const memory = newMemory();
    const failures = ["group production (rollover:turso.groups.production): refused"];
    const outs = { failures: { "group:production": failures[0] } };
    const news = { asked: { "group:production": { stamp: "2026-11-20", readOnly: "", reason: "" } } };
    await scene("TursoInvalidation", { create: () => Promise.resolve({ id: "1", outs }) }, { memory }).wrapped.create(
      news,
    );
    const outcome = (given: string[]) => {
      const made = scene("TursoOutcome", { create: fails("1 invalidation failed:\n- x") }, { memory });
      return { ...made, run: made.wrapped.create({ organization: "acme", failures: given }) };
    };
    const known = outcome(failures);
    await expect(known.run).rejects.toThrow("1 invalidation failed");
    expect([...known.records, ...known.messages]).toEqual([]);
    const fresh = outcome([...failures, "rounds-turso@2026-11-20: no answer"]);
    await expect(fresh.run).rejects.toThrow("1 invalidation failed");
    expect(fresh.records).toMatchObject([{ step: "other", error: "rounds-turso@2026-11-20: no answer" }]);
    expect(fresh.messages).toHaveLength(1);
  });
});

it("a failure that state keeps beside the steps is a record of its own, told, in one plain line of 300 characters", async () => {
  const outs = {
    failures: { "database:rounds": `its\u001b\u009b\u202ewrites are not blocked: ${"x".repeat(400)}\nmore` },
  };
  const news = { asked: { "group:production": { stamp: "2026-11-20", readOnly: "7d", reason: "" } } };
  const { wrapped, records, messages } = scene("TursoInvalidation", {
    create: () => Promise.resolve({ id: "1", outs }),
    update: () => Promise.resolve({ outs }),
  });
  await wrapped.create(news);
  const said = expect.stringMatching(/^its writes are not blocked: x{272}$/) as string;
  const besides = { credential: "database/rounds", step: "settings", result: "failed", error: said };
  expect(records.slice(1)).toMatchObject([{ credential: "group/production", result: "done", error: "" }, besides]);
  expect(messages).toMatchObject([{ event: "failed", text: said, changes: [{ credential: "database/rounds" }] }]);
  await wrapped.update?.("1", { done: {}, failures: {} }, { asked: {} });
  expect(records.slice(3)).toMatchObject([besides]);
});

it("a record that is not whole is completed before it is written, with a warning", async () => {
  const { wrapped, records, warnings } = scene("PostgresLogin", { delete: () => Promise.resolve() });
  await wrapped.delete?.("1", { ...login, credential: undefined });
  expect(records).toMatchObject([
    { credential: "", step: "retire", result: "begun" },
    { credential: "", step: "retire", result: "done" },
  ]);
  expect(warnings[0]).toMatch(/^an audit record came without credential; /);
});

describe("a Turso token", () => {
  const expires = "2027-02-18T00:00:00.000Z";

  it("is recorded with its expiry, also where it works and could not be proven", async () => {
    const outs = { ...token, tag: "t1", expires, failure: "" };
    const good = scene("TursoToken", { create: () => Promise.resolve({ id: "1", outs }) });
    await good.wrapped.create(token);
    expect(good.records.at(-1)).toMatchObject({ step: "mint", result: "done", expires, proven: true });
    const bad = scene("TursoToken", { create: fails("not proven", outs) });
    await expect(bad.wrapped.create(token)).rejects.toThrow("not proven");
    expect(bad.records.at(-1)).toMatchObject({ step: "mint", result: "failed", expires, proven: false });
  });

  it("is done with when it is refused, whatever a create or update left in state", async () => {
    const { wrapped, records, messages } = scene("TursoToken", { delete: () => Promise.resolve() });
    await wrapped.delete?.("1", { ...token, failure: "rounds-turso@2026-11-20: no answer" });
    expect(records).toMatchObject([
      { step: "retire", result: "begun" },
      { step: "retire", result: "done", error: "" },
    ]);
    expect(messages).toEqual([]);
    const bare = scene("TursoToken", { create: () => Promise.resolve({ id: "1", outs: {} }) });
    await bare.wrapped.create(token);
    expect(bare.records.at(-1)).toMatchObject({ result: "done", error: "", expires: "" });
  });

  it("that could not be minted again is a failure, though the update goes on", async () => {
    const olds = { ...token, under: { mark: "old", readOnly: "" }, tag: "t1", lost: false, proven: true, failure: "" };
    const outs = { ...olds, failure: "rounds-turso@2026-11-20: no answer" };
    const { wrapped, records, messages } = scene("TursoToken", { update: () => Promise.resolve({ outs }) });
    await wrapped.update?.("1", olds, token);
    expect(records.at(-1)).toMatchObject({ step: "mint", result: "failed", error: outs.failure, expires: "" });
    expect(messages).toMatchObject([{ event: "failed", text: outs.failure }]);
  });
});
