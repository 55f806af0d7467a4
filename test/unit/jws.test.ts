// Proves which tokens a Worker accepts with the keys that Rollover delivers, why it refuses each other, and that no error
// holds a token or a key. Does not prove that it runs in workerd: test/provider/rounds-api.test.ts.
import fc from "fast-check";
import { CompactEncrypt, decodeJwt, decodeProtectedHeader, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import { dualKeys, type Keyset, sign, signingKeys, TokenError, verify } from "../../components/jws/worker";
import type { Key } from "../../components/rotation/key-texts";
import { keysOf, refused, signingText } from "./jws-keys";

const KEYS = keysOf("2026-11-20", "2026-08-01", "2026-05-01");
const { "2026-11-20": NEW, "2026-08-01": OLD, "2026-05-01": OLDEST } = KEYS;
const LIVE = signingKeys(signingText(NEW, OLD));
const TTL = { ttlSeconds: 120 };

const bytes = ({ hex }: Key): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(hex, "hex"));
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const now = (): number => Math.floor(Date.now() / 1000);
/** A token made past `sign`, with any header and payload. */
const forge = (header: { alg: string; kid?: string }, payload: JWTPayload, key: Key): Promise<string> =>
  new SignJWT({ iat: now(), exp: now() + 120, ...payload }).setProtectedHeader(header).sign(bytes(key));

afterEach(() => vi.useRealTimers());

describe("sign", () => {
  it("signs with the active key and names it", async () => {
    const began = now();
    const token = await sign(LIVE, { rid: "r", idx: 0, iat: 1, exp: 2 }, TTL);
    expect(decodeProtectedHeader(token)).toEqual({ alg: "HS256", typ: "JWT", kid: "2026-11-20" });
    const { iat = 0, exp, ...rest } = decodeJwt(token);
    expect(rest).toEqual({ rid: "r", idx: 0 });
    expect(iat).toBeGreaterThanOrEqual(began);
    expect(exp).toBe(iat + 120);
    expect(await verify(LIVE, token)).toEqual({ payload: { rid: "r", idx: 0, iat, exp }, kid: "2026-11-20" });
  });

  it("names no key where keys have no kid", async () => {
    const token = await sign(dualKeys(NEW.hex, OLD.hex), { rid: "r" }, TTL);
    expect(decodeProtectedHeader(token)).toEqual({ alg: "HS256", typ: "JWT" });
    expect(await verify(dualKeys(OLD.hex, NEW.hex), token)).toMatchObject({ payload: { rid: "r" }, kid: undefined });
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("refuses to sign for %d seconds", async (ttlSeconds) => {
    await expect(sign(LIVE, {}, { ttlSeconds })).rejects.toThrow(RangeError);
  });
});

describe("verify: which key", () => {
  it("accepts what any live key signed, before, while and after the active one changes", async () => {
    const before = await sign(signingKeys(signingText(OLD)), {}, TTL);
    const after = await sign(LIVE, {}, TTL);
    const announced = signingKeys(signingText(OLD, NEW));
    for (const keys of [announced, LIVE]) {
      expect((await verify(keys, before)).kid).toBe("2026-08-01");
      expect((await verify(keys, after)).kid).toBe("2026-11-20");
    }
  });

  it("refuses a kid that it does not know, though a key that it has made the token", async () => {
    expect(await refused(verify(LIVE, await forge({ alg: "HS256", kid: "2026-05-01" }, {}, NEW)))).toBe("unknown-key");
    expect(await refused(verify(LIVE, await sign(signingKeys(signingText(OLDEST)), {}, TTL)))).toBe("unknown-key");
    expect(await refused(verify(LIVE, await forge({ alg: "HS256", kid: "" }, {}, NEW)))).toBe("unknown-key");
    expect(await refused(verify(dualKeys(NEW.hex), await sign(LIVE, {}, TTL)))).toBe("unknown-key");
  });

  it.each(["__proto__", "constructor", "0", "../2026-11-20", "2026-11-20 "])("takes %j for no key", async (kid) => {
    expect(await refused(verify(LIVE, await forge({ alg: "HS256", kid }, {}, NEW)))).toBe("unknown-key");
  });

  it("holds a token against the key that it names and no other", async () => {
    expect(await refused(verify(LIVE, await forge({ alg: "HS256", kid: "2026-11-20" }, {}, OLD)))).toBe("signature");
    expect(await refused(verify(LIVE, await forge({ alg: "HS256", kid: "2026-08-01" }, {}, NEW)))).toBe("signature");
  });

  it("tries each key, the primary first, where the token names none", async () => {
    for (const [key, kid] of [
      [NEW, "2026-11-20"],
      [OLD, "2026-08-01"],
    ] as const)
      expect((await verify(LIVE, await forge({ alg: "HS256" }, {}, key))).kid).toBe(kid);
    expect(await refused(verify(LIVE, await forge({ alg: "HS256" }, {}, OLDEST)))).toBe("signature");
    // One key under two kids: the first in the order is the one that is reported.
    const twice = [{ ...OLD, stamp: "b" }, OLD] as const;
    expect((await verify(signingKeys(signingText(...twice)), await forge({ alg: "HS256" }, {}, OLD))).kid).toBe("b");
  });

  it("accepts the seed's tokens: HMAC with the secret's text, no kid", async () => {
    const claims = { rid: "550e8400-e29b-41d4-a716-446655440000", idx: 0, iat: now(), exp: now() + 120 };
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .sign(new TextEncoder().encode(OLD.hex));
    for (const keys of [dualKeys(OLD.hex), dualKeys(OLD.hex, NEW.hex), dualKeys(NEW.hex, OLD.hex)])
      expect((await verify(keys, token)).payload).toEqual(claims);
    expect(await refused(verify(dualKeys(NEW.hex), token))).toBe("signature");
  });

  it("uses a changed secret at once, and forgets the one before", async () => {
    const env = { JWT_KEYS: signingText(OLD) };
    const signed = await sign(signingKeys(env.JWT_KEYS), {}, TTL);
    await verify(signingKeys(env.JWT_KEYS), signed);
    // The same kid and another key: nothing may be kept by the kid.
    env.JWT_KEYS = signingText({ stamp: OLD.stamp, hex: NEW.hex });
    expect(await refused(verify(signingKeys(env.JWT_KEYS), signed))).toBe("signature");
    expect(await verify(signingKeys(env.JWT_KEYS), await sign(signingKeys(env.JWT_KEYS), {}, TTL))).toBeDefined();
  });

  it("verifies with each keyset that holds the key that signed, and with no other", async () => {
    const all = Object.values(keysOf("a", "b", "c", "d"));
    const sets = fc
      .subarray(all, { minLength: 1 })
      .chain((keys) => fc.shuffledSubarray(keys, { minLength: keys.length }));
    await fc.assert(
      fc.asyncProperty(sets, sets, fc.boolean(), fc.object({ maxDepth: 1 }), async (by, to, named, payload) => {
        const keyset = (list: Key[]): Keyset<"HS256"> => {
          const [first = OLD, ...rest] = list;
          if (named) return signingKeys(signingText(first, ...rest));
          return dualKeys(first.hex, rest[0]?.hex);
        };
        const token = await sign(keyset(by), payload, TTL);
        const accepted = (named ? to : to.slice(0, 2)).some(({ hex }) => hex === by[0]?.hex);
        const verified = await verify(keyset(to), token).then(
          () => "accepted",
          (error: unknown) => (error instanceof TokenError ? error.reason : error),
        );
        expect(verified).toBe(accepted ? "accepted" : named ? "unknown-key" : "signature");
      }),
    );
  });
});

describe("verify: what else it refuses", () => {
  it("refuses a token without signature, whatever else it says", async () => {
    const claims = part({ iat: now(), exp: now() + 120 });
    for (const alg of ["none", "None", "NONE", undefined])
      expect(await refused(verify(LIVE, `${part({ alg, kid: "2026-11-20" })}.${claims}.`))).toBe("algorithm");
    expect(await refused(verify(LIVE, `${part({ alg: "HS256", kid: "2026-11-20" })}.${claims}.`))).toBe("signature");
  });

  it("refuses other algorithms, also of the right key", async () => {
    const { privateKey } = await generateKeyPair("RS256");
    const claims = { iat: now(), exp: now() + 120 };
    const rsa = await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "2026-11-20" }).sign(privateKey);
    expect(await refused(verify(LIVE, rsa))).toBe("algorithm");
    const [, payload = "", signature = ""] = (await sign(LIVE, {}, TTL)).split(".");
    for (const alg of ["RS256", "ES256", "HS256 ", "hs256"])
      expect(await refused(verify(LIVE, `${part({ alg, kid: "2026-11-20" })}.${payload}.${signature}`))).toBe(
        "algorithm",
      );
    const hs512 = await new SignJWT(claims).setProtectedHeader({ alg: "HS512" }).sign(Buffer.alloc(64, NEW.hex));
    expect(await refused(verify(dualKeys(NEW.hex), hs512))).toBe("algorithm");
  });

  it("refuses a token whose payload or header was changed", async () => {
    const [header = "", , signature = ""] = (await sign(LIVE, { rid: "mine" }, TTL)).split(".");
    const other = part({ rid: "yours", iat: now(), exp: now() + 120 });
    expect(await refused(verify(LIVE, `${header}.${other}.${signature}`))).toBe("signature");
    const [, payload = ""] = (await sign(LIVE, {}, TTL)).split(".");
    const crit = part({ alg: "HS256", kid: "2026-11-20", crit: ["x"], x: 1 });
    expect(await refused(verify(LIVE, `${crit}.${payload}.${signature}`))).toBe("malformed");
  });

  it("refuses an expired token, to the second, unless clocks may differ", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: new Date("2026-11-20T12:00:00Z") });
    const token = await sign(LIVE, {}, TTL);
    vi.setSystemTime(new Date("2026-11-20T12:01:59Z"));
    await verify(LIVE, token);
    vi.setSystemTime(new Date("2026-11-20T12:02:00Z"));
    expect(await refused(verify(LIVE, token))).toBe("expired");
    await verify(LIVE, token, { clockToleranceSeconds: 1 });
    vi.setSystemTime(new Date("2026-11-20T12:02:01Z"));
    expect(await refused(verify(LIVE, token, { clockToleranceSeconds: 1 }))).toBe("expired");
  });

  it("says that a token has expired only where its signature is good", async () => {
    const past = { iat: now() - 300, exp: now() - 180 };
    expect(await refused(verify(LIVE, await forge({ alg: "HS256" }, past, OLD)))).toBe("expired");
    expect(await refused(verify(LIVE, await forge({ alg: "HS256" }, past, OLDEST)))).toBe("signature");
  });

  it("refuses a token that is not valid yet", async () => {
    const token = await forge({ alg: "HS256", kid: "2026-11-20" }, { nbf: now() + 60 }, NEW);
    expect(await refused(verify(LIVE, token))).toBe("not-yet-valid");
    await verify(LIVE, token, { clockToleranceSeconds: 61 });
  });

  it.each([
    ["no exp", { exp: undefined }],
    ["no iat", { iat: undefined }],
    ["a text as exp", { exp: "2100-01-01" }],
    ["a text as nbf", { nbf: "now" }],
  ])("refuses a token with %s", async (_what, change) => {
    const [header, payload] = [part({ alg: "HS256" }), part({ iat: now(), exp: now() + 120, ...change })];
    const key = await crypto.subtle.importKey("raw", bytes(NEW), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const signature = await crypto.subtle.sign("HMAC", key, Buffer.from(`${header}.${payload}`));
    expect(await refused(verify(LIVE, `${header}.${payload}.${Buffer.from(signature).toString("base64url")}`))).toBe(
      "malformed",
    );
  });

  it("refuses what is no token", async () => {
    const jwe = await new CompactEncrypt(Buffer.from("{}"))
      .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: "2026-11-20" })
      .encrypt(bytes(NEW));
    const good = await sign(LIVE, {}, TTL);
    const broken = [jwe, "", "x", "..", "a.b.c", `${good}.`, `${part([])}.e30.`, `${part("x")}.e30.`, "é.é.é"];
    for (const text of [...broken, undefined, null, 5, {}])
      expect(await refused(verify(LIVE, text as string))).toMatch(/^(malformed|algorithm)$/);
    expect(await refused(verify(LIVE, jwe))).toBe("malformed");
    expect(await refused(verify(LIVE, `${good}!`))).toBe("malformed");
    // Other texts of the same signature, which jose takes: whoever counts tokens by their text would count them apart.
    const others = [`${good} `, `${good}=`, `${good.slice(0, -3)} ${good.slice(-3)}`, good.replace(/.$/, nextInLine)];
    for (const other of others) expect(await refused(verify(LIVE, other)), other.slice(-4)).toBe("malformed");
  });

  it("throws nothing but TokenError whatever is given, and never repeats it", async () => {
    const good = (await sign(LIVE, { rid: "a-round" }, TTL)).split(".");
    const piece = fc.oneof(fc.constantFrom(...good), fc.base64String(), fc.json().map(part), fc.string());
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 4 }), async (pieces) => {
        const token = pieces.join(".");
        fc.pre(token !== good.join("."));
        const error: unknown = await verify(LIVE, token).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(TokenError);
        const { message, cause, stack = "" } = error as TokenError;
        expect(cause).toBeUndefined();
        for (const text of pieces.filter((one) => one.length > 12)) expect(message + stack).not.toContain(text);
        for (const { hex } of [NEW, OLD]) expect(JSON.stringify(error) + message + stack).not.toContain(hex);
      }),
    );
  });
});

/** The character after it in base64url's alphabet: of a last one, other bits that do not count. */
function nextInLine(last: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return alphabet.charAt(alphabet.indexOf(last) + 1);
}
