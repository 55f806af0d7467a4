/**
 * Connections to the Postgres server that the provider's inputs name, and the errors that may leave this plugin. Only a
 * server on the loopback interface is accepted: a stand-in has no business on a real one.
 */
import { readFileSync } from "node:fs";
import type { ClientConfig } from "pg";
import { Client, DatabaseError, escapeIdentifier, escapeLiteral } from "pg";
import type { Failure } from "../resource";
import type { Properties } from "../wire";

export const ident = escapeIdentifier;
/** Unlike the official plugin's, right for a backslash too. */
export const literal = escapeLiteral;

const SSL_MODES = ["disable", "require", "verify-ca", "verify-full"];
const KNOWN =
  "connectTimeout database databaseUsername expectedVersion host maxConnections password port scheme sslMode sslmode sslrootcert superuser username version".split(
    " ",
  );

/** What is wrong with the provider's inputs, all of which arrive as text. */
export function checkConfig(config: Properties): Failure[] {
  const failures: Failure[] = [];
  for (const name of Object.keys(config).filter((key) => !key.startsWith("__") && !KNOWN.includes(key))) {
    failures.push({ property: name, reason: `the stand-in plugin has no provider input "${name}"; remove it` });
  }
  const [host, scheme] = [config["host"], config["scheme"] ?? "postgres"];
  const sslmode = config["sslmode"] ?? config["sslMode"] ?? "disable";
  if (host !== undefined && !isLoopback(textOf(host)))
    failures.push({ property: "host", reason: refusal(textOf(host)) });
  if (scheme !== "postgres") {
    failures.push({ property: "scheme", reason: `"${textOf(scheme)}" is not served by the stand-in; use postgres` });
  }
  if (!SSL_MODES.includes(textOf(sslmode))) {
    failures.push({ property: "sslmode", reason: `"${textOf(sslmode)}" is unknown; use ${SSL_MODES.join(", ")}` });
  }
  return failures;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function refusal(host: string): string {
  return (
    `The stand-in for @pulumi/postgresql talks to loopback addresses only, and the host is "${host}". ` +
    "Use 127.0.0.1, localhost or ::1, or install the official plugin: pulumi plugin install resource postgresql"
  );
}

/** One provider's server. Each piece of work has a connection of its own, so none is left to block DROP DATABASE. */
export class Server {
  #config: Properties = {};

  configure(config: Properties): void {
    const failure = checkConfig(config)[0];
    if (failure !== undefined) throw new Error(`${failure.property}: ${failure.reason}`);
    this.#config = config;
  }

  /** Whether the admin is declared to be a superuser, who can read verifiers (the official default). */
  get superuser(): boolean {
    return textOf(this.#config["superuser"] ?? "true") === "true";
  }

  get username(): string {
    return textOf(this.#config["databaseUsername"] ?? this.#config["username"] ?? "postgres");
  }

  /**
   * Runs work on a connection to a database (the provider's own by default). `doing` begins the text of an error;
   * `hidden` values and the admin's password never stand in one.
   */
  async connected<T>(doing: string, work: (client: Client) => Promise<T>, at: At = {}): Promise<T> {
    const client = new Client(this.#settings(at.database));
    // A session that the server ends (DROP DATABASE WITH FORCE) is seen by the query in progress, or by nobody.
    client.on("error", () => undefined);
    try {
      await client.connect();
      return await work(client);
    } catch (error) {
      throw new Error(this.#explain(doing, error, at.hidden ?? []), { cause: undefined });
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  transaction<T>(doing: string, work: (client: Client) => Promise<T>, at: At = {}): Promise<T> {
    const whole = async (client: Client): Promise<T> => {
      await client.query("BEGIN");
      const result = await work(client);
      await client.query("COMMIT");
      return result;
    };
    return this.connected(doing, whole, at);
  }

  #settings(database?: string): ClientConfig {
    const host = this.#config["host"];
    if (!isLoopback(textOf(host))) throw new Error(refusal(textOf(host)));
    const sslmode = textOf(this.#config["sslmode"] ?? this.#config["sslMode"] ?? "require");
    const root = this.#config["sslrootcert"];
    const verified = { rejectUnauthorized: sslmode.startsWith("verify"), ...(sslmode === "verify-ca" && skipName) };
    return {
      host: textOf(host),
      port: Number(this.#config["port"] ?? 5432),
      user: textOf(this.#config["username"] ?? "postgres"),
      password: textOf(this.#config["password"]),
      database: database ?? textOf(this.#config["database"] ?? "postgres"),
      connectionTimeoutMillis: Number(this.#config["connectTimeout"] ?? 180) * 1000,
      application_name: "pulumi-stand-in",
      ssl: sslmode === "disable" ? false : { ...verified, ...(typeof root === "string" && { ca: readFileSync(root) }) },
    };
  }

  #explain(doing: string, error: unknown, hidden: unknown[]): string {
    let text = error instanceof Error ? error.message : "unknown error";
    for (const secret of [this.#config["password"], ...hidden]) {
      if (typeof secret === "string" && secret !== "") text = text.replaceAll(secret, "[secret]");
    }
    return `${doing}: ${text}${error instanceof DatabaseError ? ` (SQLSTATE ${error.code ?? "unknown"})` : ""}`;
  }
}

export interface At {
  database?: string;
  hidden?: unknown[];
}

const skipName = { checkServerIdentity: () => undefined };

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}
