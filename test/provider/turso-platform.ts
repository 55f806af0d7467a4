/** For tests of the client of Turso's platform API: a server whose answers the test sets, call by call. */
import { expect } from "vitest";
import { TursoApi, TursoError } from "../../components/turso/api";
import { type Answer, type Service, startService } from "../../local/cloud/faults";
import { type Between, marker, startBetween } from "./strangers";

export const claimsOf = (claims: object): string => Buffer.from(JSON.stringify(claims)).toString("base64url");
export const jwtOf = (claims: object): string => `aGVhZA.${claimsOf(claims)}.c2lnbmF0dXJl`;
export const platformToken = jwtOf({ jti: "own-id", org_id: 7 });
export const sqlToken = jwtOf({ exp: 1_800_000_000, mark: "sql-token" });
export const database = { kind: "database", name: "rounds" } as const;
export const group = { kind: "group", name: "default" } as const;
export const plain = { authorization: "full-access", expiration: "90d", permissions: [], attach: [] } as const;
export const spec = { ...plain, permissions: [], attach: [] };
export const wire = {
  Name: "rounds",
  DbId: "db-1",
  Hostname: "rounds-acme.turso.io",
  group: "default",
  block_writes: true,
};
export const settings = { block_reads: false, block_writes: false, delete_protection: false, size_limit: "500mb" };
export const tokenPath = "/v1/organizations/acme/databases/rounds/auth/tokens";

export interface Seen {
  method: string;
  url: string;
  body: string;
  authorization: string;
}

/** By `METHOD path`: what is answered, or how. */
export type Routes = Record<string, Answer | ((seen: Seen) => Answer)>;
export const ok = (body: unknown): Answer => ({ status: 200, body });
export const refused = (status: number, error: unknown = marker): Answer => ({ status, body: { error } });

export interface Platform {
  service: Service;
  /** Pages of strangers in place of an answer. */
  between: Between;
  /** What is answered from now on; `reset` sets the documented answers. */
  routes: Routes;
  /** The calls that were answered. */
  seen: Seen[];
  reset(): void;
  /** A client of it; of what stands between, with `strange`. */
  client(options?: {
    timeoutMs?: number;
    longestPauseMs?: number;
    token?: string;
    apiUrl?: string;
    strange?: boolean;
  }): TursoApi;
  stop(): Promise<void>;
}

export async function startPlatform(): Promise<Platform> {
  const seen: Seen[] = [];
  const routes: Routes = {};
  const service = await startService(
    (request, url, body) => {
      const { method = "", headers } = request;
      const one = { method, url: `${url.pathname}${url.search}`, body, authorization: headers.authorization ?? "" };
      seen.push(one);
      const route = routes[`${method} ${url.pathname}`] ?? refused(404, "no such call in this test");
      return Promise.resolve(typeof route === "function" ? route(one) : route);
    },
    (status) => ({ error: `${marker} ${status}` }),
  );
  const own = `http://127.0.0.1:${service.port}`;
  const between = await startBetween(own);
  return {
    service,
    between,
    routes,
    seen,
    reset() {
      service.faults.set([]);
      service.calls.length = 0;
      between.set(undefined);
      seen.length = 0;
      for (const key of Object.keys(routes)) Reflect.deleteProperty(routes, key);
      Object.assign(routes, documented);
    },
    client({ timeoutMs, longestPauseMs = 50, token = platformToken, apiUrl, strange = false } = {}) {
      const at = apiUrl ?? (strange ? new URL(between.apiUrl).origin : own);
      return new TursoApi({ organization: "acme", apiUrl: at }, token, timeoutMs, longestPauseMs);
    },
    async stop() {
      await between.stop();
      await service.stop();
    },
  };
}

const documented: Routes = {
  [`POST ${tokenPath}`]: ok({ jwt: sqlToken }),
  "POST /v1/organizations/acme/databases/rounds/auth/rotate": { status: 200, body: undefined },
  "POST /v1/organizations/acme/groups/default/auth/tokens": ok({ jwt: sqlToken }),
  "POST /v1/organizations/acme/groups/default/auth/rotate": ok(marker),
  "GET /v1/organizations/acme/databases/rounds": ok({ database: wire }),
  "GET /v1/organizations/acme/groups/default": ok({
    group: { name: "default", uuid: "g-1", delete_protection: true },
  }),
  "GET /v1/organizations/acme/databases/rounds/configuration": ok(settings),
  "GET /v1/organizations/acme/groups/default/configuration": ok({ delete_protection: false }),
  "GET /v1/auth/validate": ok({ exp: -1 }),
};

/** The TursoError that ends the work; anything else, success included, fails the test. Its text is checked for leaks. */
export async function failure(work: Promise<unknown>): Promise<TursoError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TursoError)) throw new Error(`no TursoError, but ${String(error)}`);
  for (const secret of [platformToken, sqlToken, claimsOf({ jti: "own-id", org_id: 7 }), marker, "<html"])
    expect(error.message).not.toContain(secret);
  return error;
}
