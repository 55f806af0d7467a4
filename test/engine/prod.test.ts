// Proves that Pulumi.prod.yaml, Pulumi.staging.yaml and Pulumi.dev.yaml are complete: with only the servers' addresses and the
// secrets filled in, they preview and come up against the local cloud, and without the secrets the first says how to set them.
// It does not prove anything of a vendor's real service.
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { EVERYTHING } from "../../local/cloud";
import { must, type Scene, startScene } from "../../local/scene";
import { Stack } from "../../local/stack";
import { statusOf } from "./tokens";

const checkout = path.resolve(__dirname, "..", "..");
const stacks: Record<string, Stack> = {};
let scene: Scene;

beforeAll(async () => {
  scene = await startScene({
    needs: EVERYTHING,
    cloud: {
      cloudflare: { scripts: { "rounds-api": {}, "rounds-api-staging": {} } },
      turso: {
        databases: {
          rounds: { group: "production" },
          "staging-db": { group: "staging" },
          "dev-db": { group: "development" },
        },
      },
    },
  });
  for (const name of ["prod", "staging"]) stacks[name] = await stackOf(name, checkout);
  stacks["dev"] = await stackOf("dev", copyOfProgram());
});

afterAll(() => scene.end({ changes: "the stacks that came up are others than the scene's own" }));

it("says which secrets are missing and how to set them", async () => {
  const { code, stdout } = await stack("prod").preview();
  expect(code).not.toBe(0);
  expect(stdout).toContain("pulumi config set --secret postgresPassword");
  expect(stdout).toContain("pulumi config set --secret cloudflareApiToken");
  expect(stdout).toContain("pulumi config set --secret tursoApiToken");
  expect(stdout).toContain("pulumi config set --secret vaultToken");
});

it("refuses a secret that was set in plain text, without showing it", async () => {
  await stack("prod").setConfig("cloudflareApiToken", "set-without-secret");
  const { code, stdout, stderr } = await stack("prod").preview();
  expect(code).not.toBe(0);
  expect(stdout).toContain("rollover:cloudflareApiToken\n      stands in plain text");
  expect(stdout + stderr).not.toContain("set-without-secret");
});

it("previews and comes up with the secrets filled in", async () => {
  await fillSecrets("prod", ["postgresPassword", "cloudflareApiToken", "tursoApiToken", "vaultToken"]);
  const preview = await must(stack("prod").preview());
  expect(preview.stdout).toMatch(/PostgresLogin rounds-db@2026-11-20 create/);
  expect(preview.stdout).toMatch(/TursoToken rounds-turso@2026-11-20 create/);
  expect(preview.stdout).toMatch(/WorkerSecretSet rounds-api create/);
  expect(secrets("rounds-api")).toEqual({});
  expect(scene.cloud.turso.events()).toEqual([]);

  // The waits of production are not what is tried here.
  const file = stack("prod").options.configFile ?? "";
  fs.writeFileSync(
    file,
    fs.readFileSync(file, "utf8").replace("settle: 60s", "settle: 0s").replace("quiet: 60s", "quiet: 0s"),
  );
  await must(stack("prod").up());
  expect(Object.keys(secrets("rounds-api")).sort()).toEqual([
    "DATABASE_URL",
    "JWT_KEYS",
    "ROLLOVER_GENERATIONS",
    "ROLLOVER_PROBE_TOKEN",
    "SESSION_KEY",
    "SESSION_KEY_PREVIOUS",
    "TURSO_AUTH_TOKEN",
  ]);
  expect(await statusOf(scene, secrets("rounds-api")["TURSO_AUTH_TOKEN"] ?? "", "rounds")).toBe(200);
  expect(scene.cloud.vault.get("secret/rollover/rounds-signing/2026-11-20")).toHaveLength(1);
});

it("brings a staging stack up, whose token is no other environment's", async () => {
  await fillSecrets("staging", ["cloudflareApiToken", "tursoApiToken"]);
  const { stdout } = await must(stack("staging").preview());
  expect(stdout).toMatch(/WorkerSecretSet rounds-api-staging create/);
  await must(stack("staging").up());
  const { TURSO_AUTH_TOKEN: token = "" } = secrets("rounds-api-staging");
  expect(await statusOf(scene, token, "staging-db")).toBe(200);
  expect(await statusOf(scene, token, "rounds")).toBe(401);
});

it("brings a developer's stack up, whose token goes into an env file and to no Worker", async () => {
  await fillSecrets("dev", ["tursoApiToken"]);
  const before = secrets("rounds-api");
  await must(stack("dev").up());
  const file = path.join(stack("dev").options.cwd, ".env.local");
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  const [, token = ""] = /^TURSO_AUTH_TOKEN="?([^"\n]+)"?$/m.exec(fs.readFileSync(file, "utf8")) ?? [];
  expect(await statusOf(scene, token, "dev-db")).toBe(200);
  expect(await statusOf(scene, token, "rounds")).toBe(401);
  expect(secrets("rounds-api")).toEqual(before);
});

/** A stack of the project's own file, with the addresses of the local cloud. */
async function stackOf(name: string, cwd: string): Promise<Stack> {
  const dir = path.join(scene.dir, name);
  const configFile = path.join(dir, `Pulumi.${name}.yaml`);
  fs.mkdirSync(dir, { recursive: true });
  const document = parseDocument(fs.readFileSync(path.join(checkout, `Pulumi.${name}.yaml`), "utf8"));
  const { postgres, cloudflare, turso, vault, workers } = scene.cloud.config();
  const fill = (at: string[], values: Record<string, unknown>): void => {
    for (const [key, value] of Object.entries(values))
      if (document.hasIn(["config", ...at])) document.setIn(["config", ...at, key], value);
  };
  fill(["rollover:postgres"], { host: postgres?.host, port: postgres?.port, sslmode: postgres?.sslmode });
  fill(["rollover:cloudflare"], { ...cloudflare });
  fill(["rollover:turso"], { organization: turso?.organization, apiUrl: turso?.apiUrl });
  fill(["rollover:vault"], { ...vault });
  const script = document.getIn(["config", "rollover:workers", "rounds-api", "script"]);
  fill(["rollover:workers", "rounds-api"], { probe: workers[String(script)]?.probe });
  fs.writeFileSync(configFile, document.toString());
  const made = new Stack(scene.engine, { cwd, stack: name, configFile, dir });
  await made.init();
  return made;
}

/** The env file is written into the project's folder, which is not to be the checkout. */
function copyOfProgram(): string {
  const cwd = path.join(scene.dir, "dev", "program");
  fs.mkdirSync(cwd, { recursive: true });
  for (const name of ["Pulumi.yaml", "package.json", "tsconfig.json", "index.ts", "components"])
    fs.cpSync(path.join(checkout, name), path.join(cwd, name), { recursive: true });
  fs.symlinkSync(path.join(checkout, "node_modules"), path.join(cwd, "node_modules"));
  return cwd;
}

async function fillSecrets(name: string, keys: string[]): Promise<void> {
  for (const [key, value] of Object.entries(scene.cloud.config().secrets))
    if (keys.includes(key)) await stack(name).setConfig(key, value, { secret: true });
}

function stack(name: string): Stack {
  const found = stacks[name];
  if (!found) throw new Error(`no stack ${name}`);
  return found;
}

function secrets(script: string): Record<string, string> {
  return scene.cloud.cloudflare.state(script).secrets;
}
