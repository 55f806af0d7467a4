import * as postgresql from "@pulumi/postgresql";
import * as pulumi from "@pulumi/pulumi";
import {
  ConfigError,
  parseStack,
  PostgresRole,
  RandomSecret,
  rawConfig,
  WorkerProbe,
  WorkerSecrets,
} from "./components";
import type { Credential, PostgresServer, StackModel } from "./components";

const config = new pulumi.Config();
const stack = readStack();

const probes = new Map(stack.workers.map((worker) => [worker.name, new WorkerProbe(worker.name, { worker })]));
const declared = declareCredentials();
for (const worker of stack.workers) {
  const probe = probes.get(worker.name);
  if (probe) new WorkerSecrets(worker.name, { worker, probe, credentials: declared.map(({ component }) => component) });
}

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
  const keys = Object.keys(pulumi.runtime.allConfig()).filter((key) => key.startsWith("rollover:"));
  try {
    return parseStack(
      rawConfig(
        (key) => config.get(key),
        keys.map((key) => key.slice("rollover:".length)),
      ),
    );
  } catch (error) {
    if (error instanceof ConfigError) throw new pulumi.RunError(error.message);
    throw error;
  }
}

function declareCredentials() {
  const { postgres } = stack;
  const provider = postgres && postgresProvider(postgres);
  return stack.credentials.map((credential) => {
    if (credential.kind === "random")
      return { credential, component: new RandomSecret(credential.name, { credential }) };
    if (!postgres || !provider) throw new pulumi.RunError(`${credential.name}: rollover:postgres is not set`);
    const consumers = pulumi.all(credential.deliver.flatMap(({ worker }) => probes.get(worker)?.record ?? []));
    return {
      credential,
      component: new PostgresRole(credential.name, { credential, server: postgres, consumers, provider }),
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
