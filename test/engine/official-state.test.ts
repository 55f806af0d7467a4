// Proves: with the stand-in plugins, the program that the official plugins ran makes no change on the states they wrote;
// run anew on a real Postgres, it makes the same operations, and puts the same inputs, outputs and secret marks in state
// at each step; the logins it makes work and die; a state of the official plugins can be carried on and destroyed.
// Does not prove: TLS, other inputs than the program has (test/provider/plugins.test.ts), or concurrent updates.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Client } from "pg";
import { parseDocument } from "yaml";
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
  let stack: Stack;
  beforeAll(async () => {
    stack = newStack("recorded", fs.readFileSync(path.join(PROGRAM, "Pulumi.rec.yaml"), "utf8"), {
      PULUMI_CONFIG_PASSPHRASE: "x",
    });
    await stack.init();
  });

  it.each([1, 2, 3, 4])(
    "make no change, as step %i left them; the step's program makes one on the state before",
    async (step) => {
      set(stack, { step });
      if (step > 1) expect((await stack.preview(["--expect-no-changes"])).code).not.toBe(0);
      await load(stack, step);
      official[step] = comparable(await stateOf(stack));
      const preview = await stack.preview(["--expect-no-changes"]);
      expect(preview).toMatchObject({ code: 0, stderr: "" });
      expect(preview.stdout).toContain(`${step === 4 ? 11 : 10} unchanged`);
    },
  );

  it("are carried on by the stand-ins, to the end", async () => {
    await load(stack, 3);
    const password = secretOf(await stateOf(stack), "RandomPassword::password", "result");
    await makeByHand(password);
    await useServer(stack, postgres.superuser, true);
    good(await stack.up());
    // The state's provider has moved to this server by now, which must be found as the state says.
    await isSettled(stack);
    expect(await login("os_login", password)).toBe("os_owner");
    good(await stack.destroy());
    expect(await leftovers()).toEqual([]);
  });
});

describe("the program run by the stand-ins as superuser", { timeout: 180 * SECONDS }, () => {
  ownServer();
  let stack: Stack;
  let passwords: string[];
  beforeAll(async () => {
    stack = await ownStack("superuser", postgres.superuser, true);
    passwords = [];
  });

  // That nothing is left to do after a step shows in the preview of the next: it has the recorded changes and no other.
  it.each([1, 2, 3, 4])("does in step %i what the official plugins did", async (step) => {
    set(stack, { step });
    const preview = good(await stack.preview(["--diff"]));
    expect(blocks(preview.stdout)).toEqual(blocks(recordedText(`step${step}.preview.txt`)));
    const up = good(await stack.up());
    expect(operations(up.stdout)).toEqual(operations(recordedText(`step${step}.up.txt`)));

    const state = await stateOf(stack);
    expect(comparable(state)).toEqual(official[step]);
    expect(Object.keys(comparable(state))).toHaveLength(step === 4 ? 12 : 11);

    const password = secretOf(state, "RandomPassword::password", "result");
    if (passwords.at(-1) !== password) passwords.push(password);
    expect(await login("os_login", password)).toBe("os_owner");
    expect(await login("os_reader", "fixed-reader-1")).toBe("os_reader");
  });

  it("replaced the password once, and the old one is refused", async () => {
    expect(passwords).toHaveLength(2);
    await expect(login("os_login", passwords[0] ?? "")).rejects.toMatchObject({ code: "28P01" });
  });

  it("finds on the server what stands in state", () => isSettled(stack));

  it("sees and repairs what was changed by hand", async () => {
    await postgres.query("ALTER ROLE os_login CONNECTION LIMIT 3 NOLOGIN");
    await postgres.query("REVOKE CONNECT ON DATABASE os_db FROM os_reader");
    good(await stack.refresh());
    const up = good(await stack.run(["up", "--yes", "--diff"]));
    expect(up.stdout).toMatch(/~ connectionLimit\s*: 3 => 20/);
    expect(up.stdout).toMatch(/~ login\s*: false => true/);
    await isSettled(stack);
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
  // Each statement as this admin, over the wire: test/provider/plugins.test.ts.
  it("does the same, all later steps in one update, to the end", async () => {
    const stack = await ownStack("admin", postgres.admin, false);
    set(stack, { step: 1 });
    const up = good(await stack.up());
    expect(operations(up.stdout)).toEqual(operations(recordedText("step1.up.txt")));
    const first = secretOf(await stateOf(stack), "RandomPassword::password", "result");
    expect(await login("os_login", first)).toBe("os_owner");
    set(stack, { step: 4 });
    good(await stack.up());
    const state = await stateOf(stack);
    expect(Object.keys(comparable(state)).sort()).toEqual(Object.keys(official[4] ?? {}).sort());
    await expect(login("os_login", first)).rejects.toMatchObject({ code: "28P01" });
    expect(await login("os_login", secretOf(state, "RandomPassword::password", "result"))).toBe("os_owner");
    await isSettled(stack);
    good(await stack.destroy());
    expect(await leftovers()).toEqual([]);
  });
});

/** The official state of each step, as far as it is compared. */
const official: Record<number, Record<string, unknown>> = {};

/** Puts the official state of a step into a stack. No server listens where it points. */
async function load(stack: Stack, step: number): Promise<void> {
  good(await stack.run(["stack", "import", "--file", path.join(RECORDED, `step${step}.state.json`)]));
}

/** Neither server nor program asks for a change. */
async function isSettled(stack: Stack): Promise<void> {
  good(await stack.preview(["--refresh", "--expect-no-changes"]));
}

async function ownStack(name: string, admin: LocalPostgres["admin"], superuser: boolean): Promise<Stack> {
  const stack = newStack(name, 'config:\n  official-state:step: "1"\n');
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

/** Plain config goes into the file: each `pulumi config set` is a start of the CLI. */
function set({ options: { configFile = "" } }: Stack, values: Record<string, unknown>): void {
  const document = parseDocument(fs.readFileSync(configFile, "utf8"));
  for (const [key, value] of Object.entries(values)) document.setIn(["config", `official-state:${key}`], String(value));
  fs.writeFileSync(configFile, document.toString());
}

async function useServer(stack: Stack, { user, password }: LocalPostgres["admin"], superuser: boolean): Promise<void> {
  const { host, port } = postgres;
  set(stack, { host, port, username: user, superuser });
  await stack.setConfig("password", password, { secret: true });
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
