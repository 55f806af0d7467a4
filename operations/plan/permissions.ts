/** What the stack's logins and tokens must be allowed for the steps of one plan: each vendor's own words, and no more than that. Pure. */
import { isLeft } from "./consumers";
import { retiresLogin } from "./replaced";
import { kindOf, nameOf, type Outputs, type Resource, type Step } from "./shapes";
import { type Invalidation, tokenOf } from "./turso";

export interface Permission {
  /** Which login or token. */
  who: string;
  needs: string[];
  /** For what, such as `mint rounds-db@2026-11-20`. */
  steps: string[];
}

interface Need {
  who: string;
  needs: string[];
  step: string;
}

const ADMIN = "the Postgres admin";
const CLOUDFLARE = "the Cloudflare token";
const TURSO = "the Turso platform token";
const VAULT = "the Vault token";
const WORKERS = ["Workers Scripts Read", "Workers Scripts Write"];

/** In a preview `replace` stands for making the new one and for the end of the old one. */
const ACTING = ["create", "update", "replace", "delete"];

/** What the rest of the plan knows of the steps. */
export interface Known {
  after: Outputs;
  invalidations: Invalidation[];
  /** Credentials whose tokens are minted again under the stamps that they have. */
  renewed: ReadonlySet<string>;
  /** Consumers that nothing is handed to, though their resource changes. */
  untouched: readonly string[];
  /** Records go to a table. */
  audited: boolean;
}

export function permissionsOf(steps: Step[], known: Known): Permission[] {
  const acting = steps.filter(({ op }) => ACTING.includes(op));
  const needed = [...acting.flatMap((step) => needsOf(step, known)), ...known.invalidations.map(ofInvalidation)];
  const audit = { who: "the audit's login", needs: ["INSERT on rollover_audit"], step: "record each step" };
  return grouped(needed.length > 0 && known.audited ? [...needed, audit] : needed);
}

/** One for all that the same login or token needs the same for. */
function grouped(needed: Need[]): Permission[] {
  const found = new Map<string, Permission>();
  for (const { who, needs, step } of needed) {
    const key = [who, ...needs].join("\n");
    const one = found.get(key) ?? { who, needs, steps: [] };
    found.set(key, { ...one, steps: [...new Set([...one.steps, step])] });
  }
  return [...found.values()].sort((a, b) => (a.who < b.who ? -1 : a.who > b.who ? 1 : 0));
}

function needsOf(step: Step, known: Known): Need[] {
  const { op, urn, oldState, newState } = step;
  const [name, isGone] = [nameOf(urn), op === "delete"];
  const inputs = (isGone ? oldState : newState)?.inputs ?? {};
  switch (kindOf(urn)) {
    case "PostgresLogin":
      return ofLogin(name, step, known);
    case "Role":
    case "Database":
    case "Grant":
      return isGone && oldState?.retainOnDelete === true ? [] : ofManaged(kindOf(urn), op, inputs);
    case "WorkerSecretSet":
      if (known.untouched.includes(name) || isLeft(op, oldState, known.after)) return [];
      return [{ who: CLOUDFLARE, needs: WORKERS, step: `${isGone ? "withdraw from" : "deliver to"} ${name}` }];
    case "WorkersScript":
      return [{ who: CLOUDFLARE, needs: WORKERS, step: `${isGone ? "delete" : "deploy"} the script ${name}` }];
    case "Ruleset":
      return [{ who: CLOUDFLARE, needs: ["Zone WAF Write"], step: `${op} the limits ${name}` }];
    case "VaultKey":
      return ofVault(name, step);
    case "TursoToken":
      return ofToken(name, step, known);
    case "TursoSettings": {
      const kind = name.includes("group:") ? "group" : "db";
      return isGone ? [] : [{ who: TURSO, needs: ["read", `${kind}:configure`], step: `settings of ${name}` }];
    }
    case "EnvFile":
      if (!urn.includes("$")) return [];
      return [{ who: "whoever runs the update", needs: [`write access to ${name}`], step: `write ${name}` }];
    default:
      return [];
  }
}

/** https://www.postgresql.org/docs/current/role-attributes.html : since 16, CREATEROLE alone alters only what one has ADMIN on. */
function ofLogin(name: string, step: Step, { after }: Known): Need[] {
  const { op, oldState, newState } = step;
  const read = (from: Resource | undefined, key: string) => textOf(from?.inputs ?? {}, key);
  const isMade = (op === "create" || op === "replace") && read(newState, "mode") === "login";
  const isRetired = retiresLogin(step, after.abandoned);
  const [owner, login] = [read(newState, "owner"), read(oldState, "login")];
  const retiring = ["CREATEROLE", `ADMIN and INHERIT on ${login}`, "pg_signal_backend"];
  return [
    ...(isMade ? [{ who: ADMIN, needs: ["CREATEROLE", `ADMIN on ${owner}`], step: `mint ${name}` }] : []),
    ...(isRetired ? [{ who: ADMIN, needs: retiring, step: `retire ${name}` }] : []),
  ];
}

function ofManaged(kind: string, op: string, inputs: Record<string, unknown>): Need[] {
  const text = (key: string) => textOf(inputs, key);
  const role = text("name");
  if (kind === "Grant")
    return [
      { who: ADMIN, needs: [`to grant on database ${text("database")}`], step: `${op} grants of ${text("role")}` },
    ];
  if (kind === "Database") {
    const needs = [...(op === "create" ? ["CREATEDB"] : []), `SET and INHERIT on ${text("owner")}`];
    return [{ who: ADMIN, needs, step: `${op} database ${role}` }];
  }
  const needs = ["CREATEROLE", ...(op === "create" ? [] : [`ADMIN on ${role}`])];
  return [{ who: ADMIN, needs, step: `${op} role ${role}` }];
}

function textOf(inputs: Record<string, unknown>, key: string): string {
  const text = inputs[key];
  return typeof text === "string" ? text : "";
}

/** The backup stays when its resource goes. https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2#acl-rules */
function ofVault(name: string, { op, newState, oldState }: Step): Need[] {
  const { mount, path, stamp, restore } = newState?.inputs ?? {};
  const drifted = JSON.stringify(oldState?.outputs["drift"] ?? []) !== "[]";
  if (!newState || op === "delete" || (op === "update" && !drifted)) return [];
  const place = [mount, "data", path, stamp].map(String).join("/");
  if (restore === true) return [{ who: VAULT, needs: [`read on ${place}`], step: `bring back ${name}` }];
  return [{ who: VAULT, needs: [`create, update and read on ${place}`], step: `back up ${name}` }];
}

/** https://docs.turso.tech/cli/auth/api-tokens/mint */
function ofToken(name: string, { op, newState }: Step, { renewed }: Known): Need[] {
  const token = op === "delete" ? undefined : tokenOf(newState);
  if (!token || token.place === "retired" || (op === "update" && !renewed.has(token.credential))) return [];
  const kind = token.target.kind === "group" ? "group" : "db";
  return [{ who: TURSO, needs: ["read", `${kind}:mint-token`], step: `mint ${name}` }];
}

/** As components/turso/turso-organization.ts asks for: what became of the others of the group is looked at by tokens of its own. */
function ofInvalidation({ kind, name, stamp, incident }: Invalidation): Need {
  const blocks = incident === undefined ? [] : ["db:configure"];
  const rotates = ["db:mint-token", "group:mint-token", "db:rotate-creds"];
  const group = kind === "group" ? ["group:rotate-creds"] : [];
  const needs = stamp === undefined ? [] : [...rotates, ...group];
  const step = stamp === undefined ? "end the incident of" : "invalidate";
  return { who: TURSO, needs: ["read", ...needs, ...blocks], step: `${step} ${kind} ${name}` };
}
