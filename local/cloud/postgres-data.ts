/**
 * A data folder of PostgreSQL that every server begins with: initdb, and the admin role in it, cost ten times as much as a
 * server's start. It is made once for a machine, by the first that needs it, and copied for each.
 */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { promisify } from "node:util";
import { defaultCache } from "../engine";
import { withLock } from "../engine/lock";
import { type Binaries, postgresBinaries } from "./binaries";
import type { Login } from "./postgres";
import { supervisor } from "./supervise";

const SUPERUSER: Login = { user: "postgres", password: "of-the-prepared-data" };
const ADMIN: Login = { user: "rollover_admin", password: "of-the-prepared-data" };

/** The smallest that a log's file can be: a server of tests writes little, and all of it is copied. */
const INITDB = [
  ...["--username", SUPERUSER.user, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"],
  ...["--wal-segsize", "1"],
];

/** What a managed service gives its customer: facts/postgres-oauth-jws.md 1.7. A line is a statement. */
const SQL = `CREATE ROLE ${ADMIN.user} LOGIN CREATEROLE CREATEDB PASSWORD '${ADMIN.password}'
GRANT pg_signal_backend TO ${ADMIN.user}
ALTER ROLE ${ADMIN.user} SET createrole_self_grant = 'set, inherit'
`;

const PATIENCE_MS = 120_000;

/** Copies it to `data`; the passwords are the same in every copy. */
export async function copyOfPrepared(data: string): Promise<{ superuser: Login; admin: Login }> {
  // Keeps the owner, which is whom the server runs as.
  await promisify(execFile)("cp", ["-Rp", await prepared(), data]);
  return { superuser: SUPERUSER, admin: ADMIN };
}

let made: Promise<string> | undefined;

/** Its folder, made on first use. */
function prepared(): Promise<string> {
  made ??= prepare();
  return made;
}

async function prepare(): Promise<string> {
  const binaries = postgresBinaries();
  const recipe = JSON.stringify([binaries.version, binaries.ids, SUPERUSER, INITDB, SQL]);
  const name = createHash("sha256").update(recipe).digest("hex").slice(0, 16);
  const folder = path.join(defaultCache(), "postgres", name);
  if (fs.existsSync(folder)) return folder;
  return withLock(`${folder}.lock`, { timeoutMs: PATIENCE_MS }, async () => {
    if (!fs.existsSync(folder)) await initialise(binaries, folder);
    return folder;
  });
}

async function initialise({ bin, ids }: Binaries, folder: string): Promise<void> {
  // Made where the server's user may write, which the cache need not be.
  const root = fs.mkdtempSync(path.join(supervisor().dir, "initdb-"));
  const passwordFile = path.join(root, "password");
  fs.writeFileSync(passwordFile, SUPERUSER.password, { mode: 0o600 });
  if (ids) for (const file of [root, passwordFile]) fs.chownSync(file, ids.uid, ids.gid);
  const data = path.join(root, "data");
  const run = async (command: string, args: string[], input = ""): Promise<void> => {
    const launcher = supervisor().launcher(path.join(bin, command));
    const child = spawn(launcher, args, { ...ids, cwd: root, stdio: ["pipe", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    child.stdin.end(input);
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(`${command} failed (exit ${code ?? "none"}): ${said}`);
  };
  await run("initdb", ["--pgdata", data, "--pwfile", passwordFile, ...INITDB]);
  // Without a port and without a password: the server itself reads the statements.
  await run("postgres", ["--single", "-F", "-D", data, "postgres"], SQL);
  const partial = `${folder}.partial`;
  fs.rmSync(partial, { recursive: true, force: true });
  await promisify(execFile)("cp", ["-Rp", data, partial]);
  fs.renameSync(partial, folder);
  fs.rmSync(root, { recursive: true, force: true });
}
