// Proves that docs/signing-keys.md, two-secrets.md and rate-limits.md are true where a reader would try them: stack, Worker, policy, commands
// and diffs are run as they stand, in a clone, on the real engine and the local cloud; a block that nothing runs fails. Filled in are
// addresses, waits, today's stamps. Not proven: Vault's CLI, the figures (rehearse.test.ts, bench.test.ts), any vendor's real service.
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { buildSync } from "esbuild";
import { decodeProtectedHeader } from "jose";
import { afterAll, beforeAll, expect, it } from "vitest";
import { encrypt, encryptionKeys } from "../../components/jws/worker";
import { type LocalCloud, startCloud } from "../../local/cloud";
import { bulk } from "../../local/cloud/client";
import { close, listen } from "../../local/cloud/faults";
import { prepareEngine } from "../../local/engine";
import { cloneInto, patch, Reader, Readme } from "../support/readme";
import { inOneWindow } from "../support/windows";

const FILE = "Pulumi.prod.yaml";
const NAME = "rounds-signing";
const UP = "pulumi up --stack prod";
const keysPage = new Readme("docs/signing-keys.md");
const dualPage = new Readme("docs/two-secrets.md");
const limitsPage = new Readme("docs/rate-limits.md");
/** Of the Worker that signed before Rollover, as `openssl rand -hex 32` makes them. */
const ownKey = randomBytes(32).toString("hex");
const tokens: Record<string, string> = {};
const posted: string[] = [];
const webhook = http.createServer((request, response) => {
  request.on("data", (chunk: Buffer) => posted.push(chunk.toString()));
  request.on("end", () => response.end("ok"));
});
let dir: string;
let cloud: LocalCloud;
let reader: Reader;

beforeAll(async () => {
  const engine = await prepareEngine();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-readme-keyset-"));
  cloneInto(dir);
  for (const name of ["jws", "cloudflare/probe.ts", "cloudflare/rate-limit.ts"])
    fs.cpSync(path.join(dir, "components", name), path.join(dir, "worker", path.basename(name)), { recursive: true });
  const worker = keysPage.take("ts", /rolloverProbe/).replace("ttlSeconds: 120", "ttlSeconds: 3600"); // no token expires meanwhile
  const entry = source("index.ts", worker);
  const dual = source("dual.ts", patch(worker, dualPage.take("diff", /dualKeys/)));
  cloud = await startCloud({
    needs: ["postgres", "workers", "vault"],
    cloudflare: { scripts: { "rounds-api": { entry }, gateway: { entry }, "pages-api": { entry: dual } } },
  });
  reader = new Reader(dir, engine, cloud);
});
afterAll(async () => {
  await close(webhook);
  await cloud.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

it("has a smallest stack that comes up, with a Worker that signs and accepts nothing before", async () => {
  expect((await start("rounds-api")).status).toBe(503);
  const [init, setCloudflare, up] = keysPage.commands(/^pulumi stack init prod/);
  reader.write(FILE, keysPage.take("yaml", /kind: signing-keyset/));
  fillIn();
  await reader.ok(init);
  await reader.ok(setCloudflare, cloud.cloudflare.token);
  await reader.ok(up);
  tokens["first"] = await newToken();
  expect(await shown("first")).toBe("200");
});

it("backs up, takes over a key in use, and adds Workers and an encryption keyset, all in one update", async () => {
  await bulk(cloud.cloudflare, { JWT_SECRET: ownKey }, { path: "pages-api/secrets-bulk" });
  tokens["pages"] = await newToken("pages-api");
  const keys = held();
  const [writePolicy, createToken, setVault] = keysPage.commands(/^vault policy write/);
  expect(writePolicy).toBe("vault policy write rollover rollover.hcl");
  expect(createToken).toBe("vault token create -policy=rollover -field=token");
  await reader.ok(setVault, tokenOf(keysPage.take("hcl", /capabilities/)));
  await keepByHand(dualPage.commands(/^vault kv put/)[0]);
  for (const diff of [/rollover:vault/, /^ +kind: .*\n\+ +backup:/m, /gateway: /, /verifyOnly/, /\+ +rounds-store:/])
    apply(keysPage.take("diff", diff));
  for (const diff of [/pages-api: /, /\+ +pages-signing:/]) apply(dualPage.take("diff", diff));
  fillIn();
  await reader.ok(UP);

  expect(held()).toBe(keys);
  expect(kept(`${NAME}/2026-11-20`)).toMatch(/^[0-9a-f]{64}$/);
  expect([await shown("first", "gateway"), held("gateway")]).toEqual(["200", keys]);
  expect(secrets("pages-api")).toMatchObject({ JWT_SECRET: ownKey });
  expect(secrets("pages-api")).not.toHaveProperty("JWT_SECRET_NEW");
  expect(await shown("pages", "pages-api")).toBe("200");
  await encrypts();
});

it("rolls a keyset and a pair of secrets, by commands that print their diffs", async () => {
  const [rotate] = keysPage.commands(/^npm run rotate -- rounds-signing --stack prod\n/);
  const [dual, up] = dualPage.commands(/^npm run rotate -- pages-signing/);
  expect(changed(await reader.ok(rotate))).toBe(keysPage.take("diff", /^- .*\["2026-11-20"\]\n\+ [^\n]*\n$/));
  expect(changed(await reader.ok(dual))).toBe(dualPage.take("diff", /^- .*\["2026-08-01"\]$/m));
  await reader.ok(up);
  tokens["second"] = await newToken();
  for (const worker of ["rounds-api", "gateway"])
    expect([await shown("first", worker), await shown("second", worker)]).toEqual(["200", "200"]);
  expect(await shown("pages", "pages-api")).toBe("200");
  expect(secrets("pages-api")).toMatchObject({ JWT_SECRET_NEW: ownKey });
});

it("refuses to retire a key whose tokens are still accepted, and says so to the webhook; then retires it", async () => {
  const [set] = limitsPage.commands(/alertWebhook/);
  await reader.ok(set, `http://127.0.0.1:${await listen(webhook)}/services/T0/B0/X0`);
  const [retire] = keysPage.commands(/^npm run rotate -- rounds-signing --retire/);
  const before = held();
  setting("maxTokenAge", "1h");
  expect(changed(await reader.ok(retire))).toBe(keysPage.take("diff", /^\+ .*\["2026-12-01"\]\n$/m));
  expect(await reader.fails(UP)).toMatch(/tokens that 2026-11-20 signed are accepted until/);
  expect([held(), posted.length > 0]).toEqual([before, true]);
  expect(posted.join("")).toContain("signed are accepted until");
  setting("maxTokenAge", "1s");
  await reader.ok(UP);
  expect([await shown("first"), await shown("second")]).toEqual(["401 unknown-key", "200"]);
});

it("brings the key back, and has it sign again", async () => {
  const [restore] = keysPage.commands(/--restore/);
  expect(changed(await reader.ok(restore))).toBe(keysPage.take("diff", /^\+ +restore: \["2026-11-20"\]\n$/m));
  await reader.ok(UP);
  expect([await shown("first"), await shown("second")]).toEqual(["200", "200"]);
  const [rollback] = keysPage.commands(/--rollback/);
  expect(changed(await reader.ok(rollback))).toBe(keysPage.take("diff", /^\+ .*\["2026-11-20", "2026-12-01"\]$/m));
  await reader.ok(UP);
  expect(decodeProtectedHeader(await newToken()).kid).toBe("2026-11-20");
  expect([await shown("first"), await shown("second")]).toEqual(["200", "200"]);
});

it("drops every key at once in an emergency", async () => {
  const [emergency] = keysPage.commands(/--emergency/);
  const [plan, up] = keysPage.commands(/^npm run plan/);
  expect(changed(await reader.ok(emergency))).toBe(keysPage.take("diff", /^\+ +generation: /m));
  expect(await reader.ok(plan)).toContain("no overlap: every token signed with");
  await reader.ok(up);
  expect([await shown("first"), await shown("second")]).toEqual(["401 unknown-key", "401 unknown-key"]);
  tokens["third"] = await newToken();
  expect(await shown("third")).toBe("200");
});

it("limits rates by both means, and keeps the keys while code and lists change", async () => {
  const [build] = limitsPage.commands(/esbuild/);
  let worker = fs.readFileSync(path.join(dir, "worker/index.ts"), "utf8");
  for (const diff of [/import/, /rateLimited\(/, /isScrape/]) worker = patch(worker, limitsPage.take("diff", diff));
  source("index.ts", worker);
  await reader.ok(build);
  const keys = held();
  const list = /generations: \["2026-12-01\.2"\]/.exec(keysPage.text)?.[0].replace("2026-12-01", reader.today(FILE));
  reader.write(FILE, reader.read(FILE).replace(/generation: .*/, list ?? "none"));
  for (const diff of [/code:/, /\+ +rollover:rateLimits:/, /\+ +edge:/, /rollover:alerts:/])
    apply(limitsPage.take("diff", diff));
  fillIn();
  await reader.ok(UP);
  expect([held(), await shown("third")]).toEqual([keys, "200"]);
  const statuses = await inOneWindow(10_000, async () => {
    const found: number[] = [];
    for (let i = 0; i <= 10; i++) found.push((await start("rounds-api")).status);
    return found;
  });
  expect(statuses).toEqual([...Array<number>(10).fill(200), 429]);
  expect(cloud.cloudflare.rulesets()[0]?.rules.map(({ ref }) => ref)).toEqual(["manifest", "metrics", "start"]);
  await reader.ok("pulumi preview --stack prod --expect-no-changes");
});

it("prints alerting rules that name the live keys", async () => {
  const [print] = limitsPage.commands(/npm run --silent alerts/);
  await reader.ok(print);
  const rules = reader.read("rollover-rules.yaml");
  const named = [...limitsPage.text.matchAll(/^\| `([A-Z]\w+)`/gm)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(5);
  // OldKeyShare is that of the pair of secrets: the keyset has one key now.
  expect(named.filter((name) => !rules.includes(`alert: ${name}\n`))).toEqual([]);
  expect(rules).toContain(reader.today(FILE));
});

it("quotes messages that exist, and has no command, diff or example that was not run", () => {
  const pages = [keysPage, dualPage, limitsPage];
  const messages = pages.map((page) => page.unknownMessages(reader.printed));
  expect(messages.reduce((sum, { quoted }) => sum + quoted, 0)).toBeGreaterThan(15);
  expect(messages.flatMap(({ unknown }) => unknown)).toEqual([]);
  expect(pages.flatMap((page) => page.untaken())).toEqual([]);
});

function source(name: string, text: string): string {
  const file = path.join(dir, "worker", name);
  fs.writeFileSync(file, text);
  return file;
}

/** Addresses of the local cloud, and no wait that is there for the edge or for tokens. */
function fillIn(): void {
  reader.fillIn(FILE);
  reader.edit(FILE, (document) => {
    const set = (at: string[], value: unknown) => {
      if (document.hasIn(["config", ...at.slice(0, -1)])) document.setIn(["config", ...at], value);
    };
    for (const name of ["gateway", "pages-api"])
      for (const [key, value] of Object.entries({ probe: cloud.probeUrl(name), answers: 5, settle: "0s" }))
        set(["rollover:workers", name, key], value);
    for (const name of ["rounds-api", "gateway", "pages-api"]) set(["rollover:workers", name, "within"], "10s");
    // The shares are of the last minutes, and the test is shorter.
    for (const [key, value] of Object.entries({ maxTokenAge: "1s", retireBelow: 1 }))
      set(["rollover:credentials", NAME, key], value);
    set(["rollover:rateLimits", "edge", "zone"], cloud.cloudflare.zoneId);
  });
  reader.write(FILE, plain(reader.read(FILE)));
}

/** Applies a diff of a page as a reader does, who sees no difference between `{ a: b }` and `{a: b}`. */
function apply(diff: string): void {
  reader.write(FILE, patch(plain(reader.read(FILE)), plain(diff)));
}

function plain(yaml: string): string {
  return yaml.replace(/([[{]) +/g, "$1").replace(/(?<=\S) +([\]}])/g, "$1");
}

function setting(key: string, value: unknown): void {
  reader.edit(FILE, (document) => {
    document.setIn(["config", "rollover:credentials", NAME, key], value);
  });
  reader.write(FILE, plain(reader.read(FILE)));
}

/** A token of Vault's that may do what the policy says. */
function tokenOf(policy: string): string {
  const [, below = "", list = ""] = /^path "(.*)\*" \{\n {2}capabilities = \[(.*)\]\n\}\n$/.exec(policy) ?? [];
  const asked = (["read", "create", "update", "delete"] as const).filter((one) => list.includes(`"${one}"`));
  expect([below, asked.length]).toEqual(["secret/data/rollover/", 3]);
  return cloud.vault.mintToken(asked, below);
}

/** What `vault kv put ... key=-` does with the key on standard input. */
async function keepByHand(command = ""): Promise<void> {
  const form = /^vault kv put -mount=(\w+) -cas=0 (\S+) credential=(\S+) stamp=(\S+) key=-$/;
  const [, mount = "", at = "", credential, stamp] = form.exec(command) ?? [];
  const response = await fetch(`${cloud.vault.address}/v1/${mount}/data/${at}`, {
    method: "POST",
    headers: { "x-vault-token": cloud.vault.token, "content-type": "application/json" },
    body: JSON.stringify({ options: { cas: 0 }, data: { credential, stamp, key: ownKey } }),
  });
  expect(response.status).toBe(200);
}

function kept(at: string): unknown {
  return cloud.vault.get(`secret/rollover/${at}`).at(-1)?.data?.["key"];
}

/** Runs the page's function on what the current key encrypted, and on what one before it did. */
async function encrypts(): Promise<void> {
  const entry = source("store.ts", keysPage.take("ts", /encryptionKeys/));
  const outfile = path.join(dir, "worker/store.mjs");
  buildSync({ entryPoints: [entry], outfile, bundle: true, format: "esm" });
  const { opened } = (await import(pathToFileURL(outfile).href)) as {
    opened: (env: object, stored: string) => Promise<{ text: string; stored: string }>;
  };
  const { STORE_KEYS = "" } = secrets("rounds-api");
  const old = { kid: "2026-08-01", kty: "oct", alg: "A256GCM", use: "enc", k: randomBytes(32).toString("base64url") };
  const set = JSON.parse(STORE_KEYS) as { active: string; keys: object[] };
  const both = JSON.stringify({ ...set, keys: [...set.keys, old] });
  const before = JSON.stringify({ active: old.kid, keys: [old] });
  const stored = await encrypt(encryptionKeys(before), "a refresh token");
  const renewed = await opened({ STORE_KEYS: both }, stored);
  expect(renewed.text).toBe("a refresh token");
  expect(await opened({ STORE_KEYS }, renewed.stored)).toEqual(renewed);
}

function start(worker: string): Promise<Response> {
  return fetch(`${cloud.workerUrl(worker)}v1/rounds/start`, { method: "POST" });
}

async function newToken(worker = "rounds-api"): Promise<string> {
  return ((await (await start(worker)).json()) as { token: string }).token;
}

/** What the holder of a token sees: 200, or 401 and why. */
async function shown(name: string, worker = "rounds-api"): Promise<string> {
  const headers = { authorization: `Bearer ${tokens[name] ?? ""}` };
  const response = await fetch(`${cloud.workerUrl(worker)}v1/rounds/next`, { method: "POST", headers });
  const { code } = (await response.json()) as { code?: string };
  return code === undefined ? String(response.status) : `${response.status} ${code}`;
}

function secrets(worker: string): Record<string, string> {
  return cloud.cloudflare.state(worker).secrets;
}

function held(worker = "rounds-api"): string | undefined {
  return secrets(worker)["JWT_KEYS"];
}

function changed(output: string): string {
  return reader.changed(FILE, output);
}
