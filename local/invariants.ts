/**
 * What holds at the end of every scene, whatever was lived in it: no secret that it ever had stands anywhere in the clear (G7),
 * and a preview finds nothing left to do (G1).
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { parse } from "yaml";
import { type Place, placesOf, scanForLeaks, type Secret } from "./leaks";
import type { Scene } from "./scene";

/** Why an invariant does not hold at a scene's end, in words. */
export interface Unless {
  /** Why a preview finds something to do. */
  changes?: string;
}

/** Shorter ones, a name or a stamp beside a secret, are found by chance. */
const SHORTEST = 16;

/** What is broken, a line each; nothing where all is well. */
export async function broken(scene: Scene, unless: Unless): Promise<string[]> {
  const problems: string[] = [];
  if (unless.changes === undefined) {
    const { code, stdout, stderr } = await scene.stack.preview(["--expect-no-changes"]);
    if (code !== 0) problems.push(`a preview with --expect-no-changes ended with ${code}:\n${stdout}${stderr}`);
  }
  const secrets = await everySecretOf(scene);
  for (const { secret, place, form } of scanForLeaks({ secrets, places: everyPlaceOf(scene) }))
    problems.push(`${secret} stands in ${place}, form ${form}`);
  return problems;
}

/** In place of a password; it may stand in Postgres's log, nowhere else: https://www.postgresql.org/docs/18/catalog-pg-authid.html */
const VERIFIER = /^SCRAM-SHA-256\$/;

/** All that the runs of a scene wrote or showed, and the logs of its servers. */
export function everyPlaceOf(scene: Scene): Place[] {
  const { cloud } = scene;
  return [
    ...placesOf(scene, scene.stack.shown),
    { name: "Postgres's log", files: cloud.has("postgres") ? [cloud.postgres.logFile] : [], mayHold: VERIFIER },
    { name: "Vault's log", files: cloud.has("vault") ? [cloud.vault.logFile ?? ""] : [] },
  ];
}

/** What every update has left in the backend and the stack file, encrypted, and what the servers hold or held. */
export async function everySecretOf(scene: Scene): Promise<Secret[]> {
  const found = new Map<string, string>();
  const add = (name: string, value: unknown): void => {
    if (typeof value === "string") {
      if (value.length < SHORTEST || found.has(value)) return;
      found.set(value, name);
      for (const [part, text] of Object.entries(partsOf(value))) add(`${name}, its ${part}`, text);
    } else if (typeof value === "object" && value !== null)
      for (const [key, part] of Object.entries(value)) if (!PUBLIC_KEYS.has(key)) add(`${name}.${key}`, part);
  };
  const decrypt = await scene.stack.decrypter();
  const seen = new Set<string>();
  for (const file of [scene.configFile, ...filesBelow(scene.stack.backend, ".json")]) {
    const text = fs.readFileSync(file, "utf8");
    const content: unknown = file.endsWith(".json") ? JSON.parse(text) : parse(text);
    eachText(content, path.basename(file), (name, ciphertext) => {
      if (!CIPHERTEXT.test(ciphertext) || seen.has(ciphertext)) return;
      seen.add(ciphertext);
      add(name, valueOf(decrypt(ciphertext)));
    });
  }
  for (const [name, value] of secretsOfServers(scene)) add(name, value);
  return [...found].map(([value, name]) => ({ name, value }));
}

const CIPHERTEXT = /^v1:[\w+/=]{16}:[\w+/=]+$/;

/** Secret only because they stand beside a secret: in a set, in a program's environment, in what an invalidation tries tokens by. */
const PUBLIC_KEYS = new Set([
  ...["worker", "script", "url", "ROLLOVER_GENERATIONS"],
  ...["ROLLOVER_STACK", "ROLLOVER_CREDENTIAL", "ROLLOVER_STAMP"],
  ...["on", "tag", "expires"],
]);

function eachText(value: unknown, name: string, visit: (name: string, text: string) => void): void {
  if (typeof value === "string") visit(name, value);
  if (typeof value !== "object" || value === null) return;
  const urn = "urn" in value && typeof value.urn === "string" ? value.urn.split("::").slice(2).join("::") : undefined;
  for (const [key, part] of Object.entries(value)) eachText(part, `${urn ?? name}.${key}`, visit);
}

/** What of a secret is as good as the whole: a URL's password, a token's signature, a keyset's keys, a key in another notation. */
function partsOf(value: string): Record<string, unknown> {
  const notations: [RegExp, BufferEncoding, BufferEncoding[]][] = [
    [/^[0-9a-f]{32,}$/, "hex", ["base64", "base64url"]],
    [/^[\w-]{32,}$/, "base64url", ["hex"]],
  ];
  const [from, to] = notations.flatMap(([form, ...rest]) => (form.test(value) ? [rest] : []))[0] ?? [];
  return {
    password: URL.canParse(value) ? decodeURIComponent(new URL(value).password) : "",
    signature: /^ey[\w-]+\.[\w-]+\.([\w-]+)$/.exec(value)?.[1],
    parts: /^[{[]/.test(value) && valueOf(value) !== value ? valueOf(value) : undefined,
    bytes: from === undefined ? undefined : to?.map((notation) => Buffer.from(value, from).toString(notation)),
  };
}

/** State holds a value's JSON, a stack file its text. */
function valueOf(plaintext: string): unknown {
  try {
    const value = JSON.parse(plaintext) as unknown;
    return typeof value === "number" ? plaintext : value;
  } catch {
    return plaintext;
  }
}

function secretsOfServers({ cloud, stack }: Scene): [name: string, value: unknown][] {
  const list: [string, unknown][] = [["the passphrase", stack.env().PULUMI_CONFIG_PASSPHRASE]];
  if (cloud.has("postgres"))
    list.push(
      ["the admin's password", cloud.postgres.admin.password],
      ["the superuser's password", cloud.postgres.superuser.password],
    );
  if (cloud.has("workers"))
    list.push(
      ["the Cloudflare API token", cloud.cloudflare.token],
      ["a Worker's version", cloud.cloudflare.everySecret()],
    );
  if (cloud.has("turso"))
    list.push(["a platform token", cloud.turso.platformTokens()], ["a Turso token", cloud.turso.tokensMinted()]);
  if (cloud.has("vault")) {
    list.push(["a Vault token", cloud.vault.tokens()]);
    for (const at of cloud.vault.paths())
      list.push([`Vault's ${at}`, cloud.vault.get(at).map(({ data }) => data?.["key"])]);
  }
  return list;
}

function filesBelow(folder: string, end: string): string[] {
  const names = fs.readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(end)).map((name) => path.join(folder, name));
}
