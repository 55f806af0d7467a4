// Proves what the wrapper around a provider records and whom it tells: around each call, of failures in state, of what is left
// behind, of calls that are no step of a credential. Does not prove that a real journal keeps
// it (test/provider/, test/engine/operate.test.ts).
import { describe, expect, it } from "vitest";
import { leaving, newMemory, type Provider, recorded } from "../../components/audit/recorded";
import { CloudflareApi } from "../../components/cloudflare/api";
import { workerSecretSet } from "../../components/cloudflare/worker-secret-set.provider";
import { fails, login, model, scene } from "./audit-recorded-fixture";

const nobody = new CloudflareApi({ accountId: "a", apiUrl: "http://127.0.0.1:9" }, "token");

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

it("a retirement is recorded as proven where its provider says that it was tried", async () => {
  const said = (value: unknown) => () => Promise.resolve(value as undefined);
  for (const [value, proven] of [
    [{ proven: true }, true],
    [{ proven: false }, false],
    [undefined, false],
  ] as const) {
    const { wrapped, records } = scene("PostgresLogin", { delete: said(value) });
    await wrapped.delete?.("1", login);
    expect(records).toMatchObject([
      { step: "retire", result: "begun", proven: false },
      { step: "retire", result: "done", proven },
    ]);
  }
});

it("after `pulumi stack rename` a delete carries the new name, though its state has the old one, and nothing after it does", async () => {
  const { wrapped, records, messages } = scene("PostgresLogin", {
    diff: () => Promise.resolve({ changes: false }),
    delete: fails("a session is open"),
  });
  await wrapped.diff?.("1", login, { ...login, stack: "production" });
  await wrapped.create({ ...login, stack: "production" });
  await expect(wrapped.delete?.("1", { ...login, stack: "prod" })).rejects.toThrow("a session is open");
  expect(new Set(records.map(({ stack }) => stack))).toEqual(new Set(["production"]));
  expect(messages).toMatchObject([{ event: "debt", stack: "production" }]);
  // Of `pulumi destroy`, which runs no program, state is all there is; what another resource says then still counts.
  const memory = newMemory();
  const destroyed = scene("PostgresLogin", { delete: () => Promise.resolve() }, { memory });
  await destroyed.wrapped.delete?.("1", { ...login, stack: "prod" });
  await destroyed.wrapped.create({ ...login, stack: undefined });
  expect(destroyed.records.map(({ stack }) => stack)).toEqual(["prod", "prod", "", ""]);
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
