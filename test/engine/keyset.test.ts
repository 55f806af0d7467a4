// Proves on the real engine, in both shapes side by side: a key rolls, is rolled again, retired, rolled back and dropped at once,
// with what a holder of an older token sees; no token is rejected under load but where config says so; a key is not dropped
// before its time, while it signs, or while it is in use, and the webhook is told. And with a backup: a key is in Vault before any
// consumer gets it, a Vault that is sealed stops a roll before anything is delivered, and a retired key comes back by `restore`.
// Not: each refusal of a gate (test/provider/keyset.test.ts) or of Vault (test/provider/vault-key*.test.ts), a real Vault, real
// isolates of an edge (the local ones switch at once here, at random in keyset-shared.test.ts).
import * as http from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { close, listen } from "../../local/cloud/faults";
import { must, type Scene } from "../../local/scene";
import { newToken, shown, signing, startKeysets, underTokens } from "./keysets";
import { mustFail } from "./outside";
import { held, secretOf } from "./rounds";

/** Of shape keyset, with a backup. */
const KEYSET = "rounds-signing";
/** Of shape dual. */
const DUAL = "legacy-signing";
const WORKERS = { [KEYSET]: "rounds-api", [DUAL]: "legacy-api" };
const NAMES = [KEYSET, DUAL] as const;
type Name = (typeof NAMES)[number];

const BACKUP = { vault: { mount: "secret", path: "rollover/rounds-signing" } };
const at = (stamp: string): string => `secret/rollover/rounds-signing/${stamp}`;
/** Longer than the whole test on a slow machine, so that a refusal is one of the key. */
const vars = { TOKEN_TTL_SECONDS: "7200" };
const day = (days: string[]): string[] => days.map((one) => `2026-11-${one}`);

let scene: Scene;
/** By credential, a token of each key by its day. */
const tokens: Record<Name, Record<string, string>> = { [KEYSET]: {}, [DUAL]: {} };
const posted: string[] = [];
const webhook = http.createServer((request, response) => {
  let body = "";
  request.on("data", (chunk: Buffer) => (body += chunk.toString()));
  request.on("end", () => {
    posted.push(body);
    response.end("ok");
  });
});

beforeAll(async () => {
  scene = await startKeysets(
    {
      [KEYSET]: signing("keyset", day(["20"]), { backup: BACKUP }),
      [DUAL]: signing("dual", day(["20"]), { deliver: [{ worker: WORKERS[DUAL] }] }),
    },
    {},
    { cloudflare: { scripts: { [WORKERS[KEYSET]]: { vars }, [WORKERS[DUAL]]: { vars } } } },
  );
  await scene.stack.setConfig("alertWebhook", `http://127.0.0.1:${await listen(webhook)}/services/T0/B0/secret`, {
    secret: true,
  });
});
afterAll(async () => {
  await close(webhook);
  await scene.end();
});

it("signs after the first update, the key in Vault before it is delivered; a second update changes nothing", async () => {
  const inVault: boolean[] = [];
  scene.cloud.cloudflare.onCall(({ phase, method, path }) => {
    if (phase === "before" && method === "PATCH" && path.includes(`/${WORKERS[KEYSET]}/`))
      inVault.push(scene.cloud.vault.get(at("2026-11-20")).length === 1);
    return Promise.resolve();
  });
  await must(scene.stack.up());
  scene.cloud.cloudflare.onCall(undefined);
  expect(inVault).toEqual([true]);
  expect(keyIn("2026-11-20")).toBe(deliveredKey("2026-11-20"));
  await remember("20");
  expect(await all(KEYSET)).toEqual({ "20": "200" });
  expect(await all(DUAL)).toEqual({ "20": "200" });
  await must(scene.stack.up(["--expect-no-changes"]));
});

it("rolls nothing while Vault is sealed, and rolls when it is back: no token is rejected, older ones work on", async () => {
  const before = held(scene);
  const { vault } = scene.cloud;
  stamps(KEYSET, "21", "20");
  vault.seal(true);
  expect(await mustFail(scene.stack.up())).toContain("sealed");
  vault.seal(false);
  expect(held(scene)).toEqual(before);

  stamps(DUAL, "21", "20");
  await underTokens(scene, () => must(scene.stack.up()), Object.values(WORKERS));
  expect(vault.get(at("2026-11-21"))).toHaveLength(1);
  await remember("21");
  for (const name of NAMES) expect(await all(name)).toEqual({ "20": "200", "21": "200" });
});

it("is not dropped by force of a list: the key that signs stays", async () => {
  const before = [held(scene), held(scene, WORKERS[DUAL])];
  stamps(KEYSET, "20");
  expect(await mustFail(scene.stack.up())).toContain("the Worker signs with 2026-11-21 until this update");
  expect([held(scene), held(scene, WORKERS[DUAL])]).toEqual(before);
  stamps(KEYSET, "21", "20");
  stamps(DUAL, "22");
  const text = await mustFail(scene.stack.up());
  expect(text).toContain("the Worker signs with 2026-11-21 until this update");
  expect(text).toContain("in an emergency `generation: 2026-11-22` drops it at once");
  // The other one, whose edit was taken back, may be handed the same set again.
  expect(held(scene, WORKERS[DUAL])).toEqual(before[1]);
  expect(secretOf(scene, "JWT_KEYS")).toBe(before[0]?.secrets["JWT_KEYS"]);
});

it("is not dropped before its time: the refusal says when, and the webhook is told, without a secret", async () => {
  setting(DUAL, { maxTokenAge: "1h", drain: "1s" });
  stamps(DUAL, "21");
  const before = posted.length;
  const text = await mustFail(scene.stack.up());
  const [, time = ""] = /tokens that 2026-11-20 signed are accepted until (\S+Z)/.exec(text) ?? [];
  expect(Date.parse(time) - Date.now()).toBeGreaterThan(50 * 60_000);
  expect(Date.parse(time) - Date.now()).toBeLessThan(60 * 60_000);
  expect(await all(DUAL)).toEqual({ "20": "200", "21": "200" });
  expect(posted).toHaveLength(before + 1);
  const alert = JSON.parse(posted.at(-1) ?? "") as { text: string };
  expect(alert.text).toMatch(/legacy-signing keeps 2026-11-20: tokens that 2026-11-20 signed are accepted until/);
  setting(DUAL, { maxTokenAge: "1s", drain: "10s" });
  stamps(DUAL, "21", "20");
});

it("is not dropped while an isolate verifies much that it signed", async () => {
  // Nobody tells the keys of shape dual apart, so there is no share.
  expect(await signedWith(DUAL)).toBeUndefined();
  setting(KEYSET, { retireBelow: 0.05 });
  stamps(KEYSET, "21");
  const share = async () => (await signedWith(KEYSET))?.[KEYSET]?.["2026-11-20"] ?? 0;
  // Others have shown many meanwhile.
  for (let n = 0; n < 2000 && (await share()) < 0.06; n++)
    await shown(scene, tokens[KEYSET]["20"] ?? "", WORKERS[KEYSET]);
  expect(await mustFail(scene.stack.up())).toMatch(
    /[\d.]+ % of the tokens that one isolate verified lately were signed with 2026-11-20; 5 % are allowed/,
  );
  expect(await all(KEYSET)).toEqual({ "20": "200", "21": "200" });
  setting(KEYSET, { retireBelow: 1 });
});

it("rolls again before a key is retired: three live keys, which shape dual refuses at preview", async () => {
  stamps(KEYSET, "22", "21", "20");
  stamps(DUAL, "22", "21", "20");
  expect(await mustFail(scene.stack.preview())).toContain("more than the two keys that shape dual can hold");
  stamps(DUAL, "22", "21");
  await underTokens(scene, () => must(scene.stack.up()), Object.values(WORKERS));
  await remember("22");
  expect(await all(KEYSET)).toEqual({ "20": "200", "21": "200", "22": "200" });
  expect(await all(DUAL)).toEqual({ "20": "401 signature", "21": "200", "22": "200" });
});

it("retires the last and rolls back in one update: tokens that were signed meanwhile still verify", async () => {
  for (const name of NAMES) stamps(name, "21", "22");
  await underTokens(scene, () => must(scene.stack.up()), Object.values(WORKERS));
  await remember("21 again");
  const live = { "21": "200", "21 again": "200", "22": "200" };
  expect(await all(KEYSET)).toEqual({ "20": "401 unknown-key", ...live });
  expect(await all(DUAL)).toEqual({ "20": "401 signature", ...live });
  expect(scene.cloud.vault.get(at("2026-11-20"))).toHaveLength(1);
});

it("retires a key, and brings back another: what it signed is accepted again", async () => {
  stamps(KEYSET, "21", "20");
  setting(KEYSET, { restore: day(["20"]) });
  stamps(DUAL, "21");
  await underTokens(scene, () => must(scene.stack.up()), Object.values(WORKERS));
  const live = { "21": "200", "21 again": "200" };
  expect(await all(KEYSET)).toEqual({ "20": "200", ...live, "22": "401 unknown-key" });
  expect(await all(DUAL)).toEqual({ "20": "401 signature", ...live, "22": "401 signature" });
});

it("lets the key that came back sign again; in an emergency drops every older key at once", async () => {
  stamps(KEYSET, "20", "21");
  emergency(DUAL);
  await underTokens(scene, () => must(scene.stack.up()));
  expect(deliveredKey("2026-11-20")).toBe(keyIn("2026-11-20"));
  expect(await shown(scene, await newToken(scene))).toBe("200");
  expect((await all(KEYSET))["21"]).toBe("200");
  expect(await shown(scene, await newToken(scene, WORKERS[DUAL]), WORKERS[DUAL])).toBe("200");
  expect(new Set(Object.values(await all(DUAL)))).toEqual(new Set(["401 signature"]));

  setting(KEYSET, { restore: undefined });
  emergency(KEYSET);
  await must(scene.stack.up());
  expect(await shown(scene, await newToken(scene))).toBe("200");
  expect(new Set(Object.values(await all(KEYSET)))).toEqual(new Set(["401 unknown-key"]));
});

function stamps(name: Name, ...days: string[]): void {
  scene.generations(name, day(days));
}

function setting(name: Name, values: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(values)) scene.edit(["rollover:credentials", name, key], value);
}

/** One new key in the place of all others. */
function emergency(name: Name): void {
  setting(name, { generations: undefined, generation: "2026-11-23", maxTokenAge: "1h" });
}

async function remember(label: string): Promise<void> {
  for (const name of NAMES) tokens[name][label] = await newToken(scene, WORKERS[name]);
}

/** What holders of each token see. */
async function all(name: Name): Promise<Record<string, string>> {
  const entries = Object.entries(tokens[name]).map(
    async ([key, token]) => [key, await shown(scene, token, WORKERS[name])] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

async function signedWith(name: Name): Promise<Record<string, Record<string, number>> | undefined> {
  const token = secretOf(scene, "ROLLOVER_PROBE_TOKEN", WORKERS[name]);
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(scene.cloud.probeUrl(WORKERS[name]), { headers });
  return ((await response.json()) as { signedWith?: Record<string, Record<string, number>> }).signedWith;
}

function keyIn(stamp: string): unknown {
  return scene.cloud.vault.get(at(stamp)).at(-1)?.data?.["key"];
}

/** The key as the Worker has it, in hexadecimal digits. */
function deliveredKey(stamp: string): string | undefined {
  const { keys } = JSON.parse(secretOf(scene, "JWT_KEYS")) as { keys: { kid: string; k: string }[] };
  const key = keys.find(({ kid }) => kid === stamp);
  return key && Buffer.from(key.k, "base64url").toString("hex");
}
