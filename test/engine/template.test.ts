// Proves that `pulumi new` on a clone asks for what the template says, keeps secrets encrypted, and leaves a project whose stack
// previews and comes up with the answers, on the real engine and the local cloud, and that its commands work there. Not proven
// here: npm's own work (its place is taken by a link to node_modules), `pulumi new` of an address on the network.
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse, parseDocument } from "yaml";
import { type LocalCloud, startCloud } from "../../local/cloud";
import { type Engine, prepareEngine } from "../../local/engine";
import { must } from "../../local/scene";
import { Stack } from "../../local/stack";
import { tryLogin } from "./rounds";

const checkout = path.resolve(__dirname, "..", "..");
const LONGEST_MS = 120_000;
let dir: string;
let engine: Engine;
let cloud: LocalCloud;
let stack: Stack;
let project: string;

beforeAll(async () => {
  engine = await prepareEngine();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-template-"));
  project = path.join(dir, "credentials");
  // What a clone would hold once all of this checkout is committed.
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const files = execFileSync("git", list, { cwd: checkout, encoding: "utf8" }).split("\0");
  for (const name of files.filter((one) => one !== "" && fs.existsSync(path.join(checkout, one))))
    fs.cpSync(path.join(checkout, name), path.join(dir, "clone", name));
  cloud = await startCloud({ logDir: dir, needs: ["postgres", "workers"] });
  fs.mkdirSync(project);
  stack = new Stack(engine, { cwd: project, stack: "first", dir });
});
afterAll(async () => {
  await cloud.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

it("asks, and makes a project with an encrypted stack file", async () => {
  const { postgres, cloudflare } = cloud;
  const objects = Object.entries({ host: postgres.host, username: postgres.admin.user, sslmode: "disable" }).map(
    ([key, value]) => `rollover:postgres.${key}=${value}`,
  );
  const { code, printed } = await create(
    ["--stack", "first", "--config-path", ...objects.flatMap((one) => ["--config", one])],
    [
      [/Project name.*\(rollover\)/, "acme-keys"],
      [/Project description/, ""],
      [/Cloudflare API token.*\(rollover:cloudflareApiToken\)/, cloudflare.token],
      [/Password of the PostgreSQL admin.*\(rollover:postgresPassword\)/, postgres.admin.password],
      [/written to a file.*\(rollover:production\)/, ""],
      [/Turso platform token.*\(rollover:tursoApiToken\)/, ""],
    ],
  );
  expect(printed).toContain('README.md, "The smallest stack"');
  expect(code).toBe(0);
  const text = fs.readFileSync(path.join(project, "Pulumi.first.yaml"), "utf8");
  for (const secret of [postgres.admin.password, cloudflare.token]) expect(text).not.toContain(secret);
  expect(parse(text)).toMatchObject({
    config: {
      "rollover:postgres": { host: postgres.host, username: postgres.admin.user },
      "rollover:postgresPassword": { secure: expect.stringMatching(/^v1:/) as string },
      "rollover:cloudflareApiToken": { secure: expect.stringMatching(/^v1:/) as string },
    },
  });
  expect(fs.readFileSync(path.join(project, "Pulumi.yaml"), "utf8")).not.toMatch(/^template:/m);
});

it("previews as it is, and comes up and rolls once a credential is in it", async () => {
  await must(stack.preview());
  const file = path.join(project, "Pulumi.first.yaml");
  const { cloudflare, workers } = cloud.config();
  const document = parseDocument(fs.readFileSync(file, "utf8"));
  const set = (key: string, value: unknown) => {
    document.setIn(["config", `rollover:${key}`], document.createNode(value));
  };
  document.setIn(["config", "rollover:postgres", "port"], cloud.postgres.port);
  set("cloudflare", cloudflare);
  set("workers", { "rounds-api": { ...workers["rounds-api"], settle: "0s" } });
  const deliver = [{ worker: "rounds-api", as: "DATABASE_URL" }];
  set("credentials", {
    "rounds-db": { kind: "postgres", database: "rounds", quiet: "0s", generations: ["2026-11-20"], deliver },
  });
  fs.writeFileSync(file, document.toString());
  await must(stack.up());
  const old = given();
  expect(await tryLogin(old)).toBe("rounds_db_20261120 as rounds_owner");

  const rotate = ["--require", "tsx/cjs", "operations/rotate.ts", "rounds-db", "--stack", "first"];
  execFileSync(process.execPath, rotate, { cwd: project, encoding: "utf8" });
  await must(stack.up());
  await must(stack.preview(["--expect-no-changes"]));
  expect(given()).not.toBe(old);
  expect(await tryLogin(given())).toMatch(/^rounds_db_\d{8} as rounds_owner$/);
  expect(await tryLogin(old)).toBe("rounds_db_20261120 as rounds_owner");
});

function given(): string {
  return cloud.cloudflare.state("rounds-api").secrets["DATABASE_URL"] ?? "";
}

/** `pulumi new` of the clone, which is given each answer when it has asked for it. */
function create(args: string[], answers: [RegExp, string][]): Promise<{ code: number; printed: string }> {
  const env = stack.env();
  const bin = path.join(dir, "bin");
  fs.mkdirSync(bin);
  const link = `#!/bin/sh\nln -s '${path.join(checkout, "node_modules")}' node_modules\n`;
  fs.writeFileSync(path.join(bin, "npm"), link, { mode: 0o755 });
  const all = ["new", path.join(dir, "clone"), "--dir", project, "--color", "never", ...args];
  const child = spawn(engine.pulumi, all, {
    cwd: dir,
    // A terminal is not needed: it asks on standard output then, and reads a line for each answer.
    env: { ...env, PATH: `${bin}${path.delimiter}${env["PATH"] ?? ""}`, PULUMI_TEST_INTERACTIVE: "true" },
    timeout: LONGEST_MS,
    killSignal: "SIGKILL",
  });
  let printed = "";
  let seen = 0;
  const heard = (text: string) => {
    printed += text;
    const [question, answer] = answers[0] ?? [];
    const found = question?.exec(printed.slice(seen));
    if (!found) return;
    seen = printed.length;
    answers.shift();
    child.stdin.write(`${answer ?? ""}\n`);
  };
  child.stdout.setEncoding("utf8").on("data", heard);
  child.stderr.setEncoding("utf8").on("data", heard);
  child.stdin.on("error", () => undefined); // it may have ended
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ code: code ?? -1, printed });
    });
  });
}
