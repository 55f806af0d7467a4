/**
 * Turso's platform API in its own shapes: https://docs.turso.tech/api-reference. The texts of the 400s and 404s are the
 * documented ones. Those of 401 and 403 are not documented, nor is what a token pinned to a group is answered about
 * another group (here 403) or what an unknown organisation is (here 404).
 */
import type { IncomingMessage } from "node:http";
import type { Answer } from "../faults";
import type { Database, Group, MintRequest, Organization, TokenTarget } from "./organization";
import type { Rule } from "./permissions";
import type { PlatformToken, PlatformTokens, Scope } from "./platform-tokens";

class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const MESSAGES: Record<number, string> = {
  401: "invalid or expired token",
  403: "the token is not allowed to do this",
  404: "not found",
  429: "too many requests",
  503: "service unavailable",
};

export function refusal(status: number): { error: string } {
  return { error: MESSAGES[status] ?? "internal server error" };
}

export interface Platform {
  organization: Organization;
  tokens: PlatformTokens;
}

/** Answers one call. */
export async function handleApi(platform: Platform, request: IncomingMessage, url: URL, body: string): Promise<Answer> {
  try {
    const answer = await route(platform, request, url, body);
    // A rotation is answered with nothing at all.
    return { status: 200, body: answer, ...(answer === undefined && { headers: { "content-type": "text/plain" } }) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { status: error.status, body: { error: error.message } };
  }
}

async function route(platform: Platform, request: IncomingMessage, url: URL, body: string): Promise<unknown> {
  const { organization, tokens } = platform;
  const token = tokens.find(/^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "");
  if (!token) throw new Refusal(401, refusal(401).error);
  const method = request.method ?? "";
  if (method === "GET" && url.pathname === "/v1/auth/validate") return { exp: token.exp ?? -1 };
  if (method === "GET" && url.pathname === "/v1/auth/api-tokens") {
    need(token, "read");
    return { tokens: tokens.list().map(wireToken) };
  }

  const [, , scope, org, kind = "", name, ...rest] = url.pathname.split("/").map(decodeURIComponent);
  if (scope !== "organizations") throw new Refusal(404, refusal(404).error);
  if (org !== organization.name) throw new Refusal(404, "organization not found");
  const call = `${method} ${[kind, ...(name === undefined ? [] : [":name"]), ...rest].join("/")}`;
  const visible = (group: Group): boolean => token.group === undefined || token.group === group.name;
  switch (call) {
    case "GET api-tokens":
      need(token, "read");
      return { tokens: tokens.list().map((one) => ({ ...wireToken(one), owner: OWNER })) };
    case "GET groups":
      need(token, "read");
      return { groups: [...organization.groups.values()].filter(visible).map(wireGroup) };
    case "GET databases": {
      need(token, "read");
      const group = url.searchParams.get("group");
      const listed = [...organization.databases.values()].filter(
        (database) => visible(database.group) && (group === null || database.group.name === group),
      );
      return { databases: listed.map(wireDatabase) };
    }
  }
  if (name !== undefined && kind === "groups") return groupCall(platform, token, call, name, url, body);
  if (name !== undefined && kind === "databases") return databaseCall(platform, token, call, name, url, body);
  throw new Refusal(404, refusal(404).error);
}

async function groupCall(
  { organization }: Platform,
  token: PlatformToken,
  call: string,
  name: string,
  url: URL,
  body: string,
): Promise<unknown> {
  const find = (scope: Scope): Group => {
    need(token, scope, name);
    const group = organization.groups.get(name);
    if (!group) throw new Refusal(404, "group not found");
    return group;
  };
  const target: TokenTarget = { kind: "group", name };
  switch (call) {
    case "GET groups/:name":
      return { group: wireGroup(find("read")) };
    case "GET groups/:name/configuration":
      return { delete_protection: find("read").deleteProtection };
    case "PATCH groups/:name/configuration": {
      const group = find("group:configure");
      const { delete_protection: wanted = group.deleteProtection } = parseBody(body);
      if (typeof wanted !== "boolean") throw new Refusal(400, "invalid request body");
      group.deleteProtection = wanted;
      return { delete_protection: wanted };
    }
    case "POST groups/:name/auth/tokens":
      find("group:mint-token");
      return { jwt: organization.mint(target, mintRequest(organization, url, body)) };
    case "POST groups/:name/auth/rotate":
      find("group:rotate-creds");
      return organization.rotate(target);
  }
  throw new Refusal(404, refusal(404).error);
}

async function databaseCall(
  { organization }: Platform,
  token: PlatformToken,
  call: string,
  name: string,
  url: URL,
  body: string,
): Promise<unknown> {
  const find = (scope: Scope): Database => {
    need(token, scope, organization.databases.get(name)?.group.name);
    return findDatabase(organization, name);
  };
  const target: TokenTarget = { kind: "database", name };
  switch (call) {
    case "GET databases/:name":
      return { database: wireDatabase(find("read")) };
    case "GET databases/:name/configuration":
      return find("read").settings;
    case "PATCH databases/:name/configuration": {
      const database = find("db:configure");
      database.settings = changed(database.settings, parseBody(body));
      await organization.apply(database);
      return database.settings;
    }
    case "POST databases/:name/auth/tokens":
      find("db:mint-token");
      return { jwt: organization.mint(target, mintRequest(organization, url, body)) };
    case "POST databases/:name/auth/rotate":
      find("db:rotate-creds");
      return organization.rotate(target);
  }
  throw new Refusal(404, refusal(404).error);
}

function findDatabase(organization: Organization, name: string): Database {
  const database = organization.databases.get(name);
  if (!database) throw new Refusal(404, `could not find database with name [${name}]: record not found`);
  return database;
}

/** Refuses a token without the scope, or one that is pinned to another group. */
function need(token: PlatformToken, scope: Scope, group?: string): void {
  const lacks = token.scopes?.includes(scope) === false;
  const elsewhere = token.group !== undefined && group !== undefined && token.group !== group;
  if (lacks || elsewhere) throw new Refusal(403, refusal(403).error);
}

function mintRequest(organization: Organization, url: URL, text: string): MintRequest {
  const authorization = url.searchParams.get("authorization") ?? "full-access";
  if (authorization !== "full-access" && authorization !== "read-only")
    throw new Refusal(400, "Invalid authorization level");
  const expiresInSeconds = seconds(url.searchParams.get("expiration") ?? "never");
  const body = parseBody(text) as {
    permissions?: { read_attach?: { databases?: string[] } };
    fine_grained_permissions?: Rule[];
  };
  const attach = body.permissions?.read_attach?.databases ?? [];
  return {
    authorization,
    attach: attach.map((name) => findDatabase(organization, name).id),
    permissions: body.fine_grained_permissions ?? [],
    ...(expiresInSeconds !== undefined && { expiresInSeconds }),
  };
}

const UNITS: Record<string, number> = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 };

/** `2w1d30m`; undefined for `never`. */
function seconds(expiration: string): number | undefined {
  if (expiration === "never") return undefined;
  const wellFormed = /^(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?$/.test(expiration);
  const parts = [...expiration.matchAll(/(\d+)([wdhms])/g)];
  const total = parts.reduce((sum, [, count, unit = ""]) => sum + Number(count) * (UNITS[unit] ?? 0), 0);
  if (!wellFormed || total === 0) throw new Refusal(400, "Invalid expiration format");
  return total;
}

function parseBody(text: string): Record<string, unknown> {
  if (text === "") return {};
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null) return body as Record<string, unknown>;
  } catch {
    // Refused below, like every other body that is no object.
  }
  throw new Refusal(400, "invalid request body");
}

/** The settings that the body names take its values; null empties a list, and leaves all else as it is. */
function changed<T extends object>(settings: T, body: Record<string, unknown>): T {
  const next = Object.entries(settings).map(([key, old]: [string, unknown]) => {
    const value = body[key];
    if (value === undefined) return [key, old];
    if (value === null) return [key, Array.isArray(old) ? [] : old];
    if (typeof value !== typeof old || Array.isArray(value) !== Array.isArray(old))
      throw new Refusal(400, "invalid request body");
    return [key, value];
  });
  return Object.fromEntries(next) as T;
}

const OWNER = { username: "owner", email: "owner@example.com" };
const LOCATION = "aws-eu-west-1";

function wireGroup({ name, uuid, deleteProtection }: Group): unknown {
  return {
    name,
    version: "v0.24.32",
    uuid,
    locations: [LOCATION],
    primary: LOCATION,
    delete_protection: deleteProtection,
  };
}

/** The first three keys are written in capitals by the vendor. */
function wireDatabase({ name, id, group, proxy, settings }: Database): unknown {
  const { block_reads, block_writes, allow_attach, delete_protection } = settings;
  return {
    Name: name,
    DbId: id,
    Hostname: proxy.hostname,
    block_reads,
    block_writes,
    allow_attach,
    regions: [LOCATION],
    primaryRegion: LOCATION,
    group: group.name,
    delete_protection,
    parent: null,
  };
}

function wireToken({ id, name, organization, group, scopes, created }: PlatformToken): object {
  return {
    name,
    id,
    organization,
    ...(group !== undefined && { group }),
    ...(scopes && { scopes }),
    created_at: created,
  };
}
