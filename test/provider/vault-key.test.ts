// Proves, over real sockets against the local Vault, each rule of a key's backup: written before it is handed out, adopted, never
// overwritten, restored, kept, found missing and written again, and that a Vault that cannot keep it stops the preview. Not proven
// here: what the engine and the Workers make of it (test/engine), nor that HashiCorp's Vault answers as the local one.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { VaultApi, VaultError } from "../../components/vault/api";
import { type Inputs, type Outputs, vaultKey } from "../../components/vault/vault-key.provider";
import { type LocalVault, startVault } from "../cloud/vault";

/** What a key is in a preview before it is minted. */
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const key = "5e".repeat(32);
const other = "07".repeat(32);
const reading = { method: "GET", path: /\/data\// };
const writing = { method: "POST", path: /\/data\// };

describe("a key's backup in Vault", () => {
  let vault: LocalVault;
  let counter = 0;

  beforeAll(async () => {
    vault = await startVault();
  });
  afterAll(() => vault.stop());
  beforeEach(() => {
    vault.faults.set([]);
    vault.onCall(undefined);
    vault.seal(false);
    vault.calls.length = 0;
    counter += 1;
  });

  const provider = (token = vault.token) => vaultKey(new VaultApi(vault, token, 700));
  /** Another path for each test. */
  const inputs = (given: Partial<Inputs> = { key }): Inputs => ({
    mount: "secret",
    path: `rollover/rounds-${counter}`,
    credential: "rounds",
    stamp: "2026-11-20",
    ...given,
  });
  const at = () => `secret/rollover/rounds-${counter}/2026-11-20`;
  const stored = () => vault.get(at()).map(({ data }) => data);
  const backup = { credential: "rounds", stamp: "2026-11-20", key };
  const calls = () => vault.calls.map(({ method }) => method);
  /** As somebody else would, past Rollover. */
  const put = (data: Record<string, unknown>) =>
    new VaultApi(vault, vault.token).write(
      { mount: "secret", path: at().slice("secret/".length) },
      data,
      vault.get(at()).at(-1)?.version ?? 0,
    );
  const create = async (given?: Partial<Inputs>, token?: string): Promise<Outputs> =>
    (await provider(token).create(inputs(given))).outs as Outputs;
  const check = async (news: Inputs, olds: Partial<Inputs> = {}, token?: string) =>
    (await provider(token).check?.(olds as Inputs, news))?.failures ?? [];
  const refresh = async (outs: Outputs) => (await provider().read?.("id", outs))?.props as Outputs;
  const diff = (olds: Outputs, news: Inputs) => provider().diff?.("id", olds, news);
  const update = async (olds: Outputs, news: Inputs) => (await provider().update?.("id", olds, news))?.outs as Outputs;

  /** The text of the VaultError that ends the work; anything else, success included, fails the test. It holds no secret. */
  async function failure(work: Promise<unknown> | undefined): Promise<string> {
    const error: unknown = await work?.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof VaultError)) throw new Error(`no VaultError, but ${String(error)}`);
    return withoutSecrets(error.message);
  }
  function withoutSecrets(text: string): string {
    for (const secret of [vault.token, key, other]) expect(text).not.toContain(secret);
    return text;
  }
  /** The one reason of a failed check, which must name a property that is public. */
  async function reason(...args: Parameters<typeof check>): Promise<string> {
    const failures = await check(...args);
    expect(failures.map(({ property }) => property)).toEqual(["path"]);
    return withoutSecrets(failures[0]?.reason ?? "");
  }
  const taken = () =>
    `Vault: the backup ${at()} holds another key, and a backup is never overwritten. List the stamp under \`restore\` to use that key; ` +
    `or choose another stamp or \`backup.vault.path\`; or, if nothing that it signed or encrypted is needed, delete it (\`vault kv delete -mount=secret ${at().slice(7)}\`).`;

  describe("create", () => {
    it("writes the key, reads it back, and only then hands it out", async () => {
      const { id, outs } = await provider().create(inputs());
      expect(id).toBe(at());
      expect(outs).toEqual({ ...inputs(), key, drift: [] });
      expect(stored()).toEqual([backup]);
      expect(calls()).toEqual(["GET", "POST", "GET"]);
    });

    it("adopts what a run that crashed has written", async () => {
      await create();
      vault.calls.length = 0;
      expect((await create()).key).toBe(key);
      expect(calls()).toEqual(["GET"]);
      expect(stored()).toEqual([backup]);
    });

    it.each([
      ["another key", { ...backup, key: other }],
      ["another credential's key", { ...backup, credential: "sessions" }],
      ["something that is no backup", { password: other }],
    ])("refuses where %s is alive, and leaves it", async (_name, there) => {
      await put(there);
      expect(await failure(create())).toBe(taken());
      expect(stored()).toEqual([there]);
    });

    it.each(["delete", "destroy"] as const)("writes on top of another key after %s", async (how) => {
      await put({ ...backup, key: other });
      vault.change(how, at(), [1]);
      expect((await create()).key).toBe(key);
      expect(stored().at(-1)).toEqual(backup);
      expect(vault.get(at()).map(({ version }) => version)).toEqual([1, 2]);
    });

    it.each([
      ["the same key, adopts it", key],
      ["another key, refuses", other],
    ])("where somebody writes meanwhile %s", async (_name, theirs) => {
      vault.onCall(async ({ phase }) => {
        vault.onCall(undefined);
        if (phase === "before") await put({ ...backup, key: theirs });
      });
      if (theirs === key) expect((await create()).key).toBe(key);
      else expect(await failure(create())).toBe(taken());
      expect(stored()).toEqual([{ ...backup, key: theirs }]);
    });

    it("hands out nothing where the backup cannot be read back", async () => {
      vault.onCall(({ phase, method }) => {
        if (phase === "after" && method === "POST") vault.change("delete", at());
      });
      expect(await failure(create())).toBe(
        `Vault: the backup ${at()} was written and cannot be read back; nothing was delivered. See that no other program deletes it, then run the update again`,
      );
      expect(calls().filter((method) => method === "POST")).toHaveLength(3);
    });

    it.each([
      ["500 on the read", { match: reading, kind: "status" }],
      ["503 on the write", { match: writing, kind: "status", status: 503 }],
      ["429 on the write", { match: writing, kind: "status", status: 429 }],
      ["a reset before the write", { match: writing, kind: "reset-before" }],
      ["a reset after the write", { match: writing, kind: "reset-after" }],
      ["a lost answer to the write", { match: writing, kind: "hang" }],
      ["500 on reading back", { match: reading, kind: "status", nth: 2 }],
    ] as const)("survives %s, and writes one version", async (_name, fault) => {
      vault.faults.set([fault]);
      expect((await create()).key).toBe(key);
      expect(vault.faults.fired()).toEqual([1]);
      expect(stored()).toEqual([backup]);
    });

    it("fails while Vault is down or reading back is forbidden, and succeeds when it is run again", async () => {
      vault.seal(true);
      expect(await failure(create())).toContain("unseal it");
      vault.seal(false);
      vault.faults.set([{ match: reading, kind: "status", status: 403, nth: 2 }]);
      expect(await failure(create())).toContain("its policy lacks `create`, `update` and `read`");
      expect((await create()).key).toBe(key);
      expect(stored()).toEqual([backup]);
    });
  });

  describe("restore", () => {
    const restore = { restore: true };

    it("reads the key, writes nothing, and hands it out", async () => {
      await put(backup);
      vault.calls.length = 0;
      expect(await check(inputs(restore))).toEqual([]);
      expect(await create(restore)).toEqual({ ...inputs(restore), key, drift: [] });
      expect(calls()).toEqual(["GET", "GET"]);
    });

    const path = () => at().slice("secret/".length);
    const give = "or take the stamp out of `restore` and `generations`.";
    it.each([
      [
        "is not there",
        undefined,
        undefined,
        (): string => `does not exist; check \`backup.vault\` and the stamp, ${give}`,
      ],
      [
        "was deleted",
        backup,
        "delete",
        (): string => `was deleted; bring it back (\`vault kv undelete -mount=secret -versions=1 ${path()}\`), ${give}`,
      ],
      [
        "was destroyed",
        backup,
        "destroy",
        (): string =>
          `was destroyed, for good; see whether an older version is left (\`vault kv metadata get -mount=secret ${path()}\`) and roll back to it, ${give}`,
      ],
      [
        "is another credential's",
        { ...backup, credential: "sessions" },
        undefined,
        (): string =>
          "is not the backup of rounds, stamp 2026-11-20, but of something else; check `backup.vault` and the credential's name.",
      ],
      [
        "is another stamp's",
        { ...backup, stamp: "2026-08-01" },
        undefined,
        (): string =>
          "is not the backup of rounds, stamp 2026-11-20, but of something else; check `backup.vault` and the credential's name.",
      ],
      [
        "is a short key",
        { ...backup, key: key.slice(2) },
        undefined,
        (): string =>
          `holds no key of 32 bytes (64 hexadecimal digits); look for an older version that does (\`vault kv metadata get\`), ${give}`,
      ],
    ] as const)("refuses a backup that %s, in the preview and in the update", async (_name, there, how, text) => {
      if (there) await put(there);
      if (how) vault.change(how, at(), [1]);
      const expected = `Vault: the backup ${at()} ${text()}`;
      expect(await reason(inputs(restore))).toBe(expected);
      expect(await failure(create(restore))).toBe(expected);
    });

    it("works again after `vault kv undelete`", async () => {
      await put(backup);
      vault.change("delete", at());
      await failure(create(restore));
      vault.change("undelete", at(), [1]);
      expect((await create(restore)).key).toBe(key);
    });
  });

  describe("the preview", () => {
    it("passes for a key that is not minted yet, for one that is, and for what a crashed run wrote", async () => {
      expect(await check(inputs({ key: unknown }))).toEqual([]);
      expect(await check(inputs())).toEqual([]);
      await create();
      expect(await check(inputs())).toEqual([]);
      expect(stored()).toEqual([backup]);
    });

    it("refuses a stamp whose path holds another key, also before its own is minted", async () => {
      await put({ ...backup, key: other });
      expect(await reason(inputs())).toBe(taken());
      expect(await reason(inputs({ key: unknown }))).toBe(taken());
    });

    it("refuses while Vault is sealed, the token is wrong or forbidden to read, or nothing is mounted", async () => {
      expect(await reason(inputs(), {}, "wrong")).toContain("the token is wrong or expired");
      expect(await reason(inputs(), {}, vault.mintToken(["create"]))).toContain("its policy lacks");
      expect(await reason(inputs({ key, mount: "kv" }))).toContain("no KV engine of version 2 is mounted at kv");
      vault.seal(true);
      expect(await reason(inputs())).toContain("unseal it");
    });

    it("asks nothing where nothing is to be written, so that a Vault that is down stops no other work", async () => {
      const outs = await create();
      vault.seal(true);
      vault.calls.length = 0;
      expect(await check(inputs(), inputs())).toEqual([]);
      expect(await diff(outs, inputs())).toEqual({ changes: false, replaces: [] });
      expect(vault.calls).toEqual([]);
    });

    it("refuses a key and a restore at once, neither, and a key of another form", async () => {
      const of = "the backup of rounds, stamp 2026-11-20, has";
      expect(await reason(inputs({ key, restore: true }))).toBe(
        `${of} both a key and \`restore: true\`; give exactly one of them`,
      );
      expect(await reason(inputs({}))).toBe(`${of} neither a key nor \`restore: true\`; give exactly one of them`);
      for (const wrong of [
        key.slice(2),
        key.toUpperCase(),
        `${key}00`,
        "",
        Buffer.from(key, "hex").toString("base64url"),
      ])
        expect(await reason(inputs({ key: wrong }))).toBe(
          "the key of rounds, stamp 2026-11-20, is not 64 hexadecimal digits in lower case; give 32 random bytes in that form",
        );
      expect(vault.calls).toEqual([]);
    });

    it("waits for what is not known yet", async () => {
      expect(await check(inputs({ key, path: unknown }))).toEqual([]);
      expect(vault.calls).toEqual([]);
    });
  });

  describe("a change", () => {
    it.each([{ mount: "kv" }, { path: "elsewhere" }, { stamp: "2026-11-21" }, { credential: "sessions" }])(
      "of %o replaces it",
      async (change) => {
        const outs = await create();
        const given = { key, ...change };
        expect(await diff(outs, inputs(given))).toEqual({ changes: true, replaces: Object.keys(change) });
      },
    );

    it("of the key under the same stamp is refused, and so is a key for a restored one", async () => {
      const text = (next: string) =>
        `Vault: the backup ${at()} holds the key of this stamp, which never changes. ${next} until it is retired.`;
      expect(await reason(inputs({ key: other }), inputs())).toBe(
        text("Add a new stamp to roll it, and leave this one's key as it is"),
      );
      for (const given of [other, unknown])
        expect(await reason(inputs({ key: given }), inputs({ restore: true }))).toBe(
          text("Put the stamp back under `restore`"),
        );
      expect(await check(inputs({ key: unknown }), inputs())).toEqual([]);
    });

    it("from a key to a restore of it keeps the key, and asks nothing", async () => {
      const outs = await create();
      const news = inputs({ restore: true });
      expect(await check(news, inputs())).toEqual([]);
      expect(await diff(outs, news)).toEqual({ changes: true, replaces: [] });
      vault.calls.length = 0;
      const after = await update(outs, news);
      expect(after).toEqual({ ...news, key, drift: [] });
      expect(await diff(after, news)).toEqual({ changes: false, replaces: [] });
      expect(vault.calls).toEqual([]);
    });
  });

  describe("a refresh", () => {
    it.each([
      ["delete", "was deleted"],
      ["destroy", "was destroyed"],
    ] as const)("finds what Vault did (%s), and the next update writes it again", async (how, text) => {
      const outs = await create();
      expect(await refresh(outs)).toEqual(outs);
      vault.change(how, at(), [1]);
      const drifted = await refresh(outs);
      expect(drifted).toEqual({ ...outs, drift: [`the backup ${at()} ${text}`] });
      expect(await diff(drifted, inputs())).toEqual({ changes: true, replaces: [] });
      expect(await update(drifted, inputs())).toEqual(outs);
      expect(stored().at(-1)).toEqual(backup);
      expect(await refresh(outs)).toEqual(outs);
    });

    it("finds a secret that is gone with its metadata, also for a restored key", async () => {
      await create();
      const outs = await create({ restore: true });
      await fetch(`${vault.address}/v1/secret/metadata/${at().slice("secret/".length)}`, {
        method: "DELETE",
        headers: { "x-vault-token": vault.token },
      });
      const drifted = await refresh(outs);
      expect(drifted).toEqual({ ...outs, drift: [`the backup ${at()} is missing`] });
      expect(await update(drifted, inputs({ restore: true }))).toEqual(outs);
      expect(stored()).toEqual([backup]);
    });

    it("finds another key, which the update does not overwrite", async () => {
      const outs = await create();
      await put({ ...backup, key: other });
      const drifted = await refresh(outs);
      expect(drifted).toEqual({ ...outs, drift: [`the backup ${at()} holds another key`] });
      expect(await failure(update(drifted, inputs()))).toBe(taken());
      expect(stored()).toEqual([backup, { ...backup, key: other }]);
    });

    it("fails while Vault is down, and forgets nothing", async () => {
      const outs = await create();
      vault.seal(true);
      expect(await failure(refresh(outs))).toContain("unseal it");
    });
  });

  it("stays at Vault when it is deleted, without a call, and can be restored", async () => {
    const outs = await create();
    vault.calls.length = 0;
    await provider().delete?.(at(), outs);
    expect(vault.calls).toEqual([]);
    expect((await create({ restore: true })).key).toBe(key);
  });
});
