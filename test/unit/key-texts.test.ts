// Proves by properties that the text of a keyset is read back by the module that Workers copy as the same keys, with the primary first,
// and that a set for an announcement has every key that may be about. Not proven: that a Worker signs with it (test/provider).
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encryptionKeys, signingKeys } from "../../components/jws/keyset";
import { type Key, keySetText, unitedKeySets } from "../../components/rotation/key-texts";

const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const stamp = fc.integer({ min: 1, max: 28 }).map((day) => `2026-11-${String(day).padStart(2, "0")}`);
const keys = fc.uniqueArray(fc.record({ stamp, hex }), { minLength: 1, maxLength: 10, selector: (key) => key.stamp });
const some = keys.chain((list) => fc.tuple(fc.constant(list), fc.constantFrom(...list)));

const asRead = (list: readonly Key[], primary: Key) =>
  [primary, ...list.filter((key) => key.stamp !== primary.stamp)].map((key) => [key.stamp, key.hex]);
const read = (text: string, reader: typeof signingKeys | typeof encryptionKeys = signingKeys) =>
  reader(text).keys.map((key) => [key.kid, Buffer.from(key.bytes()).toString("hex")]);

describe("the text of a keyset", () => {
  it("is read back as its keys, the active one first, for the one use that it has", () => {
    fc.assert(
      fc.property(some, ([list, primary]) => {
        expect(read(keySetText("signing-keyset", list, primary.stamp))).toEqual(asRead(list, primary));
        const text = keySetText("encryption-keyset", list, primary.stamp);
        expect(read(text, encryptionKeys)).toEqual(asRead(list, primary));
        expect(() => signingKeys(text)).toThrow(/is not of kty oct, alg HS256 and use sig/);
      }),
    );
  });

  it("is a JWK Set with one member more, and fits a Worker's secret with as many keys as config takes", () => {
    const list = Array.from({ length: 10 }, (_, at) => ({ stamp: `2026-11-20.${9990 + at}`, hex: "ab".repeat(32) }));
    const text = keySetText("signing-keyset", list, "2026-11-20.9990");
    expect(JSON.parse(text)).toMatchObject({
      active: "2026-11-20.9990",
      keys: list.map((key) => ({ kid: key.stamp, kty: "oct", alg: "HS256", use: "sig" })),
    });
    const others = list.map((key, at) => ({ ...key, stamp: `2026-08-01.${9990 + at}` }));
    // Announced beside as many others.
    expect(unitedKeySets(text, keySetText("signing-keyset", others, ""), "").length).toBeLessThan(5120);
  });
});

describe("two sets together", () => {
  it("verify what either verifies, with the new key of a kid that both have, and sign with the one that is said", () => {
    fc.assert(
      fc.property(keys, some, (news, [olds, primary]) => {
        const kind = "signing-keyset";
        const text = unitedKeySets(
          keySetText(kind, news, news[0]?.stamp ?? ""),
          keySetText(kind, olds, ""),
          primary.stamp,
        );
        const all = [...news, ...olds.filter((old) => !news.some((one) => one.stamp === old.stamp))];
        const signs = all.find((key) => key.stamp === primary.stamp) ?? primary;
        expect(read(text)).toEqual(asRead(all, signs));
      }),
    );
  });
});
