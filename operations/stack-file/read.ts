/** What the commands read of a stack file that they edit by policy or by people. Secrets are not read. */
import { parseCredential } from "../../components/rotation/credential";
import type { Credential, Notify, Policy, TursoAccount } from "../../components/rotation/model";
import { parseNotify } from "../../components/rotation/operating";
import { parsePolicy } from "../../components/rotation/policy";
import { ConfigError, type Problem } from "../../components/rotation/problem";
import { SECRETS } from "../../components/rotation/raw-config";
import { entries, isSet } from "../../components/rotation/read";
import { parseTurso } from "../../components/rotation/turso";
import { parse } from "./text";

export interface StackFile {
  credentials: Credential[];
  policy?: Policy;
  turso?: TursoAccount;
  notify?: Notify;
  /** Whether the secret alertWebhook is in the file. */
  hasWebhook: boolean;
}

/**
 * Judges only what is asked for: the rest of the file may be unfinished. Throws Refusal where the text is no YAML, or
 * ConfigError.
 */
export function readStackFile(text: string): StackFile {
  const file: unknown = parse(text).toJS();
  const config = (file as { config?: Record<string, unknown> } | null)?.config ?? {};
  const problems: Problem[] = [];
  const plain = (key: string): unknown => {
    const value = config[`rollover:${key}`];
    if (typeof value !== "object" || value === null || !("secure" in value)) return value;
    const [what, fix] = ["is stored encrypted, and only plain values can be read here", "write it into the file"];
    problems.push({ where: `rollover:${key}`, what, allowed: "plain YAML", fix });
    return undefined;
  };
  const [policy, turso, notify] = [plain("policy"), plain("turso"), plain("notify")];
  const raw = { keys: [], settings: {}, secrets: SECRETS };
  const found: StackFile = {
    // What depends on the server or on `production` is judged with the edited file as a whole.
    credentials: entries("rollover:credentials", plain("credentials"), problems).flatMap(({ name, where, value }) => {
      const placed = parseCredential(name, where, value, { postgres: undefined, production: false }, problems);
      return placed.credential ?? [];
    }),
    hasWebhook: isSet(config["rollover:alertWebhook"]),
    ...(isSet(policy) && { policy: parsePolicy(policy, problems) }),
    ...(isSet(turso) && { turso: parseTurso(turso, problems) }),
    ...(isSet(notify) && { notify: parseNotify(notify, raw, problems) }),
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return found;
}
