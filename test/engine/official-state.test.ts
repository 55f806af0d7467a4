// Proves: with the stand-in plugins, the program that the official plugins ran makes no change on the states they wrote;
// run anew on a real Postgres, it makes the same operations, and puts the same inputs, outputs and secret marks in state
// at each step; the logins it makes work and die; a state of the official plugins can be carried on and destroyed.
// Does not prove: TLS, other inputs than the program has (test/provider/plugins.test.ts), or concurrent updates.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LocalPostgres } from "../../local/cloud/postgres";
import { startPostgres } from "../../local/cloud/postgres";
import type { Engine } from "../../local/engine";
import { prepareEngine } from "../../local/engine";
import type { Result } from "../../local/stack";
import { Stack } from "../../local/stack";
import { blocks, comparable, operations, resourcesOf, secretOf } from "./official-state";

const PROGRAM = path.join(__dirname, "../fixtures/official-state");
const RECORDED = path.join(PROGRAM, "states");
const SECONDS = 1000;

let engine: Engine;
let postgres: LocalPostgres;
let dir: string;
beforeAll(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "official-state-"));
  engine = await prepareEngine();
}, 900 * SECONDS);
afterAll(() => {
  fs.rmSync(dir, { recursive: true });
});

/** A server of one's own: role names are the program's, and a failed run must not spoil the next. */
function ownServer(): void {
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(() => postgres.stop());
}

describe("states that the official plugins wrote", { timeout: 180 * SECONDS }, () => {
  ownServer();
  it.each([1, 2, 3, 4])("make no change, as step %i left them", async (step) => {
    const stack = await recorded(step);
    const preview = await stack.preview(["--expect-no-changes"]);
    expect(preview).toMatchObject({ code: 0, stderr: "" });
    expect(preview.stdout).toContain(`${step === 4 ? 11 : 10} unchanged`);
  });

  it("show a difference as such: the next step's program is not unchanged", async () => {
    const stack = await importRecorded("changed", 1);
    await stack.setConfig("step", "2");
    expect((await stack.preview(["--expect-no-changes"])).code).not.toBe(0);
  });

  it("are carried on by the stand-ins, to the end", async () => {
    const stack = await importRecorded("carried-on", 3);
    const password = secretOf(await stateOf(stack), "RandomPassword::password", "result");
    await makeByHand(password);
    await useServer(stack, postgres.superuser, "true");
    await stack.setConfig("step", "4");
    good(await stack.up());
    // The state's provider has moved to this server by now, which must be found as the state says.
    good(await stack.run(["refresh", "--preview-only", "--expect-no-changes"]));
    expect(await login("os_login", password)).toBe("os_owner");
    good(await stack.preview(["--expect-no-changes"]));
    good(await stack.destroy());
    expect(await leftovers()).toEqual([]);
  });
});

describe("the program run by the stand-ins as superuser", { timeout: 180 * SECONDS }, () => {
  ownServer();
  let stack: Stack;
  let passwords: string[];
  beforeAll(async () => {
    stack = await ownStack("superuser", postgres.superuser, "true");
    passwords = [];
  });

  it.each([1, 2, 3, 4])("does in step %i what the official plugins did", async (step) => {
    await stack.setConfig("step", String(step));
    const preview = good(await stack.preview(["--diff"]));
    expect(blocks(preview.stdout)).toEqual(blocks(recordedText(`step${step}.preview.txt`)));
    const up = good(await stack.up());
    expect(operations(up.stdout)).toEqual(operations(recordedText(`step${step}.up.txt`)));

    const state = await stateOf(stack);
    expect(comparable(state)).toEqual(comparable(await stateOf(await recorded(step))));
    expect(Object.keys(comparable(state))).toHaveLength(step === 4 ? 12 : 11);
    good(await stack.preview(["--expect-no-changes"]));

    const password = secretOf(state, "RandomPassword::password", "result");
    if (passwords.at(-1) !== password) passwords.push(password);
    expect(await login("os_login", password)).toBe("os_owner");
    expect(await login("os_reader", "fixed-reader-1")).toBe("os_reader");
  });

  it("replaced the password once, and the old one is refused", async () => {
    expect(passwords).toHaveLength(2);
    await expect(login("os_login", passwords[0] ?? "")).rejects.toMatchObject({ code: "28P01" });
  });

  it("finds on the server what stands in state", async () => {
    good(await stack.run(["refresh", "--preview-only", "--expect-no-changes"]));
  });

  it("sees and repairs what was changed by hand", async () => {
    await postgres.query("ALTER ROLE os_login CONNECTION LIMIT 3 NOLOGIN");
    await postgres.query("REVOKE CONNECT ON DATABASE os_db FROM os_reader");
    good(await stack.refresh());
    const preview = good(await stack.preview(["--diff"]));
    expect(preview.stdout).toMatch(/~ connectionLimit\s*: 3 => 20/);
    expect(preview.stdout).toMatch(/~ login\s*: false => true/);
    good(await stack.up());
    good(await stack.preview(["--expect-no-changes"]));
    expect(await login("os_login", passwords[1] ?? "")).toBe("os_owner");
    const [granted] = (await postgres.query("SELECT has_database_privilege('os_reader', 'os_db', 'TEMPORARY')")).rows;
    expect(granted).toEqual({ has_database_privilege: true });
  });

  it("destroys what it made, as the official plugins did", async () => {
    const destroy = good(await stack.destroy());
    expect(operations(destroy.stdout)).toEqual(operations(recordedText("destroy.txt")));
    expect(await leftovers()).toEqual([]);
  });
});

describe("the program run by the stand-ins as an admin that is no superuser", { timeout: 180 * SECONDS }, () => {
  ownServer();
  it("does the same, to the end", async () => {
    const stack = await ownStack("admin", postgres.admin, "false");
    for (const step of [1, 2, 3, 4]) {
      await stack.setConfig("step", String(step));
      const up = good(await stack.up());
      expect(operations(up.stdout)).toEqual(operations(recordedText(`step${step}.up.txt`)));
      const password = secretOf(await stateOf(stack), "RandomPassword::password", "result");
      expect(await login("os_login", password)).toBe("os_owner");
    }
    good(await stack.preview(["--expect-no-changes"]));
    good(await stack.destroy());
    expect(await leftovers()).toEqual([]);
  });
});

/** The official state of a step, never changed. */
const imported = new Map<number, Promise<Stack>>();
function recorded(step: number): Promise<Stack> {
  const stack = imported.get(step) ?? importRecorded(`recorded-${step}`, step);
  imported.set(step, stack);
  return stack;
}

/** A stack that holds the official state of a step, with the config that made it. No server listens where it points. */
async function importRecorded(name: string, step: number): Promise<Stack> {
  const config = fs.readFileSync(path.join(PROGRAM, "Pulumi.rec.yaml"), "utf8");
  const stack = newStack(name, config.replace(/step: .*/, `step: "${step}"`), { PULUMI_CONFIG_PASSPHRASE: "x" });
  await stack.init();
  good(await stack.run(["stack", "import", "--file", path.join(RECORDED, `step${step}.state.json`)]));
  return stack;
}

async function ownStack(name: string, admin: LocalPostgres["admin"], superuser: string): Promise<Stack> {
  const stack = newStack(name, "");
  await stack.init();
  await useServer(stack, admin, superuser);
  return stack;
}

function newStack(name: string, config: string, env: NodeJS.ProcessEnv = {}): Stack {
  const own = path.join(dir, name);
  fs.mkdirSync(own);
  const configFile = path.join(own, "Pulumi.rec.yaml");
  fs.writeFileSync(configFile, config);
  return new Stack(engine, { cwd: PROGRAM, stack: "rec", configFile, dir: own, env });
}

async function useServer(stack: Stack, admin: LocalPostgres["admin"], superuser: string): Promise<void> {
  await stack.setConfig("host", postgres.host);
  await stack.setConfig("port", String(postgres.port));
  await stack.setConfig("username", admin.user);
  await stack.setConfig("password", admin.password, { secret: true });
  await stack.setConfig("superuser", superuser);
}

/** What the official plugins had made by step 3. */
async function makeByHand(password: string): Promise<void> {
  await postgres.query("CREATE ROLE os_owner");
  await postgres.query("CREATE ROLE os_reader LOGIN PASSWORD 'fixed-reader-1'");
  await postgres.query(`CREATE ROLE os_login LOGIN CONNECTION LIMIT 20 PASSWORD '${password}' IN ROLE os_owner`);
  await postgres.query("ALTER ROLE os_login SET ROLE TO os_owner");
  const locale = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'";
  await postgres.query(`CREATE DATABASE os_db OWNER os_owner ${locale}`);
  await postgres.query("GRANT CONNECT, TEMPORARY ON DATABASE os_db TO os_reader");
}

/** Logs in and answers who the session acts as. */
async function login(user: string, password: string): Promise<string | undefined> {
  const client = new Client({ host: postgres.host, port: postgres.port, user, password, database: "os_db" });
  try {
    await client.connect();
    return (await client.query<{ who: string }>("SELECT current_user AS who")).rows[0]?.who;
  } finally {
    await client.end();
  }
}

async function leftovers(): Promise<unknown[]> {
  const names = "SELECT rolname AS name FROM pg_roles UNION SELECT datname FROM pg_database";
  return (await postgres.query(`SELECT name FROM (${names}) all_names WHERE name LIKE 'os\\_%'`)).rows;
}

async function stateOf(stack: Stack) {
  return resourcesOf(JSON.stringify(await stack.revealState()));
}

function recordedText(name: string): string {
  return fs.readFileSync(path.join(RECORDED, name), "utf8");
}

function good(result: Result): Result {
  expect(result.code, `${result.stdout}${result.stderr}`).toBe(0);
  return result;
}
