/**
 * What Turso keeps for an organisation: groups and databases with the keys that sign and check their tokens. A key pair
 * for each group and each database; a database accepts the tokens of both. Rotating makes new keys, and that is all it
 * does: nothing signed by an old key works from then on, everything signed by the new one does (facts/turso.md 2).
 */
import { generateKeyPairSync, randomUUID, type KeyObject } from "node:crypto";
import * as http from "node:http";
import { shiftDays } from "../../engine/as-of";
import { forClockBehind, nowInSeconds, signEdDsa } from "./jwt";
import type { Rule } from "./permissions";
import { startProxy, type Proxy } from "./proxy";
import { namespaceHeader, type Sqld } from "./sqld";

export interface TokenTarget {
  kind: "database" | "group";
  name: string;
}

/** `rotate`: asked for. `effective`: the keys have changed, old tokens are refused. `mint`: a token was signed. */
export interface TursoEvent {
  kind: "rotate" | "effective" | "mint";
  target: TokenTarget;
  /** `performance.now()`. */
  at: number;
}

export interface Group {
  name: string;
  uuid: string;
  keys: Keys;
  deleteProtection: boolean;
}

export interface Database {
  name: string;
  id: string;
  group: Group;
  keys: Keys;
  settings: DatabaseSettings;
  proxy: Proxy;
}

/** Names as on the wire. */
export interface DatabaseSettings {
  size_limit: string;
  allow_attach: boolean;
  block_reads: boolean;
  block_writes: boolean;
  delete_protection: boolean;
  allowed_ips: string[];
  allowed_aws_vpc_ids: string[];
}

export interface MintRequest {
  authorization: "full-access" | "read-only";
  /** Undefined: never. */
  expiresInSeconds?: number;
  /** Ids of the databases that it may attach. */
  attach: string[];
  permissions: Rule[];
}

interface Keys {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/**
 * `group`: either call changes the keys of the group and of every database in it. `database`: a database's call its own alone, a
 * group's all of them. `own key`: each its own key alone, so that tokens of a database outlive the call for its group.
 */
export type BlastRadius = "group" | "database" | "own key";

export class Organization {
  readonly groups = new Map<string, Group>();
  readonly databases = new Map<string, Database>();
  readonly events: TursoEvent[] = [];
  /** Every token that was signed for a client, oldest first. */
  readonly minted: string[] = [];
  /** What a rotation of a database reaches; the vendor's own pages differ. */
  blastRadius: BlastRadius = "group";
  /** How long after the answer a rotation takes effect. */
  effectDelayMs = 0;

  /** Signs the tests' own queries; every database accepts it, no rotation changes it, and nobody is given a token. */
  private readonly owner = newKeys();
  private readonly rules = new Map<string, Rule[]>();
  private readonly agent = new http.Agent({ keepAlive: true, timeout: 2000 });
  private readonly delayed = new Set<NodeJS.Timeout>();
  /** By database id: the last change of its namespace, since changes must arrive in their order. */
  private readonly changes = new Map<string, Promise<void>>();

  constructor(
    readonly name: string,
    private readonly sqld: Sqld,
  ) {}

  createGroup(name: string): Group {
    if (this.groups.has(name)) throw new Error(`the local Turso has a group ${name} already`);
    const group = { name, uuid: randomUUID(), keys: newKeys(), deleteProtection: false };
    this.groups.set(name, group);
    return group;
  }

  async createDatabase(name: string, groupName: string): Promise<Database> {
    const group = this.groups.get(groupName);
    if (!group) throw new Error(`no group ${groupName} in the local Turso`);
    if (this.databases.has(name)) throw new Error(`the local Turso has a database ${name} already`);
    const id = randomUUID();
    const { agent, rules } = this;
    const proxy = await startProxy({
      namespace: id,
      sqldPort: this.sqld.port,
      agent,
      rulesOf: (token) => rules.get(token),
      forServer: (token) => forServersClock(token, database),
    });
    const settings = { ...DEFAULTS, allowed_ips: [], allowed_aws_vpc_ids: [] };
    const database: Database = { name, id, group, keys: newKeys(), settings, proxy };
    this.databases.set(name, database);
    const created = this.sqld.create(id, this.namespaceConfig(database));
    this.changes.set(
      id,
      created.catch(() => undefined),
    );
    await created;
    return database;
  }

  async destroyDatabase(name: string): Promise<void> {
    const database = this.database(name);
    this.databases.delete(name);
    await this.changes.get(database.id);
    await this.sqld.remove(database.id);
    await database.proxy.stop();
  }

  /** For tests, which know their names; the API looks by itself. */
  database(name: string): Database {
    const database = this.databases.get(name);
    if (!database)
      throw new Error(`no database ${name} in the local Turso; it has ${[...this.databases.keys()].join(", ")}`);
    return database;
  }

  inGroup(group: Group): Database[] {
    return [...this.databases.values()].filter((database) => database.group === group);
  }

  /** Signs a token; the target exists. */
  mint(target: TokenTarget, request: MintRequest): string {
    const { authorization, expiresInSeconds, attach, permissions } = request;
    const access = authorization === "read-only" ? "ro" : "rw";
    const { keys, claims } = this.signer(target, access, attach);
    const token = signEdDsa(
      {
        rid: randomUUID(),
        ...claims,
        ...(expiresInSeconds !== undefined && { exp: nowInSeconds() + expiresInSeconds }),
        // Ignored by the open server: the proxy judges by it.
        ...(permissions.length > 0 && { fine_grained_permissions: permissions }),
      },
      keys.privateKey,
    );
    if (permissions.length > 0) this.rules.set(token, permissions);
    this.minted.push(token);
    this.log("mint", target);
    return token;
  }

  /** Returns when the new keys are in effect, or at once where that is delayed. */
  async rotate(target: TokenTarget): Promise<void> {
    this.log("rotate", target);
    if (this.effectDelayMs === 0) {
      await this.changeKeys(target);
      return;
    }
    const timer = setTimeout(() => {
      this.delayed.delete(timer);
      this.changeKeys(target).catch((error: unknown) => {
        console.error("local cloud:", error);
      });
    }, this.effectDelayMs);
    this.delayed.add(timer);
  }

  /** Brings a database's namespace to what its keys and settings say now. */
  apply(database: Database): Promise<void> {
    const { id } = database;
    const change = (this.changes.get(id) ?? Promise.resolve()).then(async () => {
      if (this.databases.has(database.name)) await this.sqld.configure(id, this.namespaceConfig(database));
    });
    this.changes.set(
      id,
      change.catch(() => undefined),
    );
    return change;
  }

  /** Runs one statement as the database's owner, past the proxy. */
  async query(name: string, sql: string): Promise<Record<string, unknown>[]> {
    const { id } = this.database(name);
    const token = signEdDsa({ p: { rw: { ns: [id] } } }, this.owner.privateKey);
    const response = await fetch(`http://127.0.0.1:${this.sqld.port}/v2/pipeline`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "x-namespace-bin": namespaceHeader(id),
      },
      body: JSON.stringify({ requests: [{ type: "execute", stmt: { sql } }, { type: "close" }] }),
    });
    const { results, error } = (await response.json()) as Pipeline;
    const [first] = results ?? [];
    if (first?.type !== "ok") throw new Error(`the database ${name}: ${first?.error.message ?? error ?? "no answer"}`);
    const { cols, rows } = first.response.result;
    return rows.map((row) => Object.fromEntries(row.map((cell, index) => [cols[index]?.name ?? "", valueOf(cell)])));
  }

  async stop(): Promise<void> {
    for (const timer of this.delayed) clearTimeout(timer);
    await Promise.all([...this.changes.values()]);
    await Promise.all([...this.databases.values()].map(({ proxy }) => proxy.stop()));
    this.agent.destroy();
  }

  /** A group's token is good for its later databases too, so it names none, unless it may attach some. */
  private signer(target: TokenTarget, access: "ro" | "rw", attach: string[]): { keys: Keys; claims: object } {
    const group = target.kind === "group" ? this.groups.get(target.name) : undefined;
    const { keys } = group ?? this.database(target.name);
    if (group && attach.length === 0) return { keys, claims: { gid: group.uuid, a: access } };
    const ns = group ? this.inGroup(group).map(({ id }) => id) : [this.database(target.name).id];
    return { keys, claims: { p: { [access]: { ns }, ...(attach.length > 0 && { roa: { ns: attach } }) } } };
  }

  /** Tokens that are signed from here on survive; the older ones die before this returns. */
  private async changeKeys(target: TokenTarget): Promise<void> {
    const named = this.databases.get(target.name);
    const whole = target.kind === "group" ? this.groups.get(target.name) : named?.group;
    const alone = target.kind === "database" && this.blastRadius !== "group";
    if (!whole || (alone && !named)) return;
    const reached = alone && named ? [named] : this.inGroup(whole);
    if (!alone) whole.keys = newKeys();
    if (target.kind === "database" || this.blastRadius !== "own key")
      for (const database of reached) database.keys = newKeys();
    await Promise.all(reached.map((database) => this.apply(database)));
    for (const { proxy } of reached) proxy.drop();
    this.log("effective", target);
  }

  private namespaceConfig({ keys, group, settings }: Database): Parameters<Sqld["create"]>[1] {
    const { block_reads, block_writes, allow_attach } = settings;
    const jwt_key = [keys, group.keys, this.owner].map(({ publicKey }) => pem(publicKey)).join("");
    return { jwt_key, block_reads, block_writes, allow_attach };
  }

  private log(kind: TursoEvent["kind"], target: TokenTarget): void {
    this.events.push({ kind, target: { kind: target.kind, name: target.name }, at: performance.now() });
  }
}

const DEFAULTS = {
  size_limit: "",
  allow_attach: true,
  block_reads: false,
  block_writes: false,
  delete_protection: false,
};

interface Pipeline {
  error?: string;
  results?: (
    | { type: "ok"; response: { result: { cols: { name: string }[]; rows: Cell[][] } } }
    | { type: "error"; error: { message: string } }
  )[];
}
interface Cell {
  type: "null" | "integer" | "float" | "text" | "blob";
  value?: unknown;
}

function valueOf({ type, value }: Cell): unknown {
  if (type === "null") return null;
  return type === "integer" ? Number(value) : value;
}

/** The server looks at `exp` by the machine's clock, everybody else by that of the tests. */
function forServersClock(token: string, { keys, group }: Database): string {
  const days = shiftDays();
  if (days === 0) return token;
  return forClockBehind(token, days, keys) ?? forClockBehind(token, days, group.keys) ?? token;
}

function newKeys(): Keys {
  return generateKeyPairSync("ed25519");
}

function pem(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" }).toString();
}
