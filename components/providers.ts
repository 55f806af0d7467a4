import type * as pulumi from "@pulumi/pulumi";
import { CloudflareApi } from "./cloudflare/api";
import { consumerAsker } from "./cloudflare/attest";
import { workerDelivery } from "./cloudflare/worker-delivery.provider";
import { workerSecretSet } from "./cloudflare/worker-secret-set.provider";
import { postgresLoginClaim } from "./postgres/postgres-login-claim.provider";
import { postgresLogin } from "./postgres/postgres-login.provider";
import type { Admin } from "./postgres/retire";
import { parseStack } from "./rotation/config";
import { rawConfig } from "./rotation/raw-config";
import type { Kind } from "./thin";

/**
 * The provider process's counterpart of index.ts: it alone joins the vendors, and reads the stack's config as it is now, so
 * that a delete uses today's admin password and not the one that was right when the resource was made.
 */
export function load(kind: Kind, config: pulumi.dynamic.Config): pulumi.dynamic.ResourceProvider {
  const stack = parseStack(rawConfig((key) => config.get(`rollover:${key}`), []));
  const warn = (line: string) => {
    console.warn(line);
  };
  switch (kind) {
    case "WorkerDelivery":
      return workerDelivery(api());
    case "WorkerSecretSet":
      return workerSecretSet(api(), stack.abandon, warn);
    case "PostgresLogin":
      return postgresLogin(admin());
    case "PostgresLoginClaim":
      return postgresLoginClaim(admin());
  }

  function api(): CloudflareApi {
    return new CloudflareApi(required(stack.cloudflare, "cloudflare"), config.require("rollover:cloudflareApiToken"));
  }

  function admin(): Admin {
    const server = required(stack.postgres, "postgres");
    const login = {
      user: server.username,
      password: config.require("rollover:postgresPassword"),
      database: server.database,
    };
    // A stack without Workers needs no account: then nobody is asked.
    return { server, login, abandon: stack.abandon, warn, ask: (...question) => consumerAsker(api())(...question) };
  }
}

/** State still holds a resource of a vendor that config no longer declares: its settings are needed until it is gone. */
function required<T>(settings: T | undefined, key: string): T {
  if (settings) return settings;
  throw new Error(
    `rollover:${key} is not set, but resources that need it are still in the stack; set it until they are deleted`,
  );
}
