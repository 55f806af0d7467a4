/**
 * Shows and uses secrets.
 *
 * - `/secrets?names=A,B`: for each name the first 16 hex digits of the value's SHA-256, or null; no database.
 * - `/session`: 200 `{ ok, session }`, a session signed with SESSION_KEY; with the header `x-session` instead whether that
 *   session is good: signed with SESSION_KEY or SESSION_KEY_PREVIOUS 200, else 401. Without SESSION_KEY 500.
 */
import type { Env } from "./rounds-api";

/** A session is an id and its HMAC: who holds one notices when the key that signed it is no longer accepted. */
export async function session(env: Env, held: string | null): Promise<Response> {
  const { SESSION_KEY: current, SESSION_KEY_PREVIOUS: previous } = env;
  if (!current) return Response.json({ ok: false, code: "no-session-key" }, { status: 500 });
  if (held === null) {
    const id = crypto.randomUUID();
    return Response.json({
      ok: true,
      session: `${id}.${hex(await crypto.subtle.sign("HMAC", await key(current), bytes(id)))}`,
    });
  }
  const [id = "", signature = ""] = held.split(".");
  for (const text of [current, previous])
    if (text && (await crypto.subtle.verify("HMAC", await key(text), unhex(signature), bytes(id))))
      return Response.json({ ok: true });
  return Response.json({ ok: false, code: "unknown-session" }, { status: 401 });
}

function key(text: string): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bytes(text), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}

export async function digests(env: Env, names: string): Promise<Record<string, string | null>> {
  const found: Record<string, string | null> = {};
  for (const name of names.split(",")) {
    const value = env[name];
    found[name] = value === undefined ? null : await digest(value);
  }
  return found;
}

async function digest(text: string): Promise<string> {
  return hex((await crypto.subtle.digest("SHA-256", bytes(text))).slice(0, 8));
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function hex(buffer: ArrayBuffer): string {
  return [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unhex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
