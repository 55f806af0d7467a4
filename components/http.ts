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
  const retryAfter = Number(response.headers.get("retry-after"));
  return {
    refusal: call.refusal(reply),
    status,
    ...(retryAfter > 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
  };
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
    return { lost: `no answer within ${timeoutMs} ms (${reasonOf(error)})` };
  }
}

/** A system's code such as ECONNREFUSED, or the kind of error: never its text. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? error.name;
}

/** A field of what may be no object. */
export function fieldOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
