import * as cloudflare from "@pulumi/cloudflare";
import * as postgresql from "@pulumi/postgresql";
import * as pulumi from "@pulumi/pulumi";
import {
  AfterRoll,
  Announcement,
  Completion,
  ConfigError,
  deliveryOrder,
  EncryptionKeyset,
  EnvFile,
  parseStack,
  policyOf,
  CLOUDFLARE_API,
  PostgresRole,
  RandomSecret,
  RateLimits,
  rawConfig,
  SigningKeyset,
  singleIn,
  stampsOf,
  summariesOf,
  TursoOrganization,
  TursoOutcome,
  TursoTokens,
  urgentIn,
  verifiersOf,
  WorkerConsumer,
  WorkerScript,
  WorkerSecrets,
} from "./components";
import type {
  Credential,
  Deliverable,
  PostgresCredential,
  PostgresServer,
  StackModel,
  TursoCredential,
  Worker,
} from "./components";

const config = new pulumi.Config("rollover"); // whatever the project is called
const stack = readStack();

const provider = stack.postgres && postgresProvider(stack.postgres);
const cloudflareProvider = declareCloudflare();
const announced = declareAnnouncement();
const scripts = new Map(stack.workers.flatMap((worker) => declareScript(worker)));
const consumers = new Map(stack.workers.map((worker) => [worker.name, declareConsumer(worker)]));
const others = stack.credentials.flatMap((credential) => (isTurso(credential) ? [] : [declareCredential(credential)]));
// Last of all: from an invalidation on, consumers fail until they are delivered to, so nothing may stand between.
const turso = declareTurso();
const tokens = stack.credentials.filter(isTurso).map(declareTokens);
const declared = [...others, ...tokens];
const delivered = deliver(declared.map(({ component }) => component));
const outcomes = [...(turso ? [declareOutcome(turso)] : []), ...declareRulesets()];
declareCompletion();
warnOfAbandoned();

/** What each credential is now. Nothing in it is secret. */
export const credentials = summariesOf(stack);

/** How old they may become; empty without a policy. */
export const policy = policyOf(stack) ?? {};

/** By credential, what may still work though config does not name it: logins of its owner, tokens that were replaced. */
export const debts = pulumi.all(
  Object.fromEntries(
    declared.flatMap(({ component }): [string, pulumi.Output<string[]>][] => {
      if (component instanceof PostgresRole) return [[component.credential, component.debts]];
      return component instanceof TursoTokens ? [[component.credential, component.debts]] : [];
    }),
  ),
);

/** By Turso credential and stamp, when its token expires: the only end of a token that is not invalidated. */
export const expires = pulumi.all(
  Object.fromEntries(tokens.map(({ component }) => [component.credential, component.expires])),
);

/** By invalidated Turso database, what became of its group's and its siblings' tokens. */
export const findings = turso?.findings ?? {};

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

/** Undefined where this stack deploys neither a script nor a ruleset: secrets are delivered without it. */
function declareCloudflare(): cloudflare.Provider | undefined {
  const isNeeded = stack.workers.some(({ code }) => code) || stack.rateLimits.some(({ means }) => means === "ruleset");
  if (!isNeeded || !stack.cloudflare) return undefined;
  const { apiUrl: baseUrl } = stack.cloudflare;
  const apiToken = config.requireSecret("cloudflareApiToken");
  return new cloudflare.Provider("cloudflare", { apiToken, ...(baseUrl !== CLOUDFLARE_API && { baseUrl }) });
}

/** Whoever watches this stack is told first, where anybody is, and everything that mints waits for it. */
function declareAnnouncement(): Announcement[] {
  if (!stack.audit && !stack.notify) return [];
  const noticeMs = stack.notify?.noticeMs ?? 0;
  const how = { urgent: urgentIn(stack), single: singleIn(stack), noticeMs };
  return [new Announcement("update", { stamps: stampsOf(stack), ...how })];
}

/** After all that is delivered: the programs that config names, then whoever was told first. */
function declareCompletion(): void {
  const hooks = declared.flatMap(({ credential, component }) => {
    const { name, afterRoll: program } = credential;
    const [current] = component.generations;
    if (program === undefined || !current) return [];
    return new AfterRoll(name, { program, credential: name, ...current, after: delivered });
  });
  if (announced.length === 0) return;
  const components = declared.map(({ component }) => component);
  // The outcome too: an invalidation that failed is no throw, and must not be told as done.
  const all = [...components, ...delivered, ...outcomes, ...hooks];
  new Completion("update", { stamps: stampsOf(stack) }, { dependsOn: all });
}

function declareScript(worker: Worker): [string, WorkerScript][] {
  const { code, script } = worker;
  if (!code || !cloudflareProvider || !stack.cloudflare) return [];
  const { accountId } = stack.cloudflare;
  const limits = stack.rateLimits.find((set) => set.means === "binding" && set.worker === worker.name);
  const args = { worker: { ...worker, code }, accountId, provider: cloudflareProvider };
  return [[worker.name, new WorkerScript(script, { ...args, ...(limits?.means === "binding" && { limits }) })]];
}

function declareRulesets(): RateLimits[] {
  return stack.rateLimits.flatMap((limits) =>
    limits.means === "ruleset" && cloudflareProvider
      ? [new RateLimits(limits.name, { limits, provider: cloudflareProvider })]
      : [],
  );
}

function declareConsumer(worker: Worker) {
  const { credentials: all, postgres: server, turso: account } = stack;
  const deployed = scripts.get(worker.name)?.deployed;
  const args = {
    ...{ worker, credentials: all, ...(server && { server }), ...(account && { turso: account }) },
    ...(deployed && { deployed }),
  };
  return { worker, consumer: new WorkerConsumer(worker.script, args) };
}

function declareCredential(credential: Exclude<Credential, TursoCredential>) {
  const { name } = credential;
  const to = [...new Set(credential.deliver.map(({ worker }) => worker))].flatMap(
    (worker) => consumers.get(worker ?? "")?.consumer ?? [],
  );
  const after = [...announced, ...to.map(({ delivery }) => delivery)];
  switch (credential.kind) {
    case "random":
      return { credential, component: new RandomSecret(name, { credential, after }) };
    case "signing-keyset":
      return { credential, component: new SigningKeyset(name, { credential, after }) };
    case "encryption-keyset":
      return { credential, component: new EncryptionKeyset(name, { credential, after }) };
    case "postgres":
      return { credential, component: declareRole(credential, to, after) };
  }
}

function declareRole(credential: PostgresCredential, to: WorkerConsumer[], after: pulumi.Resource[]): PostgresRole {
  const { name } = credential;
  const { postgres: server } = stack;
  if (!server || !provider) throw new pulumi.RunError(`${name}: rollover:postgres is not set`);
  const records = pulumi.all(to.flatMap(({ record }) => record ?? []));
  return new PostgresRole(name, { credential, server, consumers: records, provider, after });
}

function postgresProvider({ host, port, database, username, sslmode, superuser }: PostgresServer): postgresql.Provider {
  const password = config.requireSecret("postgresPassword");
  return new postgresql.Provider("postgres", { host, port, database, username, password, sslmode, superuser });
}

/** Undefined where nothing is asked of Turso: then no output waits for it. */
function declareTurso(): TursoOrganization | undefined {
  if (!stack.turso) return undefined;
  const { groups, databases } = stack.turso;
  const isAsked = [...groups, ...databases].some(
    ({ invalidated, incident, settings }) =>
      invalidated !== undefined || incident !== undefined || Object.keys(settings).length > 0,
  );
  if (!isAsked && !stack.credentials.some(isTurso)) return undefined;
  const after = [
    ...announced,
    ...[...consumers.values()].map(({ consumer }) => consumer.delivery),
    ...others.map(({ component }) => component),
  ];
  return new TursoOrganization("turso", {
    organization: stack.turso,
    credentials: stack.credentials.filter(isTurso),
    after,
  });
}

function isTurso(credential: Credential): credential is TursoCredential {
  return credential.kind === "turso";
}

function declareTokens(credential: TursoCredential) {
  if (!stack.turso || !turso) throw new pulumi.RunError(`${credential.name}: rollover:turso is not set`);
  const args = { credential, settings: stack.turso, organization: turso };
  return { credential, component: new TursoTokens(credential.name, args) };
}

/** Everything that a consumer gets goes to it at once, when all of it is ready. */
function deliver(all: Deliverable[]): pulumi.Resource[] {
  const accountId = stack.cloudflare?.accountId ?? "";
  const workers = new Map<string, WorkerSecrets>();
  for (const name of deliveryOrder([...consumers.keys()], stack.credentials) ?? []) {
    const one = consumers.get(name);
    if (!one) continue;
    const verifiers = verifiersOf(name, stack.credentials).flatMap((verifier) => workers.get(verifier) ?? []);
    // A Worker whose last credential leaves waits for no other resource that was announced.
    const after = [...announced, ...verifiers];
    const args = { ...one, accountId, credentials: all, others: [...consumers.values()], after };
    // By script: a Worker that is renamed in config alone is still the same one.
    workers.set(name, new WorkerSecrets(one.worker.script, args));
  }
  const names = all.flatMap(({ deliver: to }) => to.flatMap(({ file }) => file ?? []));
  const files = [...new Set(names)].sort().map((file) => new EnvFile(file, { file, credentials: all }));
  return [...workers.values(), ...files];
}

function declareOutcome(organization: TursoOrganization): TursoOutcome {
  const ofTokens = pulumi.all(tokens.map(({ component }) => component.failures)).apply((lists) => lists.flat());
  const failures = pulumi
    .all([organization.failures, ofTokens])
    .apply(([ofTargets, minting]) => [...Object.values(ofTargets), ...minting]);
  const args = { organization: stack.turso?.organization ?? "", failures };
  return new TursoOutcome("turso", args, { dependsOn: delivered });
}
