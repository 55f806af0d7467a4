import { createRequire } from "node:module";
import type * as pulumi from "@pulumi/pulumi";
import type { Memory, Provider } from "./audit/recorded";
import type { Who } from "./audit/who";
import type { CloudflareApi } from "./cloudflare/api";
import type { Admin } from "./postgres/retire";
import { parseStack } from "./rotation/config";
import { loginsOf } from "./rotation/login";
import { rawConfig } from "./rotation/raw-config";
import type { Kind } from "./thin";
import type { TursoApi } from "./turso/api";
import type { VaultApi } from "./vault/api";

/**
 * Where the code of each kind is, and of what only some need. All of it takes a second of CPU to load, and a process serves one
 * stack, so each is loaded when it is first needed. At once, not awaited: loader.cjs says why.
 */
const from = createRequire(__filename);
const modules = {
  WorkerDelivery: () =>
    from("./cloudflare/worker-delivery.provider") as typeof import("./cloudflare/worker-delivery.provider"),
  WorkerSecretSet: () =>
    from("./cloudflare/worker-secret-set.provider") as typeof import("./cloudflare/worker-secret-set.provider"),
  PostgresLogin: () =>
    from("./postgres/postgres-login.provider") as typeof import("./postgres/postgres-login.provider"),
  PostgresLoginClaim: () =>
    from("./postgres/postgres-login-claim.provider") as typeof import("./postgres/postgres-login-claim.provider"),
  TursoCanary: () => from("./turso/turso-canary.provider") as typeof import("./turso/turso-canary.provider"),
  TursoInvalidation: () =>
    from("./turso/turso-invalidation.provider") as typeof import("./turso/turso-invalidation.provider"),
  TursoSettings: () => from("./turso/turso-settings.provider") as typeof import("./turso/turso-settings.provider"),
  TursoToken: () => from("./turso/turso-token.provider") as typeof import("./turso/turso-token.provider"),
  TursoOutcome: () => from("./turso/turso-outcome.provider") as typeof import("./turso/turso-outcome.provider"),
  VaultKey: () => from("./vault/vault-key.provider") as typeof import("./vault/vault-key.provider"),
  EnvFile: () => from("./file/env-file.provider") as typeof import("./file/env-file.provider"),
  Announcement: () => from("./notify/announcement.provider") as typeof import("./notify/announcement.provider"),
  Completion: () => from("./notify/completion.provider") as typeof import("./notify/completion.provider"),
  attest: () => from("./cloudflare/attest") as typeof import("./cloudflare/attest"),
  changes: () => from("./notify/changes") as typeof import("./notify/changes"),
  cloudflareApi: () => from("./cloudflare/api") as typeof import("./cloudflare/api"),
  journal: () => from("./audit/journal") as typeof import("./audit/journal"),
  notifier: () => from("./notify/notifier") as typeof import("./notify/notifier"),
  recorded: () => from("./audit/recorded") as typeof import("./audit/recorded"),
  tursoApi: () => from("./turso/api") as typeof import("./turso/api"),
  vaultApi: () => from("./vault/api") as typeof import("./vault/api"),
  webhook: () => from("./notify/webhook") as typeof import("./notify/webhook"),
  who: () => from("./audit/who") as typeof import("./audit/who"),
};

/** Asked once a process, so that all that it writes carries one id of the update. */
let who: Promise<Who> | undefined;
let memory: Memory | undefined;

/**
 * The provider process's counterpart of index.ts: it alone joins the vendors, and reads the stack's config as it is now, so
 * that a delete uses today's admin password and not the one that was right when the resource was made.
 */
export function load(kind: Kind, config: pulumi.dynamic.Config): pulumi.dynamic.ResourceProvider {
  const stack = parseStack(rawConfig((key) => config.get(`rollover:${key}`), []));
  const isTold = stack.audit !== undefined || stack.notify !== undefined;
  const show = (line: string) => {
    console.warn(line);
  };
  const warn = isTold ? modules.recorded().leaving(show) : show;
  const alert = async (line: string) => {
    const webhook = config.get("rollover:alertWebhook") ?? "";
    const failure = webhook === "" ? undefined : await modules.webhook().postAlert(webhook, line);
    if (failure !== undefined) warn(`the alert was not posted: ${failure}`);
  };
  // Each kind declares the properties that it takes; Pulumi hands over what it was declared with.
  const made = provider() as unknown as Provider;
  return withoutStacks(isTold ? withRecords(made) : made);

  function withRecords(bare: Provider): Provider {
    const { newMemory, recorded } = modules.recorded();
    const { audit } = stack;
    const password = config.get("rollover:auditPassword") ?? "";
    return recorded(kind, bare, {
      ...(audit && { journal: modules.journal().journal(audit, password, process.cwd()) }),
      ...(stack.notify && { notifier: channels() }),
      stack,
      memory: (memory ??= newMemory()),
      who: () => (who ??= modules.who().whoRuns(process.cwd(), process.env)),
      warn,
    });
  }

  function channels() {
    const smtpPassword = config.get("rollover:smtpPassword") ?? "";
    const webhook = config.get("rollover:alertWebhook") ?? "";
    return modules.notifier().notifier(stack.notify, { webhook, smtpPassword }, warn);
  }

  function provider(): object {
    switch (kind) {
      case "WorkerDelivery":
        return modules.WorkerDelivery().workerDelivery(api(), stack.abandon);
      case "WorkerSecretSet":
        return modules.WorkerSecretSet().workerSecretSet(api(), stack.abandon, warn, alert);
      case "PostgresLogin":
        return modules.PostgresLogin().postgresLogin(admin());
      case "PostgresLoginClaim":
        return modules.PostgresLoginClaim().postgresLoginClaim(admin());
      case "TursoCanary":
        return modules.TursoCanary().tursoCanary(turso(), warn);
      case "TursoInvalidation":
        return modules.TursoInvalidation().tursoInvalidation(turso());
      case "TursoSettings":
        return modules.TursoSettings().tursoSettings(turso());
      case "TursoToken":
        return modules.TursoToken().tursoToken(turso(), stack.abandon, warn);
      case "TursoOutcome":
        return modules.TursoOutcome().tursoOutcome();
      case "VaultKey":
        // A key that is forgotten needs nothing of a Vault that may be gone; rules.ts asks for both where one is written.
        return modules.VaultKey().vaultKey(vault());
      case "EnvFile":
        return modules.EnvFile().envFile(process.cwd(), warn);
      case "Announcement":
        return modules.Announcement().announcement(channels(), warn, modules.changes().whyIn(stack));
      case "Completion":
        return modules.Completion().completion(channels(), modules.changes().whyIn(stack));
    }
  }

  function vault(): VaultApi {
    const { VaultApi: Api } = modules.vaultApi();
    return new Api(stack.vault ?? { address: "" }, config.get("rollover:vaultToken") ?? "");
  }

  function turso(): TursoApi {
    const { TursoApi: Api } = modules.tursoApi();
    return new Api(required(stack.turso, "turso"), config.require("rollover:tursoApiToken"));
  }

  function api(): CloudflareApi {
    const { CloudflareApi: Api } = modules.cloudflareApi();
    return new Api(required(stack.cloudflare, "cloudflare"), config.require("rollover:cloudflareApiToken"));
  }

  function admin(): Admin {
    const server = required(stack.postgres, "postgres");
    const login = {
      user: server.username,
      password: config.require("rollover:postgresPassword"),
      database: server.database,
    };
    // A stack without Workers needs no account: then nobody is asked.
    return {
      server,
      login,
      logins: stack.credentials.flatMap((one) => (one.kind === "postgres" ? loginsOf(one) : [])),
      closed: stack.credentials.flatMap((one) => (one.kind === "postgres" && !one.existing ? [one.name] : [])),
      abandon: stack.abandon,
      warn,
      ask: (...question) => modules.attest().consumerAsker(api())(...question),
    };
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
