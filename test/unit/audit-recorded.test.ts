// Proves what the wrapper around a provider records and whom it tells: around each call, of failures in state, of what is left
// behind, and where nothing can be written. Does not prove that a real journal keeps it (test/provider/, test/engine/audit.test.ts).
import { describe, expect, it } from "vitest";
import { type Provider, recorded, type Recording } from "../../components/audit/recorded";
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
  credentials: [{ name: "rounds-db", reason: "quarterly", ticket: "OPS-12" }],
  turso: {
    groups: [{ name: "production", incident: { reason: "a leak" } }],
    databases: [{ name: "rounds", reason: "moved", incident: { reason: "a leak" } }],
  },
  abandon: ["left"],
} as unknown as StackModel;

/** A provider behind the wrapper, and all that came of its calls, in order. */
function scene(
  kind: Kind,
  calls: Partial<Provider>,
  options: { required?: boolean; dead?: boolean; mute?: boolean } = {},
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
      "not begun, since its audit record could not be written: mint rounds-db. Nothing was touched. the audit's database is gone. " +
        "Put that right and run the update again, or set rollover:audit.required to false to go on without records.",
    );
    expect(made).toBe(0);
    const optional = scene("PostgresLogin", { create }, { dead: true, required: false });
    expect(await optional.wrapped.create(login)).toEqual({ id: "1", outs: {} });
    expect(optional.warnings).toEqual([
      "no audit record that this began: mint rounds-db. the audit's database is gone",
      "no audit record of how this ended: mint rounds-db. the audit's database is gone",
    ]);
  });

  it("that leaves a credential behind is not recorded as a retirement", async () => {
    const { wrapped, records, messages } = scene("PostgresLogin", { delete: () => Promise.resolve() });
    await wrapped.delete?.("1", { ...login, credential: "left" });
    expect(records.at(-1)).toMatchObject({
      result: "failed",
      error: "listed under rollover:abandon: left behind, and not proven dead",
    });
    expect(messages).toEqual([]);
  });
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

  it("that could not be minted again is a failure, though the update goes on", async () => {
    const olds = { ...token, under: { mark: "old", readOnly: "" }, tag: "t1", lost: false, proven: true, failure: "" };
    const outs = { ...olds, failure: "rounds-turso@2026-11-20: no answer" };
    const { wrapped, records, messages } = scene("TursoToken", { update: () => Promise.resolve({ outs }) });
    await wrapped.update?.("1", olds, token);
    expect(records.at(-1)).toMatchObject({ step: "mint", result: "failed", error: outs.failure, expires: "" });
    expect(messages).toMatchObject([{ event: "failed", text: outs.failure }]);
  });
});

it("the announcement is recorded once it was made, and its failure is not told by the same way again", async () => {
  const news = { stamps: { "rounds-db": "2026-11-20" }, stack: "prod" };
  const good = scene("Announcement", {});
  await good.wrapped.create(news);
  expect(good.events).toEqual(["announce done"]);
  const bad = scene("Announcement", { create: fails("nobody was told") });
  await expect(bad.wrapped.create(news)).rejects.toThrow("nobody was told");
  expect(bad.events).toEqual(["announce failed"]);
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
  const rest = { stack: model, who: () => Promise.reject(new Error("not asked")), warn: () => undefined };
  expect(recorded("PostgresLogin", provider, rest)).toBe(provider);
});

describe("who and why", () => {
  it("come from the CI, else from git, else from the system", async () => {
    const ci = { GITHUB_ACTOR: "octocat", GITHUB_SHA: "c0ffee", GITHUB_RUN_ID: "42" };
    expect(await whoRuns(".", ci)).toMatchObject({ actor: "octocat", commit: "c0ffee" });
    expect((await whoRuns(".", ci)).update).toMatch(/^42-[0-9a-f]{16}$/);
    expect((await whoRuns(".", {})).update).toMatch(/^[0-9a-f]{16}$/);
    const nowhere = await whoRuns("/", { PATH: process.env["PATH"], HOME: "/nonexistent" });
    expect(nowhere.commit).toBe("");
    expect(nowhere.actor).not.toBe("");
    expect((await whoRuns(".", { GITHUB_ACTOR: `two\nlines${"x".repeat(500)}` })).actor).toMatch(/^two linesx{191}$/);
  });

  it("are a credential's or a Turso target's, an incident's where it has none of its own", () => {
    expect(whyOf(model, "rounds-db")).toEqual({ reason: "quarterly", ticket: "OPS-12" });
    expect(whyOf(model, "group/production")).toEqual({ reason: "a leak", ticket: "" });
    expect(whyOf(model, "database/rounds")).toEqual({ reason: "moved", ticket: "" });
    expect(whyOf(model, "unknown")).toEqual({ reason: "", ticket: "" });
  });
});
