/** The settings of a stack before anything is checked: one list of keys for all that read a config. */

export const SETTINGS = [
  ...(["production", "postgres", "cloudflare", "turso", "vault"] as const),
  ...(["workers", "credentials", "rateLimits", "alerts", "policy", "audit", "notify", "abandon"] as const),
] as const;
export const SECRETS = [
  ...(["postgresPassword", "cloudflareApiToken", "tursoApiToken", "vaultToken", "alertWebhook"] as const),
  ...(["auditPassword", "smtpPassword"] as const),
] as const;
export type Setting = (typeof SETTINGS)[number];
export type Secret = (typeof SECRETS)[number];

/** Objects, lists and flags as they are written; of the secrets only whether they are set. */
export interface RawConfig {
  /** Every key set in the `rollover:` namespace, with or without that prefix. */
  keys: string[];
  settings: Partial<Record<Setting, unknown>>;
  /** Those that are set. */
  secrets: readonly Secret[];
  /** Those that are stored without encryption. */
  plainSecrets?: readonly Secret[];
}

/** Every setting, read by its key. */
export function rawSettings(get: (key: Setting) => unknown): RawConfig["settings"] {
  return Object.fromEntries(SETTINGS.map((key) => [key, get(key)]));
}

/**
 * The settings of the stack as Pulumi hands them over, both to the program and to a dynamic provider: one text a key,
 * objects and lists as JSON. Never throws: a text that is no JSON is passed on, and `parseStack` names its path.
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
  const secrets = SECRETS.filter((key) => (get(key) ?? "") !== "");
  return { keys, settings: rawSettings(parse), secrets, plainSecrets: secrets.filter((key) => !isSecret(key)) };
}
