import { setTimeout as pause } from "node:timers/promises";
import { type Client, escapeIdentifier, escapeLiteral } from "pg";
import type { AskConsumer, ConsumerRecord } from "../credential";
import type { PostgresServer } from "../rotation/model";
import type { Warn } from "../thin.provider";
import { connectedRetrying, type Login, PostgresError, transaction } from "./sql";

/** What a provider needs to act on the server: who it is there, whom to ask, and what may be left behind. */
export interface Admin {
  server: PostgresServer;
  login: Login;
  ask: AskConsumer;
  /** Every login that config names, of whatever credential. */
  logins: readonly string[];
  /** Names of credentials whose database is closed to everybody but its owner. */
  closed: readonly string[];
  /** Names of credentials and Workers that config says may be left behind. */
  abandon: readonly string[];
  /** Shows a line to the user during the update. */
  warn: Warn;
}

/** What stands in a login's comment: which resource made it, and which making of it this is. */
export interface Mark {
  urn: string;
  tag: string;
  /** A retirement has begun: the login is blocked or about to be. */
  isRetiring?: boolean;
}

/** The comment that carries a mark. */
export function markOf({ urn, tag, isRetiring }: Mark): string {
  return `rollover ${isRetiring ? "retiring " : ""}${tag} ${urn}`;
}

/** A role as the catalog has it; undefined if there is none of that name. */
export async function readRole(client: Client, name: string): Promise<{ canLogIn: boolean; mark?: Mark } | undefined> {
  const { rows } = await client.query<{ canLogIn: boolean; comment: string | null }>(
    `SELECT rolcanlogin AS "canLogIn", shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = $1`,
    [name],
  );
  const role = rows[0];
  if (!role) return undefined;
  const [, retiring, tag, urn] = /^rollover (retiring )?(\w+) (.+)$/.exec(role.comment ?? "") ?? [];
  return { canLogIn: role.canLogIn, ...(tag && urn ? { mark: { urn, tag, isRetiring: retiring !== undefined } } : {}) };
}

/**
 * Refuses where config has moved to another server since: the login is not there, but lives on where it was made.
 *
 * @throws PostgresError naming both servers.
 */
export function requireServer({ server }: Admin, made: { login: string; credential: string; server: string }): void {
  const now = `${server.host}:${server.port}`;
  if (made.server === now) return;
  throw new PostgresError(
    "other",
    `the login ${made.login} of ${made.credential} is on ${made.server}, but rollover:postgres names ${now}. It was left as it is. ` +
      "Name the old server again and run the update; change the server in an edit of its own, which takes no generation out.",
  );
}

/** A login that is to go. `orphan`: made by a call that crashed, so nobody ever got it. */
export interface Retired {
  mode: "login" | "inPlace" | "adopted" | "orphan";
  /** Where it was made: `host:port`. */
  server: string;
  login: string;
  owner: string;
  database: string;
  /** To prove the refusal with; empty where it is not known. */
  password: string;
  credential: string;
  consumers: readonly ConsumerRecord[];
  quietMs: number;
}

/** What a delete says of itself to whoever records it. */
export interface Retirement {
  /** The old password was tried, and refused. */
  proven: boolean;
}

/**
 * Withdraws a login, or refuses and changes nothing. Only a login that carries `mark` is touched (any, if adopted).
 * It refuses while a consumer reports this generation as current or gives no answer, and while sessions of it begin or are used; then it
 * blocks logins, ends the sessions, tries the old password and sees it refused, and drops the login. What an interrupted
 * call left half done is taken up where it is. An adopted login is blocked, not dropped, since it may own objects.
 *
 * @throws PostgresError saying which consumer or which sessions still use it; the login then works as before.
 */
export async function retire(admin: Admin, gone: Retired, mark: { urn: string; tag?: string }): Promise<Retirement> {
  const untried = { proven: false };
  requireServer(admin, gone);
  const role = await connectedRetrying(admin.server, admin.login, (client) => readRole(client, gone.login));
  if (!role) return untried;
  if (gone.mode !== "adopted" && !(await isOurs(admin, gone, role.mark, mark))) return untried;
  if (admin.abandon.includes(gone.credential)) {
    admin.warn(
      `abandoned: the login ${gone.login} of ${gone.credential} still works; config lists ${gone.credential} under abandon`,
      "left behind",
    );
    return untried;
  }
  if (role.canLogIn) {
    await askConsumers(admin, gone, mark.tag ?? "");
    const until = performance.now() + gone.quietMs;
    await connectedRetrying(admin.server, admin.login, (client) => watchSessions(client, gone, until));
  }
  await connectedRetrying(admin.server, admin.login, async (client) => {
    if (role.mark && gone.mode !== "adopted") {
      const comment = escapeLiteral(markOf({ ...role.mark, isRetiring: true }));
      await client.query(`COMMENT ON ROLE ${escapeIdentifier(gone.login)} IS ${comment}`);
    }
    await client.query(`ALTER ROLE ${escapeIdentifier(gone.login)} NOLOGIN`);
    await endSessions(client, gone.login);
  });
  const isTried = gone.password !== "";
  if (isTried && !(await isRefused(admin, gone))) {
    throw new PostgresError(
      "other",
      `the login ${gone.login} of ${gone.credential} still logs in after it was blocked`,
    );
  }
  if (gone.mode !== "adopted") await drop(admin, gone);
  return { proven: isTried };
}

/**
 * Whether the role of this name is the one that was made under `own`. If it was made again since, its maker retires it.
 * A role with a stranger's comment or none is left alone, but only if our password does not open it.
 */
async function isOurs(
  admin: Admin,
  gone: Retired,
  found: Mark | undefined,
  own: { urn: string; tag?: string },
): Promise<boolean> {
  if (found?.urn === own.urn) return own.tag === undefined || found.tag === own.tag;
  if (gone.password !== "" && !(await isRefused(admin, gone))) {
    throw new PostgresError(
      "other",
      `the login ${gone.login} of ${gone.credential} works, but its comment, by which it is known, was changed. It was left as it is. ` +
        `Block and drop it by hand (ALTER ROLE ... NOLOGIN), then run the update again.`,
    );
  }
  return false;
}

async function askConsumers(admin: Admin, gone: Retired, tag: string): Promise<void> {
  const isLeft = ({ worker }: ConsumerRecord) => admin.abandon.includes(worker);
  for (const { worker } of gone.consumers.filter(isLeft))
    admin.warn(
      `abandoned: the Worker ${worker} is not asked whether it still uses the login ${gone.login} of ${gone.credential}; config lists it under abandon`,
    );
  const asked = gone.consumers.filter((consumer) => !isLeft(consumer));
  const answers = await Promise.all(
    asked.map((consumer) => admin.ask(consumer, gone.credential, gone.mode === "adopted" ? undefined : tag)),
  );
  const problems = asked.flatMap(({ worker }, at) => {
    const held = answers[at];
    if (held?.state === "holds") return [`the Worker ${worker} still reports it as current`];
    if (held?.state === "silent") return [`the Worker ${worker} does not say what it holds (${held.why})`];
    return [];
  });
  if (problems.length > 0) {
    throw new PostgresError(
      "other",
      `the login ${gone.login} of ${gone.credential} was not withdrawn: ${problems.join("; ")}. It works as before. ` +
        "Bring the Worker to the current generation and run the update again, or list the Worker under rollover:abandon to leave it behind.",
    );
  }
}

/**
 * Of pg_stat_activity, what has logged in: neither the workers of a parallel query nor other processes of the server that act for a
 * role. Of sessions that the admin may not see the type is hidden too.
 * https://www.postgresql.org/docs/18/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
 */
export const LOGGED_IN = "coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')";

interface Session {
  pid: number;
  application: string;
  address: string;
  isNew: boolean;
  /** It is older, and a statement of it began: a pooler keeps its sessions while its clients come and go. */
  isUsed: boolean;
  /** The admin may not see when it began; it could be new. */
  isHidden: boolean;
}

/** Refuses if a session of this login begins, or is used, before `until`. Others that are open do not count: they are ended later. */
async function watchSessions(client: Client, gone: Retired, until: number): Promise<void> {
  const { rows: start } = await client.query<{ now: string }>("SELECT clock_timestamp()::text AS now");
  if (gone.mode === "orphan" && (await sessionsOf(client, gone.login)).length > 0) {
    throw new PostgresError(
      "in-use",
      `the login ${gone.login} of ${gone.credential} was thought forgotten, but is in use; it was left as it is`,
    );
  }
  while (performance.now() < until) {
    const sessions = await sessionsOf(client, gone.login, start[0]?.now);
    if (sessions.some(({ isHidden }) => isHidden)) {
      throw new PostgresError(
        "privilege",
        `the login ${gone.login} of ${gone.credential} was not withdrawn: the admin may not see when its sessions began. It works as before. ` +
          `Run GRANT ${gone.login} TO ${client.user} WITH INHERIT TRUE, then run the update again.`,
      );
    }
    const fresh = namesOf(sessions.filter(({ isNew }) => isNew));
    const used = namesOf(sessions.filter(({ isUsed }) => isUsed));
    if (fresh !== "" || used !== "") {
      const why = [
        ...(fresh === "" ? [] : [`somebody still logs in with it: ${fresh}`]),
        ...(used === "" ? [] : [`a session that was open already is still in use: ${used}`]),
      ];
      throw new PostgresError(
        "other",
        `the login ${gone.login} of ${gone.credential} was not withdrawn: ${why.join("; ")}. ` +
          "It works as before. Give that client the current generation (a pooler: its clients), then run the update again.",
      );
    }
    await pause(Math.min(10, gone.quietMs));
  }
}

/** `reports from 10.0.0.7`, each once. */
function namesOf(sessions: Session[]): string {
  const who = sessions.map(({ application, address }) => `${application || "(no application name)"} from ${address}`);
  return [...new Set(who)].join(", ");
}

async function sessionsOf(client: Client, login: string, since = "infinity"): Promise<Session[]> {
  const { rows } = await client.query<Session>(
    `SELECT pid, application_name AS application, coalesce(host(client_addr), 'local') AS address, backend_start > $2::timestamptz AS "isNew",
            backend_start <= $2::timestamptz AND query_start > $2::timestamptz AS "isUsed",
            backend_start IS NULL AS "isHidden"
       FROM pg_stat_activity WHERE usename = $1 AND ${LOGGED_IN}`,
    [login, since],
  );
  return rows;
}

async function endSessions(client: Client, login: string): Promise<void> {
  for (let attempt = 1; (await sessionsOf(client, login)).length > 0; attempt++) {
    if (attempt > 10)
      throw new PostgresError("in-use", `sessions of ${login} did not end; logins are blocked, the role stays`);
    await client.query("SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = $1", [login]);
  }
}

/** Tries the old password: dead means refused. */
async function isRefused(admin: Admin, gone: Retired): Promise<boolean> {
  const login = { user: gone.login, password: gone.password, database: gone.database };
  return connectedRetrying(admin.server, login, () => Promise.resolve(false)).catch((error: unknown) => {
    if (error instanceof PostgresError && (error.fault === "blocked" || error.fault === "password")) return true;
    throw error;
  });
}

async function drop(admin: Admin, gone: Retired): Promise<void> {
  const name = escapeIdentifier(gone.login);
  const run = (database: string, statements: string[]) =>
    connectedRetrying(admin.server, { ...admin.login, database }, (client) =>
      transaction(client, async () => {
        if (await readRole(client, gone.login)) for (const statement of statements) await client.query(statement);
      }),
    );
  try {
    await run(admin.login.database, [`DROP ROLE ${name}`]);
  } catch (error) {
    if (!(error instanceof PostgresError) || error.fault !== "in-use") throw error;
    // A client that left its owner by SET ROLE NONE made objects of its own: they are the owner's.
    await run(gone.database, [
      `REASSIGN OWNED BY ${name} TO ${escapeIdentifier(gone.owner)}`,
      `DROP OWNED BY ${name}`,
      `DROP ROLE ${name}`,
    ]);
  }
}
