/**
 * A Cloudflare account of one's own on 127.0.0.1: the REST API of Workers scripts in front of Workers that really run in
 * workerd. Each change of secrets makes a version and deploys it, as the vendor does; facts/cloudflare.md 0 and 2.
 */
import { randomBytes } from "node:crypto";
import * as path from "node:path";
import { handleApi, refusal } from "./cloudflare/api";
import type { Propagation } from "./cloudflare/front";
import type { Ruleset } from "./cloudflare/rulesets";
import { Script, type Upload } from "./cloudflare/script";
import { startService, type Service } from "./faults";

export type { Propagation } from "./cloudflare/front";
export type { Upload } from "./cloudflare/script";

export interface LocalCloudflare extends Pick<Service, "calls" | "faults" | "onCall"> {
  /** Base of the API, with `/client/v4`. */
  apiUrl: string;
  accountId: string;
  token: string;
  /** The account's one zone. */
  zoneId: string;
  /** The zone's rulesets, as the API gives them. */
  rulesets(): Ruleset[];
  /** Where a script is reached; the same for its whole life. */
  workerUrl(script: string): string;
  /** How later switches of every script spread; a switch under way ends at once. */
  setPropagation(propagation: Propagation): void;
  /** Uploads a version without deploying it, so that the newest is not the live one. Returns its id. */
  upload(script: string, upload?: Upload): Promise<string>;
  /** Deploys a version by hand, past the API's call log and faults: the rollback, if it is an old one. */
  deploy(script: string, versionId: string): Promise<void>;
  /** Deletes a script: the API knows it no more, and nothing answers at its URL. */
  remove(script: string): Promise<void>;
  /** The script's versions, newest first, and what is live. */
  state(script: string): ScriptState;
  /** The secrets of every version of every script; for leak scans. */
  everySecret(): Record<string, string>[];
  stop(): Promise<void>;
}

export interface ScriptState {
  versionIds: string[];
  liveVersionId: string;
  /** The live version's secrets; for tests that look for leaks, or compare. */
  secrets: Record<string, string>;
  /** The version that each slot of the front serves now. */
  served: string[];
  /** workerd processes that run for it. */
  instances: number;
}

export interface CloudflareOptions {
  /** @default one script, `rounds-api`, with the local cloud's own Worker */
  scripts?: Record<string, Upload>;
  /** @default random */
  accountId?: string;
  /** @default random */
  token?: string;
}

const WORKER = path.join(__dirname, "worker", "index.ts");

export async function startCloudflare(options: CloudflareOptions = {}): Promise<LocalCloudflare> {
  const { accountId = randomBytes(16).toString("hex"), token = randomBytes(30).toString("base64url") } = options;
  const scripts = new Map<string, Script>();
  const account = {
    accountId,
    token,
    scripts,
    zoneId: randomBytes(16).toString("hex"),
    rulesets: new Map<string, Ruleset>(),
  };
  const stopScripts = async (): Promise<void> => {
    await Promise.all([...scripts.values()].map((script) => script.stop()));
  };
  try {
    // One after the other: booting is what costs, and it costs a whole core.
    for (const [name, upload] of Object.entries(options.scripts ?? { "rounds-api": {} }))
      scripts.set(name, await Script.start(name, { entry: WORKER, ...upload }));
  } catch (error) {
    await stopScripts();
    throw error;
  }
  const service = await startService((request, url, body) => handleApi(account, request, url, body), refusal);

  const find = (name: string): Script => {
    const script = scripts.get(name);
    if (!script) throw new Error(`no script ${name} in the local cloud; it has ${[...scripts.keys()].join(", ")}`);
    return script;
  };
  return {
    apiUrl: `http://127.0.0.1:${service.port}/client/v4`,
    accountId,
    token,
    zoneId: account.zoneId,
    rulesets: () => [...account.rulesets.values()],
    calls: service.calls,
    faults: service.faults,
    onCall: service.onCall,
    workerUrl: (name) => find(name).url,
    setPropagation(propagation) {
      for (const script of scripts.values()) script.setPropagation(propagation);
    },
    upload: async (name, upload = {}) => (await find(name).exclusive(() => find(name).upload(upload))).id,
    async deploy(name, versionId) {
      const script = find(name);
      const version = script.versions.find(({ id }) => id === versionId);
      if (!version) throw new Error(`no version ${versionId} of script ${name}`);
      await script.exclusive(() => script.deploy(version));
    },
    async remove(name) {
      const script = find(name);
      scripts.delete(name);
      await script.stop();
    },
    state(name) {
      const script = find(name);
      return {
        versionIds: script.versions.map(({ id }) => id),
        liveVersionId: script.live.id,
        secrets: { ...script.live.secrets },
        served: script.served(),
        instances: script.instances(),
      };
    },
    everySecret: () => [...scripts.values()].flatMap(({ versions }) => versions.map(({ secrets }) => secrets)),
    async stop() {
      await service.stop();
      await stopScripts();
    },
  };
}
