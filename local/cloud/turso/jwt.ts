/** JSON Web Tokens, signed as Turso signs them: https://datatracker.ietf.org/doc/html/rfc7519 */
import { createHmac, sign, verify, type KeyObject } from "node:crypto";

/** Ed25519, for databases. `claims` gets `iat`. */
export function signEdDsa(claims: object, privateKey: KeyObject): string {
  return join("EdDSA", claims, (text) => sign(null, Buffer.from(text), privateKey));
}

/**
 * The same token for a verifier whose clock is `days` behind this process's. Undefined where the private key did not sign it, or
 * it never expires: then it means the same to everybody.
 */
export function forClockBehind(token: string, days: number, { publicKey, privateKey }: Pair): string | undefined {
  const [head = "", body = "", signature = ""] = token.split(".");
  if (!verify(null, Buffer.from(`${head}.${body}`), publicKey, Buffer.from(signature, "base64url"))) return undefined;
  const { exp, ...claims } = JSON.parse(Buffer.from(body, "base64url").toString()) as { exp?: number };
  return exp === undefined ? undefined : signEdDsa({ ...claims, exp: exp - days * 86_400 }, privateKey);
}

interface Pair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** A shared secret, for who is his own verifier. `claims` gets `iat`. */
export function signHs256(claims: object, secret: Buffer): string {
  return join("HS256", claims, (text) => createHmac("sha256", secret).update(text).digest());
}

export function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

function join(alg: string, claims: object, signer: (text: string) => Buffer): string {
  const text = [
    { alg, typ: "JWT" },
    { iat: nowInSeconds(), ...claims },
  ]
    .map(encode)
    .join(".");
  return `${text}.${signer(text).toString("base64url")}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
