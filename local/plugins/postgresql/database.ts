/**
 * postgresql.Database. Outside any transaction, as Postgres wants it. A delete ends all sessions of the database and
 * drops it with everything in it.
 */
import type { Client } from "pg";
import type { ResourceType, Rule } from "../resource";
import type { Properties } from "../wire";
import { equal } from "../wire";
import { actingAs } from "./catalog";
import type { Server } from "./connection";
import { ident, literal } from "./connection";

const chosenOnce: Rule = { kind: "string", computed: true, replace: true };

const rules: Record<string, Rule> = {
  allowConnections: { kind: "boolean", initial: true, fill: true },
  alterObjectOwnership: { kind: "boolean", initial: false },
  connectionLimit: { kind: "number", initial: -1, fill: true },
  encoding: chosenOnce,
  isTemplate: { kind: "boolean", computed: true },
  lcCollate: chosenOnce,
  lcCtype: chosenOnce,
  name: { kind: "string", required: true },
  owner: { kind: "string", computed: true },
  tablespaceName: { kind: "string", computed: true },
  template: chosenOnce,
};

interface Database {
  name: string;
  owner?: string;
  template?: string;
  encoding?: string;
  lcCollate?: string;
  lcCtype?: string;
  tablespaceName?: string;
  isTemplate?: boolean;
  allowConnections: boolean;
  connectionLimit: number;
  alterObjectOwnership: boolean;
}

export function databaseType(server: Server): ResourceType {
  const read = async (name: string, olds: Properties): Promise<Properties | undefined> =>
    server.connected(`reading database "${name}"`, (client) => readDatabase(client, name, olds));
  const readBack = async (planned: Properties): Promise<Properties> => {
    const { name } = databaseOf(planned);
    const found = await read(name, planned);
    if (found === undefined) throw new Error(`Database "${name}" is gone right after it was written.`);
    return found;
  };

  return {
    token: "postgresql:index/database:Database",
    rules,
    generated: [],
    secrets: [],
    detailed: true,
    async create(planned) {
      const database = databaseOf(planned);
      await server.connected(`creating database "${database.name}"`, (client) =>
        actingAs(client, ownersOf(database), () => client.query(createStatement(database, server.username))),
      );
      return { id: database.name, outputs: { ...(await readBack(planned)), id: database.name } };
    },
    async update(olds, planned) {
      const [old, database] = [databaseOf(olds), databaseOf(planned)];
      await server.connected(`updating database "${database.name}"`, (client) => alter(client, olds, planned));
      const moved = database.owner !== undefined && database.owner !== old.owner && database.alterObjectOwnership;
      if (moved) await giveObjects(server, database, old.owner);
      return { ...(await readBack(planned)), id: database.name };
    },
    async delete(olds) {
      const database = databaseOf(olds);
      await server.connected(`dropping database "${database.name}"`, (client) =>
        actingAs(client, ownersOf(database), async () => {
          // Postgres drops no template.
          if (database.isTemplate) await client.query(`ALTER DATABASE ${ident(database.name)} IS_TEMPLATE false`);
          await client.query(`DROP DATABASE ${ident(database.name)} WITH (FORCE)`);
        }),
      );
    },
    async read(id, olds) {
      const found = await read(id, olds);
      return found && { ...found, id };
    },
  };
}

function databaseOf(values: Properties): Database {
  return values as unknown as Database;
}

function ownersOf(database: Database): string[] {
  return database.owner === undefined || database.owner === "" ? [] : [database.owner];
}

function createStatement(database: Database, admin: string): string {
  const option = (word: string, value: string | undefined, quote: (text: string) => string) =>
    value === undefined ? [] : [`${word} ${value.toUpperCase() === "DEFAULT" ? "DEFAULT" : quote(value)}`];
  return [
    `CREATE DATABASE ${ident(database.name)} OWNER ${ident(database.owner ?? admin)}`,
    ...option("TEMPLATE", database.template ?? "template0", ident),
    ...option("ENCODING", database.encoding ?? "UTF8", literal),
    ...option("LC_COLLATE", database.lcCollate, literal),
    ...option("LC_CTYPE", database.lcCtype, literal),
    ...option("TABLESPACE", database.tablespaceName, ident),
    `ALLOW_CONNECTIONS ${database.allowConnections} CONNECTION LIMIT ${database.connectionLimit}`,
    `IS_TEMPLATE ${database.isTemplate ?? false}`,
  ].join(" ");
}

async function alter(client: Client, olds: Properties, planned: Properties): Promise<void> {
  const [old, database] = [databaseOf(olds), databaseOf(planned)];
  const changed = (name: keyof Database): boolean => !equal(olds[name], planned[name]);
  const run = (what: string) => client.query(`ALTER DATABASE ${ident(database.name)} ${what}`);
  if (changed("name")) await client.query(`ALTER DATABASE ${ident(old.name)} RENAME TO ${ident(database.name)}`);
  const { owner } = database;
  if (changed("owner") && owner !== undefined && owner !== "") {
    await actingAs(client, [owner], () => run(`OWNER TO ${ident(owner)}`));
  }
  if (changed("tablespaceName")) await run(`SET TABLESPACE ${ident(database.tablespaceName ?? "pg_default")}`);
  if (changed("connectionLimit")) await run(`CONNECTION LIMIT = ${database.connectionLimit}`);
  if (changed("allowConnections")) await run(`ALLOW_CONNECTIONS ${database.allowConnections}`);
  if (changed("isTemplate")) await run(`IS_TEMPLATE ${database.isTemplate ?? false}`);
}

/** `REASSIGN OWNED` works in one database only, so in the one whose owner has changed. */
async function giveObjects(server: Server, database: Database, from: string | undefined): Promise<void> {
  const owner = database.owner;
  if (from === undefined || owner === undefined) return;
  const give = (client: Client) =>
    actingAs(client, [from, owner], () => client.query(`REASSIGN OWNED BY ${ident(from)} TO ${ident(owner)}`));
  await server.transaction(`giving the objects in "${database.name}"`, give, { database: database.name });
}

interface DatabaseRow {
  owner: string;
  encoding: string;
  lcCollate: string;
  lcCtype: string;
  tablespaceName: string;
  connectionLimit: number;
  allowConnections: boolean;
  isTemplate: boolean;
}

async function readDatabase(client: Client, name: string, olds: Properties): Promise<Properties | undefined> {
  const { rows } = await client.query<DatabaseRow>(
    `SELECT pg_get_userbyid(d.datdba)::text AS owner, pg_encoding_to_char(d.encoding)::text AS encoding,
       d.datcollate AS "lcCollate", d.datctype AS "lcCtype", t.spcname::text AS "tablespaceName",
       d.datconnlimit AS "connectionLimit", d.datallowconn AS "allowConnections", d.datistemplate AS "isTemplate"
     FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = $1`,
    [name],
  );
  if (rows[0] === undefined) return undefined;
  const kept = {
    alterObjectOwnership: olds["alterObjectOwnership"] ?? false,
    template: olds["template"] ?? "template0",
  };
  return { ...rows[0], ...kept, name };
}
