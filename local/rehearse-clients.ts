/** What stands for a consumer's users in a rehearsal: where they ask, what they hold, and whether an old value still works. */
import { createHmac } from "node:crypto";
import { Client, DatabaseError } from "pg";
import type { LocalCloud, Need } from "./cloud";
import type { Conversation } from "./load";
import { tokenConversation } from "./token-load";
import { statusOf } from "./by-hand";

export const KINDS = ["random", "postgres", "signing-keys", "turso-token", "turso-invalidate"] as const;
export type Kind = (typeof KINDS)[number];

/** What config calls the credentials of a kind. */
export const CONFIG_KIND: Record<Kind, string> = {
  random: "random",
  postgres: "postgres",
  "signing-keys": "signing-keyset",
  "turso-token": "turso",
  "turso-invalidate": "turso",
};

/** The servers that a kind is rehearsed on. */
export const NEEDS: Record<Kind, readonly Need[]> = {
  random: ["workers"],
  postgres: ["postgres", "workers"],
  "signing-keys": ["workers"],
  "turso-token": ["turso", "workers"],
  "turso-invalidate": ["turso", "workers"],
};

/** Somebody who holds what the credential is at one time. */
export interface Holder {
  /** Sent with each request. */
  headers: Record<string, string>;
  /** Whether it is still let in. Throws where neither yes nor no is the answer. */
  isAccepted(): Promise<boolean>;
}

export interface Clients {
  /** A GET that needs the credential; anything but status 200 is a failure. */
  url: string;
  /** What each client asks instead, where one request depends on the answer before. */
  conversation?: () => Conversation;
  /** What the Worker has now; never shown. */
  value(): string | undefined;
  hold(): Promise<Holder>;
}

export const WORKER = "rounds-api";

export const clients: Record<Kind, (cloud: LocalCloud) => Clients> = {
  /** Users with a session that the Worker signed: let in as long as the key that signed it is current or previous. */
  random(cloud) {
    const url = `${cloud.workerUrl(WORKER)}session`;
    return {
      url,
      value: () => cloud.cloudflare.state(WORKER).secrets["SESSION_KEY"],
      async hold() {
        const { session } = (await (await fetch(url)).json()) as { session?: string };
        if (session === undefined) throw new Error("the Worker rounds-api signs no session: it has no SESSION_KEY");
        const headers = { "x-session": session };
        return {
          headers,
          async isAccepted() {
            return letIn("session", (await fetch(url, { headers })).status);
          },
        };
      },
    };
  },

  /** Users whose every request makes the Worker log in to Postgres; the value's holder is whoever has its URL. */
  postgres(cloud) {
    const value = () => cloud.cloudflare.state(WORKER).secrets["DATABASE_URL"];
    return {
      url: cloud.workerUrl(WORKER),
      value,
      hold() {
        const url = value();
        if (url === undefined) throw new Error("the Worker rounds-api has no DATABASE_URL");
        return Promise.resolve({ headers: {}, isAccepted: () => logsIn(url) });
      },
    };
  },

  /** Users who show at each request the token that the last one gave them; the value's holder has a token of its own that lasts. */
  "signing-keys"(cloud) {
    const url = cloud.workerUrl(WORKER);
    const primary = () => primaryOf(cloud.cloudflare.state(WORKER).secrets["JWT_KEYS"] ?? "{}");
    return {
      url,
      conversation: () => tokenConversation(url),
      value: () => primary().k,
      hold() {
        const headers = { authorization: `Bearer ${tokenOf(primary())}` };
        return Promise.resolve({
          headers: {},
          async isAccepted() {
            return letIn("token", (await fetch(`${url}v1/rounds/next`, { method: "POST", headers })).status);
          },
        });
      },
    };
  },

  "turso-token": turso,
  "turso-invalidate": turso,
};

/** Users whose every request makes the Worker ask its Turso database; the value's holder is whoever has the token. */
function turso(cloud: LocalCloud): Clients {
  const value = () => cloud.cloudflare.state(WORKER).secrets["TURSO_AUTH_TOKEN"];
  return {
    url: `${cloud.workerUrl(WORKER)}turso`,
    value,
    hold() {
      const token = value();
      if (token === undefined) throw new Error("the Worker rounds-api has no TURSO_AUTH_TOKEN");
      return Promise.resolve({
        headers: {},
        async isAccepted() {
          return letIn("token", await statusOf(cloud, token));
        },
      });
    },
  };
}

function letIn(what: string, status: number): boolean {
  if (status !== 200 && status !== 401) throw new Error(`a ${what} was answered with status ${status}`);
  return status === 200;
}

/** Wrong password, no such login, login blocked: https://www.postgresql.org/docs/18/errcodes-appendix.html, class 28. */
async function logsIn(connectionString: string): Promise<boolean> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 10_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (error instanceof DatabaseError && error.code?.startsWith("28")) return false;
    // Some messages of the driver repeat the URL.
    throw new Error("Postgres answered the old login with neither yes nor no");
  } finally {
    await client.end().catch(() => undefined);
  }
}

interface Key {
  kid: string;
  /** Base64url of its bytes. */
  k: string;
}

/** The key that a keyset, as it is delivered, signs with. */
export function primaryOf(text: string): Key {
  const { active, keys = [] } = JSON.parse(text) as { active?: string; keys?: Key[] };
  const key = keys.find(({ kid }) => kid === active);
  if (!key) throw new Error("the Worker rounds-api has no JWT_KEYS with a primary");
  return key;
}

/** A token of an hour, past the Worker: RFC 7515, section 3.1. */
export function tokenOf(key: Key): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: "HS256", typ: "JWT", kid: key.kid })}.${part({ rid: "held", idx: 0, iat: now, exp: now + 3600 })}`;
  return `${signed}.${createHmac("sha256", Buffer.from(key.k, "base64url")).update(signed).digest("base64url")}`;
}
