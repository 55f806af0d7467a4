import { randomBytes } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import { type Client, DatabaseError, escapeIdentifier, escapeLiteral } from "pg";
import type { ConsumerRecord } from "../credential";
import { sameInputs } from "../thin.provider";
import { type Admin, type Mark, markOf, readRole, requireServer, retire, type Retirement } from "./retire";
import { scramVerifier } from "./scram";
import { connectedRetrying, PostgresError, transaction } from "./sql";

/** What a login resource is declared with. */
export interface Inputs {
  /**
   * `login`: made, proven and dropped here. `inPlace`: made by the official Role, only proven here.
   * `adopted`: there before Rollover, known by name alone, blocked when it is retired.
   */
  mode: "login" | "inPlace" | "adopted";
  login: string;
  /** Where it is: `host:port`. */
  server: string;
  /** The role it acts as. */
  owner: string;
  database: string;
  /** Secret; empty for `adopted`. */
  password: string;
  /** This resource's URN: only a login that carries it is taken for ours. (Pulumi drops an input named `urn`.) */
  madeBy: string;
  /** The name under which consumers report it. */
  credential: string;
  /** Statements that must succeed, in a transaction that is rolled back. */
  checks: string[];
  current: boolean;
  /** Every login that config names for this owner, given to the current one alone; others under the owner are debt. */
  siblings: string[];
  /** Another text at each edit of the credential's list of logins, so that `update` sees to it that this one works. */
  edit: string;
  /** Consumers that can be asked before it is retired; secret for their tokens. */
  consumers: ConsumerRecord[];
  quietMs: number;
}

export interface Outputs extends Inputs {
  /** Random, public; stands in the login's comment, so that `delete` acts only on what this resource made. */
  tag: string;
  /** Logins that act as the owner and that no config names: revocation debt. */
  debts: string[];
}

type Crud = Omit<pulumi.dynamic.ResourceProvider<Inputs, Outputs>, "delete"> & {
  delete(id: string, props: Outputs): Promise<Retirement>;
};

/** CRUD of a Postgres login; see components/postgres/postgres-login.ts. */
export function postgresLogin(admin: Admin): Crud {
  const { server } = admin;
  return {
    diff(_id, olds, news) {
      const replaces = (["mode", "login", "owner", "madeBy", "password"] as const).filter(
        (key) => olds[key] !== news[key],
      );
      return Promise.resolve({ changes: replaces.length > 0 || !sameInputs(olds, news), replaces });
    },

    async create(news) {
      const tag = randomBytes(8).toString("hex");
      if (news.mode === "login") await createLogin(admin, news, { urn: news.madeBy, tag });
      else await requireRole(admin, news.login);
      if (news.mode !== "adopted") await prove(admin, news);
      return { id: `${news.login}:${tag}`, outs: { ...news, tag, debts: await findDebts(admin, news, "retiring") } };
    },

    async update(_id, olds, news) {
      const restored = await restore(admin, news, olds.tag);
      const moved = olds.server !== news.server || olds.database !== news.database;
      const becomes = news.current && (!olds.current || !sameInputs(olds.checks, news.checks));
      if ((restored || moved || becomes) && news.mode !== "adopted") await prove(admin, news);
      return { outs: { ...news, tag: olds.tag, debts: await findDebts(admin, news, olds.siblings) } };
    },

    async read(id, props) {
      if (!props) return {};
      requireServer(admin, props);
      const role = await connectedRetrying(server, admin.login, (client) => readRole(client, props.login));
      const ours = props.mode !== "login" || role?.mark?.tag === props.tag;
      if (!role?.canLogIn || !ours) return {}; // made again, or made able to log in again, by the next `up`
      return { id, props: { ...props, debts: await findDebts(admin, props, []) } };
    },

    async delete(_id, props) {
      // The official Role's: its next password, once proven, is the refusal of this one.
      if (props.mode === "inPlace") return { proven: false };
      return retire(admin, props, { urn: props.madeBy, tag: props.tag });
    },
  };
}

/** Creates the login, or takes over the one that a crashed `create` of this same resource left; in one transaction. */
async function createLogin({ server, login: adminLogin }: Admin, news: Inputs, mark: Mark): Promise<void> {
  const name = escapeIdentifier(news.login);
  const owner = escapeIdentifier(news.owner);
  await connectedRetrying(server, adminLogin, (client) =>
    transaction(client, async () => {
      const found = await readRole(client, news.login);
      if (found && found.mark?.urn !== news.madeBy) {
        throw new PostgresError(
          "other",
          `the role ${news.login} exists on ${server.host}:${server.port} and was not made by this resource; it was left untouched. ` +
            `Drop or rename it, or choose another \`login\` for ${news.credential}.`,
        );
      }
      const verifier = escapeLiteral(scramVerifier(news.password, news.madeBy));
      await client.query(`${found ? "ALTER" : "CREATE"} ROLE ${name} LOGIN INHERIT PASSWORD ${verifier}`);
      await client.query(`GRANT ${owner} TO ${name}`);
      // The owner's rights and ownership, whichever generation logs in (and again after DISCARD ALL of a pooler).
      await client.query(`ALTER ROLE ${name} SET role TO ${owner}`);
      await client.query(`COMMENT ON ROLE ${name} IS ${escapeLiteral(markOf(mark))}`);
    }),
  );
}

/**
 * Brings back a login that config names and a retirement took away, which then crashed and was taken back. One that somebody
 * blocked by hand stays blocked: that may be the answer to a leak.
 */
async function restore(admin: Admin, news: Inputs, tag: string): Promise<boolean> {
  if (news.mode === "inPlace") return false;
  const role = await connectedRetrying(admin.server, admin.login, (client) => readRole(client, news.login));
  const isRetiring = role?.mark?.isRetiring === true;
  if (role?.canLogIn && !isRetiring) return false;
  if (news.mode === "adopted" || (role && !isRetiring)) {
    admin.warn(
      `the login ${news.login} of ${news.credential} cannot log in, though config names it. It was left as it is: ` +
        `take it out of config, or bring it back (ALTER ROLE ... LOGIN, or \`pulumi refresh\` and \`pulumi up\`)`,
    );
    return false;
  }
  await createLogin(admin, news, { urn: news.madeBy, tag });
  return true;
}

/**
 * Logs in as the new login and runs the declared checks, rolled back: nobody gets a value that was not used for real. Begun
 * anew if the connection breaks, since nothing of it stays.
 */
async function prove({ server, login: admin, closed }: Admin, news: Inputs): Promise<void> {
  const login = { user: news.login, password: news.password, database: news.database };
  const proof = async (client: Client): Promise<void> => {
    await client.query("BEGIN");
    const { rows } = await client.query<{ name: string }>("SELECT current_user AS name");
    if (rows[0]?.name !== news.owner) {
      throw new PostgresError(
        "privilege",
        `the login ${news.login} acts as ${rows[0]?.name}, not as its owner ${news.owner}`,
      );
    }
    if (closed.includes(news.credential)) await requireClosed(client, news, admin.user);
    for (const check of news.checks) {
      // The extended protocol takes one statement only, so a check cannot end the transaction and go on.
      await client.query({ text: check, queryMode: "extended" } as { text: string }).catch((error: unknown) => {
        // A connection that broke, by itself or by the server's word, says nothing about the check.
        if (!(error instanceof DatabaseError) || error.code === "57P01") throw error;
        throw new PostgresError(
          "privilege",
          `the new login ${news.login} of ${news.credential} failed its check \`${check}\`: ${error.message}. ` +
            `Grant what is missing to ${news.owner}, then run the update again.`,
        );
      });
    }
    await client.query("ROLLBACK");
  };
  await connectedRetrying(server, login, proof).catch((error: unknown) => {
    if (!(error instanceof PostgresError)) throw error;
    throw new PostgresError(
      error.fault,
      `${news.credential} was not proven, so nothing was delivered. ${error.message}`,
    );
  });
}

/**
 * Refuses while everybody may connect to the database. Its REVOKE ends with a warning alone where the admin may not act as the owner:
 * where `createrole_self_grant` was not set when it made the owner, and before PostgreSQL 16, which has no such setting.
 * https://www.postgresql.org/docs/18/sql-revoke.html#SQL-REVOKE-NOTES
 */
async function requireClosed(client: Client, { database, owner }: Inputs, admin: string): Promise<void> {
  const { rows } = await client.query<{ isOpen: boolean }>(
    `SELECT has_database_privilege('public', current_database(), 'CONNECT, TEMPORARY') AS "isOpen"`,
  );
  if (rows[0]?.isOpen !== true) return;
  throw new PostgresError(
    "privilege",
    `the database ${database} is open to everybody: it could not be closed, since ${admin} may not act as its owner ${owner}. ` +
      `Run as a superuser: GRANT ${escapeIdentifier(owner)} TO ${escapeIdentifier(admin)}; ` +
      `REVOKE ALL ON DATABASE ${escapeIdentifier(database)} FROM PUBLIC; then run the update again.`,
  );
}

async function requireRole(admin: Admin, login: string): Promise<void> {
  const role = await connectedRetrying(admin.server, admin.login, (client) => readRole(client, login));
  if (!role)
    throw new PostgresError("missing", `the role ${login} does not exist on ${admin.server.host}:${admin.server.port}`);
}

/**
 * Logins that can act as the owner, by whatever way, and that neither config nor the one before it names. A `create` does not know
 * the one before: it leaves out what this credential's earlier generations made, which this same update retires, or state still lists.
 */
async function findDebts(admin: Admin, news: Inputs, before: string[] | "retiring"): Promise<string[]> {
  if (!news.current) return [];
  const members = (client: Client) =>
    client.query<{ name: string; comment: string | null }>(
      // Before PostgreSQL 16 every member may SET ROLE. Who may only administer the owner is no login of it.
      `SELECT login.rolname AS name, shobj_description(login.oid, 'pg_authid') AS comment
         FROM pg_roles login, pg_roles owner
        WHERE owner.rolname = $2 AND login.rolcanlogin AND NOT login.rolsuper AND login.rolname NOT IN ($1, current_user)
          AND (pg_has_role(login.oid, owner.oid, 'USAGE') OR pg_has_role(login.oid, owner.oid,
               CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END))
        ORDER BY 1`,
      [news.login, news.owner],
    );
  const { rows } = await connectedRetrying(admin.server, admin.login, members);
  const earlier = ` ${news.madeBy.slice(0, news.madeBy.lastIndexOf("@") + 1)}`;
  const isNamed = ({ name, comment }: { name: string; comment: string | null }) =>
    news.siblings.includes(name) ||
    admin.logins.includes(name) ||
    (before === "retiring" ? comment?.includes(earlier) === true : before.includes(name));
  return rows.filter((row) => !isNamed(row)).map(({ name }) => name);
}
