import { setTimeout as pause } from "node:timers/promises";
import type { TursoTarget } from "../rotation/model";
import { fieldOf } from "./answers";

/** Why Turso refused, decided once, here, from the status. */
export type TursoFault =
  /** 404 in Turso's own words: no such organisation, group or database. A 404 without them came from something in between. */
  | "not-found"
  /** 401: the platform token is wrong, revoked or expired. */
  | "unauthorised"
  /** 403: the platform token lacks a scope. */
  | "forbidden"
  /** 429 to the end of the retries. */
  | "rate-limited"
  /** 5xx, time-out, broken connection or an answer of another shape: the effect is unknown. */
  | "unavailable"
  /** Any other refusal. */
  | "rejected";

/** A refusal in words that hold no credential: status, what was asked and what to do; never the answer's body. */
export class TursoError extends Error {
  constructor(
    readonly fault: TursoFault,
    message: string,
    /** Left out where there was no answer. */
    readonly status?: number,
  ) {
    super(message);
  }
}

/** Where calls go and what bounds them. */
export interface Client {
  organization: string;
  apiUrl: string;
  token: string;
  timeoutMs: number;
  /** The most of a Retry-After that is waited for. */
  longestPauseMs: number;
}

export interface Call<T> {
  method: "GET" | "POST" | "PATCH";
  /** Below the API's root. */
  path: string;
  /** What a 404 is about; left out: the organisation alone. */
  target?: TursoTarget;
  /** What a 403 is about. */
  scope: string;
  body?: unknown;
  /** The result, or undefined where the answer has not the documented shape: it did not come from Turso, then. */
  read: (answer: unknown) => T | undefined;
  /** Never repeated where the effect is unknown: the caller looks. */
  once?: boolean;
  /** Asked after an answer that leaves the effect open; a result ends the call as done, undefined repeats it. */
  settled?: () => Promise<T | undefined>;
}

const attempts = 4;

/** Bounded to four attempts; the last refusal is thrown as a TursoError. */
export async function request<T>(client: Client, call: Call<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const answer = await attemptOf(client, call);
    if ("result" in answer) return answer.result;
    const { fault, status, text, retryAfterMs } = answer;
    const error = new TursoError(fault, `Turso, ${call.method} ${call.path.replace(/\?.*/, "")}: ${text}`, status);
    const open = fault === "unavailable";
    if ((!open && fault !== "rate-limited") || (open && call.once)) throw error;
    const settled = open ? await call.settled?.() : undefined;
    if (settled !== undefined) return settled;
    if (attempt === attempts) throw error;
    await pause(retryAfterMs ?? 250 * 2 ** attempt);
  }
}

async function attemptOf<T>(client: Client, call: Call<T>): Promise<{ result: T } | Refusal> {
  const { method, path, body } = call;
  let response: Response;
  try {
    response = await fetch(`${client.apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${client.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: "error",
      signal: AbortSignal.timeout(client.timeoutMs),
    });
  } catch (error) {
    return { fault: "unavailable", text: `no answer within ${client.timeoutMs} ms (${reasonOf(error)})` };
  }
  const answer: unknown = await response.json().catch(() => undefined);
  const { status } = response;
  const result = response.ok ? call.read(answer) : undefined;
  if (result !== undefined) return { result };
  const fault = classify(status, fieldOf(answer, "error") !== undefined);
  const retryAfter = Number(response.headers.get("retry-after"));
  return {
    fault,
    status,
    text: `status ${status}: ${advice(client, fault, call)}`,
    ...(retryAfter > 0 ? { retryAfterMs: Math.min(retryAfter * 1000, client.longestPauseMs) } : {}),
  };
}

function advice(
  { organization: name }: Client,
  fault: TursoFault,
  { target, scope }: Pick<Call<unknown>, "target" | "scope">,
): string {
  const organization = `organisation ${name} (rollover:turso.organization)`;
  const what = target ? `${target.kind} ${target.name} (rollover:turso.${target.kind}s.${target.name})` : "";
  return {
    "not-found": `no such ${target ? `${what}, or no ${organization}` : organization}; check the names, or create what is missing at Turso first`,
    unauthorised: `the platform token is wrong, revoked or expired; mint one (${mintPage}) and set it with ${setToken}`,
    forbidden: `the platform token lacks the scope \`${scope}\`, or is bound to another group; mint one with that scope (${mintPage}) and set it with ${setToken}`,
    "rate-limited": "too many requests; run the update again in some minutes",
    unavailable: "the API failed, or something else answered in its place; run the update again",
    rejected: `the API refused the request for ${target ? what : organization}; check what the config asks for there, and that the organisation's plan allows it`,
  }[fault];
}

interface Refusal {
  fault: TursoFault;
  /** Left out where there was no answer. */
  status?: number;
  text: string;
  retryAfterMs?: number;
}

const mintPage = "`turso auth api-tokens mint`, https://docs.turso.tech/cli/auth/api-tokens/mint";
const setToken = "`pulumi config set --secret tursoApiToken`";

/** `own`: whether the answer is an error in Turso's envelope, `{"error":...}`. */
function classify(status: number, own: boolean): TursoFault {
  if (status === 401) return "unauthorised";
  if (status === 403) return "forbidden";
  if (status === 429) return "rate-limited";
  if (status === 404 && own) return "not-found";
  return status >= 500 || status === 408 || status === 404 || status < 400 ? "unavailable" : "rejected";
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? error.name;
}
