import { setTimeout as pause } from "node:timers/promises";
import type * as pulumi from "@pulumi/pulumi";
import type { Stamp, VaultPath } from "../rotation/model";
import { isUnknown } from "../thin.provider";
import { type Kept, type VaultApi, VaultError } from "./api";

/** Exactly one of `key` and `restore`. */
export interface Inputs extends VaultPath {
  credential: string;
  stamp: Stamp;
  /** 64 hexadecimal digits, to be backed up; secret. */
  key?: string;
  /** The key is read out of the backup. */
  restore?: boolean;
}

export interface Outputs extends Inputs {
  /** What Vault has given back: secret. */
  key: string;
  /** What a refresh found other than written; empty when all is as it should be. */
  drift: string[];
}

/** What stands at Vault. */
type Backup = Pick<Outputs, "credential" | "stamp" | "key">;

/** Writes until a read gives back what was written: a standby of Vault may answer before it has seen the write. */
const mostWrites = 3;

/** CRUD of a key's backup; see components/vault/vault-key.ts. */
export function vaultKey(api: VaultApi): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  return {
    /** A failure names `path`: with it the engine prints the property's value, in clear, also of a secret one. */
    async check(olds, news) {
      if (isUnknown({ ...news, key: "" })) return { inputs: news };
      const isNew = identity.some((name) => (olds as Partial<Inputs>)[name] !== news[name]);
      const reason = reasonAgainst(news) ?? (isNew ? await preflight(api, news) : reasonAgainstChange(olds, news));
      return { inputs: news, failures: reason === undefined ? [] : [{ property: "path", reason }] };
    },

    diff(_id, olds, news) {
      const replaces = identity.filter((name) => olds[name] !== news[name]);
      const changes = replaces.length > 0 || olds.drift.length > 0 || isRestore(olds) !== isRestore(news);
      return Promise.resolve({ changes, replaces });
    },

    async create(news) {
      const key = news.key ?? (await restored(api, news));
      if (!isRestore(news)) await backUp(api, { ...news, key });
      return { id: nameOf(news), outs: { ...news, key, drift: [] } };
    },

    async update(_id, olds, news) {
      const outs = { ...news, key: olds.key, drift: [] };
      if (olds.drift.length > 0) await backUp(api, outs);
      return { outs };
    },

    /** Never gives another key than state holds: what stands at Vault is only compared. */
    async read(id, props) {
      if (!props) return {};
      const kept = await api.read(placeOf(props));
      const found = { absent: "is missing", deleted: "was deleted", destroyed: "was destroyed" };
      const drift =
        kept.kind === "alive"
          ? holds(kept, props)
            ? []
            : [`the backup ${nameOf(props)} holds another key`]
          : [`the backup ${nameOf(props)} ${found[kept.kind]}`];
      return { id, props: { ...props, drift } };
    },

    /** The backup stays: it is what a retired key can be restored from. */
    delete: () => Promise.resolve(),
  };
}

const identity = ["mount", "path", "stamp", "credential"] as const;
const keyPattern = /^[0-9a-f]{64}$/;

function placeOf({ mount, path, stamp }: Inputs): VaultPath {
  return { mount, path: `${path}/${stamp}` };
}

/** As messages name it, and as its id. */
function nameOf(inputs: Inputs): string {
  const { mount, path } = placeOf(inputs);
  return `${mount}/${path}`;
}

/** What is wrong with the inputs alone. A key that is not known yet is not looked at. */
function reasonAgainst(news: Inputs): string | undefined {
  const { key, restore } = news;
  const of = `the backup of ${news.credential}, stamp ${news.stamp},`;
  if ((key !== undefined) === isRestore(news))
    return `${of} has ${restore ? "both" : "neither"} a key ${restore ? "and" : "nor"} \`restore: true\`; give exactly one of them`;
  if (key === undefined || isUnknown(key) || keyPattern.test(key)) return undefined;
  return `the key of ${news.credential}, stamp ${news.stamp}, is not 64 hexadecimal digits in lower case; give 32 random bytes in that form`;
}

/** What would stop `create`, found in the preview. */
async function preflight(api: VaultApi, news: Inputs): Promise<string | undefined> {
  try {
    if (news.key === undefined) await restored(api, news);
    else if (isOccupied(await api.read(placeOf(news)), { ...news, key: news.key })) return occupied(news).message;
  } catch (error) {
    if (error instanceof VaultError) return error.message;
    throw error;
  }
  return undefined;
}

/** Whether the program hands in another key for the same stamp. One that is not known yet is only seen when it is. */
function reasonAgainstChange(olds: Inputs, news: Inputs): string | undefined {
  const isOther = !isUnknown(news.key) && news.key !== olds.key;
  if (news.key === undefined || !(isRestore(olds) || isOther)) return undefined;
  const next = isRestore(olds)
    ? "Put the stamp back under `restore` until it is retired"
    : "Add a new stamp to roll it, and leave this one's key as it is until it is retired";
  // A stamp that left `restore` gets a key of its own, known or not.
  return refusal(news, `holds the key of this stamp, which never changes. ${next}`).message;
}

function isRestore({ restore = false }: Inputs): boolean {
  return restore;
}

/** Writes the key where nothing is alive; done when a read has given it back. */
async function backUp(api: VaultApi, backup: Outputs | (Inputs & { key: string })): Promise<void> {
  const { credential, stamp, key } = backup;
  for (let writes = 0; ; writes++) {
    const kept = await api.read(placeOf(backup));
    if (isOccupied(kept, backup)) throw occupied(backup);
    if (kept.kind === "alive") return;
    if (writes === mostWrites)
      throw new VaultError(
        "unavailable",
        `Vault: the backup ${nameOf(backup)} was written and cannot be read back; nothing was delivered. See that no other program deletes it, then run the update again`,
      );
    if (writes > 0) await pause(100 * 2 ** writes);
    try {
      await api.write(placeOf(backup), { credential, stamp, key }, kept.version);
    } catch (error) {
      // Whoever was first, perhaps a write of ours whose answer was lost: the next look tells.
      if (!(error instanceof VaultError && error.fault === "conflict")) throw error;
    }
  }
}

async function restored(api: VaultApi, news: Inputs): Promise<string> {
  const kept = await api.read(placeOf(news));
  if (kept.kind !== "alive") throw refusal(news, lossOf(kept, placeOf(news)));
  const { credential, stamp, key } = kept.data;
  if (credential !== news.credential || stamp !== news.stamp)
    throw refusal(
      news,
      `is not the backup of ${news.credential}, stamp ${news.stamp}, but of something else; check \`backup.vault\` and the credential's name`,
    );
  if (typeof key === "string" && keyPattern.test(key)) return key;
  throw refusal(
    news,
    "holds no key of 32 bytes (64 hexadecimal digits); look for an older version that does (`vault kv metadata get`), or take the stamp out of `restore` and `generations`",
  );
}

/** Why there is nothing to restore, and what to do. */
function lossOf({ kind, version }: Exclude<Kept, { kind: "alive" }>, { mount, path }: VaultPath): string {
  const give = "or take the stamp out of `restore` and `generations`";
  return {
    absent: `does not exist; check \`backup.vault\` and the stamp, ${give}`,
    deleted: `was deleted; bring it back (\`vault kv undelete -mount=${mount} -versions=${version} ${path}\`), ${give}`,
    destroyed: `was destroyed, for good; see whether an older version is left (\`vault kv metadata get -mount=${mount} ${path}\`) and roll back to it, ${give}`,
  }[kind];
}

/** Whether something else than this key is alive there. */
function isOccupied(kept: Kept, backup: Backup): boolean {
  return kept.kind === "alive" && !holds(kept, backup);
}

function holds({ data }: Extract<Kept, { kind: "alive" }>, backup: Backup): boolean {
  return (["credential", "stamp", "key"] as const).every((name) => data[name] === backup[name]);
}

function occupied(news: Inputs): VaultError {
  const { mount, path } = placeOf(news);
  return refusal(
    news,
    `holds another key, and a backup is never overwritten. List the stamp under \`restore\` to use that key; or choose another stamp or \`backup.vault.path\`; ` +
      `or, if nothing that it signed or encrypted is needed, delete it (\`vault kv delete -mount=${mount} ${path}\`)`,
  );
}

function refusal(news: Inputs, what: string): VaultError {
  return new VaultError("rejected", `Vault: the backup ${nameOf(news)} ${what}.`);
}
