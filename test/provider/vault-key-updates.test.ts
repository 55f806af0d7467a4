// Proves, over real sockets against the local Vault, what follows on a key's backup: that a preview refuses where Vault cannot keep it
// and asks nothing where nothing is to be written, that its key never changes, that it is found missing and written again, and stays
// when it is deleted. Not proven here: how it begins (vault-key.test.ts), what the engine and the Workers make of it (test/engine), nor
// that HashiCorp's Vault answers as the local one.
import { describe, expect, it } from "vitest";
import type { Inputs, Outputs } from "../../components/vault/vault-key.provider";
import { oneResource } from "../support/one-resource";
import {
  at,
  backup,
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

/** What a key is in a preview before it is minted. */
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

describe("a key's backup in Vault", () => {
  useVault();

  const start = () => oneResource<Inputs, Outputs>(() => provider());

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
      const one = start();
      await one.up(inputs());
      vault.seal(true);
      vault.calls.length = 0;
      expect(await one.preview(inputs())).toBeUndefined();
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
        const diff = await provider().diff?.("id", outs, inputs(given));
        expect(diff).toEqual({ changes: true, replaces: Object.keys(change) });
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
      const one = start();
      await one.up(inputs());
      await expect(one.preview(inputs({ key: other }))).rejects.toThrow("which never changes");
    });

    it("from a key to a restore of it keeps the key, and asks nothing", async () => {
      const one = start();
      await one.up(inputs());
      vault.calls.length = 0;
      const news = inputs({ restore: true });
      expect(await one.preview(news)).toBe("update it");
      expect(await one.up(news)).toEqual({ ...news, key, drift: [] });
      expect(await one.preview(news)).toBeUndefined();
      expect(vault.calls).toEqual([]);
    });
  });

  describe("a refresh", () => {
    it.each([
      ["delete", "was deleted"],
      ["destroy", "was destroyed"],
    ] as const)("finds what Vault did (%s), and the next update writes it again", async (how, text) => {
      const one = start();
      const outs = await one.up(inputs());
      await one.refresh();
      expect(one.kept()).toEqual(outs);
      vault.change(how, at(), [1]);
      await one.refresh();
      expect(one.kept()).toEqual({ ...outs, drift: [`the backup ${at()} ${text}`] });
      expect(await one.preview(inputs())).toBe("update it");
      expect(await one.up(inputs())).toEqual(outs);
      expect(stored().at(-1)).toEqual(backup);
      await one.refresh();
      expect(one.kept()).toEqual(outs);
    });

    it("finds a secret that is gone with its metadata, also for a restored key", async () => {
      await create();
      const one = start();
      const outs = await one.up(inputs({ restore: true }));
      await fetch(`${vault.address}/v1/secret/metadata/${at().slice("secret/".length)}`, {
        method: "DELETE",
        headers: { "x-vault-token": vault.token },
      });
      await one.refresh();
      expect(one.kept()).toEqual({ ...outs, drift: [`the backup ${at()} is missing`] });
      expect(await one.up(inputs({ restore: true }))).toEqual(outs);
      expect(stored()).toEqual([backup]);
    });

    it("finds another key, which the update does not overwrite", async () => {
      const one = start();
      const outs = await one.up(inputs());
      await put({ ...backup, key: other });
      await one.refresh();
      const drifted = { ...outs, drift: [`the backup ${at()} holds another key`] };
      expect(one.kept()).toEqual(drifted);
      expect(await failure(one.up(inputs()))).toBe(taken());
      expect(one.kept()).toEqual(drifted);
      expect(stored()).toEqual([backup, { ...backup, key: other }]);
    });

    it("fails while Vault is down, and forgets nothing", async () => {
      const one = start();
      const outs = await one.up(inputs());
      vault.seal(true);
      expect(await failure(one.refresh())).toContain("unseal it");
      expect(one.kept()).toEqual(outs);
    });
  });

  it("stays at Vault when it is deleted, without a call, and can be restored", async () => {
    const one = start();
    await one.up(inputs());
    vault.calls.length = 0;
    await one.remove();
    expect(vault.calls).toEqual([]);
    expect((await one.up(inputs({ restore: true }))).key).toBe(key);
  });
});
