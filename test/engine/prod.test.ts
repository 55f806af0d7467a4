// Proves that Pulumi.prod.yaml is complete: with only the servers' addresses and the two secrets filled in, it previews and comes up
// against the local cloud, and without the secrets it says how to set them. It does not prove anything of a vendor's real service.
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { must, type Scene, startScene } from "../support/scene";
import { Stack } from "../support/stack";

let scene: Scene;
let stack: Stack;

beforeAll(async () => {
  scene = await startScene();
  const dir = path.join(scene.dir, "prod");
  const configFile = path.join(dir, "Pulumi.prod.yaml");
  fs.mkdirSync(dir);
  const cwd = path.resolve(__dirname, "..", "..");
  const document = parseDocument(fs.readFileSync(path.join(cwd, "Pulumi.prod.yaml"), "utf8"));
  const { postgres, cloudflare, workers } = scene.cloud.config();
  for (const key of ["host", "port", "sslmode"] as const)
    document.setIn(["config", "rollover:postgres", key], postgres[key]);
  document.setIn(["config", "rollover:cloudflare"], cloudflare);
  document.setIn(["config", "rollover:workers", "rounds-api", "probe"], workers["rounds-api"]?.probe);
  fs.writeFileSync(configFile, document.toString());
  stack = new Stack(scene.engine, { cwd, stack: "prod", configFile, dir });
  await must(stack.init());
});

afterAll(() => scene.stop());

it("says which secrets are missing and how to set them", async () => {
  const { code, stdout } = await stack.preview();
  expect(code).not.toBe(0);
  expect(stdout).toContain("pulumi config set --secret postgresPassword");
  expect(stdout).toContain("pulumi config set --secret cloudflareApiToken");
});

it("refuses a secret that was set in plain text, without showing it", async () => {
  await stack.setConfig("cloudflareApiToken", "set-without-secret");
  const { code, stdout, stderr } = await stack.preview();
  expect(code).not.toBe(0);
  expect(stdout).toContain("rollover:cloudflareApiToken\n      stands in plain text");
  expect(stdout + stderr).not.toContain("set-without-secret");
});

it("previews and comes up with the secrets filled in", async () => {
  const { secrets } = scene.cloud.config();
  for (const [key, value] of Object.entries(secrets)) await stack.setConfig(key, value, { secret: true });
  const preview = await must(stack.preview());
  expect(preview.stdout).toMatch(/PostgresLogin rounds-db@2026-11-20 create/);
  expect(preview.stdout).toMatch(/WorkerSecretSet rounds-api create/);
  expect(Object.keys(scene.cloud.cloudflare.state("rounds-api").secrets)).toEqual([]);

  // The waits of production are not what is tried here.
  const file = stack.options.configFile ?? "";
  fs.writeFileSync(
    file,
    fs.readFileSync(file, "utf8").replace("settle: 60s", "settle: 0s").replace("quiet: 60s", "quiet: 0s"),
  );
  await must(stack.up());
  expect(Object.keys(scene.cloud.cloudflare.state("rounds-api").secrets).sort()).toEqual([
    "DATABASE_URL",
    "ROLLOVER_GENERATIONS",
    "ROLLOVER_PROBE_TOKEN",
    "SESSION_KEY",
    "SESSION_KEY_PREVIOUS",
  ]);
});
