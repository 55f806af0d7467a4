// Proves which keysets a Worker refuses to use, that no message holds a key, and that what is logged shows none. Does not
// prove what tokens it accepts: jws.test.ts.
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dualKeys, encryptionKeys, KeysetError, signingKeys } from "../../components/jws/worker";
import { keySetText } from "../../components/rotation/key-texts";
import { keysOf, signingText } from "./jws-keys";

const KEYS = keysOf("2026-11-20", "2026-08-01");
const JWK = { kty: "oct", alg: "HS256", use: "sig", kid: "2026-11-20", k: "A".repeat(43) };
const set = (keys: unknown, active: unknown = "2026-11-20"): string => JSON.stringify({ active, keys });

describe("signingKeys", () => {
  it("reads what Rollover delivers, the active key first", () => {
    const text = keySetText("signing-keyset", [KEYS["2026-11-20"], KEYS["2026-08-01"]], "2026-08-01");
    const { algorithm, keys } = signingKeys(text);
    expect(algorithm).toBe("HS256");
    expect(keys.map(({ kid }) => kid)).toEqual(["2026-08-01", "2026-11-20"]);
    expect(keys.map((key) => Buffer.from(key.bytes()).toString("hex"))).toEqual([
      KEYS["2026-08-01"].hex,
      KEYS["2026-11-20"].hex,
    ]);
  });

  it.each([
    ["nothing", undefined, "is missing"],
    ["null", null, "is missing"],
    ["an empty text", "", "is missing"],
    ["an object", { active: "2026-11-20", keys: [JWK] }, "is missing"],
    ["the text undefined", "undefined", "is not JSON"],
    ["a bare key", KEYS["2026-11-20"].hex, "is not JSON"],
    ["null as JSON", "null", "is not an object"],
    ["a text as JSON", '"x"', "is not an object"],
    ["no keys", "{}", "has no keys"],
    ["an empty list", set([]), "has no keys"],
    ["a key that is none", set([null]), "key 1 of the keyset is not an object"],
    ["another key type", set([{ ...JWK, kty: "RSA" }]), "key 1 of the keyset is not of kty oct"],
    ["another algorithm", set([{ ...JWK, alg: "HS512" }]), "alg HS256"],
    ["no algorithm", set([{ ...JWK, alg: undefined }]), "alg HS256"],
    ["an encryption key", set([{ ...JWK, alg: "A256GCM", use: "enc" }]), "alg HS256"],
    ["another use", set([{ ...JWK, use: "enc" }]), "use sig"],
    ["no kid", set([{ ...JWK, kid: undefined }]), "has no kid"],
    ["an empty kid", set([{ ...JWK, kid: "" }], ""), "has no kid"],
    ["a kid that is no text", set([{ ...JWK, kid: 5 }], 5), "has no kid"],
    ["two keys of one kid", set([JWK, { ...JWK, k: "B".repeat(43) }]), "two keys have the same kid"],
    ["no active key", set([JWK], null), "active key is not among its keys"],
    ["another active key", set([JWK], "2026-08-01"), "active key is not among its keys"],
    ["no k", set([{ ...JWK, k: undefined }]), "has no k in base64url"],
    ["an empty k", set([{ ...JWK, k: "" }]), "has no k in base64url"],
    ["padding", set([{ ...JWK, k: `${"A".repeat(43)}=` }]), "has no k in base64url"],
    ["plain base64", set([{ ...JWK, k: `${"A".repeat(42)}+` }]), "has no k in base64url"],
    ["an impossible length", set([{ ...JWK, k: "A".repeat(45) }]), "has no k in base64url"],
    ["31 bytes", set([{ ...JWK, k: "A".repeat(42) }]), "has 31 bytes; it needs 32"],
    ["a second key of 8 bytes", set([JWK, { ...JWK, kid: "b", k: "A".repeat(11) }]), "key 2 of the keyset has 8 bytes"],
  ])("refuses %s", (_what, text, message) => {
    expect(() => signingKeys(text)).toThrow(KeysetError);
    expect(() => signingKeys(text)).toThrow(message);
  });

  it("throws nothing but KeysetError whatever the secret is, and never repeats it", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ minLength: 20 })), (text) => {
        try {
          signingKeys(text);
        } catch (error) {
          expect(error).toBeInstanceOf(KeysetError);
          expect((error as Error).cause).toBeUndefined();
          if (text.length >= 20) expect((error as Error).message).not.toContain(text);
        }
      }),
    );
  });
});

describe("dualKeys", () => {
  it("takes the texts' own bytes, the one that signs first", () => {
    const keys = dualKeys("a".repeat(64), "b".repeat(64)).keys.map((key) => Buffer.from(key.bytes()).toString());
    expect(keys).toEqual(["a".repeat(64), "b".repeat(64)]);
    expect(dualKeys("é".repeat(16)).keys[0].bytes()).toHaveLength(32);
    // The seed's own test sets both to one text.
    expect(dualKeys("a".repeat(64), "a".repeat(64)).keys).toHaveLength(2);
  });

  it.each([
    ["no key", undefined, undefined, "the key that signs is missing"],
    ["no key that signs", undefined, "b".repeat(64), "the key that signs is missing"],
    ["an empty text", "", undefined, "the key that signs is missing"],
    ["null", null, undefined, "the key that signs is missing"],
    ["the text undefined", "undefined", undefined, "the key that signs has 9 bytes; it needs 32"],
    ["31 bytes", "a".repeat(31), undefined, "the key that signs has 31 bytes"],
    ["an empty second", "a".repeat(64), "", "the key that is also accepted is missing"],
    ["null as the second", "a".repeat(64), null, "the key that is also accepted is missing"],
    ["a short second", "a".repeat(64), "undefined", "the key that is also accepted has 9 bytes"],
  ])("refuses %s", (_what, signs, also, message) => {
    expect(() => dualKeys(signs, also)).toThrow(KeysetError);
    expect(() => dualKeys(signs, also)).toThrow(message);
  });
});

describe("encryptionKeys", () => {
  it("takes keys of AES-256 for encryption, and no other", () => {
    const text = (change: object): string =>
      set([{ ...JWK, alg: "A256GCM", use: "enc", k: "A".repeat(43), ...change }]);
    expect(encryptionKeys(text({})).algorithm).toBe("A256GCM");
    expect(() => encryptionKeys(text({ k: "A".repeat(44) }))).toThrow("has 33 bytes; AES-256 takes 32");
    expect(() => encryptionKeys(text({ k: "A".repeat(22) }))).toThrow("has 16 bytes; it needs 32");
    expect(() => encryptionKeys(signingText(KEYS["2026-11-20"]))).toThrow("alg A256GCM and use enc");
    expect(() => signingKeys(text({}))).toThrow("alg HS256 and use sig");
  });
});

describe("a keyset that is logged", () => {
  it("shows its kids and no key", () => {
    const keys = signingKeys(signingText(KEYS["2026-11-20"]));
    expect(JSON.stringify(keys)).toBe('{"algorithm":"HS256","keys":[{"kid":"2026-11-20"}]}');
    const shown = inspect(keys, { depth: 9, showHidden: true });
    expect(shown).toContain("kid: '2026-11-20'");
    expect(shown).not.toMatch(/Array|Buffer|bytes/);
    expect(JSON.stringify(dualKeys(KEYS["2026-11-20"].hex))).toBe('{"algorithm":"HS256","keys":[{}]}');
  });
});
