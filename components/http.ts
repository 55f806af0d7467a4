/**
 * One call to a vendor's JSON API: bounded in time and attempts, and settled by looking where its effect is open. What a refusal
 * means, and in which words it is told, is the vendor's own; no word of an answer is repeated here.
 */
import { setTimeout as pause } from "node:timers/promises";

/**
 * The faults that every vendor has, and all that is tried again: after `unavailable` (5xx, time-out, broken connection, an answer
 * that is not the vendor's) the effect is unknown, after `rate-limited` (429) there is none.
 */
export type Passing = "unavailable" | "rate-limited";

/** An answer, whoever gave it. */
export interface Reply {
  status: number;
  /** Whether the status is 200 to 299. */
  ok: boolean;
  /** Undefined where it is no JSON. */
  body: unknown;
}

/** Why an answer is no result. */
export interface Refusal<F extends string> {
  fault: F | Passing;
  /** Status, and what to do: neither a credential nor a word of the body. */
  text: string;
}

/** One attempt. */
export interface Request {
  method: string;
  url: string;
  headers: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  timeoutMs: number;
}

export interface Call<T, F extends string> extends Request {
  /** No pause between two attempts is longer, whatever Retry-After says. */
  longestPauseMs: number;
  /** The result, or undefined where the answer is a refusal or has not the documented shape. */
  read: (reply: Reply) => T | undefined;
  /** What an answer is that gives no result. */
  refusal: (reply: Reply) => Refusal<F>;
  /** What the call throws; `status` is left out where there was no answer. */
  error: (refusal: Refusal<F>, status?: number) => Error;
  /** Never repeated where the effect is unknown: the caller looks. */
  once?: boolean;
  /** Asked after an answer that leaves the effect open; a result ends the call as done, undefined repeats it. */
  settled?: () => Promise<T | undefined>;
}

const attempts = 4;

/** Four attempts at most; the last refusal is thrown as the vendor's error. */
export async function request<T, F extends string>(call: Call<T, F>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const answer = await attemptOf(call);
    if ("result" in answer) return answer.result;
    const { refusal, status, retryAfterMs } = answer;
    const error = call.error(refusal, status);
    const open = refusal.fault === "unavailable";
    if ((!open && refusal.fault !== "rate-limited") || (open && call.once)) throw error;
    const settled = open ? await call.settled?.() : undefined;
    if (settled !== undefined) return settled;
    if (attempt === attempts) throw error;
    await pause(Math.min(retryAfterMs ?? 250 * 2 ** attempt, call.longestPauseMs));
  }
}

interface Refused<F extends string> {
  refusal: Refusal<F>;
  status?: number;
  retryAfterMs?: number;
}

async function attemptOf<T, F extends string>(call: Call<T, F>): Promise<{ result: T } | Refused<F>> {
  const response = await send(call);
  if ("lost" in response) return { refusal: { fault: "unavailable", text: response.lost } };
  const body: unknown = await response.json().catch(() => undefined);
  const { status, ok } = response;
  const reply = { status, ok, body };
  const result = call.read(reply);
  if (result !== undefined) return { result };
  const retryAfterMs = pauseOf(response.headers);
  return { refusal: call.refusal(reply), status, ...(retryAfterMs > 0 ? { retryAfterMs } : {}) };
}

/** Retry-After as seconds, or as a date by the vendor's own clock: RFC 9110, 10.2.3. 0 where it says nothing. */
function pauseOf(headers: Headers): number {
  const text = headers.get("retry-after") ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const [until, now] = [Date.parse(text), Date.parse(headers.get("date") ?? "")];
  return Number.isNaN(until - now) ? 0 : until - now;
}

/** One attempt: the answer's head, or why there is none. A redirect counts as none, since it would carry a token elsewhere. */
export async function send({ method, url, headers, body, timeoutMs }: Request): Promise<Response | { lost: string }> {
  try {
    return await fetch(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    return { lost: isLate(error) ? `no answer within ${timeoutMs} ms` : `no answer (${causeOf(error)})` };
  }
}

function isLate(error: unknown): boolean {
  return error instanceof Error && error.name === "TimeoutError";
}

/** By the beginnings of a system's, undici's or OpenSSL's code. */
const CAUSES: [RegExp, string][] = [
  [/^ECONNREFUSED/, "connection refused"],
  [/^(ENOTFOUND|EAI_)/, "unknown host"],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)/, "the connection broke"],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|EHOSTUNREACH|ENETUNREACH)/, "no way to the host"],
  [/^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_TLS_CERT)/, "its certificate is not accepted"],
  [/^(ERR_SSL_|EPROTO)/, "it does not speak TLS as we do"],
  [/^HPE_/, "its answer is not HTTP"],
];

/**
 * Why a `fetch` failed or its answer could not be read, for people, with the code: `connection refused, ECONNREFUSED`. Never an
 * error's own text, which may repeat an address or an answer. Codes: https://nodejs.org/api/errors.html#nodejs-error-codes
 */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if (isLate(error)) return "no answer in time";
  if (error instanceof SyntaxError) return "an answer that is not JSON";
  const { code, message } = (error.cause ?? {}) as NodeJS.ErrnoException;
  // undici's own words for `redirect: "error"`.
  if (code === undefined) return message === "unexpected redirect" ? "it redirects elsewhere" : error.name;
  const [, words] = CAUSES.find(([known]) => known.test(code)) ?? [];
  return words === undefined ? code : `${words}, ${code}`;
}

/** A field of what may be no object. */
export function fieldOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
