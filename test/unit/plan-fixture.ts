/** Small inputs for the plan's tests, in the shapes that the engine writes (checked for real in test/engine/operate.test.ts). */
import type { Facts } from "../../operations/plan/describe";
import { type Outputs, type Resource, type Step, type Summary } from "../../operations/plan/shapes";

const URN = "urn:pulumi:local::rollover::";
const TYPES = {
  PostgresLogin: "rollover:postgres:PostgresRole$pulumi-nodejs:dynamic/postgres:PostgresLogin",
  PostgresLoginClaim: "rollover:postgres:PostgresRole$pulumi-nodejs:dynamic/postgres:PostgresLoginClaim",
  RandomPassword: "rollover:random:RandomSecret$random:index/randomPassword:RandomPassword",
  RandomId: "rollover:cloudflare:WorkerSecrets$random:index/randomId:RandomId",
  WorkerSecretSet: "rollover:cloudflare:WorkerSecrets$pulumi-nodejs:dynamic/cloudflare:WorkerSecretSet",
  EnvFile: "rollover:file:EnvFile$pulumi-nodejs:dynamic/file:EnvFile",
  TursoCanary: "rollover:turso:TursoOrganization$pulumi-nodejs:dynamic/turso:TursoCanary",
  TursoInvalidation: "rollover:turso:TursoOrganization$pulumi-nodejs:dynamic/turso:TursoInvalidation",
  TursoSettings:
    "rollover:turso:TursoOrganization$pulumi-nodejs:dynamic/turso:TursoCanary$pulumi-nodejs:dynamic/turso:TursoSettings",
  TursoToken: "rollover:turso:TursoTokens$pulumi-nodejs:dynamic/turso:TursoToken",
  TursoOutcome: "pulumi-nodejs:dynamic/turso:TursoOutcome",
  Database: "rollover:postgres:PostgresRole$postgresql:index/database:Database",
  Role: "rollover:postgres:PostgresRole$postgresql:index/role:Role",
  Grant: "rollover:postgres:PostgresRole$postgresql:index/grant:Grant",
  VaultKey: "rollover:keyset:SigningKeyset$pulumi-nodejs:dynamic/vault:VaultKey",
  Announcement: "pulumi-nodejs:dynamic/notify:Announcement",
  Completion: "pulumi-nodejs:dynamic/notify:Completion",
  Command: "rollover:command:AfterRoll$command:local:Command",
};

/** What stands for every secret in these fixtures: none of it may come out. */
export const SECRET = "hunter2-of-the-fixture";
/** The plan's clock. */
export const NOW = new Date("2026-11-21T12:00:00Z");
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export function resource(type: keyof typeof TYPES, name: string, more: Partial<Resource> = {}): Resource {
  return {
    urn: `${URN}${TYPES[type]}::${name}`,
    type: TYPES[type].split("$").at(-1) ?? "",
    delete: false,
    retainOnDelete: false,
    ...more,
    inputs: { __provider: `exports.handler=${SECRET}`, password: SECRET, ...more.inputs },
    outputs: { password: SECRET, ...more.outputs },
  };
}

export function login(name: string, stamp: string, more: Partial<Resource> = {}, mode = "login"): Resource {
  const made = { mode, owner: "rounds_owner", server: "db.example.com:5432", credential: name };
  return resource("PostgresLogin", `${name}@${stamp}`, {
    inputs: { login: `rounds_${stamp.replaceAll("-", "")}`, ...made },
    ...more,
  });
}

export function announcement(
  noticeMs: number,
  stamps: Record<string, string>,
  urgent: string[] = [],
  single: string[] = [],
): Resource {
  return resource("Announcement", "announcement", { inputs: { stamps, urgent, single, noticeMs } });
}

export interface TokenMore {
  place?: string;
  expires?: string;
  expiration?: string;
  /** Under which mark it was minted; its group's is `m1`. */
  under?: string;
  tag?: string;
  failure?: string;
  target?: string;
}

/** A token of the database `rounds` in group `production`, or of `target` there. */
export function token(name: string, stamp: string, more: TokenMore = {}): Resource {
  const {
    place = "current",
    expires = "2027-02-18T12:00:00.000Z",
    expiration = "90d",
    under = "m1",
    tag = "00ff",
  } = more;
  const [kind, of] = (more.target ?? "database:rounds").split(":");
  return resource("TursoToken", `${name}@${stamp}`, {
    inputs: {
      ...{ credential: name, stamp, place, group: "production", target: { kind, name: of }, mark: "m1" },
      minting: { expiration, authorization: "full-access" },
    },
    outputs: { expires, under: { mark: under }, tag, failure: more.failure ?? "", jwt: SECRET },
  });
}

export interface Asked {
  stamp?: string;
  readOnly?: string;
  reason?: string;
}

/** The step of the invalidations: what has taken effect, what is asked, and what failed before. */
export function invalidations(
  done: Record<string, Asked>,
  asked: Record<string, Asked>,
  failures: Record<string, string> = {},
): Step {
  const whole = (of: Record<string, Asked>) =>
    Object.fromEntries(Object.entries(of).map(([key, one]) => [key, { stamp: "", readOnly: "", reason: "", ...one }]));
  const databases = { archive: "production", rounds: "production", "try-out": "staging" };
  const from = resource("TursoInvalidation", "turso", {
    inputs: { databases, asked: whole(done), canaries: SECRET },
    outputs: { done: whole(done), asked: whole(done), failures },
  });
  return step("update", from, { asked: whole(asked), canaries: UNKNOWN });
}

export function envFile(file: string, lines: string[] = ["TURSO_AUTH_TOKEN"]): Resource {
  return resource("EnvFile", file, {
    inputs: { file, lines: Object.fromEntries(lines.map((line) => [line, SECRET])) },
  });
}

/** A consumer as it was last given its values; credential name to stamps, current first. */
export function consumer(
  worker: string,
  held: Record<string, string[]>,
  probe = "https://probe.example.com",
): Resource {
  const generations = Object.fromEntries(
    Object.entries(held).map(([name, stamps]) => [name, stamps.map((stamp) => ({ stamp, tag: "00ff" }))]),
  );
  const inputs = { worker, probe, delivery: JSON.stringify(held), generations: JSON.stringify(generations) };
  return resource("WorkerSecretSet", worker, { inputs, outputs: { ...inputs, drift: [] } });
}

export function step(op: string, from: Resource, news: Record<string, unknown> = {}): Step {
  const [oldState, newState] = [from, { ...from, inputs: { ...from.inputs, ...news } }];
  return {
    op,
    urn: from.urn,
    ...(op === "create" ? {} : { oldState }),
    ...(op === "delete" ? {} : { newState }),
  };
}

/** The step that hands something else to a consumer: what it hands over is not known before. */
export function delivery(from: Resource): Step {
  return step("update", from, { delivery: UNKNOWN, generations: UNKNOWN });
}

export function postgres(live: string[], more: Partial<Summary> = {}): Summary {
  const consumers = [{ worker: "rounds-api", as: "DATABASE_URL", attested: true }];
  return { kind: "postgres", current: live[0] ?? "", live, retired: [], change: "overlaps", consumers, ...more };
}

export function random(live: string[], more: Partial<Summary> = {}): Summary {
  const consumers = [{ worker: "rounds-api", as: "SESSION_KEY", attested: true }];
  return { kind: "random", current: live[0] ?? "", live, retired: [], change: "overlaps", consumers, ...more };
}

export function turso(live: string[], retired: string[] = [], more: Partial<Summary> = {}): Summary {
  const consumers = [{ worker: "rounds-api", as: "TURSO_AUTH_TOKEN", attested: true }];
  return { kind: "turso", current: live[0] ?? "", live, retired, change: "overlaps", consumers, ...more };
}

export function outputsOf(credentials: Record<string, Summary>, more: Partial<Outputs> = {}): Outputs {
  return { credentials, debts: {}, abandoned: [], findings: {}, ...more };
}

export function facts(before: Outputs, after: Outputs | undefined, resources: Resource[], steps: Step[]): Facts {
  return { stack: "local", now: NOW, before, after, steps, state: { resources, pending_operations: [] }, errors: [] };
}
