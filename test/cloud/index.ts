/**
 * The local cloud: real servers behind the vendors' own API shapes, on 127.0.0.1 with free ports, all ended by `stop`
 * and with the process, however it ends (supervise.ts).
 */
import { startCloudflare, type CloudflareOptions, type LocalCloudflare } from "./cloudflare";
import { startPostgres, type LocalPostgres } from "./postgres";

export interface CloudOptions {
  cloudflare?: CloudflareOptions;
  /** Where Postgres's log goes, if it is to outlive the cloud. */
  logDir?: string;
}

export interface LocalCloud {
  postgres: LocalPostgres;
  cloudflare: LocalCloudflare;
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
  workers: Record<string, { script: string; probe: string; answers: number; within: string; settle: string }>;
  secrets: { postgresPassword: string; cloudflareApiToken: string };
}

export async function startCloud(options: CloudOptions = {}): Promise<LocalCloud> {
  const postgres = await startPostgres(options.logDir === undefined ? {} : { dir: options.logDir });
  let cloudflare: LocalCloudflare;
  try {
    cloudflare = await startCloudflare(options.cloudflare);
  } catch (error) {
    await postgres.stop();
    throw error;
  }
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
      workers: Object.fromEntries(scripts.map((script) => [script, worker(script)])),
      secrets: { postgresPassword: postgres.admin.password, cloudflareApiToken: cloudflare.token },
    }),
    async seedDatabase({ owner, database }) {
      // SQL knows no parameters for names; the caller's are quoted.
      const role = `"${owner.replaceAll('"', '""')}"`;
      const sql = `SET ROLE ${role};
        CREATE TABLE IF NOT EXISTS rounds (id int PRIMARY KEY);
        INSERT INTO rounds VALUES (1) ON CONFLICT DO NOTHING`;
      await postgres.query(sql, undefined, database);
    },
    async stop() {
      await Promise.all([cloudflare.stop(), postgres.stop()]);
    },
  };
}
