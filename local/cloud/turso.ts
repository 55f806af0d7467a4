/**
 * A Turso organisation of one's own on 127.0.0.1: the platform API in front of a real libSQL server, which checks real
 * tokens signed with the keys that the organisation keeps and rotates. Databases have an address each, as with the
 * vendor; here it is a port (`Hostname` is `127.0.0.1:PORT`), reached by plain HTTP or WebSocket.
 */
import { startService, type Service } from "./faults";
import { handleApi, refusal } from "./turso/api";
import { type BlastRadius, Organization, type TursoEvent } from "./turso/organization";
import { PlatformTokens, type PlatformTokenOptions } from "./turso/platform-tokens";
import { startSqld } from "./turso/sqld";

export type { TokenTarget, TursoEvent } from "./turso/organization";
export { SCOPES, type PlatformTokenOptions, type Scope } from "./turso/platform-tokens";

export interface TursoOptions {
  /** @default acme */
  organization?: string;
  /** Groups to begin with, besides those that the databases name. */
  groups?: string[];
  /** Databases to begin with, by name. @default `rounds` in the group `default` */
  databases?: Record<string, { group: string }>;
}

export interface LocalTurso extends Pick<Service, "calls" | "faults" | "onCall"> {
  /** Base of the API, without `/v1`. */
  apiUrl: string;
  organization: string;
  /** May do everything in the organisation, and never expires. */
  platformToken: string;
  createGroup(name: string): void;
  /** With a table `rounds (id integer primary key)` of one row. */
  createDatabase(name: string, options: { group: string }): Promise<void>;
  destroyDatabase(name: string): Promise<void>;
  /** Each database's group. */
  databases(): Record<string, { group: string }>;
  /** `http://127.0.0.1:PORT`, for as long as the database exists. */
  hostOf(database: string): string;
  mintPlatform(options?: PlatformTokenOptions): string;
  revokePlatform(token: string): void;
  /** Every platform token that was made and not revoked; for leak scans. */
  platformTokens(): string[];
  /** Which keys a rotation changes; the vendor's own pages differ. @default group */
  setBlastRadius(radius: BlastRadius): void;
  /** Later rotations are answered at once and change the keys so much later; until then tokens get the old ones. */
  setEffectDelay(ms: number): void;
  /** The calls to rotate that were carried out, in order. */
  rotations(): TursoEvent[];
  /** Rotations, their effects and mints, in order. */
  events(): TursoEvent[];
  /** Every database and group token that was ever signed; for leak scans. */
  tokensMinted(): string[];
  /** Runs one statement as the database's owner: no key, no permission and no fault is in its way; a block is. */
  query(database: string, sql: string): Promise<Record<string, unknown>[]>;
  stop(): Promise<void>;
}

export async function startTurso(options: TursoOptions = {}): Promise<LocalTurso> {
  const { organization: name = "acme", databases = { rounds: { group: "default" } }, groups = [] } = options;
  const sqld = await startSqld();
  const organization = new Organization(name, sqld);
  const tokens = new PlatformTokens(name);
  const createDatabase = async (database: string, group: string): Promise<void> => {
    await organization.createDatabase(database, group);
    await organization.query(database, "CREATE TABLE rounds (id integer PRIMARY KEY)");
    await organization.query(database, "INSERT INTO rounds VALUES (1)");
  };
  const stopData = async (): Promise<void> => {
    await organization.stop();
    await sqld.stop();
  };
  try {
    const wanted = Object.entries(databases);
    for (const group of new Set([...groups, ...wanted.map(([, { group }]) => group)])) organization.createGroup(group);
    await Promise.all(wanted.map(([database, { group }]) => createDatabase(database, group)));
  } catch (error) {
    await stopData();
    throw error;
  }
  const platform = { organization, tokens };
  const service = await startService((request, url, body) => handleApi(platform, request, url, body), refusal);
  return {
    apiUrl: `http://127.0.0.1:${service.port}`,
    organization: name,
    platformToken: tokens.mint({ name: "rollover" }),
    calls: service.calls,
    faults: service.faults,
    onCall: service.onCall,
    createGroup: (group) => void organization.createGroup(group),
    createDatabase: (database, { group }) => createDatabase(database, group),
    destroyDatabase: (database) => organization.destroyDatabase(database),
    databases: () =>
      Object.fromEntries([...organization.databases.values()].map(({ name, group }) => [name, { group: group.name }])),
    hostOf: (database) => `http://${organization.database(database).proxy.hostname}`,
    mintPlatform: (wanted) => tokens.mint(wanted),
    revokePlatform: (token) => {
      tokens.revoke(token);
    },
    platformTokens: () => tokens.texts(),
    setBlastRadius: (radius) => {
      organization.blastRadius = radius;
    },
    setEffectDelay: (ms) => {
      organization.effectDelayMs = ms;
    },
    rotations: () => organization.events.filter(({ kind }) => kind === "rotate"),
    events: () => [...organization.events],
    tokensMinted: () => [...organization.minted],
    query: (database, sql) => organization.query(database, sql),
    async stop() {
      await service.stop();
      await stopData();
    },
  };
}
