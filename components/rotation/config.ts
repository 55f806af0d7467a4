/**
 * Stack config to typed model. Whatever is wrong is collected and thrown at once (G9). What one Worker, one server or
 * one account may hold is read here; credentials in credential.ts, what takes several entries to see in rules.ts.
 */
import { parseCredential, type PlacedCredential } from "./credential";
import { keysetRules } from "./keyset-rules";
import type { CloudflareAccount, PostgresServer, StackModel, VaultServer } from "./model";
import { closest, ConfigError, listed, show, type Problem } from "./problem";
import { type RawConfig, SECRETS, SETTINGS } from "./raw-config";
import { entries, Fields, isSet, segment, tokenInPlainText, type TextRule } from "./read";
import { consumerRules, neededSettings, postgresRules } from "./rules";
import { parseAlerts } from "./alerts";
import { parseAudit, parseNotify } from "./operating";
import { parsePolicy, policyRules } from "./policy";
import { parseRateLimits, rateLimitRules } from "./rate-limits";
import { parseTurso, withNamedGroups } from "./turso";
import { tursoRules } from "./turso-rules";
import { parseServer, passwordInPlainText, SERVER_KEYS } from "./server";
import { parseCallUrl } from "./url";
import { parseWorker } from "./worker";
import { workerNameRules } from "./worker-names";

export type { RawConfig } from "./raw-config";

export const CLOUDFLARE_API = "https://api.cloudflare.com/client/v4";
const CLOUDFLARE = {
  name: "Cloudflare",
  url: CLOUDFLARE_API,
  local: "http://127.0.0.1:8787/client/v4",
};
const KEYS: readonly string[] = [...SETTINGS, ...SECRETS];

const ACCOUNT: TextRule = {
  pattern: /^[0-9a-f]{32}$/,
  allowed: "the account's 32 hexadecimal digits, as in the dashboard's address",
};

/** The whole config as one model. Throws ConfigError with every problem found, and nothing else. */
export function parseStack(raw: RawConfig): StackModel {
  const problems: Problem[] = [];
  unknownSettings(raw.keys, problems);
  for (const key of raw.plainSecrets ?? []) {
    const fix = `change that credential at its vendor, then run \`pulumi config set --secret ${key}\``;
    problems.push({ where: `rollover:${key}`, what: "stands in plain text", allowed: "an encrypted value", fix });
  }
  const { settings } = raw;
  const production = parseProduction(settings.production, problems);
  const postgres = isSet(settings.postgres) ? parsePostgres(settings.postgres, problems) : undefined;
  const cloudflare = isSet(settings.cloudflare) ? parseCloudflare(settings.cloudflare, problems) : undefined;
  const turso = isSet(settings.turso) ? parseTurso(settings.turso, problems) : undefined;
  const vault = isSet(settings.vault) ? parseVault(settings.vault, problems) : undefined;
  const rateLimits = parseRateLimits(settings.rateLimits, problems);
  const alerts = parseAlerts(settings.alerts, problems);
  const policy = isSet(settings.policy) ? parsePolicy(settings.policy, problems) : undefined;
  const audit = isSet(settings.audit) ? parseAudit(settings.audit, raw, problems) : undefined;
  const notify = isSet(settings.notify) ? parseNotify(settings.notify, raw, problems) : undefined;
  const workers = entries("rollover:workers", settings.workers, problems).map((entry) => parseWorker(entry, problems));
  const placed = entries("rollover:credentials", settings.credentials, problems).map(({ name, where, value }) =>
    parseCredential(name, where, value, { postgres, production }, problems),
  );
  const refuse = (problem: Problem): void => void problems.push(problem);
  postgresRules(placed, postgres, refuse);
  consumerRules(placed, workers, refuse);
  tursoRules(placed, turso, refuse);
  keysetRules(placed, workers, vault, refuse);
  rateLimitRules(rateLimits, workers, refuse);
  workerNameRules(placed, workers, rateLimits, refuse);
  policyRules(placed, workers, policy, refuse);
  const edge = [
    ...workers.flatMap(({ name, code }) => (code ? [`the code of worker ${name}`] : [])),
    ...rateLimits.flatMap(({ name, means }) => (means === "ruleset" ? [`the ruleset ${name}`] : [])),
  ];
  neededSettings(placed, turso, edge, raw, refuse);
  const abandon = parseAbandon(settings.abandon, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const credentials = credentialsOf(placed);
  const model: StackModel = { production, workers, credentials, rateLimits, alerts, abandon };
  if (postgres !== undefined) model.postgres = postgres;
  if (cloudflare !== undefined) model.cloudflare = cloudflare;
  if (vault !== undefined) model.vault = vault;
  if (policy !== undefined) model.policy = policy;
  if (audit !== undefined) model.audit = audit;
  if (notify !== undefined) model.notify = notify;
  const targets = credentials.flatMap((credential) => (credential.kind === "turso" ? [credential.target] : []));
  if (turso !== undefined) model.turso = withNamedGroups(turso, targets);
  return model;
}

/** `pulumi config set production true` stores a text. */
function parseProduction(raw: unknown, problems: Problem[]): boolean {
  if (raw === true || raw === "true") return true;
  if (raw === undefined || raw === null || raw === false || raw === "false") return false;
  const [what, value] = ["is neither true nor false", show(raw)];
  problems.push({ where: "rollover:production", what, value, allowed: "true or false", fix: "write one of the two" });
  return false;
}

function credentialsOf(placed: PlacedCredential[]): StackModel["credentials"] {
  return placed.flatMap((entry) => (entry.credential === undefined ? [] : [entry.credential]));
}

function unknownSettings(keys: string[], problems: Problem[]): void {
  for (const key of keys.map((full) => full.replace(/^rollover:/, ""))) {
    if (KEYS.includes(key)) continue;
    const [head = ""] = key.split(/[.[]/);
    const guess = closest(key, KEYS);
    let fix = guess === undefined ? "remove it" : `write \`rollover:${guess}\` if that is meant, else remove it`;
    if (KEYS.includes(head)) fix = `remove it, and set a part of ${head} by \`pulumi config set --path\``;
    problems.push({ where: `rollover:${segment(key)}`, what: "is no setting", allowed: listed(KEYS), fix });
  }
}

function parsePostgres(raw: unknown, problems: Problem[]): PostgresServer {
  const fields = new Fields("rollover:postgres", raw, problems);
  fields.onlyKnown([...SERVER_KEYS, "superuser"], (key) =>
    key === "password" ? passwordInPlainText("postgresPassword") : undefined,
  );
  return { ...parseServer(fields, "the admin's password"), superuser: fields.flag("superuser", false) };
}

function parseCloudflare(raw: unknown, problems: Problem[]): CloudflareAccount {
  const fields = new Fields("rollover:cloudflare", raw, problems);
  fields.onlyKnown(["accountId", "apiUrl"], (key) =>
    /token|key/i.test(key) ? tokenInPlainText("cloudflareApiToken") : undefined,
  );
  return { accountId: fields.text("accountId", ACCOUNT), apiUrl: fields.apiUrl(CLOUDFLARE) };
}

function parseVault(raw: unknown, problems: Problem[]): VaultServer {
  const fields = new Fields("rollover:vault", raw, problems);
  fields.onlyKnown(["address"], (key) => (/token/i.test(key) ? tokenInPlainText("vaultToken") : undefined));
  const parsed = parseCallUrl(fields.get("address"));
  if ("url" in parsed && parsed.url.search === "") return { address: parsed.url.href.replace(/\/+$/, "") };
  const what = "url" in parsed ? "carries a query" : parsed.problem;
  const problem: Omit<Problem, "where"> = {
    what: fields.has("address") ? what : "is missing",
    allowed: "an https URL such as https://vault.example.com:8200; http only on loopback",
    fix: fields.has("address") ? "correct it" : "add it",
  };
  if ("value" in parsed) problem.value = show(parsed.value);
  fields.refuse("address", problem);
  return { address: "" };
}

function parseAbandon(raw: unknown, problems: Problem[]): string[] {
  const fields = new Fields("rollover:", isSet(raw) ? { abandon: raw } : {}, problems);
  const rule = { pattern: /^.{1,200}$/, allowed: "the name of a credential or worker, as text" };
  return fields.texts("abandon", "names", rule);
}
