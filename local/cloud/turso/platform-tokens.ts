/** Platform tokens: who may call the API, and for what. https://docs.turso.tech/cli/auth/api-tokens/mint */
import { randomBytes, randomUUID } from "node:crypto";
import { nowInSeconds, signHs256 } from "./jwt";

export const SCOPES = [
  "read",
  "db:create",
  "db:delete",
  "db:configure",
  "db:mint-token",
  "db:rotate-creds",
  "group:configure",
  "group:mint-token",
  "group:rotate-creds",
] as const;
export type Scope = (typeof SCOPES)[number];

export interface PlatformTokenOptions {
  /** @default random */
  name?: string;
  /** @default every one, as a token of the whole organisation has it */
  scopes?: Scope[];
  /** The one group that it may touch. @default all */
  group?: string;
  /** It has expired an hour ago. */
  expired?: boolean;
  /** When it expires. @default never */
  expiresInSeconds?: number;
}

export interface PlatformToken {
  id: string;
  name: string;
  organization: string;
  scopes?: Scope[];
  group?: string;
  /** Unix seconds. */
  exp?: number;
  /** `YYYY-MM-DD`. */
  created: string;
}

export class PlatformTokens {
  private readonly known = new Map<string, PlatformToken>();
  private readonly key = randomBytes(32);

  constructor(private readonly organization: string) {}

  mint(options: PlatformTokenOptions = {}): string {
    const { name = `token-${this.known.size + 1}`, scopes, group, expired = false } = options;
    const now = nowInSeconds();
    const exp = expired ? now - 3600 : options.expiresInSeconds && now + options.expiresInSeconds;
    const record: PlatformToken = {
      id: randomUUID(),
      name,
      organization: this.organization,
      created: new Date().toISOString().slice(0, 10),
      ...(scopes && { scopes }),
      ...(group !== undefined && { group }),
      ...(exp !== undefined && { exp }),
    };
    const token = signHs256({ jti: record.id, ...(exp !== undefined && { exp }) }, this.key);
    this.known.set(token, record);
    return token;
  }

  revoke(token: string): void {
    if (!this.known.delete(token)) throw new Error("the local Turso knows no such platform token");
  }

  /** Undefined for one that is unknown, revoked or expired. */
  find(token: string): PlatformToken | undefined {
    const record = this.known.get(token);
    return record?.exp !== undefined && record.exp * 1000 <= Date.now() ? undefined : record;
  }

  list(): PlatformToken[] {
    return [...this.known.values()];
  }

  /** Every one that was made and not revoked. */
  texts(): string[] {
    return [...this.known.keys()];
  }
}
