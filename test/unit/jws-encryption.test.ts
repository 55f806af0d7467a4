// Proves that what a key encrypted is read with each keyset that holds it, with no other, and not once it was altered.
// Does not prove that it runs in workerd: it uses only what the tokens of test/provider/rounds-api.test.ts use there too.
import fc from "fast-check";
import { CompactEncrypt, decodeProtectedHeader, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { decrypt, encrypt, encryptionKeys, type Keyset } from "../../components/jws/worker";
import { keySetText, type Key } from "../../components/rotation/key-texts";
import { keysOf, refused } from "./jws-keys";

const { "2026-11-20": NEW, "2026-08-01": OLD, "2026-05-01": OLDEST } = keysOf("2026-11-20", "2026-08-01", "2026-05-01");
const keyset = (...keys: [Key, ...Key[]]): Keyset<"A256GCM"> =>
  encryptionKeys(keySetText("encryption-keyset", keys, keys[0].stamp));
const LIVE = keyset(NEW, OLD);
const bytes = ({ hex }: Key): Uint8Array => Buffer.from(hex, "hex");
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("encrypt and decrypt", () => {
  it("encrypts with the active key, names it, and never twice alike", async () => {
    const encrypted = await encrypt(LIVE, "a refresh token");
    expect(decodeProtectedHeader(encrypted)).toEqual({ alg: "dir", enc: "A256GCM", kid: "2026-11-20" });
    expect(encrypted).not.toContain(Buffer.from("a refresh token").toString("base64url"));
    expect(await encrypt(LIVE, "a refresh token")).not.toBe(encrypted);
    expect(await decrypt(LIVE, encrypted)).toEqual({ text: "a refresh token", kid: "2026-11-20" });
  });

  it("returns any text as it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.constantFrom("", "\uFEFFx"), fc.string({ unit: "grapheme" })), async (text) => {
        expect((await decrypt(LIVE, await encrypt(LIVE, text))).text).toBe(text);
      }),
    );
  });

  it("reads what older keys encrypted until they are dropped", async () => {
    const encrypted = await encrypt(keyset(OLD), "text");
    expect(await decrypt(LIVE, encrypted)).toEqual({ text: "text", kid: "2026-08-01" });
    expect(await refused(decrypt(keyset(NEW), encrypted))).toBe("unknown-key");
  });

  it("tries each key where none is named, and the named one alone", async () => {
    const by = (key: Key, kid?: string): Promise<string> =>
      new CompactEncrypt(Buffer.from("text"))
        .setProtectedHeader({ alg: "dir", enc: "A256GCM", ...(kid === undefined ? {} : { kid }) })
        .encrypt(bytes(key));
    expect(await decrypt(LIVE, await by(OLD))).toEqual({ text: "text", kid: "2026-08-01" });
    expect(await refused(decrypt(LIVE, await by(OLDEST)))).toBe("decryption");
    expect(await refused(decrypt(LIVE, await by(OLD, "2026-11-20")))).toBe("decryption");
    expect(await refused(decrypt(LIVE, await by(NEW, "2026-05-01")))).toBe("unknown-key");
  });

  it("refuses what was altered in any part", async () => {
    const parts = (await encrypt(LIVE, "a text that is long enough")).split(".");
    for (const index of [2, 3, 4]) {
      const altered = parts.map((text, at) =>
        at === index ? (text.startsWith("A") ? "B" : "A") + text.slice(1) : text,
      );
      expect(await refused(decrypt(LIVE, altered.join(".")))).toBe("decryption");
    }
    const other = [part({ alg: "dir", enc: "A256GCM", kid: "2026-11-20", more: 1 }), ...parts.slice(1)];
    expect(await refused(decrypt(LIVE, other.join(".")))).toBe("decryption");
  });

  it("refuses other algorithms, tokens, and what is neither", async () => {
    const [, ...rest] = (await encrypt(LIVE, "text")).split(".");
    for (const header of [{ alg: "A256KW", enc: "A256GCM" }, { alg: "dir", enc: "A128GCM" }, { alg: "dir" }])
      expect(await refused(decrypt(LIVE, [part(header), ...rest].join(".")))).toBe("algorithm");
    const token = await new SignJWT({}).setProtectedHeader({ alg: "HS256" }).sign(bytes(NEW));
    const header = part({ alg: "dir", enc: "A256GCM" });
    for (const text of [token, "", "x", "a.b.c.d.e", `${header}.x.x.x.x`, undefined, null, 5])
      expect(await refused(decrypt(LIVE, text as string))).toBe("malformed");
  });
});
