/**
 * Calls to the API that the provider's inputs name, and the errors that may leave this plugin. Only an address on the
 * loopback interface is accepted: a stand-in has no business on a real account.
 */
import { setTimeout as pause } from "node:timers/promises";
import { isLoopback } from "../postgresql/connection";
import type { Failure } from "../resource";
import type { Properties } from "../wire";

const KNOWN = ["apiToken", "baseUrl", "userAgentOperatorSuffix", "version"];
const ATTEMPTS = 3;

/** What is wrong with the provider's inputs. */
export function checkConfig(config: Properties): Failure[] {
  const unknown = Object.keys(config).filter((key) => !key.startsWith("__") && !KNOWN.includes(key));
  const failures = unknown.map((property) => ({
    property,
    reason: `the stand-in plugin has no provider input "${property}"; remove it`,
  }));
  // Left out where it is not known yet; `configure` is called with all.
  const { baseUrl } = config;
  if (baseUrl !== undefined && !isLocal(baseUrl)) failures.push({ property: "baseUrl", reason: refusal(baseUrl) });
  return failures;
}

function isLocal(baseUrl: unknown): boolean {
  if (typeof baseUrl !== "string" || !URL.canParse(baseUrl)) return false;
  const { protocol, hostname } = new URL(baseUrl);
  return protocol === "http:" && isLoopback(hostname.replace(/^\[|\]$/g, ""));
}

function refusal(baseUrl: unknown): string {
  const host = typeof baseUrl === "string" && URL.canParse(baseUrl) ? new URL(baseUrl).host : "not given";
  return (
    `The stand-in for @pulumi/cloudflare talks to loopback addresses only, and the API's host is ${host}. ` +
    "Use http://127.0.0.1:PORT/client/v4, or install the official plugin: pulumi plugin install resource cloudflare"
  );
}

/** The API answered that there is no such thing. */
export class NotFound extends Error {}

/** One provider's API. */
export class Connection {
  #config: Properties = {};

  configure(config: Properties): void {
    const { baseUrl, apiToken } = config;
    if (!isLocal(baseUrl)) throw new Error(`baseUrl: ${refusal(baseUrl)}`);
    if (typeof apiToken !== "string" || apiToken === "") throw new Error("apiToken: is missing; give the provider one");
    this.#config = config;
  }

  /** The result in the envelope. Throws in words that hold no credential; a refusal for load is met with two more tries. */
  async call(method: string, path: string, body?: FormData | Record<string, unknown>): Promise<Properties> {
    for (let attempt = 1; ; attempt++) {
      const response = await this.#fetch(method, path, body);
      const { success, result, errors } = (await response.json()) as Envelope;
      if (success) return result ?? {};
      const text = errors.map(({ code, message }) => `${message} (code ${code})`).join("; ");
      const error = `Cloudflare, ${method} ${path}: HTTP ${response.status}, ${text}`;
      if (response.status === 404) throw new NotFound(error);
      if (attempt === ATTEMPTS || (response.status !== 429 && response.status < 500)) throw new Error(error);
      await pause(1000 * Math.min(5, Number(response.headers.get("retry-after") ?? 0.3)));
    }
  }

  async #fetch(method: string, path: string, body: FormData | Record<string, unknown> | undefined): Promise<Response> {
    const { baseUrl, apiToken } = this.#config;
    const headers: Record<string, string> = { authorization: `Bearer ${String(apiToken)}` };
    const isForm = body instanceof FormData;
    if (body !== undefined && !isForm) headers["content-type"] = "application/json";
    const init: RequestInit = { method, headers, signal: AbortSignal.timeout(60_000) };
    if (body !== undefined) init.body = isForm ? body : JSON.stringify(body);
    try {
      return await fetch(`${String(baseUrl).replace(/\/+$/, "")}${path}`, init);
    } catch (error) {
      const { name, cause } = error as Error & { cause?: { code?: unknown } };
      const reason = typeof cause?.code === "string" ? cause.code : name;
      throw new Error(`Cloudflare, ${method} ${path}: no answer (${reason})`, { cause: undefined });
    }
  }
}

interface Envelope {
  success: boolean;
  result: Properties | null;
  errors: { code: number; message: string }[];
}

/** Names inside a value as the API has them: `requestsPerPeriod` is `requests_per_period`. */
export function toApi(value: unknown): unknown {
  return renamed(value, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

/** The reverse of `toApi`. */
export function fromApi(value: unknown): unknown {
  return renamed(value, (name) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()));
}

function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [rename(name), renamed(item, rename)]));
}
