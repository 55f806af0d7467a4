import { setTimeout as pause } from "node:timers/promises";
import type { CloudflareAccount } from "../rotation/model";

/** Why Cloudflare refused, decided once, here, from status and code. */
export type CloudflareFault =
  /** 401, 403, code 10000: the token is wrong, expired or lacks `Workers Scripts Write`. */
  | "unauthorised"
  /** Codes 10007 and 10090: no such account or script. A 404 alone does not say so: a proxy or a wrong address answers it too. */
  | "not-found"
  /** 10214, 10215: the newest version of the script is not the deployed one. */
  | "undeployed"
  /** 429 to the end of the retries. */
  | "rate-limited"
  /** 5xx, time-out or broken connection to the end of the retries: the effect is unknown. */
  | "unavailable"
  /** Any other refusal. */
  | "rejected";

/** A refusal in words that hold no credential: status, code, and what was asked; never the answer's body. */
export class CloudflareError extends Error {
  constructor(
    readonly fault: CloudflareFault,
    message: string,
  ) {
    super(message);
  }
}

/** Names to set (with their text) or, with null, to delete. */
export type SecretChanges = Record<string, string | null>;

/** The newest version of a script and the one that answers requests. */
export interface Versions {
  newest: string | undefined;
  deployed: string | undefined;
}

const attempts = 4;

interface Call {
  method: "GET" | "PATCH";
  /** Below the account. */
  path: string;
  body?: unknown;
  /** Whether a result has the documented shape; one that has not did not come from Cloudflare. */
  fits: (result: unknown) => boolean;
  /** Asked after an answer that leaves the effect open; true ends the call as done, false repeats it. */
  applied?: () => Promise<boolean>;
}

/**
 * The few endpoints of Cloudflare's API that Rollover calls
 * (https://developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/secrets/). Each call is bounded to 30 s and four
 * attempts; Retry-After is obeyed up to `longestPauseMs`.
 */
export class CloudflareApi {
  constructor(
    private readonly account: CloudflareAccount,
    private readonly token: string,
    private readonly timeoutMs = 30_000,
    private readonly longestPauseMs = 60_000,
  ) {}

  get accountId(): string {
    return this.account.accountId;
  }

  /** Names of the secrets of a script; values can never be read. */
  async listSecrets(script: string): Promise<string[]> {
    const path = `/workers/scripts/${encodeURIComponent(script)}/secrets`;
    const result = await this.call({ method: "GET", path, fits: (list) => isListOf(list, "name") });
    return (result as { name: string }[]).map(({ name }) => name);
  }

  /** Which version is newest, and which is deployed (to all or to most requests). */
  async versions(script: string): Promise<Versions> {
    const path = `/workers/scripts/${encodeURIComponent(script)}`;
    const [versions, deployments] = await Promise.all([
      this.call({
        method: "GET",
        path: `${path}/versions`,
        fits: (result) => isListOf(fieldOf(result, "items"), "id"),
      }),
      this.call({ method: "GET", path: `${path}/deployments`, fits: areDeployments }),
    ]);
    const live = (deployments as { deployments: { versions: { version_id: string; percentage: number }[] }[] })
      .deployments[0];
    return {
      newest: (versions as { items: { id: string }[] }).items[0]?.id,
      // A gradual deployment serves two: neither is "the" deployed one, and the newest alone counts.
      deployed: live?.versions.find(({ percentage }) => percentage === 100)?.version_id,
    };
  }

  /** Sets and deletes secrets in one new version, deployed at once; others stay. At most 100 names a call. */
  async changeSecrets(script: string, changes: SecretChanges, applied: () => Promise<boolean>): Promise<void> {
    const secrets = Object.entries(changes).map(([name, text]) => [
      name,
      text === null ? null : { name, text, type: "secret_text" },
    ]);
    const path = `/workers/scripts/${encodeURIComponent(script)}/secrets-bulk`;
    const body = { secrets: Object.fromEntries(secrets) as unknown };
    await this.call({ method: "PATCH", path, body, fits: () => true, applied });
  }

  private async call(call: Call): Promise<unknown> {
    const what = `${call.method} ${call.path} of account ${this.account.accountId}`;
    for (let attempt = 1; ; attempt++) {
      const { fault, retryAfterMs, result, text } = await this.attempt(call);
      if (!fault) return result;
      const error = new CloudflareError(fault, `Cloudflare, ${what}: ${text}`);
      const open = fault === "unavailable";
      if (!open && fault !== "rate-limited") throw error;
      if (open && call.applied && (await call.applied())) return undefined;
      if (attempt === attempts) throw error;
      await pause(retryAfterMs ?? 250 * 2 ** attempt);
    }
  }

  private async attempt({ method, path, body, fits }: Call): Promise<Answer> {
    let response: Response;
    try {
      response = await fetch(`${this.account.apiUrl}/accounts/${this.account.accountId}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.token}`,
          ...(body === undefined ? {} : { "content-type": "application/merge-patch+json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: "error",
        signal: AbortSignal.timeout(this.timeoutMs),
      });
    } catch (error) {
      return { fault: "unavailable", text: `no answer within ${this.timeoutMs} ms (${reasonOf(error)})` };
    }
    const envelope = (await response.json().catch(() => undefined)) as Envelope | undefined;
    if (response.ok && envelope?.success === true && fits(envelope.result))
      return { result: envelope.result, text: "" };
    const first = envelope?.errors?.[0]?.code;
    // A stranger's answer may hold any text there, and none of it is repeated.
    const code = typeof first === "number" ? first : undefined;
    const fault = classify(response.status, code);
    const text = `status ${response.status}${code === undefined ? "" : `, code ${code}`}: ${advice[fault]}`;
    const retryAfter = Number(response.headers.get("retry-after"));
    return {
      fault,
      text,
      ...(retryAfter > 0 ? { retryAfterMs: Math.min(retryAfter * 1000, this.longestPauseMs) } : {}),
    };
  }
}

interface Answer {
  fault?: CloudflareFault;
  text: string;
  result?: unknown;
  retryAfterMs?: number;
}

interface Envelope {
  success?: unknown;
  result?: unknown;
  errors?: { code?: unknown }[];
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

/** Whether it is a list of objects with a text under `key`. */
function isListOf(value: unknown, key: string): boolean {
  return Array.isArray(value) && value.every((item) => typeof fieldOf(item, key) === "string");
}

function areDeployments(result: unknown): boolean {
  const list = fieldOf(result, "deployments");
  return Array.isArray(list) && list.every((item) => isListOf(fieldOf(item, "versions"), "version_id"));
}

function classify(status: number, code: number | undefined): CloudflareFault {
  if (code === 10214 || code === 10215) return "undeployed";
  if (code === 10007 || code === 10090) return "not-found";
  if (code === 10000 || status === 401 || status === 403) return "unauthorised";
  if (status === 429) return "rate-limited";
  // An OK or a 404 without Cloudflare's envelope came from something in between.
  const isStrange = status < 300 || (status === 404 && code === undefined);
  return status >= 500 || status === 408 || isStrange ? "unavailable" : "rejected";
}

const advice: Record<CloudflareFault, string> = {
  unauthorised:
    "the API token is wrong, expired or lacks `Workers Scripts Write`; set it with `pulumi config set --secret cloudflareApiToken`",
  "not-found":
    "no such account or script; check rollover:cloudflare.accountId and the Worker's `script`, and deploy the script before its secrets",
  undeployed:
    "the newest version of the script is not the deployed one; deploy it or roll it back, then run the update again",
  "rate-limited": "too many requests (1,200 in five minutes are allowed); run the update again in five minutes",
  unavailable: "the API failed; run the update again",
  rejected:
    "the API refused the request; check rollover:cloudflare.accountId and the Worker's `script`, then look up the code at Cloudflare",
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? error.name;
}
