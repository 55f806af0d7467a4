import { setTimeout as pause } from "node:timers/promises";
import type { CloudflareAccount } from "../rotation/model";

/** Why Cloudflare refused, decided once, here, from status and code. */
export type CloudflareFault =
  /** 401, 403, code 10000: the token is wrong, expired or lacks `Workers Scripts Write`. */
  | "unauthorised"
  /** 404, code 10007 or 10090: no such account or script. */
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
  /** Asked after an answer that leaves the effect open; true ends the call as done, false repeats it. */
  applied?: () => Promise<boolean>;
}

/**
 * The few endpoints of Cloudflare's API that Rollover calls
 * (https://developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/secrets/). Each call is bounded to 30 s and four
 * attempts; Retry-After is obeyed up to 60 s.
 */
export class CloudflareApi {
  constructor(
    private readonly account: CloudflareAccount,
    private readonly token: string,
    private readonly timeoutMs = 30_000,
  ) {}

  /** Names of the secrets of a script; values can never be read. */
  async listSecrets(script: string): Promise<string[]> {
    const result = await this.call({ method: "GET", path: `/workers/scripts/${encodeURIComponent(script)}/secrets` });
    return (result as { name: string }[]).map(({ name }) => name);
  }

  /** Which version is newest, and which is deployed (to all or to most requests). */
  async versions(script: string): Promise<Versions> {
    const path = `/workers/scripts/${encodeURIComponent(script)}`;
    const [versions, deployments] = await Promise.all([
      this.call({ method: "GET", path: `${path}/versions` }),
      this.call({ method: "GET", path: `${path}/deployments` }),
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
    await this.call({ method: "PATCH", path, body: { secrets: Object.fromEntries(secrets) as unknown }, applied });
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

  private async attempt({ method, path, body }: Call): Promise<Answer> {
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
    if (response.ok && envelope?.success) return { result: envelope.result, text: "" };
    const code = envelope?.errors?.[0]?.code;
    const fault = classify(response.status, code);
    const text = `status ${response.status}${code === undefined ? "" : `, code ${code}`}: ${advice[fault]}`;
    const retryAfter = Number(response.headers.get("retry-after"));
    return { fault, text, ...(retryAfter > 0 ? { retryAfterMs: Math.min(retryAfter, 60) * 1000 } : {}) };
  }
}

interface Answer {
  fault?: CloudflareFault;
  text: string;
  result?: unknown;
  retryAfterMs?: number;
}

interface Envelope {
  success: boolean;
  result?: unknown;
  errors?: { code: number }[];
}

function classify(status: number, code: number | undefined): CloudflareFault {
  if (code === 10214 || code === 10215) return "undeployed";
  if (code === 10007 || code === 10090 || status === 404) return "not-found";
  if (code === 10000 || status === 401 || status === 403) return "unauthorised";
  if (status === 429) return "rate-limited";
  // An OK without Cloudflare's envelope came from something in between.
  return status >= 500 || status === 408 || status < 300 ? "unavailable" : "rejected";
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
  rejected: "the API refused the request",
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? error.name;
}
