// Proves on the real engine: a key is in Vault, and was read back, before any consumer gets it; a Vault that is down, sealed or says
// no stops a roll before anything is delivered; nothing there is overwritten; a retired key comes back by `restore`, and what it
// signed is accepted again. And that a failed gate is told to the webhook, without a secret. Not: a real Vault or OpenBao.
import * as http from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { close, listen } from "../../local/cloud/faults";
import { must, type Scene } from "../../local/scene";
import { NAME, newToken, shown, signing, startKeysets, underTokens } from "./keysets";
import { mustFail } from "./outside";
import { held, secretOf, settled } from "./rounds";

const BACKUP = { vault: { mount: "secret", path: "rollover/rounds-signing" } };
const at = (stamp: string): string => `secret/rollover/rounds-signing/${stamp}`;

let scene: Scene;
const tokens: Record<string, string> = {};
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
  scene = await startKeysets({ [NAME]: signing("keyset", ["2026-11-20"], { backup: BACKUP }) });
  await scene.stack.setConfig("alertWebhook", `http://127.0.0.1:${await listen(webhook)}/services/T0/B0/secret`, {
    secret: true,
  });
});
afterAll(async () => {
  await close(webhook);
  await scene.end({ changes: "the last update destroyed everything" });
});

it("has each key in Vault before it is delivered", async () => {
  const inVault: boolean[] = [];
  scene.cloud.cloudflare.onCall(({ phase, method }) => {
    if (phase === "before" && method === "PATCH") inVault.push(scene.cloud.vault.get(at("2026-11-20")).length === 1);
    return Promise.resolve();
  });
  await must(scene.stack.up());
  scene.cloud.cloudflare.onCall(undefined);
  expect(inVault).toEqual([true]);
  await settled(scene);
  tokens["20"] = await newToken(scene);
  expect(keyIn("2026-11-20")).toBe(deliveredKey("2026-11-20"));
});

it("rolls nothing while Vault is sealed, down or refuses, and rolls when it is back", async () => {
  const before = held(scene);
  const { vault } = scene.cloud;
  scene.generations(NAME, ["2026-11-21", "2026-11-20"]);
  vault.seal(true);
  expect(await mustFail(scene.stack.up())).toContain("sealed");
  vault.seal(false);
  await scene.stack.setConfig("vaultToken", vault.mintToken(["read"]), { secret: true });
  expect(await mustFail(scene.stack.up())).toMatch(/vaultToken|may create/);
  await scene.stack.setConfig("vaultToken", vault.token, { secret: true });
  expect(held(scene)).toEqual(before);

  await underTokens(scene, () => must(scene.stack.up()));
  tokens["21"] = await newToken(scene);
  expect(vault.get(at("2026-11-21"))).toHaveLength(1);
  await settled(scene);
});

it("never overwrites what somebody else wrote under a stamp", async () => {
  const before = held(scene);
  const other = JSON.stringify({
    options: { cas: 0 },
    data: { credential: NAME, stamp: "2026-11-22", key: "0".repeat(64) },
  });
  const headers = { "x-vault-token": scene.cloud.vault.token, "content-type": "application/json" };
  const url = `${scene.cloud.vault.address}/v1/secret/data/rollover/rounds-signing/2026-11-22`;
  expect((await fetch(url, { method: "POST", headers, body: other })).status).toBe(200);
  scene.generations(NAME, ["2026-11-22", "2026-11-21", "2026-11-20"]);
  expect(await mustFail(scene.stack.up())).toContain("never overwritten");
  expect(held(scene)).toEqual(before);
  expect(keyIn("2026-11-22")).toBe("0".repeat(64));
  scene.generations(NAME, ["2026-11-21", "2026-11-20"]);
  await must(scene.stack.up());
});

it("tells the webhook of a key that may not be dropped yet", async () => {
  setting("maxTokenAge", "1h");
  setting("drain", "0s");
  scene.generations(NAME, ["2026-11-21"]);
  await mustFail(scene.stack.up());
  expect(posted).toHaveLength(1);
  const { text } = JSON.parse(posted[0] ?? "") as { text: string };
  expect(text).toMatch(/rounds-signing keeps 2026-11-20: tokens that 2026-11-20 signed are accepted until/);
  setting("maxTokenAge", "1s");
  setting("drain", "10s");
});

it("brings a retired key back: what it signed is accepted again, and it may sign again", async () => {
  await must(scene.stack.up());
  expect(await shown(scene, tokens["20"] ?? "")).toBe("401 unknown-key");
  expect(scene.cloud.vault.get(at("2026-11-20"))).toHaveLength(1);

  scene.generations(NAME, ["2026-11-21", "2026-11-20"]);
  setting("restore", ["2026-11-20"]);
  await underTokens(scene, () => must(scene.stack.up()));
  await settled(scene);
  expect(await shown(scene, tokens["20"] ?? "")).toBe("200");
  scene.generations(NAME, ["2026-11-20", "2026-11-21"]);
  await underTokens(scene, () => must(scene.stack.up()));
  expect(await shown(scene, await newToken(scene))).toBe("200");
  expect(await shown(scene, tokens["21"] ?? "")).toBe("200");
  expect(deliveredKey("2026-11-20")).toBe(keyIn("2026-11-20"));
});

it("refuses at preview to bring back what is not in Vault", async () => {
  scene.generations(NAME, ["2026-11-20", "2026-11-21", "2026-08-01"]);
  setting("restore", ["2026-11-20", "2026-08-01"]);
  expect(await mustFail(scene.stack.preview())).toContain("rollover/rounds-signing/2026-08-01");
});

it("keeps the backups when the stack is destroyed", async () => {
  scene.generations(NAME, ["2026-11-20", "2026-11-21"]);
  setting("restore", ["2026-11-20"]);
  await must(scene.stack.destroy());
  expect(scene.cloud.vault.get(at("2026-11-20"))).toHaveLength(1);
  expect(scene.cloud.vault.get(at("2026-11-21"))).toHaveLength(1);
});

function setting(key: string, value: unknown): void {
  scene.edit(["rollover:credentials", NAME, key], value);
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
