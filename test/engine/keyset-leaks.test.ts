// Proves G7 for keysets on the real engine: after a life with each kind of failure no key that ever was, in any of its forms, no Vault
// token and no webhook's address stands in state, plans, previews, events, output, error texts, arguments, Vault's audit log or what
// the webhook was told. That the scanner finds what is planted in these places is proven by leaks.test.ts. Not: what memory and
// environment of the processes hold.
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { close, listen } from "../../local/cloud/faults";
import { type Place, placesOf, sampleArguments, scanForLeaks, type Secret, secretsOf } from "../../local/leaks";
import { must, type Scene } from "../../local/scene";
import { NAME, newToken, shown, signing, startKeysets } from "./keysets";
import { mustFail } from "./outside";
import { secretOf } from "./rounds";

const WEBHOOK_PATH = "/services/T0AAAAAAA/B0BBBBBBB/ccccccccccccccccccccCCCC";

let scene: Scene;
let sampled: ReturnType<typeof sampleArguments>;
let posted = "";
const secrets = new Map<string, string>();
const webhook = http.createServer((request, response) => {
  request.on("data", (chunk: Buffer) => (posted += chunk.toString()));
  request.on("end", () => response.end("ok"));
});

beforeAll(async () => {
  sampled = sampleArguments();
  const backup = { vault: { path: "rollover/rounds-signing" } };
  const store = {
    kind: "encryption-keyset",
    maxTokenAge: "1s",
    generations: ["2026-11-20"],
    deliver: [{ worker: "rounds-api", as: "STORE_KEYS" }],
  };
  scene = await startKeysets(
    { [NAME]: signing("keyset", ["2026-11-20"], { backup, output: true }), "oauth-store": store },
    { within: "2s" },
  );
  const url = `http://127.0.0.1:${await listen(webhook)}${WEBHOOK_PATH}`;
  secrets.set(url, "the webhook's address");
  secrets.set(WEBHOOK_PATH, "the webhook's path");
  await scene.stack.setConfig("alertWebhook", url, { secret: true });
});
afterAll(async () => {
  sampled.stop();
  await close(webhook);
  await scene.stop();
});

describe("a life of keysets, failures included", () => {
  it("goes through the first update, and previews of a roll", async () => {
    await must(scene.stack.up());
    stamps("2026-11-21", "2026-11-20");
    const plan = ["--save-plan", path.join(scene.dir, "plan-roll.json")];
    for (const [name, flags] of Object.entries({ diff: ["--diff"], json: ["--json"], plan })) {
      const { stdout, stderr } = await must(scene.stack.preview(flags));
      fs.writeFileSync(path.join(scene.dir, `preview-${name}.txt`), stdout + stderr);
    }
  });

  it("goes through a Vault that is sealed, and tokens of it that are wrong or may not write", async () => {
    const { vault } = scene.cloud;
    vault.seal(true);
    await mustFail(scene.stack.up());
    vault.seal(false);
    for (const token of [vault.mintToken(["read"]), "hvs.wrongwrongwrongwrong"]) {
      secrets.set(token, "a Vault token");
      await scene.stack.setConfig("vaultToken", token, { secret: true });
      await mustFail(scene.stack.up());
    }
    await scene.stack.setConfig("vaultToken", vault.token, { secret: true });
  });

  it("goes through an announcement that Cloudflare refuses", async () => {
    const { cloudflare } = scene.cloud;
    cloudflare.faults.set([{ match: { method: "PATCH" }, kind: "status", status: 403, code: 10000, times: 9 }]);
    await mustFail(scene.stack.up());
    cloudflare.faults.set([]);
    await must(scene.stack.up());
    await remember();
  });

  it("goes through a gate that refuses, and tells the webhook", async () => {
    scene.edit(["rollover:credentials", NAME, "maxTokenAge"], "1h");
    stamps("2026-11-21");
    expect(await mustFail(scene.stack.up())).toContain("are accepted until");
    expect(posted).toContain("are accepted until");
    scene.edit(["rollover:credentials", NAME, "maxTokenAge"], "1s");
    await must(scene.stack.up());
  });

  it("goes through a restore, a refresh, a rollback and an emergency", async () => {
    scene.edit(["rollover:credentials", NAME, "restore"], ["2026-11-20"]);
    stamps("2026-11-21", "2026-11-20");
    await must(scene.stack.up());
    stamps("2026-11-20", "2026-11-21");
    await must(scene.stack.up(["--refresh"]));
    await remember();
    expect(await shown(scene, await newToken(scene))).toBe("200");
    for (const key of ["generations", "restore"]) scene.edit(["rollover:credentials", NAME, key], undefined);
    scene.edit(["rollover:credentials", NAME, "generation"], "2026-11-22");
    await must(scene.stack.up());
    await remember();
  });

  it("goes through the end of everything", async () => {
    expect((await scene.stack.outputs())["values"]).toEqual({ [NAME]: "[secret]" });
    await must(scene.stack.destroy());
  });

  it("left no key anywhere", () => {
    const { vault, cloudflare } = scene.cloud;
    const keys = vault.paths().flatMap((at) => vault.get(at).map(({ data }) => String(data?.["key"])));
    expect(keys).toHaveLength(3);
    for (const key of keys) {
      secrets.set(key, "a key");
      secrets.set(Buffer.from(key, "hex").toString("base64url"), "a key as a JWK has it");
      secrets.set(Buffer.from(key, "hex").toString("base64"), "a key in base64");
    }
    secrets.set(vault.token, "the Vault token");
    secrets.set(cloudflare.token, "the Cloudflare token");
    const sought: Secret[] = [...secrets].map(([value, name]) => ({ name, value }));
    expect(sought.length).toBeGreaterThan(20);
    const searched = scanForLeaks({ secrets: [{ name: "a stamp", value: "2026-11-21" }], places: places() });
    expect([...new Set(searched.map(({ place }) => place.replace(/:.*/, "")))].sort()).toEqual([
      ...["events", "plan", "previews", "stack file", "state", "transcript", "vault's log", "webhook"],
    ]);
    expect(scanForLeaks({ secrets: sought, places: places() })).toEqual([]);
  });
});

/** What state and Worker hold now. */
async function remember(): Promise<void> {
  for (const { name, value } of await secretsOf(scene, ["rounds-api"]))
    if (value.length >= 16) secrets.set(value, name);
  for (const name of ["JWT_KEYS", "STORE_KEYS"]) {
    const { keys } = JSON.parse(secretOf(scene, name)) as { keys: { k: string }[] };
    for (const { k } of keys) {
      secrets.set(k, `a key of ${name}`);
      secrets.set(Buffer.from(k, "base64url").toString("hex"), `a key of ${name}, in digits`);
    }
  }
}

function places(): Place[] {
  return [
    ...placesOf(scene, sampled.seen),
    { name: "vault's log", files: [scene.cloud.vault.logFile ?? ""] },
    { name: "webhook", text: posted },
  ];
}

function stamps(...list: string[]): void {
  scene.generations(NAME, list);
  scene.generations("oauth-store", list);
}
