// Proves that README.md is true where a reader would try it: each `sh` command, `sql` statement, `diff`, `yaml` and `ts` block is
// run as it stands, in a clone, on the real engine and the local cloud; a block that nothing runs fails. Proves too that
// Pulumi.prod.yaml, Pulumi.staging.yaml and Pulumi.dev.yaml are complete: they come up with only addresses, waits and secrets filled
// in, and without secrets the first says how to set them. Not proven here: the pages of docs (readme-*.test.ts), `npm run rehearse`
// and its figures (rehearse.test.ts), the workflows on GitHub, any vendor's real service.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { EVERYTHING, type LocalCloud, startCloud } from "../../local/cloud";
import { prepareEngine } from "../../local/engine";
import { cloneInto, Reader, Readme } from "../support/readme";
import { runSql } from "../../local/cloud/turso/client";
import { tryLogin } from "./rounds";

const root = path.resolve(__dirname, "..", "..");
const readme = new Readme();
/** Of the stack `prod`, the last of them its first update. */
const setUp = readme.commands(/^pulumi stack init prod/);
const refused = /^(28P01|28000)$/;
const PROD = "Pulumi.prod.yaml";
let dir: string;
let cloud: LocalCloud;
let reader: Reader;

beforeAll(async () => {
  const engine = await prepareEngine();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-readme-"));
  cloneInto(dir);
  fs.mkdirSync(path.join(dir, "worker"));
  fs.copyFileSync(path.join(root, "components/cloudflare/probe.ts"), path.join(dir, "worker/probe.ts"));
  const entry = path.join(dir, "worker/index.ts");
  fs.writeFileSync(entry, readme.take("ts", /rolloverProbe/));
  const databases = {
    rounds: { group: "production" },
    ...{ "staging-db": { group: "staging" }, "dev-db": { group: "development" } },
  };
  const scripts = { "rounds-api": { entry }, "rounds-api-staging": { entry } };
  cloud = await startCloud({ needs: EVERYTHING, cloudflare: { scripts }, turso: { databases } });
  reader = new Reader(dir, engine, cloud);
});

afterAll(async () => {
  await reader.run("pulumi stack unselect");
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
    const [init, setPassword, setToken, setTurso, setVault, preview] = setUp;
    fillIn(PROD);
    await ok(init);
    // Not as the page has it: without --secret.
    await ok("pulumi config set --stack prod cloudflareApiToken set-without-secret");
    const text = await reader.fails(preview);
    for (const name of ["postgresPassword", "tursoApiToken", "vaultToken"])
      expect(text).toContain(`pulumi config set --secret ${name}`);
    expect(text).toContain("rollover:cloudflareApiToken\n      stands in plain text");
    expect(text).not.toContain("set-without-secret");
    const secrets = [password, cloud.cloudflare.token, cloud.turso.platformToken, cloud.vault.token];
    for (const [at, command] of [setPassword, setToken, setTurso, setVault].entries()) await ok(command, secrets[at]);
    for (const secret of secrets) expect(reader.read(PROD)).not.toContain(secret);
    const shown = await ok(preview);
    expect(shown).toMatch(/PostgresLogin rounds-db@2026-11-20 create/);
    expect(shown).toMatch(/TursoToken rounds-turso@2026-11-20 create/);
    expect(shown).toMatch(/WorkerSecretSet rounds-api create/);
    expect([cloud.cloudflare.state("rounds-api").secrets, cloud.turso.events()]).toEqual([{}, []]);
  });

  it("has a smallest stack that previews", async () => {
    reader.write("Pulumi.small.yaml", readme.take("yaml", /rollover:postgres:/));
    fillIn("Pulumi.small.yaml");
    // The secrets of the other one, and the salt of its passphrase.
    const prod = parseDocument(reader.read(PROD));
    reader.edit("Pulumi.small.yaml", (small) => {
      for (const key of ["config.rollover:postgresPassword", "config.rollover:cloudflareApiToken", "encryptionsalt"])
        small.setIn(key.split("."), prod.getIn(key.split("."), true));
    });
    const preview = await ok("pulumi preview --stack prod --config-file Pulumi.small.yaml");
    expect(preview).toMatch(/PostgresLogin rounds-db@2026-11-20 create/);
    expect(preview).toMatch(/Role rounds-db-owner create/);
  });

  it("recovers from a killed update by its three commands", async () => {
    const up = setUp.at(-1);
    let kill: () => void = () => undefined;
    cloud.cloudflare.onCall(() => {
      kill();
    });
    expect((await reader.run(up, "", (end) => (kill = end))).code).not.toBe(0);
    cloud.cloudflare.onCall(undefined);
    expect(await reader.fails(up)).toContain("the stack is currently locked by");

    const [cancel, again, refresh] = readme.commands(/^pulumi cancel/);
    await ok(cancel);
    expect(await ok(again)).toContain("interrupted while creating");
    await ok(refresh);
    expect(await ok("pulumi preview --stack prod --expect-no-changes")).not.toContain("interrupted while creating");
    expect(await tryLogin(url())).toBe("rounds_20261120 as rounds_owner");
    const { secrets } = cloud.cloudflare.state("rounds-api");
    expect(Object.keys(secrets).sort()).toEqual([
      ...["DATABASE_URL", "JWT_KEYS", "ROLLOVER_GENERATIONS", "ROLLOVER_PROBE_TOKEN"],
      ...["SESSION_KEY", "SESSION_KEY_PREVIOUS", "TURSO_AUTH_TOKEN"],
    ]);
    expect(await runSql(cloud.turso, "rounds", secrets["TURSO_AUTH_TOKEN"] ?? "", "SELECT 1")).toBe(200);
    expect(cloud.vault.get("secret/rollover/rounds-signing/2026-11-20")).toHaveLength(1);
  });

  it("rotates, rolls back and retires, by commands that print its diffs, and takes over a live system on the way", async () => {
    const [rotate] = readme.commands(/^npm run rotate -- rounds-db --stack prod\n$/);
    const [rollback] = readme.commands(/^npm run rotate -- rounds-db --rollback --stack prod\n$/);
    const [retire] = readme.commands(/^npm run rotate -- rounds-db --retire --stack prod\n$/);
    const [plan, up] = readme.commands(/^npm run plan/);
    const old = url();
    expect(reader.changed(PROD, await ok(rotate))).toBe(readme.take("diff", /^\+ .*\["2026-12-01", "2026-11-20"\]$/m));
    const app = await adopt();
    expect(await ok(plan)).toContain(`**rolls** 2026-11-20 → ${reader.today(PROD)}`);
    await ok(up);
    expect(await tryLogin(url("SHOP_DATABASE_URL"))).toBe("shop_db_20261120 as app");
    expect(await tryLogin(app)).toBe("app as app");
    const current = url();
    expect(await tryLogin(current)).toBe(`rounds_${reader.today(PROD).replaceAll("-", "")} as rounds_owner`);
    expect(await tryLogin(old)).toBe("rounds_20261120 as rounds_owner");

    expect(reader.changed(PROD, await ok(rollback))).toBe(
      readme.take("diff", /^\+ .*\["2026-11-20", "2026-12-01"\]$/m),
    );
    await ok(up);
    expect(url()).toBe(old);

    await ok(rollback); // forward again
    expect(reader.changed(PROD, await ok(retire))).toBe(readme.take("diff", /^\+ .*\["2026-12-01"\]$/m));
    reader.patch(PROD, readme.take("diff", /adopted/));
    await ok(up);
    expect(await tryLogin(app)).toMatch(refused);
    expect(await tryLogin(url("SHOP_DATABASE_URL"))).toBe("shop_db_20261120 as app");
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
    reader.patch(PROD, diff);
    reader.patch(PROD, readme.take("diff", /rollover:abandon/)); // for the end of this test
    await ok(readme.commands(/^npm run plan/)[1]);
    expect(await tryLogin(url())).toBe("rounds_20261202 as rounds_owner");
    expect(await tryLogin(old)).toMatch(refused);
  });

  it("delivers a token into a developer's env file, and no line of it to anybody else", async () => {
    fs.writeFileSync(path.join(dir, ".env.local"), "# mine\nPORT=8080\n");
    fillIn("Pulumi.dev.yaml");
    const before = cloud.cloudflare.state("rounds-api").secrets;
    const [init, setTurso, up] = readme.commands(/^pulumi stack init dev/);
    await ok(init);
    await ok(setTurso, cloud.turso.platformToken);
    await ok(up);
    expect(fs.statSync(path.join(dir, ".env.local")).mode & 0o777).toBe(0o600);
    const [, token = ""] =
      /^# mine\nPORT=8080\nTURSO_AUTH_TOKEN=["']?(ey[\w.-]+)["']?\n$/.exec(reader.read(".env.local")) ?? [];
    expect(await runSql(cloud.turso, "dev-db", token, "SELECT 1")).toBe(200);
    expect(await runSql(cloud.turso, "rounds", token, "SELECT 1")).toBe(401);
    expect(cloud.cloudflare.state("rounds-api").secrets).toEqual(before);
  });

  it("has a staging stack that comes up, whose token is no other environment's", async () => {
    fillIn("Pulumi.staging.yaml");
    await ok("pulumi stack init staging --secrets-provider passphrase");
    await ok("pulumi config set --stack staging --secret cloudflareApiToken", cloud.cloudflare.token);
    await ok("pulumi config set --stack staging --secret tursoApiToken", cloud.turso.platformToken);
    expect(await ok("pulumi up --stack staging")).toMatch(/WorkerSecretSet rounds-api-staging creat/);
    const { TURSO_AUTH_TOKEN: token = "" } = cloud.cloudflare.state("rounds-api-staging").secrets;
    expect(await runSql(cloud.turso, "staging-db", token, "SELECT 1")).toBe(200);
    expect(await runSql(cloud.turso, "rounds", token, "SELECT 1")).toBe(401);
  });

  it("destroys what `abandon` lets go, with the password of today, where a plain destroy takes that of the last update", async () => {
    const { TURSO_AUTH_TOKEN: token = "" } = cloud.cloudflare.state("rounds-api").secrets;
    await sql("ALTER ROLE rollover_admin PASSWORD 'another'");
    await ok(setUp[1], "another");
    expect(await reader.fails("pulumi destroy --stack prod")).toContain("password authentication failed for user");
    for (const command of readme.commands(/^pulumi destroy/)) await ok(command);
    expect(cloud.cloudflare.state("rounds-api").secrets).toEqual({});
    expect(await runSql(cloud.turso, "rounds", token, "SELECT 1")).toBe(200);
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
    expect(fs.readFileSync(path.join(root, "test/engine/rehearse.test.ts"), "utf8")).toContain("local/rehearse");
    const { scripts } = JSON.parse(reader.read("package.json")) as { scripts: Record<string, string> };
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
    const { quoted, unknown } = readme.unknownMessages(reader.printed);
    expect(quoted).toBeGreaterThan(8);
    expect(unknown).toEqual([]);
  });

  it("has no command, statement, diff or example that was not run", () => {
    expect(readme.untaken()).toEqual([]);
  });
});

/** Listed as not there yet. */
function isMarkedAsMissing(name: string): boolean {
  return new RegExp(`Not there yet:[^.]*npm run ${name}\\b`).test(readme.text.replaceAll("\n", " "));
}

function ok(command = "", input = ""): Promise<string> {
  return reader.ok(command, input);
}

/** Declares a login that is in use already, as the page does; its URL. */
async function adopt(): Promise<string> {
  const { host, port } = cloud.postgres;
  await sql("CREATE ROLE app LOGIN PASSWORD 'of-a-live-system'");
  await sql("CREATE DATABASE shop OWNER app");
  await sql(readme.take("sql", /GRANT app/));
  const lines = readme.take("yaml", /^ +adopted: app$/m).replace("existing: true", "existing: true\n    quiet: 300ms");
  const [head = "", ...declared] = lines.split("\n").map((line) => (line === "" ? line : `  ${line}`));
  reader.write(PROD, reader.read(PROD).replace(`${head}\n`, `${head}\n${declared.join("\n")}`));
  return `postgresql://app:of-a-live-system@${host}:${port}/shop`;
}

function live(): string[] {
  const stamps = parseDocument(reader.read(PROD)).getIn(["config", "rollover:credentials", "rounds-db", "generations"]);
  return (stamps as { toJSON(): string[] }).toJSON();
}

/** Besides the edge's, no wait that is there for clients. */
function fillIn(name: string): void {
  reader.fillIn(name);
  reader.edit(name, (document) => {
    const at = ["config", "rollover:credentials", "rounds-db"];
    if (document.hasIn(at)) document.setIn([...at, "quiet"], "300ms");
  });
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
