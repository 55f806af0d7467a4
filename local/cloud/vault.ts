/**
 * A Vault of one's own on 127.0.0.1: KV engines of version 2 with check-and-set, soft deletion and tokens, which can be sealed. Its log
 * is what an audit device would show of a request: operation, path and status, no header and no body.
 */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import type { IncomingMessage } from "node:http";
import * as path from "node:path";
import { type Answer, type Service, startService } from "./faults";
import { KvEngine, refused, type Version } from "./vault/kv";

export interface VaultOptions {
  /** KV engines to begin with. @default `secret` */
  mounts?: string[];
  /** Where the file `vault-audit.log` is written; left out: nowhere. */
  logDir?: string;
}

export type Capability = "read" | "create" | "update" | "delete";

export interface LocalVault extends Pick<Service, "calls" | "faults" | "onCall"> {
  /** Base of the API, without `/v1`. */
  address: string;
  /** May do everything, and never expires. */
  token: string;
  /** A token that may do so much, and nothing else, below a path such as `secret/data/rollover`. */
  mintToken(capabilities: Capability[], below?: string): string;
  revokeToken(token: string): void;
  /** Every token that was ever made; for leak scans. */
  tokens(): string[];
  /** Every version of a secret, oldest first, deleted ones included. @param at with its mount: `secret/rollover/rounds/2026-11-20` */
  get(at: string): Version[];
  /** Mount and path of every secret that is or was there. */
  paths(): string[];
  /** `delete` and `undelete` as by `vault kv`; of the newest version, without numbers. */
  change(how: "delete" | "undelete" | "destroy", at: string, versions?: number[]): void;
  /** While it is sealed it answers 503 to everything. */
  seal(sealed: boolean): void;
  /** Lines of the audit log so far. */
  log(): string[];
  /** Where they are written too; undefined without `logDir`. */
  logFile: string | undefined;
  stop(): Promise<void>;
}

interface Token {
  capabilities: Capability[];
  below: string;
}

const everything: Capability[] = ["read", "create", "update", "delete"];

export async function startVault({ mounts = ["secret"], logDir }: VaultOptions = {}): Promise<LocalVault> {
  const engines = new Map(mounts.map((mount) => [mount, new KvEngine()]));
  const tokens = new Map<string, Token>();
  const made: string[] = [];
  const lines: string[] = [];
  const logFile = logDir === undefined ? undefined : path.join(logDir, "vault-audit.log");
  let sealed = false;

  const mintToken = (capabilities: Capability[], below = ""): string => {
    const token = `hvs.${randomBytes(24).toString("base64url")}`;
    tokens.set(token, { capabilities, below });
    made.push(token);
    return token;
  };
  /** The engine at the longest mount that the path begins with, and the rest. */
  const locate = (full: string): { engine: KvEngine; rest: string; mount: string } | undefined => {
    const [mount] = mounts.filter((one) => full.startsWith(`${one}/`)).sort((a, b) => b.length - a.length);
    const engine = engines.get(mount ?? "");
    return engine && mount !== undefined ? { engine, mount, rest: full.slice(mount.length + 1) } : undefined;
  };
  const known = (at: string): { engine: KvEngine; rest: string } => {
    const found = locate(at);
    if (!found) throw new Error(`no engine of this Vault is mounted where ${at} begins; mounts: ${mounts.join(", ")}`);
    return found;
  };

  const answer = (request: IncomingMessage, url: URL, body: string): Answer => {
    if (sealed) return refused(503, "Vault is sealed");
    const full = decodeURIComponent(url.pathname.replace(/^\/v1\//, ""));
    const given = request.headers["x-vault-token"];
    const token = tokens.get(typeof given === "string" ? given : "");
    if (!token || !full.startsWith(token.below)) return refused(403, "permission denied");
    const found = locate(full);
    if (!found) return refused(404, `no handler for route "${full}". route entry not found.`);
    const [, kind = "", secret = ""] = /^([a-z]+)\/(.+)$/.exec(found.rest) ?? [];
    const call = callOf(request.method ?? "", kind, found.engine.versions(secret).length > 0);
    if (!call) return refused(405, "unsupported operation");
    if (!token.capabilities.includes(call.needs)) return refused(403, "permission denied");
    const parsed = parse(body);
    if (body !== "" && parsed === undefined) return refused(400, "failed to parse JSON input");
    return call.run(found.engine, secret, parsed, url);
  };

  const service = await startService(
    (request, url, body) => {
      const given = answer(request, url, body);
      const line = JSON.stringify({
        type: "response",
        method: request.method,
        path: url.pathname,
        status: given.status,
      });
      lines.push(line);
      if (logFile !== undefined) fs.appendFileSync(logFile, `${line}\n`);
      return Promise.resolve(given);
    },
    (status) => refused(status, MESSAGES[status] ?? "internal error").body,
  );
  return {
    address: `http://127.0.0.1:${service.port}`,
    token: mintToken(everything),
    calls: service.calls,
    faults: service.faults,
    onCall: service.onCall,
    mintToken,
    tokens: () => [...made],
    revokeToken: (token) => void tokens.delete(token),
    get: (at) => known(at).engine.versions(known(at).rest),
    paths: () => [...engines].flatMap(([mount, engine]) => engine.paths().map((one) => `${mount}/${one}`)),
    change: (how, at, versions) => void known(at).engine.change(how, known(at).rest, versions),
    seal: (next) => {
      sealed = next;
    },
    log: () => [...lines],
    logFile,
    stop: () => service.stop(),
  };
}

const MESSAGES: Record<number, string> = {
  403: "permission denied",
  429: "request path: rate limit quota exceeded",
  503: "Vault is sealed",
};

interface VaultCall {
  needs: Capability;
  run: (engine: KvEngine, secret: string, body: unknown, url: URL) => Answer;
}

/** Undefined where Vault has no such operation. POST and PUT are the same to it. */
function callOf(method: string, kind: string, isThere: boolean): VaultCall | undefined {
  const versionsIn = (body: unknown): number[] | undefined => {
    const { versions } = (body ?? {}) as { versions?: unknown };
    const isList = Array.isArray(versions) && versions.length > 0 && versions.every((one) => Number.isInteger(one));
    return isList ? (versions as number[]) : undefined;
  };
  switch (`${method === "PUT" ? "POST" : method} ${kind}`) {
    case "GET data":
      return {
        needs: "read",
        run: (engine, secret, _body, url) => {
          const number = Number(url.searchParams.get("version") ?? 0);
          return engine.read(secret, number === 0 ? undefined : number);
        },
      };
    case "POST data":
      return { needs: isThere ? "update" : "create", run: (engine, secret, body) => engine.write(secret, body) };
    case "DELETE data":
      return { needs: "delete", run: (engine, secret) => engine.change("delete", secret) };
    case "POST delete":
    case "POST undelete":
    case "POST destroy":
      return {
        needs: "update",
        run: (engine, secret, body) => {
          const versions = versionsIn(body);
          if (!versions) return refused(400, "No version number provided");
          return engine.change(kind as "delete" | "undelete" | "destroy", secret, versions);
        },
      };
    case "GET metadata":
      return { needs: "read", run: (engine, secret) => engine.metadata(secret) };
    case "DELETE metadata":
      return { needs: "delete", run: (engine, secret) => engine.forget(secret) };
    default:
      return undefined;
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
