/** Parses credentials of the kinds `signing-keyset` and `encryption-keyset`. What takes the Workers to see is in keyset-rules.ts. */
import type { CredentialBase, KeysetCredential, Stamp, VaultPath } from "./model";
import { listed, show } from "./problem";
import { Fields, tokenInPlainText, type TextRule } from "./read";

export const KEYSET_KEYS = ["maxTokenAge", "drain", "retireBelow", "backup", "restore"];
export const SIGNING_KEYS = ["shape", ...KEYSET_KEYS];

/** So many keys fit a Worker's secret by far, and nobody who has more still knows which of them are in use. */
const MOST_KEYS = 10;
const DAY = 86_400_000;

/** Segments of letters, digits and `-_.`, none of them `.` or `..`: what needs no escape in Vault's URLs. */
const VAULT_PATH: TextRule = {
  pattern: /^(?!.{256})(?:(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.-]+\/)*(?!\.{1,2}$)[A-Za-z0-9_.-]+$/,
  allowed: "letters, digits, - _ . and /, such as rollover/rounds, without / at either end",
  fix: "write the path as `vault kv` takes it",
};

export function parseKeyset(fields: Fields, base: CredentialBase, kind: KeysetCredential["kind"]): KeysetCredential {
  const shape =
    kind === "signing-keyset" ? (fields.oneOf("shape", ["keyset", "dual"], "keyset") ?? "keyset") : "keyset";
  if (!fields.has("maxTokenAge")) {
    fields.refuse("maxTokenAge", {
      what: "is missing",
      allowed: "how long what a key signed or encrypted is to be accepted, such as 120s",
      fix: "add it: no key is dropped before that time is over",
    });
  }
  const { generations } = base;
  const most = shape === "dual" ? 2 : MOST_KEYS;
  if (generations.length > most) {
    fields.refuse("generations", {
      what:
        shape === "dual"
          ? "has more than the two keys that shape dual can hold"
          : "has more keys than anybody overlooks",
      value: show(generations),
      allowed: `at most ${most} stamps`,
      fix: shape === "dual" ? "retire the last one first, or use shape keyset" : "retire the last ones",
    });
  }
  const credential: KeysetCredential = {
    ...base,
    kind,
    shape,
    maxTokenAgeMs: fields.duration("maxTokenAge", 1000, 3650 * DAY, 1000),
    drainMs: fields.duration("drain", 0, DAY, 300_000),
    retireBelow: parseShare(fields, "retireBelow", 0.05),
    atOnce: fields.has("generation"),
    restore: parseRestore(fields, generations),
  };
  const backup = parseBackup(fields);
  if (backup) credential.backup = backup;
  if (credential.restore.length > 0 && !fields.has("backup")) {
    const fix = "add the `backup` that the key was written to, or remove it";
    fields.refuse("restore", { what: "has no backup to read from", allowed: "only beside `backup`", fix });
  }
  return credential;
}

/** A number from 0 to 1. */
export function parseShare(fields: Fields, key: string, standard: number): number {
  const value = fields.get(key);
  if (value === undefined) return standard;
  if (typeof value === "number" && value >= 0 && value <= 1) return value;
  const what = typeof value === "number" ? "is out of range" : "is no number";
  fields.refuse(key, { what, value: show(value), allowed: "a number from 0 to 1", fix: "write 0.05 for 5 %" });
  return standard;
}

/** A key that comes back stands among the generations too; as their first it is announced like a new one. */
function parseRestore(fields: Fields, generations: Stamp[]): Stamp[] {
  const items = fields.list("restore", "stamps");
  const stamps = fields.stamps(items);
  for (const { value, key } of items) {
    const stamp = stamps.find((one) => one === value);
    if (stamp === undefined || generations.includes(stamp)) continue;
    fields.refuse(key, {
      what: "is not among the generations",
      value: show(stamp),
      allowed: listed(generations, "or"),
      fix: "add it behind them too, or remove it here: a restored key is a previous one",
    });
  }
  return stamps;
}

function parseBackup(fields: Fields): VaultPath | undefined {
  if (!fields.has("backup")) return undefined;
  const backup = new Fields(fields.path("backup"), fields.get("backup"), fields.problems);
  backup.onlyKnown(["vault"]);
  const vault = new Fields(backup.path("vault"), backup.get("vault"), fields.problems);
  vault.onlyKnown(["mount", "path"], (key) => (/token/i.test(key) ? tokenInPlainText("vaultToken") : undefined));
  return { mount: vault.text("mount", VAULT_PATH, "secret"), path: vault.text("path", VAULT_PATH) };
}
