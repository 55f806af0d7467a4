/** Rollover's settings in a stack file as plain values, and what of them cannot be read in the file. */
import type { Document } from "yaml";
import type { Problem } from "../../components/rotation/problem";
import { SECRETS, SETTINGS } from "../../components/rotation/raw-config";
import { segment } from "../../components/rotation/read";
import { mapping, plainOf } from "./text";

export interface FileSettings {
  /** By key without its namespace. What is encrypted, also a part of a value, is a text that says nothing. */
  values: Map<string, unknown>;
  encrypted: Encrypted[];
  /** Of keys that are settings for Pulumi alone. */
  problems: Problem[];
}

export interface Encrypted {
  /** As problems name it: `rollover:notify.email.username`. */
  where: string;
  /** From the setting on: `["notify", "email", "username"]`. */
  keys: string[];
}

const KEYS: readonly string[] = [...SETTINGS, ...SECRETS];
const NAMESPACE = "rollover:";

export function settingsIn(document: Document): FileSettings {
  const config = mapping(mapping(plainOf(document))["config"]);
  const encrypted: Encrypted[] = [];
  const own = Object.entries(config).flatMap(([full, value]): [string, unknown][] => {
    if (!full.startsWith(NAMESPACE) || meantBy(full) !== undefined) return [];
    const key = full.slice(NAMESPACE.length);
    return [[key, revealed(value, { where: `${NAMESPACE}${segment(key)}`, keys: [key] }, encrypted)]];
  });
  return { values: new Map(own), encrypted, problems: Object.keys(config).flatMap((full) => unread(full) ?? []) };
}

/** Of what would be needed: a command has no passphrase. */
export function storedEncrypted(where: string): Problem {
  const [what, fix] = ["is stored encrypted, and only plain values can be read here", "write it into the file"];
  return { where, what, allowed: "plain YAML", fix };
}

/** Whether a problem is one of what is encrypted, which nobody can judge. */
export function isOfEncrypted({ where }: Problem, encrypted: Encrypted[]): boolean {
  return encrypted.some((one) => where === one.where || [".", "["].some((step) => where.startsWith(one.where + step)));
}

/**
 * The setting that Pulumi takes a key for though it is written in another way: without a namespace, which is then the project's, or
 * in the form `rollover:config:policy` of old. `stackConfigNamespacedWithProject` and `ParseKey` of github.com/pulumi/pulumi.
 */
function meantBy(full: string): string | undefined {
  const key = full.replace(/^rollover:config:/, "");
  return KEYS.includes(key) ? key : undefined;
}

function unread(full: string): Problem | undefined {
  const key = meantBy(full);
  if (key === undefined) return undefined;
  const form =
    full === key ? "has no namespace, so Pulumi gives it the project's" : "is written in an old form of Pulumi's";
  const good = `\`${NAMESPACE}${key}\``;
  return { where: `config["${full}"]`, what: `${form}; it is not read here`, allowed: good, fix: `write ${good}` };
}

/** The value with a text for each `{ secure: ... }`, which is how Pulumi writes what is encrypted. */
function revealed(value: unknown, { where, keys }: Encrypted, encrypted: Encrypted[]): unknown {
  const inner = (item: unknown, key: string, step: string) =>
    revealed(item, { where: `${where}${step}`, keys: [...keys, key] }, encrypted);
  if (Array.isArray(value)) return value.map((item: unknown, at) => inner(item, String(at), `[${at}]`));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [[only, text] = []] = entries;
  if (entries.length === 1 && only === "secure" && typeof text === "string") {
    encrypted.push({ where, keys });
    return "hidden";
  }
  return Object.fromEntries(
    entries.map(([key, item]: [string, unknown]) => {
      const name = segment(key);
      return [key, inner(item, key, name.startsWith("[") ? name : `.${name}`)];
    }),
  );
}
