/**
 * The REST API of Workers scripts and of a zone's rulesets, in Cloudflare's shapes:
 * https://developers.cloudflare.com/api/resources/workers/ and https://developers.cloudflare.com/api/resources/rulesets/
 * Codes 10000, 10007, 10053, 10215 and 10220 are the vendor's; facts/cloudflare.md has where most were seen. The codes of
 * refused input (10021, 10056) and the HTTP status beside a code could not be checked against the vendor.
 */
import type { IncomingMessage } from "node:http";
import type { Answer } from "../faults";
import { parseObject, Refusal } from "./refusal";
import { answerRulesets, type Rulesets } from "./rulesets";
import { Script, type Version } from "./script";
import { describeBindings, parseUpload } from "./upload";
import { WorkerStartError } from "./workerd";

export const LIMITS = { operations: 100, valueBytes: 5120, names: 128 };
const NAME = /^[A-Za-z_$][\w$]*$/;

const MESSAGES: Record<number, string> = {
  429: "Rate limited. Please wait and consider throttling your request speed",
  503: "Service unavailable",
};

export function refusal(status: number, code: number, message = MESSAGES[status] ?? "internal error"): unknown {
  return { success: false, result: null, errors: [{ code, message }], messages: [] };
}

export interface Account {
  accountId: string;
  token: string;
  scripts: Map<string, Script>;
  zoneId: string;
  rulesets: Rulesets;
}

/** Answers one call. */
export async function handleApi(account: Account, request: IncomingMessage, url: URL, body: string): Promise<Answer> {
  try {
    const result = await route(account, request, url, body);
    return { status: 200, body: { success: true, result, errors: [], messages: [] } };
  } catch (error) {
    if (error instanceof WorkerStartError) return { status: 400, body: refusal(400, 10021, error.message) };
    if (!(error instanceof Refusal)) throw error;
    return { status: error.status, body: refusal(error.status, error.code, error.message) };
  }
}

async function route(account: Account, request: IncomingMessage, url: URL, body: string): Promise<unknown> {
  if (request.headers.authorization !== `Bearer ${account.token}`)
    throw new Refusal(403, 10000, "Authentication error");
  const zone = /^\/client\/v4\/zones\/([^/]+)\/rulesets(?:\/([^/]+))?$/.exec(url.pathname);
  if (zone?.[1] === account.zoneId) return answerRulesets(account.rulesets, request.method ?? "", zone[2], body);
  const match = /^\/client\/v4\/accounts\/([^/]+)\/workers\/scripts\/([^/]+)(?:\/([\w-]+)(?:\/([^/]+))?)?$/.exec(
    url.pathname,
  );
  if (!match)
    throw new Refusal(404, 7003, `Could not route to ${url.pathname}, perhaps your object identifier is invalid?`);
  const [, accountId = "", scriptName = "", resource, item] = match;
  const script = account.scripts.get(decodeURIComponent(scriptName));
  if (resource === undefined && request.method === "PUT" && accountId === account.accountId)
    return uploadScript(account, decodeURIComponent(scriptName), request.headers["content-type"], body);
  if (accountId !== account.accountId || !script)
    throw new Refusal(404, 10007, "This Worker does not exist on your account.");
  if (resource === undefined) return deleteScript(account, script, request.method);

  const name = item === undefined ? "" : decodeURIComponent(item);
  switch (`${request.method ?? ""} ${resource}${item === undefined ? "" : "/:item"}`) {
    case "PATCH secrets-bulk":
      return script.exclusive(() => bulk(script, request.headers["content-type"], body));
    case "GET settings":
      return describeSettings(script.latest);
    case "GET secrets":
      return Object.keys(script.latest.secrets).map(secret);
    case "PUT secrets":
      return script.exclusive(() => put(script, body));
    case "GET secrets/:item":
      return secret(existing(script, name));
    case "DELETE secrets/:item":
      return script.exclusive(() => remove(script, name));
    case "GET versions":
      return { items: script.versions.map(describeVersion) };
    case "GET versions/:item":
      return describeResources(versionOf(script, name));
    case "GET deployments":
      return { deployments: script.deployments.map(describeDeployment) };
    case "POST deployments":
      return script.exclusive(() => deploy(script, body, url.searchParams.get("force") === "true"));
    default:
      throw new Refusal(405, 10405, "Method not allowed for this authentication scheme");
  }
}

/** Code and bindings in one: a new script, or a new version of one that is there. Deployed at once. */
async function uploadScript(account: Account, name: string, contentType: string | undefined, body: string) {
  const known = account.scripts.get(name);
  if (known) {
    await known.exclusive(async () => known.deployContent(await parseUpload(contentType, body, known.latest)));
    return describeScript(known);
  }
  const script = await Script.create(name, await parseUpload(contentType, body, undefined));
  account.scripts.set(name, script);
  return describeScript(script);
}

async function deleteScript(account: Account, script: Script, method: string | undefined): Promise<null> {
  if (method !== "DELETE") throw new Refusal(405, 10405, "Method not allowed for this authentication scheme");
  account.scripts.delete(script.name);
  await script.stop();
  return null;
}

/** RFC 7396: a value sets, null deletes, a name left out stays. One version for all of it. */
async function bulk(script: Script, contentType: string | undefined, body: string): Promise<unknown> {
  if (contentType?.split(";")[0]?.trim() !== "application/merge-patch+json")
    throw new Refusal(415, 10021, "Content-Type must be application/merge-patch+json");
  const { secrets } = parseObject(body);
  if (typeof secrets !== "object" || secrets === null) throw new Refusal(400, 10021, "secrets: must be an object");
  const changes = Object.entries(secrets as Record<string, unknown>);
  if (changes.length > LIMITS.operations)
    throw new Refusal(400, 10021, `secrets: ${changes.length} operations, ${LIMITS.operations} at most`);
  const next = new Map(Object.entries(script.latest.secrets));
  for (const [name, change] of changes) {
    if (change === null) next.delete(name);
    else next.set(name, checkSecret(change, name).text);
  }
  await apply(script, next);
  return Object.fromEntries([...next.keys()].map((name) => [name, secret(name)]));
}

async function put(script: Script, body: string): Promise<unknown> {
  const { name, text } = checkSecret(parseObject(body));
  await apply(script, new Map(Object.entries(script.latest.secrets)).set(name, text));
  return secret(name);
}

async function remove(script: Script, name: string): Promise<unknown> {
  const next = new Map(Object.entries(script.latest.secrets));
  next.delete(existing(script, name));
  await apply(script, next);
  return null;
}

async function apply(script: Script, secrets: Map<string, string>): Promise<void> {
  if (script.latest.id !== script.live.id)
    throw new Refusal(
      400,
      10215,
      "Secret edit failed. You attempted to modify a secret, but the latest version of your Worker isn't currently deployed.",
    );
  const { vars, runtime } = script.latest;
  const taken = [...secrets.keys()].find((name) => name in vars || name in runtime.rateLimits);
  if (taken !== undefined)
    throw new Refusal(400, 10053, `Binding name '${taken}' already in use. Please use a different name and try again.`);
  const names = secrets.size + Object.keys(vars).length + Object.keys(runtime.rateLimits).length;
  if (names > LIMITS.names)
    throw new Refusal(400, 10021, `${names} environment variables and secrets, ${LIMITS.names} at most`);
  await script.editSecrets(Object.fromEntries(secrets));
}

function checkSecret(value: unknown, key?: string): { name: string; text: string } {
  const { name = key, type, text } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || !NAME.test(name)) throw new Refusal(400, 10021, "name: must be a valid identifier");
  if (key !== undefined && name !== key) throw new Refusal(400, 10021, `${key}: its name says another`);
  if (type !== "secret_text" || typeof text !== "string")
    throw new Refusal(400, 10021, `${name}: must have type secret_text and a text`);
  const bytes = Buffer.byteLength(text);
  if (bytes > LIMITS.valueBytes) throw new Refusal(400, 10021, `${name}: ${bytes} bytes, ${LIMITS.valueBytes} at most`);
  return { name, text };
}

async function deploy(script: Script, body: string, force: boolean): Promise<unknown> {
  const { strategy, versions } = parseObject(body);
  const [target, ...others] = (Array.isArray(versions) ? versions : []) as Record<string, unknown>[];
  if (strategy !== "percentage" || target?.percentage !== 100 || others.length > 0)
    throw new Refusal(400, 10021, "The local cloud deploys one version at 100 percent");
  const version = versionOf(script, target.version_id);
  if (!force && !sameSecrets(version.secrets, script.live.secrets))
    throw new Refusal(400, 10220, "The secrets of this version differ from the current ones; use force to deploy it");
  return describeDeployment(await script.deploy(version));
}

function sameSecrets(a: Record<string, string>, b: Record<string, string>): boolean {
  const names = Object.keys({ ...a, ...b });
  return names.every((name) => a[name] === b[name]);
}

function existing(script: Script, name: string): string {
  if (!Object.hasOwn(script.latest.secrets, name)) throw new Refusal(404, 10056, "Secret not found");
  return name;
}

function versionOf(script: Script, id: unknown): Version {
  const version = script.versions.find((candidate) => candidate.id === id);
  if (!version) throw new Refusal(404, 10222, "Version not found");
  return version;
}

const secret = (name: string): unknown => ({ name, type: "secret_text" });

function describeVersion({ id, number, createdOn, source }: Version): Record<string, unknown> {
  const metadata = {
    author_email: "someone@example.com",
    created_on: createdOn,
    modified_on: createdOn,
    source: "api",
  };
  return { id, number, metadata, annotations: { "workers/triggered_by": source } };
}

function describeResources(version: Version): unknown {
  return { ...describeVersion(version), resources: { bindings: describeBindings(version) } };
}

function describeSettings(version: Version): unknown {
  const { compatibilityDate, compatibilityFlags } = version.runtime;
  return {
    bindings: describeBindings(version),
    compatibility_date: compatibilityDate,
    compatibility_flags: compatibilityFlags,
    logpush: false,
    usage_model: "standard",
  };
}

function describeScript({ name, latest, versions }: Script): unknown {
  const created = versions.at(-1)?.createdOn;
  const standard = {
    has_assets: false,
    has_modules: true,
    logpush: false,
    usage_model: "standard",
    startup_time_ms: 1,
  };
  return { id: name, etag: latest.id, created_on: created, modified_on: latest.createdOn, ...standard };
}

function describeDeployment({ id, createdOn, versionId }: Script["deployments"][number]): unknown {
  const versions = [{ version_id: versionId, percentage: 100 }];
  return { id, source: "api", strategy: "percentage", created_on: createdOn, versions, annotations: {} };
}
