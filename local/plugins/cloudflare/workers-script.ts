/**
 * cloudflare.WorkersScript: one upload of code and bindings, deployed at once; the secrets that `keepBindings` names stay.
 * `read` sees that a script is gone, not that its code or its bindings are others, which the official plugin takes from
 * state too (facts/cloudflare.md 1).
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Failure, ResourceType } from "../resource";
import type { Properties } from "../wire";
import { isUnknown } from "../wire";
import { type Connection, fromApi, NotFound, toApi } from "./connection";

interface Script {
  accountId: string;
  scriptName: string;
  contentFile: string;
  contentSha256: string;
  mainModule: string;
  compatibilityDate: string;
  compatibilityFlags: string[];
  bindings?: Record<string, unknown>[];
  keepBindings?: string[];
}

const GENERATED = [
  "createdOn",
  "etag",
  "hasAssets",
  "hasModules",
  "logpush",
  "modifiedOn",
  "startupTimeMs",
  "usageModel",
];

export function workersScriptType(connection: Connection): ResourceType {
  return {
    token: "cloudflare:index/workersScript:WorkersScript",
    rules: {
      accountId: { kind: "string", required: true, replace: true },
      bindings: { kind: "list", computed: true },
      compatibilityDate: { kind: "string", computed: true },
      compatibilityFlags: { kind: "list", computed: true },
      contentFile: { kind: "string", required: true },
      contentSha256: { kind: "string", required: true },
      keepBindings: { kind: "list" },
      mainModule: { kind: "string", required: true },
      scriptName: { kind: "string", required: true, replace: true },
    },
    generated: GENERATED,
    secrets: [],
    check,
    async create(planned) {
      return { id: scriptOf(planned).scriptName, outputs: await upload(connection, planned) };
    },
    update: (_olds, planned) => upload(connection, planned),
    async delete(olds) {
      // The official plugin forces the deletion of a script that others are bound to, too.
      await tolerated(() => connection.call("DELETE", pathOf(olds)));
    },
    read: (_id, olds) =>
      tolerated(async () => {
        await connection.call("GET", `${pathOf(olds)}/settings`);
        return olds;
      }),
  };
}

/** https://developers.cloudflare.com/workers/configuration/multipart-upload-metadata/ */
async function upload(connection: Connection, planned: Properties): Promise<Properties> {
  const script = scriptOf(planned);
  const content = readFileSync(script.contentFile);
  const digest = createHash("sha256").update(content).digest("hex");
  if (digest !== script.contentSha256)
    throw new Error(
      `contentSha256 is not that of ${script.contentFile}: it was changed meanwhile; run the update again`,
    );
  const metadata = {
    main_module: script.mainModule,
    compatibility_date: script.compatibilityDate,
    compatibility_flags: script.compatibilityFlags,
    bindings: toApi(script.bindings),
    keep_bindings: script.keepBindings,
  };
  const form = new FormData();
  form.set("metadata", new Blob([JSON.stringify(metadata)], { type: "application/json" }), "metadata.json");
  form.set(script.mainModule, new Blob([content], { type: "application/javascript+module" }), script.mainModule);
  const result = fromApi(await connection.call("PUT", pathOf(planned), form)) as Properties;
  const answered = GENERATED.map((name) => [name, result[name]]);
  return { ...planned, ...(Object.fromEntries(answered) as Properties) };
}

function check(inputs: Properties): Failure[] {
  const { contentSha256, scriptName } = inputs;
  const failures: Failure[] = [];
  if (!isUnknown(scriptName) && !/^[a-z0-9_][a-z0-9_-]{0,254}$/.test(String(scriptName)))
    failures.push({ property: "scriptName", reason: "must be lower-case letters, digits, - and _" });
  if (!isUnknown(contentSha256) && !/^[0-9a-f]{64}$/.test(String(contentSha256)))
    failures.push({ property: "contentSha256", reason: "must be 64 hexadecimal digits" });
  return failures;
}

async function tolerated<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

function pathOf(values: Properties): string {
  const { accountId, scriptName } = scriptOf(values);
  return `/accounts/${accountId}/workers/scripts/${encodeURIComponent(scriptName)}`;
}

function scriptOf(values: Properties): Script {
  return values as unknown as Script;
}
