import * as http from "../http";
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

interface Call<T> {
  method: "GET" | "PATCH";
  /** Below the account. */
  path: string;
  body?: unknown;
  /** The result, or undefined where it has not the documented shape: it did not come from Cloudflare, then. */
  read: (result: unknown) => T | undefined;
  /** Asked after an answer that leaves the effect open; a result ends the call as done, undefined repeats it. */
  settled?: () => Promise<T | undefined>;
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
  listSecrets(script: string): Promise<string[]> {
    const path = `/workers/scripts/${encodeURIComponent(script)}/secrets`;
    return this.call({ method: "GET", path, read: (list) => textsOf(list, "name") });
  }

  /** Which version is newest, and which is deployed (to all or to most requests). */
  async versions(script: string): Promise<Versions> {
    const path = `/workers/scripts/${encodeURIComponent(script)}`;
    const [made, deployments] = await Promise.all([
      this.call({
        method: "GET",
        path: `${path}/versions`,
        read: (result) => textsOf(http.fieldOf(result, "items"), "id"),
      }),
      this.call({ method: "GET", path: `${path}/deployments`, read: deploymentsFrom }),
    ]);
    return {
      newest: made[0],
      // A gradual deployment serves two: neither is "the" deployed one, and the newest alone counts.
      deployed: deployments[0]?.find(({ percentage }) => percentage === 100)?.version_id,
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
    const settled = async () => (await applied()) || undefined;
    await this.call({ method: "PATCH", path, body, read: () => true, settled });
  }

  private call<T>({ method, path, body, read, settled }: Call<T>): Promise<T> {
    const { accountId, apiUrl } = this.account;
    return http.request<T, CloudflareFault>({
      method,
      url: `${apiUrl}/accounts/${accountId}${path}`,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "content-type": "application/merge-patch+json" }),
      },
      body,
      timeoutMs: this.timeoutMs,
      longestPauseMs: this.longestPauseMs,
      read: (reply) =>
        reply.ok && http.fieldOf(reply.body, "success") === true ? read(http.fieldOf(reply.body, "result")) : undefined,
      refusal({ status, body: answer }) {
        const code = codeOf(answer);
        const fault = classify(status, code);
        return { fault, text: `status ${status}${code === undefined ? "" : `, code ${code}`}: ${advice[fault]}` };
      },
      error: ({ fault, text }) =>
        new CloudflareError(fault, `Cloudflare, ${method} ${path} of account ${accountId}: ${text}`),
      ...(settled === undefined ? {} : { settled }),
    });
  }
}

/** The first error's. A stranger's answer may hold any text there, and none of it is repeated. */
function codeOf(answer: unknown): number | undefined {
  const errors = http.fieldOf(answer, "errors");
  const code: unknown = Array.isArray(errors) ? http.fieldOf(errors[0], "code") : undefined;
  return typeof code === "number" ? code : undefined;
}

/** The texts under `key` of a list of objects. */
function textsOf(list: unknown, key: string): string[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const texts = list.map((item) => http.fieldOf(item, key)).filter((text) => typeof text === "string");
  return texts.length === list.length ? texts : undefined;
}

/** `{ deployments: [{ versions: [{ version_id, percentage }] }] }`, newest first: the parts of each. */
function deploymentsFrom(result: unknown): { version_id: string; percentage: number }[][] | undefined {
  const list = http.fieldOf(result, "deployments");
  if (!Array.isArray(list)) return undefined;
  const parts = list.map((item) => http.fieldOf(item, "versions"));
  return parts.every((part) => textsOf(part, "version_id") !== undefined)
    ? (parts as { version_id: string; percentage: number }[][])
    : undefined;
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
