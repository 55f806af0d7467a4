/** Parses the list `deliver` of a credential. What takes several credentials to see is in rules.ts. */
import type { Credential, Delivery, WorkerDelivery } from "./model";
import { isKeysetKind } from "./keyset-kinds";
import { listed, show } from "./problem";
import { Fields, type TextRule } from "./read";

export interface PlacedDelivery {
  where: string;
  delivery: Delivery;
}

const RESERVED = ["ROLLOVER_GENERATIONS", "ROLLOVER_PROBE_TOKEN"];
const SECRET_NAME: TextRule = {
  pattern: /^[A-Za-z_][A-Za-z0-9_]*$/,
  allowed: "letters, digits and _, first no digit, such as DATABASE_URL",
};
const WORKER: TextRule = { pattern: /[^]/, allowed: "a text" };
/** Forward slashes only, and no segment that is `.` or `..`, so that one file has one text. */
const FILE: TextRule = {
  pattern: /^(?!.{256})(?:(?!\.{1,2}\/)[^\p{Cc}/\\:]+\/)*(?:\.env[^\p{Cc}/\\:]*|[^\p{Cc}/\\:]*\.env)$/u,
  allowed: "a path inside the project's folder, without ./ and ../, whose file name begins or ends with .env",
  fix: "write a path such as .env.local",
};
/** Why a kind has no value under a second name. */
const ONE_NAME: Partial<Record<Credential["kind"], string>> = {
  postgres: "is not for kind postgres, whose value names its own login",
  turso: "is not for kind turso: Turso tokens are delivered one at a time",
  "signing-keyset": "is not for keysets: all live keys are delivered together",
  "encryption-keyset": "is not for keysets: all live keys are delivered together",
};

/** @param production Whether the stack is marked so: then none of its credentials goes to a file. */
export function parseDeliveries(
  fields: Fields,
  kind: Credential["kind"] | undefined,
  production: boolean,
): PlacedDelivery[] {
  return fields.list("deliver", "mappings with worker and as").map((item) => {
    const entry = new Fields(fields.path(item.key), item.value, fields.problems);
    entry.onlyKnown(["worker", "file", "as", "previousAs", "alsoAs", "verifyOnly"]);
    const isDual = isKeysetKind(kind) && fields.get("shape") === "dual";
    const delivery: Delivery = {
      ...consumer(entry, kind, production),
      as: secretName(entry, "as", isDual ? "JWT_SECRET" : undefined),
    };
    if (!isKeysetKind(kind)) noKeysetNames(entry, kind);
    else if (delivery.worker !== undefined) keysetNames(entry, isDual, delivery);
    if (entry.has("previousAs")) {
      delivery.previousAs = secretName(entry, "previousAs");
      const what = kind === undefined ? undefined : ONE_NAME[kind];
      if (what !== undefined) {
        entry.refuse("previousAs", { what, allowed: "worker or file, and as", fix: "remove it" });
      } else if (delivery.previousAs !== "" && delivery.previousAs === delivery.as) {
        const fix = `write another name, such as ${delivery.as}_PREVIOUS`;
        const value = show(delivery.as);
        entry.refuse("previousAs", { what: "is the same as `as`", value, allowed: "two names", fix });
      }
    }
    return { where: entry.where, delivery };
  });
}

function noKeysetNames(entry: Fields, kind: Credential["kind"] | undefined): void {
  if (kind === undefined) return;
  for (const key of ["alsoAs", "verifyOnly"].filter((name) => entry.has(name))) {
    const fix = "remove it";
    entry.refuse(key, { what: "is only for keysets", allowed: "worker or file, as and previousAs", fix });
  }
}

/** The names and the part that only keysets have. */
function keysetNames(entry: Fields, isDual: boolean, delivery: WorkerDelivery): void {
  if (entry.flag("verifyOnly", false)) delivery.verifyOnly = true;
  if (isDual) {
    delivery.alsoAs = secretName(entry, "alsoAs", "JWT_SECRET_NEW");
    if (delivery.alsoAs !== delivery.as) return;
    const allowed = "two names";
    entry.refuse("alsoAs", {
      what: "is the same as `as`",
      value: show(delivery.as),
      allowed,
      fix: "write another name",
    });
  } else if (entry.has("alsoAs")) {
    const fix = "remove it, or set `shape: dual` beside `kind`";
    entry.refuse("alsoAs", { what: "is only for shape dual", allowed: "worker, as and verifyOnly", fix });
  }
}

function consumer(
  entry: Fields,
  kind: Credential["kind"] | undefined,
  production: boolean,
): { worker: string } | { file: string } {
  if (!entry.has("file")) {
    if (entry.has("worker")) return { worker: entry.text("worker", WORKER) };
    const fix = "add `worker` with a name under `rollover:workers`, or `file` with the path of an env file";
    entry.refuse("", { what: "names no consumer", allowed: "either worker or file", fix });
    return { worker: "" };
  }
  if (entry.has("worker")) {
    const what = "stands beside `worker`";
    entry.refuse("file", { what, allowed: "one of the two", fix: "write one item for each" });
  }
  const file = entry.text("file", FILE);
  if (isKeysetKind(kind)) {
    const what = "is not for keysets: nobody could tell when its reader knows a new key";
    const fix = "deliver to a worker; for a developer's machine use `output: true`";
    entry.refuse("file", { what, value: show(entry.get("file")), allowed: "worker", fix });
  }
  if (production) {
    const what = "would write a credential of a stack marked `rollover:production: true` into a file";
    const fix = "remove it, and deliver to a worker; env files are for the stacks of developers";
    entry.refuse("file", { what, value: show(entry.get("file")), allowed: "worker", fix });
  }
  return { file };
}

function secretName(entry: Fields, key: string, standard?: string): string {
  const name = entry.text(key, SECRET_NAME, standard);
  if (!RESERVED.includes(name)) return name;
  const allowed = `any other name than ${listed(RESERVED)}`;
  entry.refuse(key, { what: "is a name that Rollover itself delivers", value: show(name), allowed, fix: "rename it" });
  return "";
}
