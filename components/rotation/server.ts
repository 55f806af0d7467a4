/** What `rollover:postgres` and `rollover:audit` say of a Postgres server alike. */
import type { PostgresServer } from "./model";
import { show, type Problem } from "./problem";
import type { Secret } from "./raw-config";
import type { Fields, TextRule } from "./read";
import { isLoopbackHost } from "./url";

export const SERVER_KEYS = ["host", "port", "database", "username", "sslmode"];

export const HOST: TextRule = {
  pattern: /^[A-Za-z0-9._:-]{1,253}$/,
  allowed: "a host name or an IP address, without scheme, port or brackets",
};

/** A login that somebody else named. */
export const ANY_ROLE: TextRule = {
  pattern: /^[^\p{Cc}]{1,63}$/u,
  allowed: "the name of a Postgres role, at most 63 characters",
};

/** @param goes What would be sent there. */
export function parseServer(fields: Fields, goes: string): Omit<PostgresServer, "superuser"> {
  const server = {
    host: fields.text("host", HOST),
    port: fields.integer("port", 1, 65_535, 5432),
    database: fields.text("database", ANY_ROLE, "postgres"),
    username: fields.text("username", ANY_ROLE),
    sslmode: fields.oneOf("sslmode", ["verify-full", "disable"], "verify-full") ?? "verify-full",
  };
  if (server.sslmode !== "verify-full" && server.host !== "" && !isLoopbackHost(server.host)) {
    fields.refuse("sslmode", {
      what: `does not verify the server ${server.host}, to which ${goes} goes`,
      value: show(server.sslmode),
      allowed: "verify-full; disable only on loopback",
      fix: "remove it, and give Node the server's CA by NODE_EXTRA_CA_CERTS where it is a private one",
    });
  }
  return server;
}

export function passwordInPlainText(secret: Secret): Omit<Problem, "where"> {
  return {
    what: "does not belong here in plain text",
    allowed: `the secret ${secret}`,
    fix: `remove it, change that password and run \`pulumi config set --secret ${secret}\``,
  };
}
