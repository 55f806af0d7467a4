/** What takes more than one entry of the config to see: names that clash, limits of a Worker, settings that are needed. */
import type { PlacedCredential } from "./credential";
import type { PlacedDelivery } from "./delivery";
import { isKeyset } from "./keyset-rules";
import { credentialLogin, POSTGRES_NAME_BYTES } from "./login";
import type { Delivery, PostgresCredential, PostgresServer, TursoAccount, Worker } from "./model";
import { closest, listed, show, type Problem } from "./problem";
import type { RawConfig, Secret } from "./raw-config";
import { isSet } from "./read";
import { filledBytes, isLoopbackHost, VALUE_BYTES } from "./url";

/** Operations in one call of Cloudflare's `secrets-bulk`; ROLLOVER_GENERATIONS and ROLLOVER_PROBE_TOKEN are two. */
export const WORKER_SECRETS = 100;
/** Characters of a tag: 8 random bytes in hex (RandomId in the components). */
export const TAG_CHARACTERS = 16;

type Refuse = (problem: Problem) => void;

/** A Postgres credential and where it stands. */
interface PlacedPostgres {
  where: string;
  credential: PostgresCredential;
}

export function postgresRules(placed: PlacedCredential[], server: PostgresServer | undefined, refuse: Refuse): void {
  const all = placed.flatMap(({ where, credential }): PlacedPostgres[] =>
    credential?.kind === "postgres" ? [{ where, credential }] : [],
  );
  for (const entry of all) {
    loginLength(entry, refuse);
    valueLength(entry, server, refuse);
  }
  roleClashes(all, server, refuse);
  managedTwice(all, refuse);
}

function loginLength({ where, credential }: PlacedPostgres, refuse: Refuse): void {
  const bytes = Buffer.byteLength(credential.owner);
  if (bytes > POSTGRES_NAME_BYTES) {
    const allowed = `at most ${POSTGRES_NAME_BYTES} bytes`;
    refuse({ where: `${where}.owner`, what: `has ${bytes} bytes by default`, allowed, fix: "set `owner`" });
  }
  const names =
    credential.login === "" ? [] : credential.generations.map((stamp) => credentialLogin(credential, stamp));
  const long = names.find((name) => Buffer.byteLength(name) > POSTGRES_NAME_BYTES);
  if (long === undefined) return;
  const room = POSTGRES_NAME_BYTES - (long.length - credential.login.length);
  refuse({
    where: `${where}.login`,
    what: `gives a login name of ${Buffer.byteLength(long)} bytes, which Postgres would cut, and its stamp with it`,
    value: show(credential.login),
    allowed: `at most ${room} characters, so that the name has ${POSTGRES_NAME_BYTES} bytes`,
    fix: "set a shorter `login`",
  });
}

function valueLength({ where, credential }: PlacedPostgres, server: PostgresServer | undefined, refuse: Refuse): void {
  if (credential.url === "") return;
  const { host, port } = server ?? { host: "", port: 5432 };
  const user = "x".repeat(POSTGRES_NAME_BYTES);
  const bytes = filledBytes(credential.url, { user, host, port, database: credential.database });
  if (bytes > VALUE_BYTES) {
    const allowed = `a value of at most ${VALUE_BYTES} bytes (5 KB), which is what a Worker's secret may have`;
    refuse({ where: `${where}.url`, what: `gives a value of ${bytes} bytes`, allowed, fix: "shorten it" });
  }
  const plain = /[?&\s]sslmode=(disable|allow|prefer)\b/.exec(credential.url)?.[1];
  // With sslmode disable the template's default has it too, and the server's own setting is refused already.
  if (plain !== undefined && server?.sslmode === "verify-full" && !isLoopbackHost(server.host)) {
    const what = `allows a connection without TLS: sslmode=${plain}`;
    refuse({ where: `${where}.url`, what, allowed: "sslmode=verify-full or require", fix: "write one of these" });
  }
}

interface Claim {
  /** The role's name. */
  name: string;
  by: string;
  where: string;
}

/**
 * Logins and adopted logins must be nobody else's: what withdraws one must not hit another. Only the adopted login may be the
 * credential's own owner, as where one role did both: it is blocked, not dropped, and goes on owning.
 */
function roleClashes(all: PlacedPostgres[], server: PostgresServer | undefined, refuse: Refuse): void {
  const taken = new Map<string, string>();
  const owners = new Map<string, string>();
  if (server !== undefined && server.username !== "") taken.set(server.username, "the admin of rollover:postgres");
  for (const { where, credential } of all) {
    if (credential.owner === "") continue;
    if (credential.owner === server?.username) {
      const what = "is also the admin of rollover:postgres, whose rights every login would have";
      const allowed = "a role of its own";
      refuse({ where: `${where}.owner`, what, value: show(credential.owner), allowed, fix: "set another `owner`" });
    }
    owners.set(credential.owner, `the owner role of ${credential.name}`);
  }
  const prefixes = new Map<string, string>();
  for (const { where, credential } of all) {
    if (credential.login === "") continue;
    const first = credential.inPlace ? undefined : prefixes.get(credential.login);
    if (first !== undefined) {
      const fix = "set another `login` for one of them";
      const what = `gives the same login names as ${first}`;
      refuse({ where: `${where}.login`, what, value: show(credential.login), allowed: "a prefix of its own", fix });
      continue;
    }
    if (!credential.inPlace) prefixes.set(credential.login, credential.name);
    for (const claim of claims(where, credential)) {
      const isOwnOwner = claim.name === credential.owner && claim.name === credential.adopted;
      const other = taken.get(claim.name) ?? (isOwnOwner ? undefined : owners.get(claim.name));
      taken.set(claim.name, claim.by);
      if (other === undefined) continue;
      const fix = "set another name for one of them";
      const what = `is also ${other}`;
      refuse({ where: claim.where, what, value: show(claim.name), allowed: "a role of its own", fix });
    }
  }
}

function claims(where: string, credential: PostgresCredential): Claim[] {
  const names = new Set(credential.generations.map((stamp) => credentialLogin(credential, stamp)));
  const logins = [...names].map((name) => ({
    name,
    by: `a login of ${credential.name}`,
    where: `${where}.login`,
  }));
  const { adopted } = credential;
  if (adopted === undefined || adopted === "") return logins;
  return [...logins, { name: adopted, by: `the adopted login of ${credential.name}`, where: `${where}.adopted` }];
}

/** One owner or database can be created, and dropped, by one credential only. */
function managedTwice(all: PlacedPostgres[], refuse: Refuse): void {
  for (const key of ["owner", "database"] as const) {
    const managers = new Map<string, string>();
    for (const { where, credential } of all.filter((entry) => !entry.credential.existing)) {
      const name = credential[key];
      const first = managers.get(name);
      managers.set(name, first ?? credential.name);
      if (first === undefined || name === "") continue;
      const fix = `set another \`${key}\`, or \`existing: true\` where it is there already`;
      const allowed = "one credential that manages it";
      refuse({ where: `${where}.${key}`, what: `is managed by ${first} already`, value: show(name), allowed, fix });
    }
  }
}

export function consumerRules(placed: PlacedCredential[], workers: Worker[], refuse: Refuse): void {
  const deliveries = placed.flatMap((entry) => entry.deliveries);
  const files = new Set(deliveries.flatMap(({ delivery }) => delivery.file ?? []));
  for (const { where, delivery } of deliveries) {
    const name = delivery.worker ?? "";
    if (name === "" || workers.some((worker) => worker.name === name)) continue;
    const names = workers.map((worker) => worker.name);
    const guess = closest(name, names);
    const fix = guess === undefined ? "add it under `rollover:workers`" : `write \`${guess}\` if that is meant`;
    const allowed = names.length === 0 ? "no name: `rollover:workers` has none" : listed(names, "or");
    refuse({ where: `${where}.worker`, what: "is no known worker", value: show(name), allowed, fix });
  }
  for (const worker of workers) {
    const own = deliveries.filter(({ delivery }) => delivery.worker === worker.name);
    secretCount(namesOnce(own, "worker", worker.name, refuse), worker, refuse);
    reportLength(placed, worker, refuse);
  }
  for (const file of [...files].filter((name) => name !== "")) {
    const own = deliveries.filter(({ delivery }) => delivery.file === file);
    namesOnce(own, "file", file, refuse);
  }
  const scripts = new Map<string, string>();
  for (const { name, script } of workers) {
    const first = scripts.get(script);
    scripts.set(script, first ?? name);
    if (first === undefined || script === "") continue;
    const what = `is the script of worker ${first} already`;
    const fix = "deliver both to one worker, or correct the name";
    const where = `rollover:workers.${name}.script`;
    refuse({ where, what, value: show(script), allowed: "one worker a script", fix });
  }
}

/** By the key that it stands under. */
export function namesOf({ as, previousAs, ...to }: Delivery): [string, string][] {
  const alsoAs = to.worker === undefined ? undefined : to.alsoAs;
  return Object.entries({ as, previousAs, alsoAs }).flatMap(([key, name]) => (name === undefined ? [] : [[key, name]]));
}

/** Returns how many names the consumer gets. */
function namesOnce(deliveries: PlacedDelivery[], kind: "worker" | "file", consumer: string, refuse: Refuse): number {
  const taken = new Map<string, string>();
  for (const { where, delivery } of deliveries) {
    for (const [key, name] of namesOf(delivery)) {
      if (name === "" || (key !== "as" && name === delivery.as)) continue;
      const first = taken.get(name);
      taken.set(name, first ?? `${where}.${key}`);
      if (first === undefined) continue;
      const what = `is delivered to ${kind} ${consumer} already by ${first}`;
      const allowed = `each name once a ${kind}`;
      refuse({ where: `${where}.${key}`, what, value: show(name), allowed, fix: "rename one" });
    }
  }
  return taken.size;
}

function secretCount(names: number, worker: Worker, refuse: Refuse): void {
  if (names + 2 <= WORKER_SECRETS) return;
  refuse({
    where: `rollover:workers.${worker.name}`,
    what: `would hold ${names + 2} secrets, two of them Rollover's own`,
    allowed: `at most ${WORKER_SECRETS}, which one call to Cloudflare can change`,
    fix: "deliver some to another worker",
  });
}

/** ROLLOVER_GENERATIONS is a secret like the others, with the same limit. */
function reportLength(placed: PlacedCredential[], worker: Worker, refuse: Refuse): void {
  const held = placed.flatMap(({ credential }) =>
    credential?.deliver.some((delivery) => delivery.worker === worker.name) ? [credential] : [],
  );
  const tag = "x".repeat(TAG_CHARACTERS);
  const since = new Date(0).toISOString();
  const report = Object.fromEntries(
    held.map((credential) => [
      credential.name,
      credential.generations.map((stamp) => ({ stamp, tag, ...(isKeyset(credential) ? { since } : {}) })),
    ]),
  );
  const bytes = Buffer.byteLength(JSON.stringify(report));
  if (bytes <= VALUE_BYTES) return;
  refuse({
    where: `rollover:workers.${worker.name}`,
    what: `would get a ROLLOVER_GENERATIONS of ${bytes} bytes from ${held.length} credentials`,
    allowed: `at most ${VALUE_BYTES} bytes (5 KB), which is what a Worker's secret may have`,
    fix: "retire old generations, or deliver some credentials to another worker",
  });
}

/** What a vendor's settings miss for the credentials, databases and deliveries that are declared. */
export function neededSettings(
  placed: PlacedCredential[],
  turso: TursoAccount | undefined,
  /** What is deployed at Cloudflare beside secrets, in words. */
  edge: string[],
  { settings, secrets }: RawConfig,
  refuse: Refuse,
): void {
  const need = (users: string[], key: "postgres" | "cloudflare" | "turso", allowed: string, fix: string): void => {
    missing(users, key, isSet(settings[key]), allowed, fix, refuse);
  };
  const needSecret = (users: string[], key: Secret, what: string): void => {
    const fix = `run \`pulumi config set --secret ${key}\``;
    missing(users, key, secrets.includes(key), `${what}, as a secret`, fix, refuse);
  };
  const postgres = placed.filter((entry) => entry.credential?.kind === "postgres").map((entry) => entry.name);
  need(postgres, "postgres", "a mapping with host and username", "add it, with the server that the logins are made on");
  needSecret(postgres, "postgresPassword", "the admin's password");
  const toWorkers = placed.filter((entry) => entry.deliveries.some(({ delivery }) => (delivery.worker ?? "") !== ""));
  const delivered = [...toWorkers.map((entry) => entry.name), ...edge];
  need(delivered, "cloudflare", "a mapping with accountId", "add it, with the account that the Workers are in");
  needSecret(delivered, "cloudflareApiToken", "an API token that may edit Workers scripts");
  const backedUp = placed.filter(({ credential }) => isKeyset(credential) && credential.backup !== undefined);
  needSecret(
    backedUp.map((entry) => entry.name),
    "vaultToken",
    "a token that may create and read those paths",
  );
  const tokens = placed.filter((entry) => entry.credential?.kind === "turso").map((entry) => entry.name);
  need(tokens, "turso", "a mapping with organization", "add it, with the organisation that the databases are in");
  const { groups = [], databases = [] } = turso ?? {};
  const declared = [...groups.map(({ name }) => `group ${name}`), ...databases.map(({ name }) => `database ${name}`)];
  needSecret([...tokens, ...declared], "tursoApiToken", "a platform token that may mint and rotate tokens");
}

function missing(users: string[], setting: string, have: boolean, allowed: string, fix: string, refuse: Refuse): void {
  if (have || users.length === 0) return;
  const more = users.length > 3 ? [...users.slice(0, 3), `${users.length - 3} more`] : users;
  const what = `is not set, and ${listed(more)} ${users.length === 1 ? "needs" : "need"} it`;
  refuse({ where: `rollover:${setting}`, what, allowed, fix });
}
