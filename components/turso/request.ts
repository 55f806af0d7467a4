import * as http from "../http";
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

/** Bounded to four attempts; the last refusal is thrown as a TursoError. */
export function request<T>(client: Client, call: Call<T>): Promise<T> {
  const { method, path, body, once, settled } = call;
  return http.request<T, TursoFault>({
    method,
    url: `${client.apiUrl}${path}`,
    headers: {
      authorization: `Bearer ${client.token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    body,
    timeoutMs: client.timeoutMs,
    longestPauseMs: client.longestPauseMs,
    read: (reply) => (reply.ok ? call.read(reply.body) : undefined),
    refusal({ status, body: answer }) {
      const fault = classify(status, fieldOf(answer, "error") !== undefined);
      return { fault, text: `status ${status}: ${advice(client, fault, call)}` };
    },
    error: ({ fault, text }, status) =>
      new TursoError(fault, `Turso, ${method} ${path.replace(/\?.*/, "")}: ${text}`, status),
    ...(once === undefined ? {} : { once }),
    ...(settled === undefined ? {} : { settled }),
  });
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
