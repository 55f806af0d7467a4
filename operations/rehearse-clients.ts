/** What stands for a consumer's users in a rehearsal: where they ask, what they hold, and whether an old value still works. */
import { Client, DatabaseError } from "pg";
import type { LocalCloud } from "../test/cloud";
import { statusOf } from "./by-hand";

export const KINDS = ["random", "postgres", "turso-token", "turso-invalidate"] as const;
export type Kind = (typeof KINDS)[number];

/** What config calls the credentials of a kind. */
export const CONFIG_KIND: Record<Kind, string> = {
  random: "random",
  postgres: "postgres",
  "turso-token": "turso",
  "turso-invalidate": "turso",
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
            const { status } = await fetch(url, { headers });
            if (status !== 200 && status !== 401) throw new Error(`a session was answered with status ${status}`);
            return status === 200;
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
          const status = await statusOf(cloud, token);
          if (status !== 200 && status !== 401) throw new Error(`a token was answered with status ${status}`);
          return status === 200;
        },
      });
    },
  };
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
