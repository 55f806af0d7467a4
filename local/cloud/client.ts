/** A plain client of the local Cloudflare API and its Worker, for tests: no retry, no classification. */
import type { LocalCloudflare } from "./cloudflare";

export interface ApiAnswer {
  status: number;
  headers: Headers;
  success: boolean;
  result: unknown;
  /** Codes of the envelope's errors. */
  codes: number[];
}

export interface ApiRequest {
  method?: string;
  /** After `/workers/scripts/`. @default rounds-api/secrets */
  path?: string;
  body?: unknown;
  contentType?: string;
  token?: string;
  accountId?: string;
  timeoutMs?: number;
}

export async function callApi(cloudflare: LocalCloudflare, request: ApiRequest = {}): Promise<ApiAnswer> {
  const { method = "GET", path = "rounds-api/secrets", body, contentType = "application/json" } = request;
  const { token = cloudflare.token, accountId = cloudflare.accountId, timeoutMs = 30_000 } = request;
  const response = await fetch(`${cloudflare.apiUrl}/accounts/${accountId}/workers/scripts/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": contentType },
    signal: AbortSignal.timeout(timeoutMs),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const envelope = (await response.json()) as { success: boolean; result: unknown; errors: { code: number }[] };
  const { status, headers } = response;
  const { success, result } = envelope;
  return { status, headers, success, result, codes: envelope.errors.map(({ code }) => code) };
}

/** Sets (text) and deletes (null) secrets in one version. */
export function bulk(
  cloudflare: LocalCloudflare,
  changes: Record<string, string | null>,
  request: ApiRequest = {},
): Promise<ApiAnswer> {
  const secrets = Object.fromEntries(
    Object.entries(changes).map(([name, text]) => [name, text === null ? null : { name, type: "secret_text", text }]),
  );
  return callApi(cloudflare, {
    method: "PATCH",
    path: "rounds-api/secrets-bulk",
    contentType: "application/merge-patch+json",
    body: { secrets },
    ...request,
  });
}
