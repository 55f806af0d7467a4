/**
 * Property values as the engine sends them: protobuf Structs in which a secret is an object with a signature, and a
 * value that is not known in a preview is one of a few fixed strings (pulumi/sdk/go/common/resource/plugin/rpc.go).
 */
import { isDeepStrictEqual } from "node:util";
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";
import { structs } from "./sdk";

/** Plain values by name: no secret wrappers inside, unknown ones are `UNKNOWN`. */
export type Properties = Record<string, unknown>;

const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
/** One sentinel for each type that the engine may know although it does not know the value. */
const UNKNOWNS = new Set<unknown>([
  UNKNOWN,
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/** Whether a value, or anything inside it, is not known yet. */
export function isUnknown(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isUnknown);
  if (isObject(value)) return Object.values(value).some(isUnknown);
  return UNKNOWNS.has(value);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a Struct holds: its values without wrappers, and the names that carried a secret at any depth. */
export interface Decoded {
  values: Properties;
  secrets: Set<string>;
}

export function decode(struct: Struct | undefined): Decoded {
  const raw: Properties = struct?.toJavaScript() ?? {};
  const secrets = new Set<string>();
  const values: Properties = {};
  for (const [name, value] of Object.entries(raw)) values[name] = unwrap(value, () => secrets.add(name));
  return { values, secrets };
}

/** The reverse of `decode`; names in `secrets` are wrapped whole, absent ones are left out. */
export function encode(values: Properties, secrets: Iterable<string> = []): Struct {
  const wrapped: Properties = { ...values };
  for (const name of new Set(secrets)) {
    if (name in wrapped) wrapped[name] = { [SIGNATURE]: SECRET, value: wrapped[name] };
  }
  return structs.Struct.fromJavaScript(clean(wrapped) as Record<string, JavaScriptValue>);
}

export function equal(left: unknown, right: unknown): boolean {
  return isDeepStrictEqual(left, right);
}

function unwrap(value: unknown, found: () => void): unknown {
  if (Array.isArray(value)) return value.map((item) => unwrap(item, found));
  if (!isObject(value)) return value;
  if (value[SIGNATURE] === SECRET) {
    found();
    return unwrap(value["value"], found);
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, unwrap(item, found)]));
}

/** The protobuf library refuses `undefined`. */
function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(kept.map(([name, item]) => [name, clean(item)]));
}
