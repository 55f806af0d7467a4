// Proves what the wrapper around a provider records and whom it tells: around each call, of failures in state, of what is left
// behind, of calls that are no step of a credential, and where nothing can be written. Does not prove that a real journal keeps
// it (test/provider/, test/engine/audit.test.ts).
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { leaving, type Memory, newMemory, type Provider, recorded } from "../../components/audit/recorded";
import type { Recording } from "../../components/audit/records";
import { recordShape } from "../../components/audit/shape";
import { CloudflareApi } from "../../components/cloudflare/api";
import { workerSecretSet } from "../../components/cloudflare/worker-secret-set.provider";
import type { AuditRecord } from "../../components/audit/record";
import { whoRuns, whyOf } from "../../components/audit/who";
import type { Message } from "../../components/notify/notifier";
import type { StackModel } from "../../components/rotation/model";
import type { Kind } from "../../components/thin";

const token = {
  credential: "rounds-turso",
  stamp: "2026-11-20",
  place: "current",
  mark: "",
  readOnly: "",
  stack: "prod",
};
const login = { credential: "rounds-db", mode: "login", madeBy: "urn::rounds-db@2026-11-20", stack: "prod" };
const model = {
  credentials: [
    { name: "rounds-db", reason: "quarterly", ticket: "OPS-12", generations: [], deliver: [] },
    { name: "legacy-db", kind: "postgres", inPlace: true, generations: [], deliver: [] },
  ],
  turso: {
    groups: [{ name: "production", incident: { reason: "a leak" } }],
    databases: [{ name: "rounds", reason: "moved", incident: { reason: "a leak" } }],
  },
  abandon: ["left"],
} as unknown as StackModel;

const nobody = new CloudflareApi({ accountId: "a", apiUrl: "http://127.0.0.1:9" }, "token");

/** A provider behind the wrapper, and all that came of its calls, in order. */
function scene(
  kind: Kind,
  calls: Partial<Provider>,
  options: { required?: boolean; dead?: boolean; mute?: boolean; memory?: Memory } = {},
) {
  const events: string[] = [];
  const records: AuditRecord[] = [];
  const messages: Message[] = [];
  const warnings: string[] = [];
  const recording: Recording = {
    journal: {
      required: options.required ?? true,
      write(added) {
        if (options.dead) return Promise.reject(new Error("the audit's database is gone\nsecond line"));
        expect(added.map((one) => recordShape.safeParse(one).error?.issues)).toEqual(added.map(() => undefined));
        records.push(...added);
        events.push(...added.map(({ step, result }) => `${step} ${result}`));
        return Promise.resolve();
      },
    },
    notifier: {
      tell(message) {
        messages.push(message);
        return options.mute ? Promise.reject(new Error("nobody is there")) : Promise.resolve();
      },
    },
    stack: model,
    memory: options.memory ?? newMemory(),
    who: () => Promise.resolve({ actor: "octocat", commit: "c0ffee", update: "1" }),
    warn: (line) => warnings.push(line),
  };
  const create = () => Promise.resolve({ id: "1", outs: {} });
  const wrapped = recorded(kind, { create, ...calls }, recording);
  return { wrapped, events, records, messages, warnings };
}

const fails = (message: string, properties?: object) => () =>
  Promise.reject(Object.assign(new Error(message), properties && { id: "1", properties }));

describe("a call that changes a credential", () => {
  it("is recorded before it begins and when it has ended, and its result is passed on", async () => {
    const made: string[] = [];
    const { wrapped, events, records, messages } = scene("PostgresLogin", {
      create: () => {
        made.push(events.join());
        return Promise.resolve({ id: "1", outs: { tag: "t" } });
      },
    });
    expect(await wrapped.create(login)).toEqual({ id: "1", outs: { tag: "t" } });
    expect(made).toEqual(["mint begun"]);
    expect(events).toEqual(["mint begun", "mint done"]);
    const same = {
      stack: "prod",
      actor: "octocat",
      reason: "quarterly",
      ticket: "OPS-12",
      commit: "c0ffee",
      update: "1",
    };
    expect(records).toMatchObject([
      { ...same, proven: false },
      { ...same, proven: true },
    ]);
    expect(messages).toEqual([]);
  });

  it("that fails is recorded and told by the first line of its error, which stays as it is", async () => {
    const { wrapped, records, messages } = scene("PostgresLogin", {
      create: fails(`refused: ${"x".repeat(400)}\nsecond line`),
      delete: fails("a session is open"),
    });
    await expect(wrapped.create(login)).rejects.toThrow(/second line$/);
    await expect(wrapped.delete?.("1", login)).rejects.toThrow("a session is open");
    const [, minted, , retired] = records;
    expect(minted).toMatchObject({ step: "mint", result: "failed", proven: false });
    expect(minted?.error).toMatch(/^refused: x{291}$/);
    expect(retired).toMatchObject({ step: "retire", result: "failed", error: "a session is open" });
    const why = { reason: "quarterly", ticket: "OPS-12" };
    expect(messages).toEqual([
      {
        ...{ event: "failed", stack: "prod", step: "mint", text: minted?.error },
        changes: [{ credential: "rounds-db", from: [], to: ["2026-11-20"], ...why }],
      },
      {
        ...{ event: "debt", stack: "prod", step: "retire", text: "a session is open" },
        changes: [{ credential: "rounds-db", from: ["2026-11-20"], to: [], ...why }],
      },
    ]);
  });

  it("keeps its own error where nobody can be told either", async () => {
    const { wrapped, warnings } = scene("PostgresLogin", { create: fails("refused") }, { mute: true });
    await expect(wrapped.create(login)).rejects.toThrow("refused");
    expect(warnings).toEqual(["nobody was told of this failure: nobody is there"]);
  });

  it("is not begun where its record is required and cannot be written", async () => {
    let made = 0;
    const create = () => Promise.resolve({ id: String(++made), outs: {} });
    const required = scene("PostgresLogin", { create }, { dead: true });
    await expect(required.wrapped.create(login)).rejects.toThrow(
      "not begun, since its audit record could not be written: mint rounds-db. What this update did before stays. the audit's database is gone. " +
        "Put that right and run the update again, or set rollover:audit.required to false to go on without records.",
    );
    expect(made).toBe(0);
    expect(required.messages).toMatchObject([{ event: "failed", step: "mint", text: "the audit's database is gone" }]);
    const optional = scene("PostgresLogin", { create }, { dead: true, required: false });
    expect(await optional.wrapped.create(login)).toEqual({ id: "1", outs: {} });
    expect(optional.warnings).toEqual([
      "no audit record that this began: mint rounds-db. the audit's database is gone",
      "no audit record of how this ended: mint rounds-db. the audit's database is gone",
    ]);
  });

  it("that leaves a credential behind is not recorded as its end, and one that is only listed is", async () => {
    const lines: string[] = [];
    const warn = leaving((line) => lines.push(line));
    const provider = workerSecretSet(nobody, ["left"], warn, () => Promise.resolve());
    const set = { worker: "left", probe: "", generations: `{"rounds-db":[{"stamp":"2026-11-20","tag":"t"}]}` };
    const { wrapped, records, messages } = scene("WorkerSecretSet", provider as unknown as Provider);
    await wrapped.delete?.("1", set);
    expect(lines).toEqual([expect.stringMatching(/^abandoned: the Worker left keeps its secrets/)]);
    expect(records.at(-1)).toMatchObject({
      ...{ step: "withdraw", result: "failed" },
      error: "listed under rollover:abandon: left behind, and not proven dead",
    });
    expect(messages).toEqual([]);
    // A login of that name that its provider found refused, whose consumer alone is left behind.
    const retired = scene("PostgresLogin", {
      delete: () => {
        warn(
          "abandoned: the Worker left is not asked whether it still uses the login rounds_1 of left; config lists it",
        );
        return Promise.resolve();
      },
    });
    await retired.wrapped.delete?.("1", { ...login, credential: "left" });
    expect(retired.events).toEqual(["retire begun", "retire done"]);
  });
});

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

it("a failure that state keeps beside the steps is a record of its own, told, in one line of 300 characters", async () => {
  const outs = { failures: { "database:rounds": `its writes are not blocked: ${"x".repeat(400)}\nmore` } };
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

it("the announcement is recorded around its making, the completion after it, and a failure is not told by the same way again", async () => {
  const news = { stamps: { "rounds-db": "2026-11-20" }, stack: "prod" };
  const good = scene("Announcement", {});
  await good.wrapped.create(news);
  expect(good.events).toEqual(["announce begun", "announce done"]);
  const last = scene("Completion", {});
  await last.wrapped.create(news);
  expect(last.events).toEqual(["complete done"]);
  const bad = scene("Announcement", { create: fails("nobody was told") });
  await expect(bad.wrapped.create(news)).rejects.toThrow("nobody was told");
  expect(bad.events).toEqual(["announce begun", "announce failed"]);
  expect(bad.messages).toEqual([]);
});

it("an old state's delete carries the stack that the process has met", async () => {
  const { wrapped, records } = scene("PostgresLogin", {
    delete: () => Promise.resolve(),
    diff: () => Promise.resolve({ changes: false }),
  });
  await wrapped.diff?.("1", {}, { ...login, stack: "staging" });
  await wrapped.delete?.("1", { ...login, stack: undefined });
  expect(records.map(({ stack }) => stack)).toEqual(["staging", "staging"]);
});

it("nothing is wrapped where nothing is configured", () => {
  const provider: Provider = { create: () => Promise.resolve({ id: "1", outs: {} }) };
  const rest = {
    stack: model,
    memory: newMemory(),
    who: () => Promise.reject(new Error("not asked")),
    warn: () => undefined,
  };
  expect(recorded("PostgresLogin", provider, rest)).toBe(provider);
});

describe("who and why", () => {
  it("come from the CI, else from git, else from the system", async () => {
    const ci = { GITHUB_ACTOR: "octocat", GITHUB_SHA: "c0ffee", GITHUB_RUN_ID: "42" };
    expect(await whoRuns(".", ci)).toMatchObject({ actor: "octocat", commit: "c0ffee" });
    expect(await whoRuns(".", { ...ci, GITHUB_TRIGGERING_ACTOR: "who-ran-it-again" })).toMatchObject({
      actor: "who-ran-it-again",
    });
    expect((await whoRuns(".", ci)).update).toMatch(/^42-[0-9a-f]{16}$/);
    expect((await whoRuns(".", {})).update).toMatch(/^[0-9a-f]{16}$/);
    const nowhere = await whoRuns("/", { PATH: process.env["PATH"], HOME: "/nonexistent" });
    expect(nowhere.commit).toBe("");
    expect(nowhere.actor).not.toBe("");
    expect((await whoRuns(".", { GITHUB_ACTOR: `two\nlines${"x".repeat(500)}` })).actor).toMatch(/^two linesx{191}$/);
  });

  it("say of a commit of this machine whether the stack file was edited since, and of no other file", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-who-"));
    const git = (...args: string[]) => execFileSync("git", args, { cwd: folder, encoding: "utf8" }).trim();
    const env = { PATH: process.env["PATH"], HOME: "/nonexistent" };
    try {
      for (const name of ["Pulumi.prod.yaml", "other"]) fs.writeFileSync(path.join(folder, name), "a: 1\n");
      git("init", "-q");
      git("add", ".");
      git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "first");
      const head = git("rev-parse", "HEAD");
      fs.writeFileSync(path.join(folder, "other"), "edited\n");
      expect((await whoRuns(folder, env)).commit).toBe(head);
      fs.writeFileSync(path.join(folder, "Pulumi.prod.yaml"), "edited: 1\n");
      expect((await whoRuns(folder, env)).commit).toBe(`${head}+edited`);
      expect((await whoRuns(folder, { ...env, GITHUB_SHA: "c0ffee" })).commit).toBe("c0ffee");
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it("are a credential's or a Turso target's, an incident's where it has none of its own", () => {
    expect(whyOf(model, "rounds-db")).toEqual({ reason: "quarterly", ticket: "OPS-12" });
    expect(whyOf(model, "group/production")).toEqual({ reason: "a leak", ticket: "" });
    expect(whyOf(model, "database/rounds")).toEqual({ reason: "moved", ticket: "" });
    expect(whyOf(model, "unknown")).toEqual({ reason: "", ticket: "" });
  });
});
