import { isDeepStrictEqual } from "node:util";

/** Takes a line for people. With `left` it says that what was to be deleted lives on, so that its end is not recorded as one. */
export type Warn = (line: string, left?: "left behind") => void;

/** What a value that is not known yet looks like to a dynamic provider in a preview. */
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Whether any part of an input is not known yet, so that it can be neither validated nor compared. */
export function isUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(isUnknown);
}

/** What every thin resource has beside its own inputs (thin.ts). */
const ofThin = ["__provider", "stack"];

/** Whether every declared input has the value that state records; what every thin resource has, and outputs, do not count. */
export function sameInputs(olds: object, news: object): boolean {
  const recorded = olds as Record<string, unknown>;
  return Object.entries(news).every(([key, value]) => ofThin.includes(key) || isDeepStrictEqual(recorded[key], value));
}
