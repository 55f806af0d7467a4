/** What the alerting rules are made from, out of a stack file: `rollover:alerts`, and the live stamps of signing keysets. */
import { parseAlerts } from "../../components/rotation/alerts";
import { parseCredential } from "../../components/rotation/credential";
import type { Alerts, KeysetCredential } from "../../components/rotation/model";
import { ConfigError, type Problem } from "../../components/rotation/problem";
import { entries } from "../../components/rotation/read";
import { storedEncrypted } from "../stack-file/settings";
import { parse, plainOf } from "../stack-file/text";

export interface Watched {
  alerts: Alerts;
  /** By name; keysets that encrypt are not among them, since no token tells of them. */
  signing: KeysetCredential[];
}

/**
 * Judges only what the rules need: the rest of the file may be unfinished, and no secret is read. Throws Refusal where the
 * text is no YAML, or ConfigError.
 */
export function watched(text: string): Watched {
  const file: unknown = plainOf(parse(text));
  const config = (file as { config?: Record<string, unknown> } | null)?.config ?? {};
  const problems: Problem[] = [];
  const plain = (key: "alerts" | "credentials"): unknown => {
    const value = config[`rollover:${key}`];
    if (typeof value !== "object" || value === null || !("secure" in value)) return value;
    problems.push(storedEncrypted(`rollover:${key}`));
    return undefined;
  };
  const alerts = parseAlerts(plain("alerts"), problems);
  const signing = entries("rollover:credentials", plain("credentials"), problems).flatMap(({ name, where, value }) => {
    if ((value as { kind?: unknown } | null)?.kind !== "signing-keyset") return [];
    // Neither of the two matters to this kind.
    const { credential } = parseCredential(name, where, value, { postgres: undefined, production: false }, problems);
    return credential?.kind === "signing-keyset" ? [credential] : [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return { alerts, signing };
}
