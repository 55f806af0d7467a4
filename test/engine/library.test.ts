// Proves that somebody else's Pulumi program, of another project name and without Rollover's config schema, index.ts or commands, can
// install the package, declare a random secret, a Postgres role and their Worker, bring them up, roll them and destroy them, on
// the real engine. Not proven: an installation by npm itself (the package is copied as npm would unpack it), other kinds.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as ts from "typescript";
import { parseDocument, stringify } from "yaml";
import { type LocalCloud, startCloud } from "../../local/cloud";
import { prepareEngine } from "../../local/engine";
import { must } from "../../local/scene";
import { Stack } from "../../local/stack";
import { tryLogin } from "./rounds";

const checkout = path.resolve(__dirname, "..", "..");
const STATE_KEEPS = 'exports.handler=()=>require("rollover/components/loader.cjs")("PostgresLogin")';
const PROGRAM_FILES = ["Pulumi.yaml", "index.ts", "tsconfig.json"];
let dir: string;
let cloud: LocalCloud;
let stack: Stack;

beforeAll(async () => {
  const engine = await prepareEngine();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-library-"));
  const cwd = path.join(dir, "shop");
  fs.mkdirSync(cwd);
  for (const name of PROGRAM_FILES)
    fs.copyFileSync(path.join(checkout, "test/fixtures/library", name), path.join(cwd, name));
  // A file of its own, read after the package: it is still compiled as the program's first one was.
  fs.appendFileSync(path.join(cwd, "index.ts"), 'export { owner } from "./owner";\n');
  fs.writeFileSync(path.join(cwd, "owner.ts"), 'export const owner: string = "shop";\n');
  // Beside the example it would keep this checkout's compiler from knowing the package by its own name.
  fs.writeFileSync(path.join(cwd, "package.json"), JSON.stringify({ name: "shop", private: true, main: "index.ts" }));
  installInto(path.join(cwd, "node_modules"));
  cloud = await startCloud({ logDir: dir, needs: ["postgres", "workers"] });
  const { postgres, cloudflare, workers, secrets } = cloud.config();
  const config = {
    "shop:stamps": { "cart-key": ["2026-11-20"], "orders-db": ["2026-11-20"] },
    "shop:worker": { ...workers["rounds-api"], settle: "0s" },
    "shop:quiet": "300ms",
    "rollover:postgres": postgres,
    "rollover:cloudflare": cloudflare,
  };
  fs.writeFileSync(path.join(cwd, "Pulumi.test.yaml"), stringify({ config }));
  stack = new Stack(engine, { cwd, stack: "test", dir });
  await stack.init();
  const keys = Object.entries(secrets).map(([name, secret]) => [`rollover:${name}`, secret]);
  await stack.setSecrets(Object.fromEntries(keys) as typeof secrets);
});
afterAll(async () => {
  await cloud.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

it("brings up, rolls, leaves alone and destroys what another program declares", async () => {
  await must(stack.up());
  const old = secret("DATABASE_URL");
  expect(await tryLogin(old)).toBe("orders_db_20261120 as orders_owner");
  const { resources = [] } = (await stack.exportState()).deployment;
  const login = resources.find(({ type }) => type.endsWith(":PostgresLogin"));
  expect(login?.inputs?.["__provider"]).toBe(STATE_KEEPS);

  set(["shop:stamps", "orders-db"], ["2026-11-21", "2026-11-20"]);
  await must(stack.up());
  await must(stack.preview(["--expect-no-changes"]));
  expect(await tryLogin(secret("DATABASE_URL"))).toBe("orders_db_20261121 as orders_owner");
  expect(await tryLogin(old)).toBe("orders_db_20261120 as orders_owner");
  expect(await stack.outputs()).toEqual({
    owner: "shop",
    live: { "cart-key": ["2026-11-20"], "orders-db": ["2026-11-21", "2026-11-20"] },
  });

  set(["rollover:abandon"], ["shop"]);
  await must(stack.destroy());
  expect(await tryLogin(old)).toBe("28P01");
});

it("has its types for a program that resolves modules as Pulumi's template does", () => {
  // Not by the entry `exports` of package.json. TypeScript 5's default for CommonJS; TypeScript 6 calls it deprecated.
  const resolution = { module: "commonjs", moduleResolution: "node", ignoreDeprecations: "6.0" };
  const json = {
    strict: true,
    target: "es2022",
    esModuleInterop: true,
    skipLibCheck: true,
    types: ["node"],
    ...resolution,
  };
  const { options, errors } = ts.convertCompilerOptionsFromJson(json, checkout);
  const typeRoots = [path.join(checkout, "node_modules/@types")];
  const program = ts.createProgram([path.join(dir, "shop", "index.ts")], { ...options, noEmit: true, typeRoots });
  const messages = [...errors, ...ts.getPreEmitDiagnostics(program)].map(({ messageText }) => messageText);
  expect(messages).toEqual([]);
});

it("is what docs/library.md shows", () => {
  const page = fs.readFileSync(path.join(checkout, "docs/library.md"), "utf8");
  expect(page).toContain(fs.readFileSync(path.join(checkout, "test/fixtures/library/index.ts"), "utf8"));
});

it("refuses a stamp as it does in a stack of its own, with the place that is wrong", async () => {
  set(["shop:stamps", "cart-key"], ["yesterday"]);
  const { code, stdout, stderr } = await stack.preview();
  expect(code).not.toBe(0);
  expect(stdout + stderr).toContain("rollover:credentials.cart-key.generations[0]");
});

/** Sets something below `config:` in the program's stack file. */
function set(at: string[], value: unknown): void {
  const file = path.join(dir, "shop/Pulumi.test.yaml");
  const document = parseDocument(fs.readFileSync(file, "utf8"));
  document.setIn(["config", ...at], document.createNode(value));
  fs.writeFileSync(file, document.toString());
}

function secret(name: string): string {
  const value = cloud.cloudflare.state("rounds-api").secrets[name];
  if (value === undefined) throw new Error(`the Worker holds no ${name}`);
  return value;
}

/** Real files below node_modules, where a link would be taken for a part of this checkout; what they need is linked. */
function installInto(modules: string): void {
  fs.mkdirSync(modules);
  for (const name of fs.readdirSync(path.join(checkout, "node_modules")))
    if (!name.startsWith(".")) fs.symlinkSync(path.join(checkout, "node_modules", name), path.join(modules, name));
  const own = path.join(modules, "rollover");
  fs.cpSync(path.join(checkout, "components"), path.join(own, "components"), { recursive: true });
  fs.copyFileSync(path.join(checkout, "package.json"), path.join(own, "package.json"));
}
