/** Names of Postgres logins, one a generation. */
import type { PostgresCredential, Stamp } from "./model";
import { stampParts } from "./stamp";

/** Postgres cuts longer names (NAMEDATALEN - 1), and the stamp stands at the end. */
export const POSTGRES_NAME_BYTES = 63;

/** `rounds` and `2026-11-20.2` give `rounds_20261120_2`; two different pairs never give one name. */
export function loginName(prefix: string, stamp: Stamp): string {
  const { date, counter } = stampParts(stamp);
  const day = `${prefix}_${date.replaceAll("-", "")}`;
  return counter === 1 ? day : `${day}_${counter}`;
}

/** The login of one generation of a credential: the prefix's own name where it is altered in place. */
export function credentialLogin(credential: Pick<PostgresCredential, "login" | "inPlace">, stamp: Stamp): string {
  return credential.inPlace ? credential.login : loginName(credential.login, stamp);
}

/** Every login that config names for a credential. */
export function loginsOf(credential: PostgresCredential): string[] {
  const made = credential.generations.map((stamp) => credentialLogin(credential, stamp));
  return credential.adopted === undefined ? made : [...made, credential.adopted];
}
