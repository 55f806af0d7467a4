import * as postgresql from "@pulumi/postgresql";
import * as pulumi from "@pulumi/pulumi";
import {
  ConfigError,
  parseStack,
  PostgresRole,
  RandomSecret,
  rawConfig,
  WorkerConsumer,
  WorkerSecrets,
} from "./components";
import type { Credential, PostgresServer, StackModel, Worker } from "./components";

const config = new pulumi.Config();
const stack = readStack();

const consumers = new Map(stack.workers.map((worker) => [worker.name, declareConsumer(worker)]));
const declared = declareCredentials();
// By script: a Worker that is renamed in config alone is still the same one.
for (const { worker, consumer } of consumers.values()) {
  const accountId = stack.cloudflare?.accountId ?? "";
  const components = declared.map(({ component }) => component);
  new WorkerSecrets(worker.script, { worker, accountId, consumer, credentials: components });
}
warnOfAbandoned();

/** What each credential is now. Nothing in it is secret. */
export const credentials = Object.fromEntries(
  stack.credentials.map((credential) => [credential.name, summarise(credential)]),
);

/** Logins that act as a credential's owner and that config does not name: revocation debt. */
export const debts = pulumi.all(
  Object.fromEntries(
    declared.flatMap(({ component }) =>
      component instanceof PostgresRole ? [[component.credential, component.debts]] : [],
    ),
  ),
);

/** Names that config leaves behind live or silent. */
export const abandoned = stack.abandon;

/** Current values, secret, of the credentials that config asks it for (`output: true`). */
export const values = Object.fromEntries(
  declared
    .filter(({ credential }) => credential.output)
    .map(({ component }) => [component.credential, component.generations[0]?.value]),
);

function readStack(): StackModel {
  // How Pulumi tells a program which keys are encrypted; its own readers of it are internal.
  const encrypted = JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]") as string[];
  const keys = Object.keys(pulumi.runtime.allConfig()).filter((key) => key.startsWith("rollover:"));
  try {
    return parseStack(
      rawConfig(
        (key) => config.get(key),
        keys.map((key) => key.slice("rollover:".length)),
        (key) => encrypted.includes(`rollover:${key}`),
      ),
    );
  } catch (error) {
    if (error instanceof ConfigError) throw new pulumi.RunError(error.message);
    throw error;
  }
}

/** A name that stays listed turns each later retirement of that credential into a silent "left behind". */
function warnOfAbandoned(): void {
  const declaredStill = stack.abandon.filter((name) =>
    stack.credentials.some((credential) => credential.name === name),
  );
  for (const name of declaredStill) {
    void pulumi.log.warn(
      `rollover:abandon lists ${name}, which is still declared: its retired generations stay live. Take it out unless the stack is being destroyed.`,
    );
  }
}

function declareConsumer(worker: Worker) {
  const server = stack.postgres ? { server: stack.postgres } : {};
  return { worker, consumer: new WorkerConsumer(worker.script, { worker, credentials: stack.credentials, ...server }) };
}

function declareCredentials() {
  const { postgres: server } = stack;
  const provider = server && postgresProvider(server);
  return stack.credentials.map((credential) => {
    const { name } = credential;
    const to = [...new Set(credential.deliver.map(({ worker }) => worker))].flatMap(
      (worker) => consumers.get(worker)?.consumer ?? [],
    );
    const after = to.map(({ delivery }) => delivery);
    if (credential.kind === "random") return { credential, component: new RandomSecret(name, { credential, after }) };
    if (!server || !provider) throw new pulumi.RunError(`${name}: rollover:postgres is not set`);
    const records = pulumi.all(to.flatMap(({ record }) => record ?? []));
    return {
      credential,
      component: new PostgresRole(name, { credential, server, consumers: records, provider, after }),
    };
  });
}

function postgresProvider({ host, port, database, username, sslmode, superuser }: PostgresServer): postgresql.Provider {
  const password = config.requireSecret("postgresPassword");
  return new postgresql.Provider("postgres", { host, port, database, username, password, sslmode, superuser });
}

function summarise(credential: Credential) {
  const { kind, generations, deliver } = credential;
  const probed = new Set(stack.workers.filter(({ probe }) => probe !== undefined).map(({ name }) => name));
  const breaksAtOnce =
    kind === "postgres" ? credential.inPlace : deliver.some(({ previousAs }) => previousAs === undefined);
  return {
    kind,
    current: generations[0],
    live: generations,
    change: breaksAtOnce ? "breaks at once" : "overlaps",
    consumers: deliver.map(({ worker, as }) => ({ worker, as, attested: probed.has(worker) })),
  };
}
