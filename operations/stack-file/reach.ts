/** Refuses an edit that reaches further than asked: by an anchor or a merge key, a part of one entry is a part of another too. */
import { isDeepStrictEqual } from "node:util";
import type { Document } from "yaml";
import type { TursoTarget } from "../../components/rotation/model";
import { plainOf, Refusal } from "./text";

/** The path of a value that an edit may change, add or take out. */
export type Place = readonly string[];

const STAMPS = ["generation", "generations", "retired", "restore", "reason", "ticket"];

/** Where the stamps of a credential stand, and why it was edited. */
export function placesOf(credential: string): Place[] {
  return STAMPS.map((key) => ["config", "rollover:credentials", credential, key]);
}

export function placesOfTarget({ kind, name }: TursoTarget): Place[] {
  return ["invalidated", "reason", "ticket"].map((key) => ["config", "rollover:turso", `${kind}s`, name, key]);
}

export function refuseFurther(before: Document, after: Document, places: Place[]): void {
  const [was, now] = [before, after].map((document) => places.reduce<unknown>(without, plainOf(document)));
  const where = difference(was, now);
  if (!where) return;
  throw new Refusal(
    `the edit would also change ${where.join(".").replace(/^config\./, "")}, as where an anchor or a merge key shares a part of it; ` +
      "write that entry out in full, or edit the file by hand",
  );
}

/** A copy, since aliases share what they stand for. What is left empty goes too: the edit may have made it. */
function without(value: unknown, [key = "", ...rest]: Place): unknown {
  if (!isRecord(value) || !(key in value)) return value;
  const { [key]: inner, ...others } = value;
  const left = rest.length === 0 ? null : without(inner, rest);
  const isEmpty = left === null || (isRecord(left) && Object.keys(left).length === 0);
  return isEmpty ? others : { ...others, [key]: left };
}

/** The path of the first value that is not the same; undefined where there is none. */
function difference(was: unknown, now: unknown): string[] | undefined {
  if (isDeepStrictEqual(was, now)) return undefined;
  if (!isRecord(was) || !isRecord(now)) return [];
  const keys = [...new Set([...Object.keys(was), ...Object.keys(now)])];
  const differs = keys.find((key) => !isDeepStrictEqual(was[key], now[key]));
  return differs === undefined ? [] : [differs, ...(difference(was[differs], now[differs]) ?? [])];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
