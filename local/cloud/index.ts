/**
 * The local cloud: real servers behind the vendors' own API shapes, on 127.0.0.1 with free ports, all ended by `stop`
 * and with the process, however it ends (supervise.ts).
 */
import { startCloudflare, type CloudflareOptions, type LocalCloudflare } from "./cloudflare";
import { startPostgres, type LocalPostgres } from "./postgres";
import { startTurso, type LocalTurso, type TursoOptions } from "./turso";
import { startVault, type LocalVault, type VaultOptions } from "./vault";

export interface CloudOptions {
  cloudflare?: CloudflareOptions;
  /** `false`: none. @default a group `default` with a database `rounds` */
  turso?: TursoOptions | false;
  /** `false`: none. @default one with a KV engine at `secret` */
  vault?: VaultOptions | false;
  /** Where the logs of Postgres and of Vault go, if they are to outlive the cloud. */
  logDir?: string;
}

export interface LocalCloud {
  postgres: LocalPostgres;
  cloudflare: LocalCloudflare;
  /** Throws where the cloud was started without one. */
  readonly turso: LocalTurso;
  /** Throws where the cloud was started without one. */
  readonly vault: LocalVault;
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

/** Keys are those of the config's `rollover:` namespace, values what belongs there. */
export interface CloudConfig {
  postgres: {
    host: string;
    port: number;
    database: string;
    username: string;
    sslmode: "disable";
    superuser: false;
  };
  cloudflare: { accountId: string; apiUrl: string };
  turso?: { organization: string; apiUrl: string; databases: Record<string, { group: string }> };
  vault?: { address: string };
  workers: Record<string, { script: string; probe: string; answers: number; within: string; settle: string }>;
  secrets: { postgresPassword: string; cloudflareApiToken: string; tursoApiToken?: string; vaultToken?: string };
}

export async function startCloud(options: CloudOptions = {}): Promise<LocalCloud> {
  const started: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.stop()));
  };
  const keep = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    started.push(server);
    return server;
  };
  try {
    const { logDir } = options;
    const postgres = await keep(startPostgres(logDir === undefined ? {} : { dir: logDir }));
    const turso = options.turso === false ? undefined : await keep(startTurso(options.turso));
    const cloudflare = await keep(startCloudflare(withVariables(options.cloudflare, turso)));
    const vault =
      options.vault === false
        ? undefined
        : await keep(startVault({ ...(logDir === undefined ? {} : { logDir }), ...options.vault }));
    return joined(options, { postgres, cloudflare, turso, vault }, stop);
  } catch (error) {
    await stop();
    throw error;
  }
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

function joined(
  options: CloudOptions,
  servers: Pick<LocalCloud, "postgres" | "cloudflare"> & {
    turso: LocalTurso | undefined;
    vault: LocalVault | undefined;
  },
  stop: () => Promise<void>,
): LocalCloud {
  const { postgres, cloudflare, turso, vault } = servers;
  const scripts = Object.keys(options.cloudflare?.scripts ?? { "rounds-api": {} });
  const workerUrl = (script: string): string => `${cloudflare.workerUrl(script)}/`;
  const probeUrl = (script: string): string => `${workerUrl(script)}.well-known/rollover`;
  const worker = (script: string): CloudConfig["workers"][string] => ({
    script,
    probe: probeUrl(script),
    answers: 5,
    within: "30s",
    settle: "1s",
  });
  return {
    postgres,
    cloudflare,
    get turso() {
      if (!turso) throw new Error("this local cloud was started without Turso");
      return turso;
    },
    get vault() {
      if (!vault) throw new Error("this local cloud was started without Vault");
      return vault;
    },
    apis: [cloudflare, turso, vault].flatMap((api) => api ?? []),
    workerUrl,
    probeUrl,
    config: () => ({
      postgres: {
        host: postgres.host,
        port: postgres.port,
        database: "postgres",
        username: postgres.admin.user,
        sslmode: "disable",
        superuser: false,
      },
      cloudflare: { accountId: cloudflare.accountId, apiUrl: cloudflare.apiUrl },
      ...(turso && {
        turso: { organization: turso.organization, apiUrl: turso.apiUrl, databases: turso.databases() },
      }),
      ...(vault && { vault: { address: vault.address } }),
      workers: Object.fromEntries(scripts.map((script) => [script, worker(script)])),
      secrets: {
        postgresPassword: postgres.admin.password,
        cloudflareApiToken: cloudflare.token,
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
      await postgres.query(sql, undefined, database);
    },
    stop,
  };
}
