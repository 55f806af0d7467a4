/**
 * The local cloud: real servers behind the vendors' own API shapes, on 127.0.0.1 with free ports, all ended by `stop`
 * and with the process, however it ends (supervise.ts).
 */
import { startCloudflare, type CloudflareOptions, type LocalCloudflare } from "./cloudflare";
import { startPostgres, type LocalPostgres } from "./postgres";
import { startTurso, type LocalTurso, type TursoOptions } from "./turso";
import { startVault, type LocalVault, type VaultOptions } from "./vault";

/** A server that a cloud can have; `workers` are those of Cloudflare, behind its API. */
export type Need = "postgres" | "workers" | "turso" | "vault";
export const EVERYTHING: readonly Need[] = ["postgres", "workers", "turso", "vault"];

export interface CloudOptions {
  /** What is started. @default nothing */
  needs?: readonly Need[];
  cloudflare?: CloudflareOptions;
  /** @default a group `default` with a database `rounds` */
  turso?: TursoOptions;
  /** @default one with a KV engine at `secret` */
  vault?: VaultOptions;
  /** Where the logs of Postgres and of Vault go, if they are to outlive the cloud. */
  logDir?: string;
}

/** Each server throws where the cloud was started without it. */
export interface LocalCloud {
  readonly postgres: LocalPostgres;
  readonly cloudflare: LocalCloudflare;
  readonly turso: LocalTurso;
  readonly vault: LocalVault;
  has(need: Need): boolean;
  /** Every vendor's API that was started. */
  readonly apis: Pick<LocalCloudflare, "onCall">[];
  /** The Worker's own URL, ending in `/`. */
  workerUrl(script: string): string;
  probeUrl(script: string): string;
  /** What a stack needs in its config. */
  config(): CloudConfig;
  /** Makes the table `rounds`, with one row, that the local Worker counts; owned by `owner`, open to nobody else. */
  seedDatabase(target: { owner: string; database: string }): Promise<void>;
  stop(): Promise<void>;
}

/** Of what was started. Keys are those of the config's `rollover:` namespace, values what belongs there. */
export interface CloudConfig {
  postgres?: {
    host: string;
    port: number;
    database: string;
    username: string;
    sslmode: "disable";
    superuser: false;
  };
  cloudflare?: { accountId: string; apiUrl: string };
  turso?: { organization: string; apiUrl: string; databases: Record<string, { group: string }> };
  vault?: { address: string };
  workers: Record<string, { script: string; probe: string; answers: number; within: string; settle: string }>;
  secrets: { postgresPassword?: string; cloudflareApiToken?: string; tursoApiToken?: string; vaultToken?: string };
}

interface Servers {
  postgres?: LocalPostgres;
  cloudflare?: LocalCloudflare;
  turso?: LocalTurso;
  vault?: LocalVault;
}

/** Starts all at once; the Workers wait for Turso alone, whose address they are given. */
export async function startCloud(options: CloudOptions = {}): Promise<LocalCloud> {
  const { needs = [], logDir } = options;
  const servers: Servers = {};
  const stop = async (): Promise<void> => {
    await Promise.all(Object.values(servers).map((server: { stop(): Promise<void> }) => server.stop()));
  };
  const start = async <K extends keyof Servers>(name: K, need: Need, starting: () => Promise<Servers[K]>) => {
    if (needs.includes(need)) servers[name] = await starting();
  };
  const turso = start("turso", "turso", () => startTurso(options.turso));
  const outcomes = await Promise.allSettled([
    turso,
    start("postgres", "postgres", () => startPostgres(logDir === undefined ? {} : { dir: logDir })),
    start("vault", "vault", () => startVault({ ...(logDir === undefined ? {} : { logDir }), ...options.vault })),
    start("cloudflare", "workers", async () => {
      await turso;
      return startCloudflare(withVariables(options.cloudflare, servers.turso));
    }),
  ]);
  const [failed] = outcomes.filter((outcome) => outcome.status === "rejected");
  if (failed === undefined) return joined(options, servers, stop);
  await stop();
  throw failed.reason;
}

/** Where the scripts find the database `rounds`, unless they say themselves; of the usual one, how long its tokens live. */
function withVariables(options: CloudflareOptions = {}, turso: LocalTurso | undefined): CloudflareOptions {
  const found = turso?.databases().rounds === undefined ? {} : { TURSO_DATABASE_URL: turso.hostOf("rounds") };
  const scripts = Object.entries(options.scripts ?? { "rounds-api": { vars: { TOKEN_TTL_SECONDS: "5" } } });
  return {
    ...options,
    scripts: Object.fromEntries(
      scripts.map(([name, upload]) => [name, { ...upload, vars: { ...found, ...upload.vars } }]),
    ),
  };
}

function joined(options: CloudOptions, servers: Servers, stop: () => Promise<void>): LocalCloud {
  const { postgres, cloudflare, turso, vault } = servers;
  const had = <T>(server: T | undefined, name: Need): T => {
    if (server === undefined) throw new Error(`this local cloud was started without ${name}: name it in \`needs\``);
    return server;
  };
  const scripts = Object.keys(options.cloudflare?.scripts ?? { "rounds-api": {} });
  const workerUrl = (script: string): string => `${had(cloudflare, "workers").workerUrl(script)}/`;
  const probeUrl = (script: string): string => `${workerUrl(script)}.well-known/rollover`;
  const worker = (script: string) => ({
    script,
    probe: probeUrl(script),
    answers: 5,
    within: "30s",
    settle: "1s",
  });
  return {
    get postgres() {
      return had(postgres, "postgres");
    },
    get cloudflare() {
      return had(cloudflare, "workers");
    },
    get turso() {
      return had(turso, "turso");
    },
    get vault() {
      return had(vault, "vault");
    },
    has: (need) => (options.needs ?? []).includes(need),
    apis: [cloudflare, turso, vault].flatMap((api) => api ?? []),
    workerUrl,
    probeUrl,
    config: () => ({
      ...(postgres && {
        postgres: {
          host: postgres.host,
          port: postgres.port,
          database: "postgres",
          username: postgres.admin.user,
          sslmode: "disable",
          superuser: false,
        },
      }),
      ...(cloudflare && { cloudflare: { accountId: cloudflare.accountId, apiUrl: cloudflare.apiUrl } }),
      ...(turso && {
        turso: { organization: turso.organization, apiUrl: turso.apiUrl, databases: turso.databases() },
      }),
      ...(vault && { vault: { address: vault.address } }),
      workers: cloudflare ? Object.fromEntries(scripts.map((script) => [script, worker(script)])) : {},
      secrets: {
        ...(postgres && { postgresPassword: postgres.admin.password }),
        ...(cloudflare && { cloudflareApiToken: cloudflare.token }),
        ...(turso && { tursoApiToken: turso.platformToken }),
        ...(vault && { vaultToken: vault.token }),
      },
    }),
    async seedDatabase({ owner, database }) {
      // SQL knows no parameters for names; the caller's are quoted.
      const role = `"${owner.replaceAll('"', '""')}"`;
      const sql = `SET ROLE ${role};
        CREATE TABLE IF NOT EXISTS rounds (id int PRIMARY KEY);
        INSERT INTO rounds VALUES (1) ON CONFLICT DO NOTHING`;
      await had(postgres, "postgres").query(sql, undefined, database);
    },
    stop,
  };
}
