/** A plain client of the local Turso's API and databases, for tests: no retry, no classification. */
import type { LocalTurso } from "../turso";

export interface TursoAnswer {
  status: number;
  text: string;
  /** Undefined for an empty answer. */
  body: unknown;
}

/** Calls the API, below the organisation unless the path begins with `/`. */
export async function callTurso(
  turso: LocalTurso,
  method: string,
  path: string,
  options: { body?: unknown; token?: string } = {},
): Promise<TursoAnswer> {
  const { body, token = turso.platformToken } = options;
  const at = path.startsWith("/") ? path : `/v1/organizations/${turso.organization}/${path}`;
  const response = await fetch(turso.apiUrl + at, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    signal: AbortSignal.timeout(30_000),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
}

/** A token for `databases/NAME` or `groups/NAME`; `query` begins with `?`. */
export async function mintToken(turso: LocalTurso, target: string, query = "", body?: unknown): Promise<string> {
  const { status, body: answer } = await callTurso(turso, "POST", `${target}/auth/tokens${query}`, { body });
  if (status !== 200) throw new Error(`minting for ${target} was answered ${status}`);
  return (answer as { jwt: string }).jwt;
}

/**
 * Statements in one pipeline of plain HTTP: the code of the first that was refused by itself (`BLOCKED`), else the
 * status of the whole.
 */
export async function runSql(
  turso: LocalTurso,
  database: string,
  token: string,
  ...statements: string[]
): Promise<number | string> {
  const requests = [...statements.map((sql) => ({ type: "execute", stmt: { sql } })), { type: "close" }];
  const response = await fetch(`${turso.hostOf(database)}/v2/pipeline`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    signal: AbortSignal.timeout(30_000),
    body: JSON.stringify({ requests }),
  });
  const { results = [] } = (await response.json()) as { results?: { type: string; error?: { code: string } }[] };
  return results.find(({ type }) => type === "error")?.error?.code ?? response.status;
}

/** The claims of a JWT, unchecked. */
export function claimsOf(token: string): Record<string, unknown> {
  const [, payload = ""] = token.split(".");
  return JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
}
