/**
 * The upload of a script, with its bindings: https://developers.cloudflare.com/workers/configuration/multipart-upload-metadata/
 * Of the vendor's many kinds of bindings the local cloud runs three: plain_text, secret_text and ratelimit.
 */
import { parseObject, Refusal } from "./refusal";
import type { Content, Version } from "./script";
import type { RateLimitBinding } from "./workerd";

const NAME = /^[A-Za-z_$][\w$]*$/;

/** What an upload asks for. `previous` is the version whose bindings it may keep. */
export async function parseUpload(
  contentType: string | undefined,
  body: string,
  previous: Version | undefined,
): Promise<Content> {
  const form = await formOf(contentType, body);
  const metadata = parseObject(await textOf(form, "metadata"));
  const main = metadata["main_module"];
  if (typeof main !== "string") throw new Refusal(400, 10021, "metadata.main_module: only module Workers run here");
  const code = await textOf(form, main);
  const keeps = Array.isArray(metadata["keep_bindings"]) ? (metadata["keep_bindings"] as unknown[]) : [];
  const given = parseBindings(metadata["bindings"] ?? []);
  // What is given anew is not kept, of whatever type it was.
  const kept = <T>(type: string, values: Record<string, T> = {}): Record<string, T> =>
    keeps.includes(type) ? Object.fromEntries(Object.entries(values).filter(([name]) => !given.names.has(name))) : {};
  return {
    code,
    vars: { ...kept("plain_text", previous?.vars), ...given.vars },
    secrets: { ...kept("secret_text", previous?.secrets), ...given.secrets },
    runtime: {
      compatibilityDate: dateOf(metadata["compatibility_date"]),
      compatibilityFlags: (metadata["compatibility_flags"] ?? []) as string[],
      rateLimits: { ...kept("ratelimit", previous?.runtime.rateLimits), ...given.rateLimits },
    },
  };
}

/** A version's bindings as the API lists them; of a secret only its name. */
export function describeBindings({ vars, secrets, runtime }: Version): Record<string, unknown>[] {
  return [
    ...Object.entries(vars).map(([name, text]) => ({ name, type: "plain_text", text })),
    ...Object.keys(secrets).map((name) => ({ name, type: "secret_text" })),
    ...Object.entries(runtime.rateLimits).map(([name, limit]) => ({ name, type: "ratelimit", ...limit })),
  ];
}

interface Bindings extends Pick<Content, "vars" | "secrets"> {
  rateLimits: Record<string, RateLimitBinding>;
  names: Set<string>;
}

function parseBindings(list: unknown): Bindings {
  const found: Bindings = { vars: {}, secrets: {}, rateLimits: {}, names: new Set() };
  for (const item of list as Record<string, unknown>[]) {
    const { type, name, text } = item;
    if (typeof name !== "string" || !NAME.test(name))
      throw new Refusal(400, 10021, "bindings: a name is no identifier");
    if (found.names.has(name)) throw new Refusal(400, 10021, `bindings: ${name} stands there twice`);
    found.names.add(name);
    if (type === "ratelimit") found.rateLimits[name] = rateLimitOf(name, item);
    else if (type === "plain_text" && typeof text === "string") found.vars[name] = text;
    else if (type === "secret_text" && typeof text === "string") found.secrets[name] = text;
    else throw new Refusal(400, 10021, `bindings: ${name} is of a type that the local cloud does not run`);
  }
  return found;
}

/** https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/ */
function rateLimitOf(name: string, item: Record<string, unknown>): RateLimitBinding {
  const { namespace_id, simple } = item as { namespace_id?: unknown; simple?: { limit?: unknown; period?: unknown } };
  const { limit, period } = simple ?? {};
  if (typeof namespace_id !== "string" || !/^[1-9]\d{0,18}$/.test(namespace_id))
    throw new Refusal(400, 10021, `bindings: ${name}: namespace_id must be a positive integer, as text`);
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1)
    throw new Refusal(400, 10021, `bindings: ${name}: limit must be a positive integer`);
  if (period !== 10 && period !== 60) throw new Refusal(400, 10021, `bindings: ${name}: period must be 10 or 60`);
  return { namespace_id, simple: { limit, period } };
}

function dateOf(value: unknown): string {
  if (typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value)) return value;
  throw new Refusal(400, 10021, "metadata.compatibility_date: must be a date such as 2026-07-01");
}

async function formOf(contentType: string | undefined, body: string): Promise<FormData> {
  try {
    return await new Response(body, { headers: { "content-type": contentType ?? "" } }).formData();
  } catch {
    throw new Refusal(400, 10021, "The body is no multipart/form-data");
  }
}

async function textOf(form: FormData, part: string): Promise<string> {
  const found = form.get(part);
  if (found === null) throw new Refusal(400, 10021, `The part ${part} is missing`);
  return typeof found === "string" ? found : found.text();
}
