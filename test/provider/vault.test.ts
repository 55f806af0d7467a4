// Proves, over real sockets, that what stands at a path of a KV engine is told apart (absent, alive, deleted, destroyed), that
// check-and-set overwrites nothing, and that each refusal and each fault ends in success or in one clear error, bounded in attempts,
// written once, without token, key or body in the text. Not proven here: that HashiCorp's Vault or OpenBao answers as the local one.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { VaultApi, VaultError } from "../../components/vault/api";
import type { Fault } from "../../local/cloud/faults";
import { type LocalVault, startVault } from "../../local/cloud/vault";
import { type Between, html, json, marker, type Page, pages, startBetween } from "./strangers";

const key = "5e".repeat(32);
const data = { credential: "rounds", stamp: "2026-11-20", key };
const reading = { method: "GET", path: /\/data\// };
const writing = { method: "POST", path: /\/data\// };

describe("Vault's KV engine", () => {
  let vault: LocalVault;
  let between: Between;
  let counter = 0;

  beforeAll(async () => {
    vault = await startVault({ mounts: ["secret", "team/keys"] });
    between = await startBetween(vault.address);
  });
  afterAll(async () => {
    await between.stop();
    await vault.stop();
  });
  beforeEach(() => {
    vault.faults.set([]);
    vault.calls.length = 0;
    vault.seal(false);
    between.set(undefined);
    counter += 1;
  });

  const client = ({ timeoutMs = 700, longestPauseMs = 50, token = vault.token, address = vault.address } = {}) =>
    new VaultApi({ address }, token, timeoutMs, longestPauseMs);
  /** Another one for each test. */
  const place = () => ({ mount: "secret", path: `rollover/rounds/${counter}` });
  const at = () => `secret/rollover/rounds/${counter}`;
  const calls = (method: string) => vault.calls.filter((call) => call.method === method).length;

  /** The VaultError that ends the work; anything else, success included, fails the test. Its text is checked for leaks. */
  async function failure(work: Promise<unknown>): Promise<VaultError> {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof VaultError)) throw new Error(`no VaultError, but ${String(error)}`);
    for (const secret of [vault.token, key, marker, "<html"]) expect(error.message).not.toContain(secret);
    return error;
  }

  describe("what stands at a path", () => {
    it("is absent, alive, deleted, undeleted and destroyed, and can be written on top of in each state", async () => {
      const api = client();
      expect(await api.read(place())).toEqual({ kind: "absent", version: 0 });
      expect(await api.write(place(), data, 0)).toBe(1);
      expect(await api.read(place())).toEqual({ kind: "alive", version: 1, data });
      vault.change("delete", at());
      expect(await api.read(place())).toEqual({ kind: "deleted", version: 1 });
      vault.change("undelete", at(), [1]);
      expect(await api.read(place())).toEqual({ kind: "alive", version: 1, data });
      vault.change("delete", at());
      expect(await api.write(place(), { ...data, key: "00" }, 1)).toBe(2);
      vault.change("destroy", at(), [2]);
      expect(await api.read(place())).toEqual({ kind: "destroyed", version: 2 });
      expect(await api.write(place(), data, 2)).toBe(3);
      expect(vault.get(at()).map(({ version, data: kept }) => [version, kept])).toEqual([
        [1, data],
        [2, null],
        [3, data],
      ]);
    });

    it.each([0, 2, 7])("is not written over with a check-and-set of %s where version 1 is the newest", async (cas) => {
      await client().write(place(), data, 0);
      const error = await failure(client().write(place(), { ...data, key: "00" }, cas));
      expect(error.fault).toBe("conflict");
      expect(error.message).toBe(
        `Vault, POST /v1/secret/data/rollover/rounds/${counter}: status 400: something else wrote there meanwhile; run the update again`,
      );
      expect(calls("POST")).toBe(2);
      expect(vault.get(at()).map((one) => one.data)).toEqual([data]);
    });

    it("is found below a mount of two parts, and under a name that needs an escape", async () => {
      const odd = { mount: "team/keys", path: "a b/c?d" };
      await client().write(odd, data, 0);
      expect(await client().read(odd)).toEqual({ kind: "alive", version: 1, data });
      expect(vault.get("team/keys/a b/c?d")).toHaveLength(1);
    });
  });

  describe("a refusal is told once, in words that say what to do", () => {
    const policy = (path: string) =>
      `status 403: the token is wrong or expired, or its policy lacks \`create\`, \`update\` and \`read\` on secret/data/${path}; set one with \`pulumi config set --secret vaultToken\``;

    it("of a wrong token, and of one that may do something else", async () => {
      const { path } = place();
      for (const token of ["wrong", vault.mintToken(["create"]), vault.mintToken(["read"], "secret/data/other")]) {
        const error = await failure(client({ token }).read(place()));
        expect([error.fault, error.message]).toEqual([
          "forbidden",
          `Vault, GET /v1/secret/data/${path}: ${policy(path)}`,
        ]);
      }
      const error = await failure(client({ token: vault.mintToken(["read"]) }).write(place(), data, 0));
      expect([error.fault, error.message]).toEqual([
        "forbidden",
        `Vault, POST /v1/secret/data/${path}: ${policy(path)}`,
      ]);
      expect(vault.calls).toHaveLength(4);
      expect(vault.get(at())).toEqual([]);
    });

    it("of a mount that is not there", async () => {
      const error = await failure(client().read({ mount: "kv", path: "rollover" }));
      expect([error.fault, error.message]).toEqual([
        "no-engine",
        "Vault, GET /v1/kv/data/rollover: status 404: no KV engine of version 2 is mounted at kv; check `backup.vault.mount`, or mount one (`vault secrets enable -path=kv -version=2 kv`)",
      ]);
      expect(vault.calls).toHaveLength(1);
    });

    it("of an engine of version 1, which takes a write without a word", async () => {
      const address = new URL(between.apiUrl).origin;
      const value = json({ request_id: "r", data: { key: marker } });
      for (const [strike, work] of [
        [{ ...reading, page: value }, () => client({ address }).read(place())],
        [{ ...writing, page: { status: 204, body: "" } }, () => client({ address }).write(place(), data, 0)],
      ] as const) {
        between.set({ ...strike, times: 99 });
        expect((await failure(work())).fault).toBe("no-engine");
        expect(between.struck()).toBe(1);
      }
    });

    it("of any other kind", async () => {
      vault.faults.set([{ match: writing, kind: "status", status: 400, times: 99 }]);
      const error = await failure(client().write(place(), data, 0));
      expect([error.fault, error.message]).toEqual([
        "rejected",
        `Vault, POST /v1/secret/data/rollover/rounds/${counter}: status 400: Vault refused the request; check \`backup.vault\`, then look into Vault's log`,
      ]);
      expect(calls("POST")).toBe(1);
    });
  });

  const faults: Record<string, Omit<Fault, "match">> = {
    "429 with Retry-After": { kind: "status", status: 429, retryAfter: 1 },
    "429 without": { kind: "status", status: 429 },
    500: { kind: "status", status: 500 },
    "503 of a sealed Vault": { kind: "status", status: 503 },
    "412 of a standby that lags": { kind: "status", status: 412 },
    "a time-out": { kind: "hang" },
    "a reset before the effect": { kind: "reset-before" },
    "a reset after the effect": { kind: "reset-after" },
    "a late answer": { kind: "late", ms: 100 },
    "an answer after the time-out": { kind: "late", ms: 1000 },
  };

  describe.each(Object.entries(faults))("%s", (_name, fault) => {
    it("on a read is survived by asking again", async () => {
      await client().write(place(), data, 0);
      vault.faults.set([{ match: reading, ...fault }]);
      expect(await client().read(place())).toEqual({ kind: "alive", version: 1, data });
      expect(vault.faults.fired()).toEqual([1]);
      expect(calls("GET")).toBe(fault.ms === 100 ? 1 : 2);
    });

    it("on a write is survived, and writes one version", async () => {
      vault.faults.set([{ match: writing, ...fault }]);
      expect(await client().write(place(), data, 0)).toBe(1);
      expect(vault.faults.fired()).toEqual([1]);
      expect(vault.get(at()).map((one) => one.data)).toEqual([data]);
      const isApplied = ["reset-after", "late"].includes(fault.kind);
      expect(calls("POST")).toBe(isApplied ? 1 : 2);
    });
  });

  describe.each(Object.entries(pages))("%s", (_name, page: Page) => {
    it.each([false, true])(
      "in place of an answer (a write applied: %s) is survived, and writes one version",
      async (applied) => {
        const api = client({ address: new URL(between.apiUrl).origin });
        between.set({ ...writing, page, times: 1, applied });
        expect(await api.write(place(), data, 0)).toBe(1);
        expect(between.struck()).toBe(1);
        between.set({ ...reading, page, times: 1 });
        expect(await api.read(place())).toEqual({ kind: "alive", version: 1, data });
        expect(between.struck()).toBe(1);
        expect(vault.get(at()).map((one) => one.data)).toEqual([data]);
      },
    );
  });

  it.each([
    [
      "500",
      "unavailable",
      { kind: "status" },
      "status 500: Vault failed, or something else answered in its place; run the update again",
    ],
    [
      "429",
      "rate-limited",
      { kind: "status", status: 429 },
      "status 429: too many requests; run the update again in some minutes",
    ],
  ] as const)("gives up on lasting %s after four attempts", async (_name, fault, lasting, text) => {
    vault.faults.set([{ match: reading, times: 99, ...lasting }]);
    const error = await failure(client().read(place()));
    expect(error.fault).toBe(fault);
    expect(error.message).toBe(`Vault, GET /v1/secret/data/rollover/rounds/${counter}: ${text}`);
    expect(vault.calls).toHaveLength(4);
  });

  it("names a sealed Vault, and one that is not there", async () => {
    vault.seal(true);
    expect((await failure(client().read(place()))).message).toContain(
      "status 503: Vault is sealed or in maintenance; unseal it (`vault operator unseal`), then run the update again",
    );
    const gone = await startVault();
    await gone.stop();
    expect((await failure(client({ address: gone.address }).read(place()))).message).toMatch(
      /: no answer \(connection refused, ECONNREFUSED\); see that Vault runs at rollover:vault\.address, then run the update again$/,
    );
  });

  it("does not follow a redirect with its token", async () => {
    const page = { ...html(307), headers: { location: `${vault.address}/v1/secret/data/elsewhere` } };
    between.set({ ...reading, page, times: 99 });
    expect((await failure(client({ address: new URL(between.apiUrl).origin }).read(place()))).fault).toBe(
      "unavailable",
    );
    expect(between.struck()).toBe(4);
    expect(vault.calls).toEqual([]);
  });

  it("waits no longer than its bound, whatever Retry-After says", async () => {
    vault.faults.set([{ match: reading, kind: "status", status: 429, retryAfter: 86_400 }]);
    expect(await client({ longestPauseMs: 100 }).read(place())).toEqual({ kind: "absent", version: 0 });
  });

  it("does not repeat a write when it cannot look", async () => {
    vault.faults.set([
      { match: writing, kind: "reset-after", times: 99 },
      { match: reading, kind: "status", times: 99 },
    ]);
    expect((await failure(client().write(place(), data, 0))).fault).toBe("unavailable");
    expect([calls("POST"), calls("GET")]).toEqual([1, 4]);
    expect(vault.get(at())).toHaveLength(1);
  });

  it("takes no value of somebody else for the one that it wrote", async () => {
    const other = { ...data, key: "00" };
    vault.onCall(async ({ phase }) => {
      vault.onCall(undefined);
      if (phase === "before") await client().write(place(), other, 0);
    });
    // The first to arrive is the other one's, within ours.
    vault.faults.set([{ match: writing, nth: 2, kind: "reset-before" }]);
    expect((await failure(client().write(place(), data, 0))).fault).toBe("conflict");
    expect(vault.get(at()).map((one) => one.data)).toEqual([other]);
  });

  it("leaves neither token nor key in Vault's log", async () => {
    await client().write(place(), data, 0);
    const lines = vault.log().filter((line) => line.includes(`rounds/${counter}"`));
    expect(lines).toEqual([
      `{"type":"response","method":"POST","path":"/v1/secret/data/rollover/rounds/${counter}","status":200}`,
    ]);
  });
});
