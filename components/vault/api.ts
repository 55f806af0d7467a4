import { isDeepStrictEqual } from "node:util";
import * as http from "../http";
import type { VaultPath, VaultServer } from "../rotation/model";

/** Why Vault refused, decided once, here, from the status and from whether the answer is in Vault's own form. */
export type VaultFault =
  /** 403: the token is wrong or expired, or no policy of it allows this; Vault does not tell which. */
  | "forbidden"
  /** Nothing is mounted there, or no KV engine of version 2. */
  | "no-engine"
  /** 400: check-and-set found another version than the one that was named. */
  | "conflict"
  /** 429 to the end of the retries. */
  | "rate-limited"
  /** 503 (sealed), other 5xx, time-out, broken connection or an answer of another shape: the effect is unknown. */
  | "unavailable"
  /** Any other refusal. */
  | "rejected";

/** A refusal in words that hold no credential: status, what was asked and what to do; never the answer's body. */
export class VaultError extends Error {
  constructor(
    readonly fault: VaultFault,
    message: string,
  ) {
    super(message);
  }
}

/** What the newest version at a path is. A deleted one can be undeleted, a destroyed one cannot. */
export type Kept =
  | { kind: "absent"; version: 0 }
  | { kind: "alive"; version: number; data: Record<string, unknown> }
  | { kind: "deleted" | "destroyed"; version: number };

/**
 * The two calls to Vault's KV engine, version 2, that Rollover makes (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2);
 * OpenBao answers the same. A namespace can be written in front of the mount. Each call is bounded to `timeoutMs` and four attempts;
 * Retry-After is obeyed up to `longestPauseMs`.
 */
export class VaultApi {
  constructor(
    private readonly server: VaultServer,
    private readonly token: string,
    private readonly timeoutMs = 30_000,
    private readonly longestPauseMs = 60_000,
  ) {}

  /** The newest version at a path. */
  read(place: VaultPath): Promise<Kept> {
    return this.call({ method: "GET", place, read: keptFrom });
  }

  /**
   * Writes a version on top of version `cas`, 0 where there is none, or throws `conflict`: so nothing is overwritten unseen.
   *
   * @returns its number
   */
  write(place: VaultPath, data: Record<string, unknown>, cas: number): Promise<number> {
    return this.call({
      method: "POST",
      place,
      body: { options: { cas }, data },
      read: ({ ok, body }) => (ok ? numberOf(http.fieldOf(body, "data"), "version") : undefined),
      // Repeated, it cannot be written twice: its own first version would be the conflict.
      settled: async () => {
        const kept = await this.read(place);
        const isOurs = kept.kind === "alive" && kept.version === cas + 1 && isDeepStrictEqual(kept.data, data);
        return isOurs ? kept.version : undefined;
      },
    });
  }

  private call<T>({ method, place, ...call }: Call<T>): Promise<T> {
    const path = `/v1/${escaped(place.mount)}/data/${escaped(place.path)}`;
    return http.request<T, VaultFault>({
      method,
      url: `${this.server.address}${path}`,
      headers: {
        "x-vault-token": this.token,
        "x-vault-request": "true",
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      },
      timeoutMs: this.timeoutMs,
      longestPauseMs: this.longestPauseMs,
      refusal(reply) {
        const fault = classify(reply);
        return { fault, text: `status ${reply.status}: ${advice(fault, reply.status, place)}` };
      },
      error({ fault, text }, status) {
        const next =
          status === undefined ? "; see that Vault runs at rollover:vault.address, then run the update again" : "";
        return new VaultError(fault, `Vault, ${method} ${path}: ${text}${next}`);
      },
      ...call,
    });
  }
}

interface Call<T> extends Pick<http.Call<T, VaultFault>, "read" | "body" | "settled"> {
  method: "GET" | "POST";
  place: VaultPath;
}

/** `{ data: { data, metadata: { version, destroyed } } }`; with 404 and no data where that was deleted; `{ errors: [] }` where nothing ever was. */
function keptFrom({ status, body }: http.Reply): Kept | undefined {
  const found = http.fieldOf(body, "data");
  const metadata = http.fieldOf(found, "metadata");
  const version = numberOf(metadata, "version");
  if (status === 200) {
    const data = http.fieldOf(found, "data");
    const isObject = typeof data === "object" && data !== null && !Array.isArray(data);
    return isObject && version !== undefined
      ? { kind: "alive", version, data: data as Record<string, unknown> }
      : undefined;
  }
  if (status !== 404) return undefined;
  if (version !== undefined)
    return { kind: http.fieldOf(metadata, "destroyed") === true ? "destroyed" : "deleted", version };
  return errorsOf(body)?.length === 0 ? { kind: "absent", version: 0 } : undefined;
}

function classify({ status, body }: http.Reply): VaultFault {
  const errors = errorsOf(body);
  if (status === 403) return "forbidden";
  if (status === 429) return "rate-limited";
  if (status === 404 && errors !== undefined) return "no-engine";
  if (status === 400 && errors?.some((text) => /check-and-set parameter did not match/.test(text))) return "conflict";
  // The version 1 of the engine takes such a write without a word, and gives a value without metadata.
  if (status === 204 || (status === 200 && typeof http.fieldOf(body, "request_id") === "string")) return "no-engine";
  // 412: a standby that has not yet seen the last write. 404 in another form came from something in between.
  return status >= 500 || [404, 408, 412].includes(status) || status < 400 ? "unavailable" : "rejected";
}

function advice(fault: VaultFault, status: number, { mount, path }: VaultPath): string {
  return {
    forbidden: `the token is wrong or expired, or its policy lacks \`create\`, \`update\` and \`read\` on ${mount}/data/${path}; set one with \`pulumi config set --secret vaultToken\``,
    "no-engine": `no KV engine of version 2 is mounted at ${mount}; check \`backup.vault.mount\`, or mount one (\`vault secrets enable -path=${mount} -version=2 kv\`)`,
    conflict: "something else wrote there meanwhile; run the update again",
    "rate-limited": "too many requests; run the update again in some minutes",
    unavailable:
      status === 503
        ? "Vault is sealed or in maintenance; unseal it (`vault operator unseal`), then run the update again"
        : "Vault failed, or something else answered in its place; run the update again",
    rejected: "Vault refused the request; check `backup.vault`, then look into Vault's log",
  }[fault];
}

/** `{ errors: [...] }`, Vault's own form; its texts are looked at and never repeated. */
function errorsOf(body: unknown): string[] | undefined {
  const errors = http.fieldOf(body, "errors");
  return Array.isArray(errors) && errors.every((text) => typeof text === "string") ? errors : undefined;
}

function numberOf(value: unknown, key: string): number | undefined {
  const number = http.fieldOf(value, key);
  return Number.isInteger(number) && (number as number) > 0 ? (number as number) : undefined;
}

function escaped(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
