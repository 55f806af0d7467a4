/**
 * For tests of the Postgres login's CRUD: a real Postgres with an owner, a database and a table, the provider behind a proxy
 * that can cut its connection at any statement, and looks at what became of a login.
 */
import { Client } from "pg";
import { expect } from "vitest";
import type { Held } from "../../components/credential";
import { type Inputs, type Outputs, postgresLogin } from "../../components/postgres/postgres-login.provider";
import type { Admin } from "../../components/postgres/retire";
import { connected, PostgresError } from "../../components/postgres/sql";
import { type LocalPostgres, startPostgres } from "../../local/cloud/postgres";
import { type Gate, type PostgresProxy, startPostgresProxy } from "../../local/crash-proxy";
import { oneResource } from "../support/one-resource";

export type Logins = Awaited<ReturnType<typeof startLogins>>;

/** Starts the server. `gate` and `consumer` of what it returns decide what the proxy and the only consumer do. */
export async function startLogins() {
  const postgres: LocalPostgres = await startPostgres();
  const pass: Gate = () => Promise.resolve("pass");
  const now: { gate: Gate; consumer: Held; warnings: string[]; logins: string[]; closed: string[] } = {
    gate: pass,
    consumer: { state: "free" },
    warnings: [],
    logins: [],
    closed: [],
  };
  const proxy: PostgresProxy = await startPostgresProxy(postgres, (label, phase) => now.gate(label, phase));
  let counter = 0;

  function admin(port = proxy.port): Admin {
    const { user, password } = postgres.admin;
    return {
      server: { host: "127.0.0.1", port, database: "postgres", username: user, sslmode: "disable", superuser: false },
      login: { user, password, database: "postgres" },
      ask: () => Promise.resolve(now.consumer),
      logins: now.logins,
      closed: now.closed,
      abandon: [],
      warn: (line) => now.warnings.push(line),
    };
  }
  const provider = (port?: number) => postgresLogin(admin(port));
  const sql = (text: string, values?: unknown[]) => postgres.query(text, values, "rounds");

  /** A login of its own for each test. */
  function news(over: Partial<Inputs> = {}): Inputs {
    counter += 1;
    const login = `rounds_${String(counter).padStart(3, "0")}`;
    return {
      mode: "login",
      login,
      server: `127.0.0.1:${proxy.port}`,
      owner: "rounds_owner",
      database: "rounds",
      password: `Password0fNumber${String(counter).padStart(16, "0")}`,
      madeBy: `urn:pulumi:test::rollover::pulumi-nodejs:dynamic/postgres:PostgresLogin::rounds-db@${counter}`,
      credential: "rounds-db",
      checks: ["SELECT count(*) FROM rounds"],
      current: true,
      siblings: [login],
      edit: "1",
      consumers: [{ worker: "rounds-api", script: "rounds-api", url: "http://127.0.0.1:9/", token: "probe-token" }],
      quietMs: 50,
      ...over,
    };
  }
  const create = async (inputs: Inputs): Promise<Outputs> => (await provider().create(inputs)).outs as Outputs;
  /** A login that an engine has in state, updates of which begin with none. */
  const start = () => oneResource<Inputs, Outputs>(() => provider());
  /** What it says of itself to whoever records it. */
  async function remove(outs: Outputs): Promise<unknown> {
    return provider().delete(`${outs.login}:${outs.tag}`, outs);
  }

  /** As whom the login acts, or the SQLSTATE of the refusal. */
  async function acts({ login, password }: Pick<Inputs, "login" | "password">): Promise<string> {
    const client = new Client({ host: "127.0.0.1", port: postgres.port, user: login, password, database: "rounds" });
    try {
      await client.connect();
      return (await client.query<{ role: string }>("SELECT current_user AS role")).rows[0]?.role ?? "";
    } catch (error) {
      return (error as { code?: string }).code ?? String(error);
    } finally {
      await client.end();
    }
  }
  async function commentOf(login: string): Promise<unknown> {
    const text = "SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = $1";
    return (await sql(text, [login])).rows[0]?.comment;
  }
  async function exists(login: string): Promise<boolean> {
    return (await sql("SELECT FROM pg_roles WHERE rolname = $1", [login])).rows.length === 1;
  }
  async function rows(): Promise<unknown[]> {
    return (await sql("SELECT id FROM rounds ORDER BY 1")).rows;
  }

  /** The PostgresError that ends the work; its text must hold no password. */
  async function failure(work: Promise<unknown>): Promise<PostgresError> {
    const error = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof PostgresError)) throw new Error(`no PostgresError, but ${String(error)}`);
    expect(error.message).not.toContain(postgres.admin.password);
    expect(error.message).not.toMatch(/Password0f|SCRAM-SHA-256\$/);
    return error;
  }

  /** The mutating calls that the work makes, in order. */
  async function callsOf(work: () => Promise<unknown>): Promise<string[]> {
    const calls: string[] = [];
    now.gate = (label, phase) => {
      if (phase === "before") calls.push(label);
      return Promise.resolve("pass");
    };
    await work();
    return [...calls];
  }

  /** Cuts the connection once, at the n-th mutating call. Returns what was cut, when the work is done. */
  async function cutAt(
    at: number,
    when: "before" | "after",
    work: () => Promise<unknown>,
  ): Promise<string | undefined> {
    let seen = -1;
    let cut: string | undefined;
    now.gate = (label, phase) => {
      if (phase === "before") seen += 1;
      if (cut !== undefined || seen !== at || phase !== when) return Promise.resolve("pass");
      cut = label;
      return Promise.resolve("drop");
    };
    await work();
    return cut;
  }

  /** A session that stays open; `ended` is the SQLSTATE with which the server ended it. */
  async function openSession({ login, password }: Inputs): Promise<{ client: Client; ended: Promise<string> }> {
    const client = new Client({
      host: "127.0.0.1",
      port: postgres.port,
      user: login,
      password,
      database: "rounds",
      application_name: "pooler",
    });
    const ended = new Promise<string>((resolve) =>
      client.on("error", (error) => {
        resolve((error as { code?: string }).code ?? error.message);
      }),
    );
    await client.connect();
    await client.query("SELECT 1");
    return { client, ended };
  }

  const { server, login } = admin(postgres.port);
  for (const text of ["CREATE ROLE rounds_owner", "CREATE DATABASE rounds OWNER rounds_owner"])
    await connected(server, login, (client) => client.query(text));
  await sql("CREATE TABLE rounds (id int); ALTER TABLE rounds OWNER TO rounds_owner");

  return {
    postgres,
    proxy,
    now,
    admin,
    provider,
    sql,
    news,
    create,
    start,
    remove,
    acts,
    commentOf,
    exists,
    rows,
    failure,
    callsOf,
    cutAt,
    openSession,
    /** Before each test. */
    reset() {
      now.warnings = [];
      now.logins = [];
      now.closed = [];
      now.gate = pass;
      now.consumer = { state: "free" };
    },
    async stop() {
      await proxy.stop();
      await postgres.stop();
    },
  };
}
