import type { RawConfig } from "./config";
import { ConfigError } from "./problem";

/**
 * The settings of the stack as Pulumi hands them over, both to the program and to a dynamic provider: one text a key,
 * objects and lists as JSON. Of the secrets only whether they are set.
 *
 * @param get Reads a key of the `rollover:` namespace.
 * @param keys Every key that is set, without its namespace.
 * @throws ConfigError if an object's key holds a plain text.
 */
export function rawConfig(get: (key: string) => string | undefined, keys: string[]): RawConfig {
  const parse = (key: string): unknown => {
    const text = get(key);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      const where = `rollover:${key}`;
      throw new ConfigError([
        {
          where,
          what: "is a plain text",
          allowed: "a YAML mapping or list",
          fix: "edit the stack's file as README.md shows",
        },
      ]);
    }
  };
  return {
    keys,
    postgres: parse("postgres"),
    cloudflare: parse("cloudflare"),
    workers: parse("workers"),
    credentials: parse("credentials"),
    abandon: parse("abandon"),
    hasPostgresPassword: get("postgresPassword") !== undefined,
    hasCloudflareApiToken: get("cloudflareApiToken") !== undefined,
  };
}
