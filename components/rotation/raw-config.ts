import type { RawConfig } from "./config";

const SECRETS = ["postgresPassword", "cloudflareApiToken"];

/**
 * The settings of the stack as Pulumi hands them over, both to the program and to a dynamic provider: one text a key,
 * objects and lists as JSON. Of the secrets only whether they are set, and whether in plain text. Never throws: a text
 * that is no JSON is passed on, and `parseStack` names its path.
 *
 * @param get Reads a key of the `rollover:` namespace.
 * @param keys Every key that is set, without its namespace.
 * @param isSecret Whether a key is stored encrypted; left out where that cannot be known (a provider's process).
 */
export function rawConfig(
  get: (key: string) => string | undefined,
  keys: string[],
  isSecret: (key: string) => boolean = () => true,
): RawConfig {
  const parse = (key: string): unknown => {
    const text = get(key);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return text;
    }
  };
  // Pulumi.yaml's schema needs an empty default: a key without one would be required in every stack.
  const filled = (key: string): boolean => (get(key) ?? "") !== "";
  return {
    keys,
    postgres: parse("postgres"),
    cloudflare: parse("cloudflare"),
    workers: parse("workers"),
    credentials: parse("credentials"),
    abandon: parse("abandon"),
    hasPostgresPassword: filled("postgresPassword"),
    hasCloudflareApiToken: filled("cloudflareApiToken"),
    plainSecrets: SECRETS.filter((key) => filled(key) && !isSecret(key)),
  };
}
