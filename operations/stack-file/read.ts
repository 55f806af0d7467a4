/** What the commands read of a stack file that they edit by policy or by people. Secrets are not read. */
import { parseCredential } from "../../components/rotation/credential";
import type { Credential, Notify, Policy, TursoAccount } from "../../components/rotation/model";
import { parseNotify } from "../../components/rotation/operating";
import { parsePolicy } from "../../components/rotation/policy";
import { ConfigError, type Problem } from "../../components/rotation/problem";
import { SECRETS } from "../../components/rotation/raw-config";
import { entries, isSet } from "../../components/rotation/read";
import { parseTurso } from "../../components/rotation/turso";
import { type Encrypted, isOfEncrypted, settingsIn, storedEncrypted } from "./settings";
import { parse } from "./text";

export interface StackFile {
  credentials: Credential[];
  policy?: Policy;
  turso?: TursoAccount;
  notify?: Notify;
  /** Whether the secret alertWebhook is in the file. */
  hasWebhook: boolean;
}

/** What is asked for beside the credentials. */
export type Part = "policy" | "turso" | "notify";

/** What some command looks at of a credential; `database` and `group` name the target of a Turso token. */
const LOOKED_AT = ["kind", "generations", "generation", "maxAge", "holders", "inPlace", "backup"];
const TARGET = ["database", "group"];

/**
 * Judges only what is asked for: the rest of the file may be unfinished, or encrypted. Throws Refusal where the text is no YAML, or
 * ConfigError.
 */
export function readStackFile(text: string, asked: readonly Part[] = ["policy", "turso", "notify"]): StackFile {
  const { values, encrypted, problems } = settingsIn(parse(text));
  const found: Problem[] = [];
  const [policy, turso, notify] = (["policy", "turso", "notify"] as const).map((part) =>
    asked.includes(part) ? values.get(part) : undefined,
  );
  const raw = { keys: [], settings: {}, secrets: SECRETS };
  const file: StackFile = {
    // What depends on the server or on `production` is judged with the edited file as a whole.
    credentials: entries("rollover:credentials", values.get("credentials"), found).flatMap(({ name, where, value }) => {
      const placed = parseCredential(name, where, value, { postgres: undefined, production: false }, found);
      return placed.credential ?? [];
    }),
    hasWebhook: isSet(values.get("alertWebhook")),
    ...(isSet(policy) && { policy: parsePolicy(policy, found) }),
    ...(isSet(turso) && { turso: parseTurso(turso, found) }),
    ...(isSet(notify) && { notify: parseNotify(notify, raw, found) }),
  };
  const needed = encrypted.filter((one) => isNeeded(one, asked, file.credentials));
  problems.push(...needed.map(({ where }) => storedEncrypted(where)));
  problems.push(...found.filter((problem) => !isOfEncrypted(problem, encrypted)));
  if (problems.length > 0) throw new ConfigError(problems);
  return file;
}

/** Whether what is asked for would not be known without it. */
function isNeeded({ keys }: Encrypted, asked: readonly Part[], credentials: Credential[]): boolean {
  const [setting, name, key] = keys;
  if (setting === "credentials") {
    if (key === undefined || LOOKED_AT.includes(key)) return true;
    return TARGET.includes(key) && credentials.some((one) => one.name === name && one.kind === "turso");
  }
  const part = asked.find((one) => one === setting);
  // Of Turso it is to which group a database belongs.
  if (part === "turso") return name === undefined || (name === "databases" && (keys[3] ?? "group") === "group");
  return part !== undefined;
}
