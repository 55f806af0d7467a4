// Proves what each call of each provider is recorded as, and that no secret of its properties gets into a record. Does not prove
// that the providers do it (test/provider/), nor that the records are written (test/engine/operate.test.ts).
import { describe, expect, it } from "vitest";
import { outcomeOf } from "../../components/audit/outcome";
import { type Call, stepsOf } from "../../components/audit/steps";
import type { Kind } from "../../components/thin";

type Props = Record<string, unknown>;
const SECRET = "S3cretValue0123456789";

/** What each step says beside nothing. */
function said(kind: Kind, call: Call, olds: Props | undefined, news: Props): unknown[] {
  const steps = stepsOf(kind, call, olds, news);
  expect(JSON.stringify(steps)).not.toContain(SECRET);
  return steps.map((step) =>
    Object.fromEntries(
      Object.entries(step).filter(([, value]) => value !== "" && value !== false && String(value) !== ""),
    ),
  );
}

describe("a Postgres login", () => {
  const login = {
    ...{ mode: "login", credential: "rounds-db", current: true, password: SECRET },
    madeBy: "urn:pulumi:prod::rollover::x$pulumi-nodejs:dynamic/postgres:PostgresLogin::rounds-db@2026-11-20.2",
  };
  const adopted = { ...login, mode: "adopted", madeBy: "urn::rounds-db@adopted" };

  it("is minted and proven, proven again when it becomes current, and retired", () => {
    const stamp = "2026-11-20.2";
    expect(said("PostgresLogin", "create", undefined, login)).toEqual([
      { credential: "rounds-db", step: "mint", to: [stamp], proven: true },
    ]);
    expect(said("PostgresLogin", "update", { ...login, current: false }, login)).toEqual([
      { credential: "rounds-db", step: "prove", to: [stamp], proven: true },
    ]);
    expect(said("PostgresLogin", "update", login, { ...login, current: false })).toEqual([]);
    expect(said("PostgresLogin", "delete", login, login)).toEqual([
      { credential: "rounds-db", step: "retire", from: [stamp] },
    ]);
  });

  it("in place is not retired by itself; an adopted one is, and was never minted", () => {
    expect(said("PostgresLogin", "delete", login, { ...login, mode: "inPlace" })).toEqual([]);
    expect(said("PostgresLogin", "create", undefined, adopted)).toEqual([]);
    expect(said("PostgresLogin", "delete", adopted, adopted)).toEqual([
      { credential: "rounds-db", step: "retire", from: ["adopted"] },
    ]);
  });
});

describe("a Turso token", () => {
  const news = { credential: "rounds-turso", stamp: "2026-11-20", place: "current", mark: "m1", readOnly: "" };
  const state = { ...news, under: { mark: "m1", readOnly: "" }, jwt: SECRET, tag: "t1", proven: true, lost: false };
  const minted = [{ credential: "rounds-turso", step: "mint", to: ["2026-11-20"], proven: true }];

  it("is minted, minted again after an invalidation, in an incident or when it was lost, proven when it becomes current", () => {
    expect(said("TursoToken", "create", undefined, news)).toEqual(minted);
    expect(said("TursoToken", "update", state, { ...news, mark: "m2" })).toEqual(minted);
    expect(said("TursoToken", "update", state, { ...news, readOnly: "7d" })).toEqual(minted);
    expect(said("TursoToken", "update", { ...state, lost: true }, news)).toEqual(minted);
    expect(said("TursoToken", "update", { ...state, place: "previous" }, news)).toEqual([
      { credential: "rounds-turso", step: "prove", to: ["2026-11-20"], proven: true },
    ]);
    expect(said("TursoToken", "update", state, { ...news, place: "retired" })).toEqual([]);
    expect(said("TursoToken", "create", undefined, { ...news, place: "retired" })).toEqual([]);
    expect(said("TursoToken", "delete", state, state)).toEqual([
      { credential: "rounds-turso", step: "retire", from: ["2026-11-20"] },
    ]);
  });

  it("says when it expires, and a failure that is in state alone", () => {
    const [planned] = stepsOf("TursoToken", "update", { ...state, place: "previous" }, news);
    if (!planned) throw new Error("no step");
    const expires = "2027-02-18T00:00:00.000Z";
    const again = { ...state, tag: "t2", expires, failure: "" };
    expect(outcomeOf("TursoToken", "update", planned, state, again)).toMatchObject({
      step: "mint",
      expires,
      error: "",
    });
    expect(outcomeOf("TursoToken", "update", planned, state, { ...again, tag: "t1" })).toMatchObject({
      step: "prove",
      expires: "",
    });
    const failed = { ...again, failure: "rounds-turso@2026-11-20: no answer" };
    expect(outcomeOf("TursoToken", "update", planned, state, failed)).toMatchObject({
      error: failed.failure,
      expires: "",
    });
  });
});

describe("an invalidation", () => {
  const asked = (stamp: string, readOnly = "") => ({ stamp, readOnly, reason: "" });
  const news = { asked: { "group:production": asked("2026-11-20"), "database:rounds": asked("2026-11-01") } };
  const was = { done: { "database:rounds": { ...asked("2026-11-01"), outlived: [] } } };

  it("is recorded for each target that it is asked anew for", () => {
    const step = { credential: "group/production", step: "invalidate", to: ["2026-11-20"] };
    expect(said("TursoInvalidation", "update", was, news)).toEqual([step]);
    expect(said("TursoInvalidation", "create", undefined, news)).toHaveLength(2);
    const incident = { asked: { "database:rounds": asked("2026-11-01", "7d") } };
    expect(said("TursoInvalidation", "update", was, incident)).toEqual([
      { credential: "database/rounds", step: "invalidate", from: ["2026-11-01"], to: ["2026-11-01"] },
    ]);
    expect(said("TursoInvalidation", "update", was, { asked: {} })).toEqual([]);
    expect(said("TursoInvalidation", "delete", was, news)).toEqual([]);
  });

  it("fails for the target whose tokens live on", () => {
    const steps = stepsOf("TursoInvalidation", "create", undefined, news);
    const outs = { failures: { "group:production": "group production: refused" } };
    expect(steps.map((step) => outcomeOf("TursoInvalidation", "create", step, undefined, outs).error)).toEqual([
      "group production: refused",
      "",
    ]);
  });
});

it("settings and backups are recorded where something is written", () => {
  const target = { kind: "database", name: "rounds" };
  expect(said("TursoSettings", "update", { target }, { target })).toEqual([
    { credential: "database/rounds", step: "settings" },
  ]);
  expect(said("TursoSettings", "delete", { target }, { target })).toEqual([]);
  const key = { credential: "session", stamp: "2026-11-20", key: SECRET, drift: [] as string[] };
  const backedUp = [{ credential: "session", step: "back up", to: ["2026-11-20"] }];
  expect(said("VaultKey", "create", undefined, key)).toEqual(backedUp);
  expect(said("VaultKey", "create", undefined, { ...key, restore: true })).toEqual([]);
  expect(said("VaultKey", "update", { ...key, drift: ["is missing"] }, key)).toEqual(backedUp);
  expect(said("VaultKey", "update", key, key)).toEqual([]);
  expect(said("VaultKey", "delete", key, key)).toEqual([]);
});

describe("a Worker's secrets", () => {
  const set = (generations: Record<string, [string, string][]>, over: Props = {}) => ({
    ...{ worker: "rounds-api", probe: "https://rounds.example.com/p", token: SECRET, secrets: { A: SECRET } },
    ...{ delivery: JSON.stringify(generations), drift: [] },
    generations: JSON.stringify(
      Object.fromEntries(
        Object.entries(generations).map(([name, list]) => [name, list.map(([stamp, tag]) => ({ stamp, tag }))]),
      ),
    ),
    ...over,
  });
  const olds = set({ a: [["2026-11-01", "a1"]], b: [["2026-11-01", "b1"]], c: [["2026-11-01", "c1"]] });
  const deliver = (credential: string, from: string[], to: string[]) => ({
    ...{ credential, step: "deliver", consumer: "rounds-api", attested: true, to },
    ...(from.length > 0 && { from }),
  });

  it("are recorded for each credential whose stamps or tags differ", () => {
    const news = set({
      a: [
        ["2026-11-20", "a2"],
        ["2026-11-01", "a1"],
      ],
      b: [["2026-11-01", "b2"]],
      d: [["2026-11-20", "d1"]],
    });
    expect(said("WorkerSecretSet", "update", olds, news)).toEqual([
      deliver("a", ["2026-11-01"], ["2026-11-20", "2026-11-01"]),
      deliver("b", ["2026-11-01"], ["2026-11-01"]),
      { credential: "c", step: "withdraw", from: ["2026-11-01"], consumer: "rounds-api" },
      deliver("d", [], ["2026-11-20"]),
    ]);
    const silent = set({ a: [["2026-11-20", "a2"]] }, { probe: "" });
    expect(said("WorkerSecretSet", "create", undefined, silent)).toEqual([
      { credential: "a", step: "deliver", consumer: "rounds-api", to: ["2026-11-20"] },
    ]);
  });

  it("are recorded for all where only drift or names changed, for none where only the waits did", () => {
    const same = ["a", "b", "c"].map((name) => deliver(name, ["2026-11-01"], ["2026-11-01"]));
    expect(said("WorkerSecretSet", "update", { ...olds, drift: ["A is missing"] }, olds)).toEqual(same);
    expect(said("WorkerSecretSet", "update", olds, { ...olds, delivery: "renamed" })).toEqual(same);
    expect(said("WorkerSecretSet", "update", olds, { ...olds, answers: 9, settleMs: 1 })).toEqual([]);
  });

  it("are withdrawn with their Worker", () => {
    const [first] = said("WorkerSecretSet", "delete", olds, olds);
    expect(first).toEqual({ credential: "a", step: "withdraw", from: ["2026-11-01"], consumer: "rounds-api" });
  });
});

describe("an env file", () => {
  const live = ["2026-11-20", "2026-11-01"];
  const file = { file: ".env", lines: { A: SECRET } };
  const given = (held: Props) => ({ ...file, generations: JSON.stringify(held) });
  const news = given({ a: live, b: ["2026-11-20"] });
  const deliver = (credential: string, from: string[], now: string[]) => ({
    ...{ credential, step: "deliver", consumer: ".env", to: now },
    ...(from.length > 0 && { from }),
  });

  it("is recorded by what changes since its state, and for all where only its lines do", () => {
    const olds = given({ b: ["2026-11-20"], gone: ["2026-11-01"] });
    expect(said("EnvFile", "create", undefined, given({ a: live }))).toEqual([deliver("a", [], live)]);
    expect(said("EnvFile", "update", olds, news)).toEqual([
      deliver("a", [], live),
      { credential: "gone", step: "withdraw", from: ["2026-11-01"], consumer: ".env" },
    ]);
    expect(said("EnvFile", "update", news, news)).toEqual([
      deliver("a", live, live),
      deliver("b", ["2026-11-20"], ["2026-11-20"]),
    ]);
  });

  it("is withdrawn with all that it holds; one of an old state does not say what", () => {
    const olds = given({ a: ["2026-11-01"] });
    expect(said("EnvFile", "delete", olds, olds)).toEqual([
      { credential: "a", step: "withdraw", from: ["2026-11-01"], consumer: ".env" },
    ]);
    expect(said("EnvFile", "update", file, news)).toHaveLength(2);
    expect(said("EnvFile", "delete", file, file)).toEqual([{ step: "withdraw", consumer: ".env" }]);
  });
});

it("an announcement and a completion name what changed, by its stamps", () => {
  const [olds, news] = [{ stamps: { a: "1", b: "2" } }, { stamps: { a: "3,1", b: "2", c: "4" } }];
  for (const [kind, step] of [
    ["Announcement", "announce"],
    ["Completion", "complete"],
  ] as const) {
    expect(said(kind, "update", olds, news)).toEqual([
      { credential: "a", step, from: ["1"], to: ["3", "1"] },
      { credential: "c", step, to: ["4"] },
    ]);
    expect(said(kind, "delete", news, news)).toEqual([]);
  }
});

it("what only prepares is not recorded", () => {
  for (const kind of ["PostgresLoginClaim", "WorkerDelivery", "TursoCanary", "TursoOutcome"] as const)
    expect(said(kind, "create", undefined, { credential: "a", worker: "w" })).toEqual([]);
});
