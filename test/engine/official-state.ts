/**
 * How a run with the stand-ins is compared with one of the official plugins (test/fixtures/official-state). What is
 * masked or left out is listed here, with the reason, and nowhere else.
 */

/** A resource of `pulumi stack export --show-secrets`. */
export interface Exported {
  urn: string;
  type: string;
  outputs?: Record<string, unknown>;
  [field: string]: unknown;
}

const SIGNATURE = "4dabf18193072939515e22adb298388d";

/** When and from where a resource was registered: not the plugins' doing. */
const NOT_COMPARED = ["created", "modified", "sourcePosition", "stackTrace"];
/** What the bridge keeps for itself in outputs. */
const BRIDGE_ONLY = ["__meta", "__pulumi_raw_state_delta"];
/** Differ with the server and its admin: the recorded one was another. Which locales a database has is initdb's choice. */
const OF_THE_SERVER = ["port", "lcCollate", "lcCtype"];
/** Random, so compared by shape. `id` is one for random resources only. */
const RANDOM = ["b64Std", "b64Url", "base64", "bcryptHash", "dec", "hex", "idHex", "result", "saltBase64"];

export function resourcesOf(exported: string): Exported[] {
  return (JSON.parse(exported) as { deployment: { resources: Exported[] } }).deployment.resources;
}

/** The plaintext of a secret output of the resource whose URN ends so. */
export function secretOf(resources: Exported[], urnEnd: string, output: string): string {
  const value = opened(resources.find(({ urn }) => urn.endsWith(urnEnd))?.outputs?.[output]) as { secret?: unknown };
  if (typeof value.secret === "string") return value.secret;
  throw new Error(`The state has no secret ${output} of ${urnEnd}`);
}

/** Resources by URN with all that must be the same. A secret is `{ secret: value }`, so its mark is compared too. */
export function comparable(resources: Exported[]): Record<string, unknown> {
  return Object.fromEntries(
    resources.map((resource) => {
      const kept = Object.entries(resource).filter(([field]) => !NOT_COMPARED.includes(field));
      return [resource.urn, Object.fromEntries(kept.map(([field, value]) => [field, fieldOf(resource, field, value)]))];
    }),
  );
}

function fieldOf(resource: Exported, field: string, value: unknown): unknown {
  if (field === "dependencies") return (value as string[]).slice().sort();
  // Provider references and ids of providers end in a UUID.
  if (field === "provider" || (field === "id" && resource.type.startsWith("pulumi:providers:"))) return masked(value);
  if (field === "id") return resource.type.startsWith("random:") ? shape("id", value) : value;
  if (field !== "inputs" && field !== "outputs") return value;
  const properties = Object.entries(value as Record<string, unknown>).filter(([name]) => !BRIDGE_ONLY.includes(name));
  return Object.fromEntries(properties.map(([name, item]) => [name, property(resource, name, opened(item))]));
}

function property(resource: Exported, name: string, value: unknown): unknown {
  if (OF_THE_SERVER.includes(name)) return typeof value;
  const isRandom = RANDOM.includes(name) || (name === "id" && resource.type.startsWith("random:"));
  const isPassword =
    name === "password" && (resource.type === "pulumi:providers:postgresql" || resource.urn.endsWith("::login"));
  if (!isRandom && !isPassword) return value;
  const secret = (value as { secret?: unknown } | null)?.secret;
  if (resource.type === "pulumi:providers:postgresql") return { secret: typeof secret };
  return secret === undefined ? shape(name, value) : { secret: shape(name, secret) };
}

/** Letters and digits become x, so that length, separators and bcrypt's prefix stay. */
function shape(name: string, value: unknown): unknown {
  if (typeof value !== "string" || value === "none") return value;
  if (name === "dec") return /^\d{1,20}$/.test(value) ? "decimal" : value;
  if (name === "hex" || name === "idHex") return value.replace(/[0-9a-f]/g, "x");
  if (name === "bcryptHash") return value.slice(0, 7) + value.slice(7).replace(/[./A-Za-z0-9]/g, "x");
  return value.replace(/[A-Za-z0-9+/_-]/g, "x");
}

function opened(value: unknown): unknown {
  const secret = value as { [SIGNATURE]?: string; plaintext?: string } | null | undefined;
  if (typeof secret !== "object" || secret?.[SIGNATURE] === undefined) return value;
  return { secret: JSON.parse(secret.plaintext ?? "null") as unknown };
}

function masked(value: unknown): string {
  return String(value).replace(/[0-9a-f-]{36}$/, "ID");
}

/**
 * The text of `preview --diff`, one entry a resource, sorted, since independent resources come in any order.
 * A secret that is not known yet is `[unknown]` here and `[secret]` in the recorded texts: the recording's SDK (3.270)
 * keeps the mark of an unknown value, the project's (3.248, `serializeProperty`) does not.
 */
export function blocks(text: string): string[] {
  const plain = text
    // Dots of a run that takes long, and empty lines around them.
    .replace(/^(@ .*)?\n/gm, "")
    .replace(/::[0-9a-f-]{36}\]/g, "::ID]")
    .replace(/\[unknown\]|\[secret\]/g, "[hidden]")
    .replace(/(port\s*: )"\d+"/g, '$1"PORT"')
    .replace(/\[id=[\w-]{11}\]/g, "[id=RANDOM]")
    .replace(/((?:b64Std|b64Url|dec|hex|id)\s*: )"(?!none)[^"]+"/g, '$1"RANDOM"');
  return plain
    .split(/\n(?= {2,4}(?:[+~-]{1,2} ?)?\w+:|\s+--outputs|Resources:)/)
    .map((block) => block.trimEnd())
    .sort();
}

/** What was done to which resource, and how much in all; without times, and without the stack itself. */
export function operations(text: string): string[] {
  const lines = text.split("\n").map((line) =>
    line
      .replace(/\(\d[\d.]*m?s\)/, "")
      .replace(/\s+/g, " ")
      .trim(),
  );
  return lines
    .filter((line) => /^([+~-]{1,2} ?\S|\d+ unchanged|\d+ changes)/.test(line) && !/Stack|^~ \w+ :/.test(line))
    .sort();
}
