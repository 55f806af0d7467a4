/**
 * One KV engine of version 2, in memory: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2. Its refusals carry Vault's
 * own words, as they stand in the vault-plugin-secrets-kv sources.
 */
import type { Answer } from "../faults";

/** One version of what stands at a path. */
export interface Version {
  version: number;
  /** Null when it was destroyed; kept, though not shown, when it was only deleted. */
  data: Record<string, unknown> | null;
  createdTime: string;
  /** Empty while it is alive. */
  deletionTime: string;
  destroyed: boolean;
}

/** Vault's default. */
const mostVersions = 10;

export class KvEngine {
  private readonly secrets = new Map<string, Version[]>();

  /** Oldest first; none where nothing is or was. */
  versions(path: string): Version[] {
    return this.secrets.get(path)?.map((version) => ({ ...version })) ?? [];
  }

  paths(): string[] {
    return [...this.secrets.keys()];
  }

  read(path: string, number?: number): Answer {
    const all = this.secrets.get(path) ?? [];
    const found = number === undefined ? all.at(-1) : all.find(({ version }) => version === number);
    if (!found) return refused(404);
    const isGone = found.destroyed || found.deletionTime !== "";
    return answered(isGone ? 404 : 200, { data: isGone ? null : found.data, metadata: metadataOf(found) });
  }

  write(path: string, body: unknown): Answer {
    const { data, options } = (body ?? {}) as { data?: unknown; options?: { cas?: unknown } };
    if (typeof data !== "object" || data === null || Array.isArray(data)) return refused(400, "no data provided");
    const all = this.secrets.get(path) ?? [];
    const newest = all.at(-1)?.version ?? 0;
    const cas = options?.cas;
    if (cas !== undefined && !Number.isInteger(cas)) return refused(400, "error parsing check-and-set parameter");
    // What was deleted counts: a write on top of it names its number.
    if (cas !== undefined && cas !== newest)
      return refused(400, "check-and-set parameter did not match the current version");
    const made = {
      version: newest + 1,
      data: data as Record<string, unknown>,
      createdTime: new Date().toISOString(),
      deletionTime: "",
      destroyed: false,
    };
    this.secrets.set(path, [...all, made].slice(-mostVersions));
    return answered(200, metadataOf(made));
  }

  /** Of the named versions, or of the newest; unknown ones are passed over. */
  change(how: "delete" | "undelete" | "destroy", path: string, numbers?: number[]): Answer {
    const all = this.secrets.get(path) ?? [];
    const chosen = numbers ?? [all.at(-1)?.version ?? 0];
    for (const one of all.filter(({ version, destroyed }) => chosen.includes(version) && !destroyed)) {
      if (how === "delete") one.deletionTime = new Date().toISOString();
      if (how === "undelete") one.deletionTime = "";
      if (how === "destroy") Object.assign(one, { data: null, destroyed: true });
    }
    return { status: 204, body: undefined };
  }

  metadata(path: string): Answer {
    const all = this.secrets.get(path);
    if (!all) return refused(404);
    return answered(200, {
      current_version: all.at(-1)?.version,
      max_versions: 0,
      cas_required: false,
      custom_metadata: null,
      versions: Object.fromEntries(all.map((one) => [one.version, metadataOf(one)])),
    });
  }

  forget(path: string): Answer {
    this.secrets.delete(path);
    return { status: 204, body: undefined };
  }
}

/** Vault's own form; without a text: nothing is there. */
export function refused(status: number, text?: string): Answer {
  return { status, body: { errors: text === undefined ? [] : [text] } };
}

let requests = 0;

function answered(status: number, data: unknown): Answer {
  requests += 1;
  return { status, body: { request_id: `request-${requests}`, data, warnings: null, auth: null, mount_type: "kv" } };
}

function metadataOf({ version, createdTime, deletionTime, destroyed }: Version): Record<string, unknown> {
  return { created_time: createdTime, custom_metadata: null, deletion_time: deletionTime, destroyed, version };
}
