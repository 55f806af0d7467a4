// Proves, over real sockets against the local Vault, how a key's backup begins: written before it is handed out, adopted, never
// overwritten, restored, through each fault. Not proven here: previews, changes and refreshes (vault-key-updates.test.ts), what the
// engine and the Workers make of it (test/engine), nor that HashiCorp's Vault answers as the local one.
import { describe, expect, it } from "vitest";
import {
  at,
  backup,
  calls,
  check,
  create,
  failure,
  inputs,
  key,
  other,
  provider,
  put,
  reason,
  stored,
  taken,
  useVault,
  vault,
} from "./vault-keys";

const reading = { method: "GET", path: /\/data\// };
const writing = { method: "POST", path: /\/data\// };

describe("a key's backup in Vault", () => {
  useVault();

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
});
