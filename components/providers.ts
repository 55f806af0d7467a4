import type * as pulumi from "@pulumi/pulumi";
import { journal } from "./audit/journal";
import { leaving, newMemory, type Provider, recorded, type Recording } from "./audit/recorded";
import { type Who, whoRuns } from "./audit/who";
import { envFile } from "./file/env-file.provider";
import { CloudflareApi } from "./cloudflare/api";
import { consumerAsker } from "./cloudflare/attest";
import { workerDelivery } from "./cloudflare/worker-delivery.provider";
import { workerSecretSet } from "./cloudflare/worker-secret-set.provider";
import { postgresLoginClaim } from "./postgres/postgres-login-claim.provider";
import { postgresLogin } from "./postgres/postgres-login.provider";
import type { Admin } from "./postgres/retire";
import { announcement } from "./notify/announcement.provider";
import { whyIn } from "./notify/changes";
import { completion } from "./notify/completion.provider";
import { notifier } from "./notify/notifier";
import { postAlert } from "./notify/webhook";
import { parseStack } from "./rotation/config";
import { rawConfig } from "./rotation/raw-config";
import type { Kind } from "./thin";
import { TursoApi } from "./turso/api";
import { tursoCanary } from "./turso/turso-canary.provider";
import { tursoInvalidation } from "./turso/turso-invalidation.provider";
import { tursoOutcome } from "./turso/turso-outcome.provider";
import { tursoSettings } from "./turso/turso-settings.provider";
import { tursoToken } from "./turso/turso-token.provider";
import { VaultApi } from "./vault/api";
import { vaultKey } from "./vault/vault-key.provider";

/** Asked once a process, so that all that it writes carries one id of the update. */
let who: Promise<Who> | undefined;
const memory = newMemory();

/**
 * The provider process's counterpart of index.ts: it alone joins the vendors, and reads the stack's config as it is now, so
 * that a delete uses today's admin password and not the one that was right when the resource was made.
 */
export function load(kind: Kind, config: pulumi.dynamic.Config): pulumi.dynamic.ResourceProvider {
  const stack = parseStack(rawConfig((key) => config.get(`rollover:${key}`), []));
  const warn = leaving((line) => {
    console.warn(line);
  });
  const alert = async (line: string) => {
    const webhook = config.get("rollover:alertWebhook") ?? "";
    const failure = webhook === "" ? undefined : await postAlert(webhook, line);
    if (failure !== undefined) warn(`the alert was not posted: ${failure}`);
  };
  const smtpPassword = config.get("rollover:smtpPassword") ?? "";
  const notify = notifier(stack.notify, { webhook: config.get("rollover:alertWebhook") ?? "", smtpPassword }, warn);
  const recording: Recording = {
    ...(stack.audit && { journal: journal(stack.audit, config.get("rollover:auditPassword") ?? "", process.cwd()) }),
    ...(stack.notify && { notifier: notify }),
    stack,
    memory,
    who: () => (who ??= whoRuns(process.cwd(), process.env)),
    warn,
  };
  // Each kind declares the properties that it takes; Pulumi hands over what it was declared with.
  return withoutStacks(recorded(kind, provider() as unknown as Provider, recording));

  function provider(): object {
    switch (kind) {
      case "WorkerDelivery":
        return workerDelivery(api(), stack.abandon);
      case "WorkerSecretSet":
        return workerSecretSet(api(), stack.abandon, warn, alert);
      case "PostgresLogin":
        return postgresLogin(admin());
      case "PostgresLoginClaim":
        return postgresLoginClaim(admin());
      case "TursoCanary":
        return tursoCanary(turso(), warn);
      case "TursoInvalidation":
        return tursoInvalidation(turso());
      case "TursoSettings":
        return tursoSettings(turso());
      case "TursoToken":
        return tursoToken(turso(), stack.abandon, warn);
      case "TursoOutcome":
        return tursoOutcome();
      case "VaultKey":
        // A key that is forgotten needs nothing of a Vault that may be gone; rules.ts asks for both where one is written.
        return vaultKey(new VaultApi(stack.vault ?? { address: "" }, config.get("rollover:vaultToken") ?? ""));
      case "EnvFile":
        return envFile(process.cwd(), warn);
      case "Announcement":
        return announcement(notify, warn, whyIn(stack));
      case "Completion":
        return completion(notify, whyIn(stack));
    }
  }

  function turso(): TursoApi {
    return new TursoApi(required(stack.turso, "turso"), config.require("rollover:tursoApiToken"));
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

/** Pulumi prints the stack of an error too: for a refusal that is a page of this machine's paths below one clear sentence. */
function withoutStacks(provider: object): pulumi.dynamic.ResourceProvider {
  const quiet = Object.entries(provider as Record<string, (...args: unknown[]) => Promise<unknown>>).map(
    ([name, method]) => [
      name,
      (...args: unknown[]) =>
        method(...args).catch((error: unknown) => {
          if (error instanceof Error) error.stack = "";
          throw error;
        }),
    ],
  );
  return Object.fromEntries(quiet) as Record<keyof pulumi.dynamic.ResourceProvider, never>;
}

/** State still holds a resource of a vendor that config no longer declares: its settings are needed until it is gone. */
function required<T>(settings: T | undefined, key: string): T {
  if (settings) return settings;
  throw new Error(
    `rollover:${key} is not set, but resources that need it are still in the stack; set it until they are deleted`,
  );
}
