// Proves that README.md is true where a reader would try it: each `sh` command, `sql` statement, `diff`, `yaml` and `ts` block is
// run as it stands, in a clone, on the real engine and the local cloud, in the order of the file; a block that nothing runs fails.
// Filled in are only addresses, waits and today's stamps. Not proven here: `npm run rehearse` and its figures (rehearse.test.ts),
// the workflows on GitHub, any vendor's real service.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { type LocalCloud, startCloud } from "../cloud";
import { type Engine, prepareEngine } from "../support/engine";
import { cloneInto, patch, type Ran, Readme, shell } from "../support/readme";
import { tryLogin } from "./rounds";

const root = path.resolve(__dirname, "..", "..");
const readme = new Readme();
const refused = /^(28P01|28000)$/;
let dir: string;
let engine: Engine;
let cloud: LocalCloud;
/** All that the commands printed. */
let printed = "";

beforeAll(async () => {
  engine = await prepareEngine();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-readme-"));
  cloneInto(dir);
  for (const folder of ["backend", "worker"]) fs.mkdirSync(path.join(dir, folder));
  fs.copyFileSync(path.join(root, "components/cloudflare/probe.ts"), path.join(dir, "worker/probe.ts"));
  const entry = path.join(dir, "worker/index.ts");
  fs.writeFileSync(entry, readme.take("ts", /rolloverProbe/));
  cloud = await startCloud({ cloudflare: { scripts: { "rounds-api": { entry } } } });
});

afterAll(async () => {
  await run("pulumi stack unselect");
  await cloud.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

describe("README.md", () => {
  it("has a Worker that answers, with a probe that is not there without its token", async () => {
    expect(await (await fetch(cloud.workerUrl("rounds-api"))).text()).toBe("your Worker's own answer");
    expect((await fetch(cloud.probeUrl("rounds-api"))).status).toBe(404);
  });

  it("makes an admin that is no superuser, and a stack whose secrets are encrypted", async () => {
    await sql("DROP ROLE rollover_admin"); // the local cloud's own
    const statements = readme.take("sql", /CREATE ROLE rollover_admin/);
    await sql(statements);
    const password = /PASSWORD '(.*)'/.exec(statements)?.[1] ?? "";
    const [init, setPassword, setToken, preview] = readme.commands(/^pulumi stack init/);
    fillIn("Pulumi.prod.yaml");
    await ok(init);
    await ok(setPassword, password);
    await ok(setToken, cloud.cloudflare.token);
    expect(read("Pulumi.prod.yaml")).not.toContain(password);
    expect(read("Pulumi.prod.yaml")).not.toContain(cloud.cloudflare.token);
    expect(await ok(preview)).toMatch(/PostgresLogin rounds-db@2026-11-20 create/);
  });

  it("has a smallest stack that previews", async () => {
    write("Pulumi.small.yaml", readme.take("yaml", /rollover:postgres:/));
    fillIn("Pulumi.small.yaml");
    // The secrets of the other one, and the salt of its passphrase.
    const small = parseDocument(read("Pulumi.small.yaml"));
    const prod = parseDocument(read("Pulumi.prod.yaml"));
    for (const key of ["config.rollover:postgresPassword", "config.rollover:cloudflareApiToken", "encryptionsalt"])
      small.setIn(key.split("."), prod.getIn(key.split("."), true));
    write("Pulumi.small.yaml", small.toString());
    const preview = await ok("pulumi preview --stack prod --config-file Pulumi.small.yaml");
    expect(preview).toMatch(/PostgresLogin rounds-db@2026-11-20 create/);
    expect(preview).toMatch(/Role rounds-db-owner create/);
  });

  it("recovers from a killed update by its three commands", async () => {
    const up = readme.commands(/^pulumi stack init/)[4];
    let kill: () => void = () => undefined;
    cloud.cloudflare.onCall(() => {
      kill();
    });
    expect((await run(up, "", (end) => (kill = end))).code).not.toBe(0);
    cloud.cloudflare.onCall(undefined);
    const locked = await run(up);
    expect(locked.code, locked.all).not.toBe(0);
    expect(locked.all).toContain("the stack is currently locked by");

    const [cancel, again, refresh] = readme.commands(/^pulumi cancel/);
    await ok(cancel);
    expect(await ok(again)).toContain("interrupted while creating");
    await ok(refresh);
    expect(await ok("pulumi preview --stack prod --expect-no-changes")).not.toContain("interrupted while creating");
    expect(await tryLogin(url())).toBe("rounds_20261120 as rounds_owner");
  });

  it("rotates, rolls back and retires, by commands that print its diffs", async () => {
    const [rotate] = readme.commands(/^npm run rotate -- rounds-db --stack prod\n$/);
    const [rollback] = readme.commands(/^npm run rotate -- rounds-db --rollback --stack prod\n$/);
    const [retire] = readme.commands(/^npm run rotate -- rounds-db --retire --stack prod\n$/);
    const [plan, up] = readme.commands(/^npm run plan/);
    const old = url();
    expect(changed(await ok(rotate))).toBe(readme.take("diff", /^\+ .*\["2026-12-01", "2026-11-20"\]$/m));
    expect(await ok(plan)).toContain(`**rolls** 2026-11-20 → ${today()}`);
    await ok(up);
    const current = url();
    expect(await tryLogin(current)).toBe(`rounds_${today().replaceAll("-", "")} as rounds_owner`);
    expect(await tryLogin(old)).toBe("rounds_20261120 as rounds_owner");

    expect(changed(await ok(rollback))).toBe(readme.take("diff", /^\+ .*\["2026-11-20", "2026-12-01"\]$/m));
    await ok(up);
    expect(url()).toBe(old);

    await ok(rollback); // forward again
    expect(changed(await ok(retire))).toBe(readme.take("diff", /^\+ .*\["2026-12-01"\]$/m));
    await ok(up);
    expect(url()).toBe(current);
    expect(await tryLogin(old)).toMatch(refused);
  });

  it("revokes at once, and by the short form", async () => {
    const leaked = url();
    for (const command of readme.commands(/--retire.*\npulumi up/)) await ok(command);
    expect(await tryLogin(leaked)).toMatch(refused);

    const old = url();
    expect(await tryLogin(old)).toMatch(/ as rounds_owner$/);
    // The example's first day is today; its second is taken as it is.
    const diff = readme.take("diff", /generation: /).replace("2026-12-01.2", live().join());
    write("Pulumi.prod.yaml", patch(read("Pulumi.prod.yaml"), diff));
    await ok(readme.commands(/^npm run plan/)[1]);
    expect(await tryLogin(url())).toBe("rounds_20261202 as rounds_owner");
    expect(await tryLogin(old)).toMatch(refused);
  });

  it("takes over a live system", async () => {
    const { host, port } = cloud.postgres;
    const app = `postgresql://app:of-a-live-system@${host}:${port}/shop`;
    await sql("CREATE ROLE app LOGIN PASSWORD 'of-a-live-system'");
    await sql("CREATE DATABASE shop OWNER app");
    await sql(readme.take("sql", /GRANT app/));
    const lines = readme
      .take("yaml", /^ +adopted: app$/m)
      .replace("existing: true", "existing: true\n    quiet: 300ms");
    const [head = "", ...declared] = lines.split("\n").map((line) => (line === "" ? line : `  ${line}`));
    write("Pulumi.prod.yaml", read("Pulumi.prod.yaml").replace(`${head}\n`, `${head}\n${declared.join("\n")}`));
    await ok("pulumi up --stack prod");
    expect(await tryLogin(url("SHOP_DATABASE_URL"))).toBe("shop_db_20261120 as app");
    expect(await tryLogin(app)).toBe("app as app");

    write("Pulumi.prod.yaml", patch(read("Pulumi.prod.yaml"), readme.take("diff", /adopted/)));
    await ok("pulumi up --stack prod");
    expect(await tryLogin(app)).toMatch(refused);
    expect(await tryLogin(url("SHOP_DATABASE_URL"))).toBe("shop_db_20261120 as app");
  });

  it("destroys with the password of today, where a plain destroy takes that of the last update", async () => {
    const [, setPassword] = readme.commands(/^pulumi stack init/);
    await sql("ALTER ROLE rollover_admin PASSWORD 'another'");
    await ok(setPassword, "another");
    const plain = await run("pulumi destroy --stack prod");
    expect(plain.code).not.toBe(0);
    expect(plain.all).toContain("password authentication failed for user");
    for (const command of readme.commands(/^pulumi destroy/)) await ok(command);
    expect(cloud.cloudflare.state("rounds-api").secrets).toEqual({});
    const { rows } = await cloud.postgres.query(
      "SELECT rolname FROM pg_roles WHERE rolname ~ '^(rounds|shop)_' ORDER BY 1",
    );
    expect(rows).toEqual([{ rolname: "rounds_owner" }]);
  });

  it("promises of CI what CI runs", () => {
    const [rehearse, test] = [readme.commands(/npm run rehearse/), readme.commands(/npm test/)];
    expect([rehearse, test]).toEqual([["npm ci && npm run rehearse"], ["npm ci && npm test"]]);
    const ci = fs.readFileSync(path.join(root, ".ci/run"), "utf8");
    expect(ci).toMatch(/^npm ci /m);
    expect(ci).toMatch(/^npm test /m);
    expect(fs.readFileSync(path.join(root, "test/engine/rehearse.test.ts"), "utf8")).toContain("operations/rehearse");
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const named = [...readme.text.matchAll(/npm run (?:--silent )?([a-z]+)/g)].map(([, name = ""]) => name);
    expect(named.filter((name) => !(name in scripts) && !isMarkedAsMissing(name))).toEqual([]);
  });

  it("names every setting of the workflows", () => {
    const folder = path.join(root, ".github/workflows");
    const text = fs.readdirSync(folder).map((name) => fs.readFileSync(path.join(folder, name), "utf8"));
    const settings = text.join("\n").matchAll(/(?:secrets|vars)\.(\w+)|^ +environment: (\S+)$/gm);
    const names = [...new Set([...settings].map(([, setting, environment]) => setting ?? environment ?? ""))];
    expect(names.length).toBeGreaterThan(3);
    expect([...names, ...fs.readdirSync(folder)].filter((name) => !readme.text.includes(`\`${name}\``))).toEqual([]);
  });

  it("quotes messages that exist", () => {
    const [, table = ""] = readme.text.split("| You see");
    const quoted = table
      .split("\n\n")[0]
      ?.split("\n")
      .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([^`]+ [^`]+)`/g)].map(([, text = ""]) => text));
    const sources = fs
      .readdirSync(path.join(root, "components"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => path.join("components", name))
      .concat("index.ts")
      .map((name) => fs.readFileSync(path.join(root, name), "utf8"));
    expect(quoted?.length).toBeGreaterThan(8);
    expect(quoted?.filter((text) => ![printed, ...sources].some((source) => source.includes(text)))).toEqual([]);
  });

  it("has no command, statement, diff or example that was not run", () => {
    expect(readme.untaken()).toEqual([]);
  });
});

/** Listed as not there yet. */
function isMarkedAsMissing(name: string): boolean {
  return new RegExp(`Not there yet:[^.]*npm run ${name}\\b`).test(readme.text.replaceAll("\n", " "));
}

async function run(command = "", input = "", started?: (kill: () => void) => void): Promise<Ran> {
  const env = {
    ...engine.env(),
    PULUMI_BACKEND_URL: `file://${path.join(dir, "backend")}`,
    PULUMI_CONFIG_PASSPHRASE: "of a test, protects nothing",
    PULUMI_SKIP_CONFIRMATIONS: "true", // the reader's `yes`
  };
  const result = await shell(command, { cwd: dir, env, input }, started);
  printed += result.all;
  return result;
}

/** Standard output of a command that must succeed. */
async function ok(command = "", input = ""): Promise<string> {
  const { code, out, all } = await run(command, input);
  if (code !== 0 || command === "") throw new Error(`\`${command}\` ended with ${code}:\n${all}`);
  return out;
}

/** The changed lines of a printed diff, with the README's day for today. */
function changed(output: string): string {
  const lines = output.split("\n").filter((line) => /^[-+] /.test(line));
  return `${lines.join("\n")}\n`.replaceAll(today(), "2026-12-01");
}

/** The day that `npm run rotate` has added; that of the clock may have changed since. */
function today(): string {
  const list = read("Pulumi.prod.yaml").match(/\d{4}-\d\d-\d\d/g) ?? [];
  return list.filter((stamp) => stamp > "2026-11-20").sort()[0] ?? "";
}

function live(): string[] {
  const stamps = parseDocument(read("Pulumi.prod.yaml")).getIn([
    "config",
    "rollover:credentials",
    "rounds-db",
    "generations",
  ]);
  return (stamps as { toJSON(): string[] }).toJSON();
}

/** Addresses for the example's, and no wait that is there for the edge or for clients. */
function fillIn(name: string): void {
  const document = parseDocument(read(name));
  const { postgres, cloudflare, workers } = cloud.config();
  for (const [key, value] of Object.entries({ host: postgres.host, port: postgres.port, sslmode: postgres.sslmode }))
    document.setIn(["config", "rollover:postgres", key], value);
  document.setIn(["config", "rollover:cloudflare"], document.createNode(cloudflare));
  for (const [key, value] of Object.entries({ probe: workers["rounds-api"]?.probe, answers: 5, settle: "0s" }))
    document.setIn(["config", "rollover:workers", "rounds-api", key], value);
  document.setIn(["config", "rollover:credentials", "rounds-db", "quiet"], "300ms");
  write(name, document.toString());
}

/** What the Worker holds; TLS is off on loopback. */
function url(name = "DATABASE_URL"): string {
  const value = cloud.cloudflare.state("rounds-api").secrets[name];
  if (value === undefined) throw new Error(`the Worker holds no ${name}`);
  return value.replace("sslmode=verify-full", "sslmode=disable");
}

async function sql(statements: string): Promise<void> {
  await cloud.postgres.query(statements);
}

function read(name: string): string {
  return fs.readFileSync(path.join(dir, name), "utf8");
}

function write(name: string, text: string): void {
  fs.writeFileSync(path.join(dir, name), text);
}
