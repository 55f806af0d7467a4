/** Who is logged in to Postgres by a login that the update will retire: asked once, read-only, and only where one is retired. */
import type { PostgresServer } from "../../components/rotation/model";
import { LOGGED_IN } from "../../components/postgres/retire";
import { connected, PostgresError } from "../../components/postgres/sql";
import { retiresLogin } from "./replaced";
import { nameOf, type Step } from "./shapes";

export interface LoginSessions {
  /** The credential. */
  name: string;
  /** Its stamp, or `adopted`. */
  stamp: string;
  login: string;
  /** Undefined where nobody could be asked: `unknown` says why. */
  sessions?: Session[];
  unknown?: string;
}

export interface Session {
  /** As the client names itself; "" where it does not, undefined where the admin may not see it. */
  application?: string;
  address?: string;
  count: number;
}

/** A login that is retired, and the `host:port` where it is. */
export interface Retiring {
  name: string;
  stamp: string;
  login: string;
  server: string;
}

/** Logins altered in place are not retired: their sessions go on. */
export function retiringIn(steps: Step[], abandoned: readonly string[]): Retiring[] {
  const retiring = steps.filter((step) => retiresLogin(step, abandoned));
  return retiring.flatMap(({ urn, oldState }) => {
    const { login, server, credential } = oldState?.inputs ?? {};
    if (typeof login !== "string" || typeof credential !== "string") return [];
    const stamp = nameOf(urn).slice(credential.length + 1);
    return [{ name: credential, stamp, login, server: typeof server === "string" ? server : "" }];
  });
}

/** @param password Asks for the admin's; undefined where it cannot be read. */
export async function readSessions(
  retiring: Retiring[],
  server: PostgresServer | string,
  password: () => Promise<string | undefined>,
): Promise<LoginSessions[]> {
  if (retiring.length === 0) return [];
  if (typeof server === "string") return retiring.map((one) => told(one, server));
  // The stack file may be a pull request's: the password goes to the server that state has for the login, and to no other.
  const here = `${server.host}:${server.port}`;
  const own = retiring.filter((one) => one.server === here);
  const found = own.length === 0 ? [] : await askWith(server, own, await password());
  return retiring.map((one) => {
    if (one.server !== here) {
      const where = one.server === "" ? "state does not say where it is" : `it is on ${one.server}`;
      return told(one, `${where}, and rollover:postgres names ${here}`);
    }
    if (typeof found === "string") return told(one, found);
    const sessions = found.filter(({ login }) => login === one.login).map(sessionOf);
    return { name: one.name, stamp: one.stamp, login: one.login, sessions };
  });
}

function told({ name, stamp, login }: Retiring, unknown: string): LoginSessions {
  return { name, stamp, login, unknown };
}

/** Or why they cannot be told. */
async function askWith(server: PostgresServer, own: Retiring[], password: string | undefined): Promise<Row[] | string> {
  if (password === undefined) return "rollover:postgresPassword cannot be read";
  try {
    return await ask(server, password, own);
  } catch (error) {
    if (error instanceof PostgresError) return error.message;
    throw error;
  }
}

interface Row {
  login: string;
  application: string | null;
  address: string | null;
  count: number;
}

function sessionOf({ application, address, count }: Row): Session {
  return { ...(application === null ? {} : { application }), ...(address === null ? {} : { address }), count };
}

async function ask(server: PostgresServer, password: string, retiring: Retiring[]): Promise<Row[]> {
  const { username: user, database } = server;
  return connected(server, { user, password, database }, async (client) => {
    await client.query("BEGIN READ ONLY");
    const { rows } = await client.query<Row>(
      // Of sessions that the admin may not see only the login is told.
      `SELECT usename AS login, application_name AS application, CASE WHEN backend_start IS NOT NULL THEN coalesce(host(client_addr), 'local') END AS address,
              count(*)::int AS count
         FROM pg_stat_activity WHERE usename = ANY($1) AND ${LOGGED_IN} GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3 LIMIT 200`,
      [retiring.map(({ login }) => login)],
    );
    return rows;
  });
}
