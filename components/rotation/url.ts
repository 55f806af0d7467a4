/** Addresses in config: which are loopback, which may carry a secret, and the template of a delivered URL. */

/** The most bytes that a Worker's secret may have (Workers limits, "5 KB"). */
export const VALUE_BYTES = 5120;
/** Letters and digits of a minted Postgres password. */
export const PASSWORD_CHARACTERS = 32;

export interface UrlParts {
  user: string;
  password: string;
  host: string;
  port: number;
  database: string;
}

export const PLACEHOLDERS = ["user", "password", "host", "port", "database"] as const;
const PLACEHOLDER = /\{(user|password|host|port|database)\}/g;

/** 127.0.0.0/8, ::1 or localhost; the host as a URL or a Postgres setting writes it. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost" || name === "::1" || name === "[::1]") return true;
  const octets = /^127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(name);
  return octets !== null && octets.slice(1).every((octet) => Number(octet) <= 255);
}

/** A URL that may be called with a token: https, or http on loopback; no user, password or fragment in it. */
export function parseCallUrl(text: unknown): { url: URL; loopback: boolean } | { problem: string; value?: string } {
  if (typeof text !== "string" || !URL.canParse(text)) return { problem: "is no URL" };
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return { problem: "is no https URL" };
  if (url.username !== "" || url.password !== "") return { problem: "carries a user name or password" };
  if (url.hash !== "") return { problem: "carries a fragment" };
  const loopback = isLoopbackHost(url.hostname);
  if (url.protocol === "http:" && !loopback)
    return { problem: "is plain http to a host off loopback", value: url.host };
  return { url, loopback };
}

/** What is wrong with a template, or undefined. */
export function templateProblem(template: string): string | undefined {
  const rest = template.replace(PLACEHOLDER, "");
  if (/[{}]/.test(rest)) return "has a brace or placeholder that is not known";
  const missing = ["{user}", "{password}"].filter((name) => !template.includes(name));
  if (missing.length > 0) return `lacks ${missing.join(" and ")}`;
  return /^[\x21-\x7e]+$/.test(template) ? undefined : "has spaces or characters outside ASCII";
}

/** The delivered value: every placeholder filled, percent-encoded, an IPv6 host in brackets. */
export function fillTemplate(template: string, parts: UrlParts): string {
  const values: Record<string, string> = {
    user: encodeURIComponent(parts.user),
    password: encodeURIComponent(parts.password),
    host: parts.host.includes(":") && !parts.host.startsWith("[") ? `[${parts.host}]` : parts.host,
    port: String(parts.port),
    database: encodeURIComponent(parts.database),
  };
  return template.replace(PLACEHOLDER, (whole, name: string) => values[name] ?? whole);
}

/** Bytes of the longest value that a template can give. */
export function filledBytes(template: string, parts: Omit<UrlParts, "password">): number {
  return Buffer.byteLength(fillTemplate(template, { ...parts, password: "x".repeat(PASSWORD_CHARACTERS) }));
}
