import type { TablePermissions, TursoAccount, TursoTarget } from "../rotation/model";
import { isLoopbackHost } from "../rotation/url";
import {
  type Database,
  databaseFrom,
  fieldOf,
  type Group,
  groupFrom,
  isText,
  isTexts,
  jwtClaims,
  pageFrom,
  type Settings,
  settingsFrom,
} from "./answers";
import { type Call, request, TursoError } from "./request";

export type { Database, Group, Settings } from "./answers";
export { TursoError, type TursoFault } from "./request";

/** What a minted token may do. */
export interface TokenSpec {
  authorization: "full-access" | "read-only";
  /** `90d`, `2w1d`, or `never`. */
  expiration: string;
  permissions: TablePermissions[];
  /** Databases that it may ATTACH for reading. */
  attach: string[];
}

/** Pages of a listing: a bound for an API that names the same next page for ever. */
const mostPages = 200;
const settingFields = { deleteProtection: "delete_protection", blockReads: "block_reads", blockWrites: "block_writes" };
const settingNames = ["deleteProtection", "blockReads", "blockWrites"] as const;

/**
 * The few endpoints of Turso's platform API that Rollover calls (https://docs.turso.tech/api-reference/introduction). Each call is
 * bounded to `timeoutMs` and four attempts; Retry-After is obeyed up to `longestPauseMs`. Turso documents no rate limit.
 *
 * There is no call that lists, reads or revokes one SQL token: a mint whose answer was lost leaves a token behind that nobody
 * holds, until it expires.
 */
export class TursoApi {
  constructor(
    private readonly account: Pick<TursoAccount, "organization" | "apiUrl">,
    private readonly token: string,
    private readonly timeoutMs = 30_000,
    private readonly longestPauseMs = 60_000,
  ) {}

  get organization(): string {
    return this.account.organization;
  }

  /** A new SQL token (https://docs.turso.tech/api-reference/databases/create-token). Shown once, here. */
  mintToken(target: TursoTarget, spec: TokenSpec): Promise<string> {
    const { authorization, expiration, permissions, attach } = spec;
    const query = new URLSearchParams({ expiration, authorization });
    const body = {
      ...(attach.length > 0 ? { permissions: { read_attach: { databases: attach } } } : {}),
      // Not in the OpenAPI document; sent so by Turso's own CLI (internal/turso/databases.go). A null stands for all tables.
      ...(permissions.length > 0
        ? { fine_grained_permissions: permissions.map(({ tables, actions }) => ({ t: tables ?? null, a: actions })) }
        : {}),
    };
    return this.call({
      method: "POST",
      path: `${this.path(target)}/auth/tokens?${query.toString()}`,
      target,
      scope: scopeOf(target, "mint-token"),
      ...(Object.keys(body).length > 0 ? { body } : {}),
      read: (answer) => {
        const jwt = fieldOf(answer, "jwt");
        return typeof jwt === "string" && jwtClaims(jwt) ? jwt : undefined;
      },
    });
  }

  /**
   * Kills every token of the database or group (https://docs.turso.tech/api-reference/databases/invalidate-tokens). Asked once: where
   * the outcome is unknown it throws `unavailable`, and only a token minted before can tell. What a success answers is not read.
   */
  async rotate(target: TursoTarget): Promise<void> {
    await this.call({
      method: "POST",
      path: `${this.path(target)}/auth/rotate`,
      target,
      scope: scopeOf(target, "rotate-creds"),
      read: () => true,
      once: true,
    });
  }

  /** https://docs.turso.tech/api-reference/databases/retrieve */
  database(name: string): Promise<Database> {
    const target = { kind: "database", name } as const;
    return this.call({
      method: "GET",
      path: this.path(target),
      target,
      scope: "read",
      read: (answer) => databaseFrom(fieldOf(answer, "database")),
    });
  }

  /** Every database of a group (https://docs.turso.tech/api-reference/databases/list). */
  async databasesOf(group: string): Promise<Database[]> {
    const found: Database[] = [];
    let cursor: string | undefined;
    for (let page = 1; page <= mostPages; page++) {
      const query = new URLSearchParams({ group, ...(cursor === undefined ? {} : { cursor }) });
      const { databases, next } = await this.call({
        method: "GET",
        path: `${this.path()}/databases?${query.toString()}`,
        target: { kind: "group", name: group },
        scope: "read",
        read: pageFrom,
      });
      found.push(...databases);
      if (next === undefined) return found.filter((database) => database.group === group);
      cursor = next;
    }
    throw new TursoError(
      "unavailable",
      `Turso, databases of group ${group}: over ${mostPages} pages; run the update again`,
    );
  }

  /** https://docs.turso.tech/api-reference/groups/retrieve */
  group(name: string): Promise<Group> {
    const target = { kind: "group", name } as const;
    return this.call({
      method: "GET",
      path: this.path(target),
      target,
      scope: "read",
      read: (answer) => groupFrom(fieldOf(answer, "group")),
    });
  }

  /** https://docs.turso.tech/api-reference/databases/configuration */
  configuration(target: TursoTarget): Promise<Settings> {
    return this.call({
      method: "GET",
      path: `${this.path(target)}/configuration`,
      target,
      scope: "read",
      read: (answer) => settingsFrom(target, answer),
    });
  }

  /** Changes what is given and nothing else; done only when Turso reports it so. */
  async configure(target: TursoTarget, settings: Settings): Promise<Settings> {
    const asked = settingNames.filter((name) => settings[name] !== undefined);
    if (asked.length === 0) return this.configuration(target);
    const inPlace = (known: Settings | undefined): Settings | undefined =>
      known && asked.every((name) => known[name] === settings[name]) ? known : undefined;
    return this.call({
      method: "PATCH",
      path: `${this.path(target)}/configuration`,
      target,
      scope: scopeOf(target, "configure"),
      body: Object.fromEntries(asked.map((name) => [settingFields[name], settings[name]])),
      read: (answer) => inPlace(settingsFrom(target, answer)),
      settled: async () => inPlace(await this.configuration(target)),
    });
  }

  /** When the platform token itself expires, in unix seconds; undefined: never (https://docs.turso.tech/api-reference/tokens/validate). */
  validate(): Promise<{ exp: number | undefined }> {
    return this.call({
      method: "GET",
      path: "/v1/auth/validate",
      scope: "read",
      read: (answer) => {
        const exp = fieldOf(answer, "exp");
        return typeof exp === "number" ? { exp: exp === -1 ? undefined : exp } : undefined;
      },
    });
  }

  /**
   * Scopes of the platform token, or undefined where they cannot be told or nothing restricts it. A token says them itself (claim
   * `scopes`, seen in group-scoped ones, not documented); else it is found in the listings by its id.
   */
  async ownScopes(): Promise<string[] | undefined> {
    const claims = jwtClaims(this.token);
    if (!claims) return undefined;
    const claimed = fieldOf(claims.scopes, "scopes") ?? claims.scopes;
    if (isTexts(claimed)) return claimed;
    const ids = new Set(Object.values(claims).filter((value) => typeof value === "string"));
    for (const path of [`${this.path()}/api-tokens`, "/v1/auth/api-tokens"]) {
      const listed = await this.platformTokens(path);
      const own = listed.find((token) => ids.has(fieldOf(token, "id") as string));
      if (own === undefined) continue;
      const scopes = fieldOf(own, "scopes");
      return isTexts(scopes) ? scopes : undefined;
    }
    return undefined;
  }

  /**
   * Where the database's SQL is asked, from the hostname that the API gave. A token is sent there, so off loopback it must be
   * Turso's own domain, and with an API on loopback it must be on loopback too.
   */
  dataUrl(hostname: string): string {
    const local = isLoopbackHost(new URL(this.account.apiUrl).hostname);
    const text = `${local ? "http" : "https"}://${hostname}`;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const plain = url?.host === hostname.toLowerCase();
    const trusted = local
      ? isLoopbackHost(url?.hostname ?? "")
      : /^[a-z0-9.-]+\.turso\.(io|tech)$/.test(url?.host ?? "");
    if (url && plain && trusted) return text;
    const shown = /^[A-Za-z0-9.:[\]-]{1,253}$/.test(hostname) ? hostname : "(not shown)";
    const allowed = local ? "one on loopback, as rollover:turso.apiUrl is" : "one below turso.io or turso.tech";
    throw new TursoError(
      "rejected",
      `Turso, organisation ${this.organization}: a database's hostname is ${shown}; allowed: ${allowed}. No token is sent there; look at the database in Turso's dashboard`,
    );
  }

  /** Entries of one listing of platform tokens; none where it may not be read. */
  private async platformTokens(path: string): Promise<unknown[]> {
    try {
      return await this.call({
        method: "GET",
        path,
        scope: "read",
        read: (answer) => {
          const tokens = fieldOf(answer, "tokens") as unknown[] | undefined;
          return Array.isArray(tokens) && tokens.every((token) => isText(fieldOf(token, "id"))) ? tokens : undefined;
        },
      });
    } catch (error) {
      if (error instanceof TursoError && ["forbidden", "not-found", "rejected"].includes(error.fault)) return [];
      throw error;
    }
  }

  /** Of an object below the organisation. */
  private path(target?: TursoTarget): string {
    const root = `/v1/organizations/${encodeURIComponent(this.organization)}`;
    return target ? `${root}/${target.kind}s/${encodeURIComponent(target.name)}` : root;
  }

  private call<T>(call: Call<T>): Promise<T> {
    const { account, token, timeoutMs, longestPauseMs } = this;
    return request({ ...account, token, timeoutMs, longestPauseMs }, call);
  }
}

/** All that a scoped platform token can be given (https://docs.turso.tech/cli/auth/api-tokens/mint). */
export type Scope =
  "read" | `${"db" | "group"}:${"mint-token" | "rotate-creds" | "configure"}` | "db:create" | "db:delete";

/** Which of `needed` the scopes do not hold; `full-access` holds all of them, `read-only` just `read`. */
export function missingScopes(scopes: string[], needed: string[]): string[] {
  if (scopes.includes("full-access")) return [];
  return needed.filter((scope) => !scopes.includes(scope) && !(scope === "read" && scopes.includes("read-only")));
}

function scopeOf({ kind }: TursoTarget, right: "mint-token" | "rotate-creds" | "configure"): Scope {
  return `${kind === "database" ? "db" : "group"}:${right}`;
}
