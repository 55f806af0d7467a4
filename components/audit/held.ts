/** What an env file holds. */
import type { Credential, Stamp } from "../rotation/model";

/** By credential, its stamps, current first. */
export type Generations = Record<string, Stamp[]>;

/** JSON of `Generations`: what config delivers to this file. Nothing in it is secret. */
export function generationsIn(file: string, credentials: readonly Credential[]): string {
  const held = credentials.flatMap((credential): [string, Stamp[]][] => {
    const { name, generations, deliver } = credential;
    const own = deliver.filter((to) => to.file === file);
    if (own.length === 0) return [];
    if ("shape" in credential && credential.shape === "keyset") return [[name, generations]];
    const second = own.some(({ previousAs }) => previousAs !== undefined);
    return [[name, generations.slice(0, second ? 2 : 1)]];
  });
  const sorted = held.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(Object.fromEntries(sorted) satisfies Generations);
}
