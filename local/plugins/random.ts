/**
 * Stand-in for the plugin of @pulumi/random: RandomPassword, RandomString, RandomBytes and RandomId, with the inputs,
 * outputs and replace rules of the official ones (https://www.pulumi.com/registry/packages/random/). Any change of an
 * input makes a new resource; nothing is ever updated.
 *
 * Values come from node:crypto. They cannot be imported: `read` answers what stands in state.
 */
import { randomBytes, randomInt } from "node:crypto";
import { name, version } from "@pulumi/random/package.json";
import * as bcrypt from "bcryptjs";
import type { Failure, ResourceType, Rule } from "./resource";
import { serve } from "./server";
import type { Properties } from "./wire";
import { isUnknown } from "./wire";

const SPECIAL = "!@#$%&*()-_=+[]{}<>:?";
const keepers: Rule = { kind: "map", replace: true };
const flag: Rule = { kind: "boolean", initial: true, replace: true };
const count: Rule = { kind: "number", initial: 0, replace: true };
const size: Rule = { kind: "number", required: true, replace: true };

/** A class of characters, whether it is used, and how many of it there must be. */
const CLASSES = [
  { use: "lower", least: "minLower", characters: () => "abcdefghijklmnopqrstuvwxyz" },
  { use: "numeric", least: "minNumeric", characters: () => "0123456789" },
  {
    use: "special",
    least: "minSpecial",
    characters: (inputs: Properties) => textOf(inputs["overrideSpecial"]) ?? SPECIAL,
  },
  { use: "upper", least: "minUpper", characters: () => "ABCDEFGHIJKLMNOPQRSTUVWXYZ" },
];

const text = {
  rules: {
    keepers,
    length: size,
    lower: flag,
    minLower: count,
    minNumeric: count,
    minSpecial: count,
    minUpper: count,
    number: flag,
    numeric: flag,
    overrideSpecial: { kind: "string", replace: true },
    special: flag,
    upper: flag,
  } satisfies Record<string, Rule>,
  // `number` is the old name of `numeric`.
  prepare(inputs: Properties): Properties {
    const numeric = inputs["numeric"] ?? inputs["number"] ?? true;
    return { ...inputs, numeric, number: numeric };
  },
  check(inputs: Properties): Failure[] {
    const least = CLASSES.map(({ least: name }) => inputs[name] ?? 0);
    if ([inputs["length"], ...least].some(isUnknown)) return [];
    const sum = least.map(numberOf).reduce((total, each) => total + each, 0);
    const length = numberOf(inputs["length"]);
    if (length >= 1 && length >= sum) return [];
    const reason = `"length" is ${length}; it must be at least 1 and at least the sum of all min* (${sum})`;
    return [{ property: "length", reason }];
  },
};

const types: ResourceType[] = [
  {
    ...text,
    token: "random:index/randomPassword:RandomPassword",
    generated: ["bcryptHash", "id", "result"],
    secrets: ["bcryptHash", "result"],
    async create(planned) {
      const result = randomText(planned);
      // Node's bcrypt writes the prefix 2b, Go's 2a; up to 72 bytes they mean the same, and both cut what is longer.
      const salt = (await bcrypt.genSalt(10)).replace("$2b$", "$2a$");
      return { id: "none", outputs: { ...planned, bcryptHash: await bcrypt.hash(result, salt), id: "none", result } };
    },
    read: (_, olds) => fromState(olds),
  },
  {
    ...text,
    token: "random:index/randomString:RandomString",
    generated: ["id", "result"],
    secrets: [],
    create(planned) {
      const result = randomText(planned);
      return Promise.resolve({ id: result, outputs: { ...planned, id: result, result } });
    },
    read: (_, olds) => fromState(olds),
  },
  {
    token: "random:index/randomBytes:RandomBytes",
    rules: { keepers, length: size },
    generated: ["base64", "hex"],
    secrets: ["base64", "hex"],
    check: (inputs) => atLeastOne(inputs, "length"),
    create(planned) {
      const bytes = randomBytes(numberOf(planned["length"]));
      const base64 = bytes.toString("base64");
      return Promise.resolve({ id: base64, outputs: { ...planned, base64, hex: bytes.toString("hex") } });
    },
    read: (_, olds) => fromState(olds),
  },
  {
    token: "random:index/randomId:RandomId",
    rules: { byteLength: size, keepers, prefix: { kind: "string", replace: true } },
    generated: ["b64Std", "b64Url", "dec", "hex", "id"],
    secrets: [],
    check: (inputs) => atLeastOne(inputs, "byteLength"),
    create(planned) {
      const bytes = randomBytes(numberOf(planned["byteLength"]));
      const prefix = textOf(planned["prefix"]) ?? "";
      const [id, hex] = [bytes.toString("base64url"), bytes.toString("hex")];
      const outputs = {
        ...planned,
        b64Std: prefix + bytes.toString("base64"),
        b64Url: prefix + id,
        dec: prefix + BigInt(`0x${hex}`).toString(),
        hex: prefix + hex,
        id,
      };
      return Promise.resolve({ id, outputs });
    },
    read: (_, olds) => fromState(olds),
  },
];

/** Each position is drawn alike from all classes in use; `min*` of each are drawn first, then all are shuffled. */
function randomText(inputs: Properties): string {
  const used = CLASSES.filter(({ use }) => inputs[use] === true);
  const all = used.map(({ characters }) => characters(inputs)).join("");
  if (all === "") throw new Error("No characters to choose from: allow lower, upper, numeric or special ones.");
  const drawn = CLASSES.flatMap(({ least, characters }) => draw(characters(inputs), numberOf(inputs[least])));
  drawn.push(...draw(all, numberOf(inputs["length"]) - drawn.length));
  const shuffled: string[] = [];
  while (drawn.length > 0) shuffled.push(...drawn.splice(randomInt(drawn.length), 1));
  return shuffled.join("");
}

function draw(characters: string, length: number): string[] {
  return Array.from({ length }, () => characters.charAt(randomInt(characters.length)));
}

function atLeastOne(inputs: Properties, name: string): Failure[] {
  if (isUnknown(inputs[name]) || numberOf(inputs[name]) >= 1) return [];
  return [{ property: name, reason: `"${name}" is ${numberOf(inputs[name])}; it must be at least 1` }];
}

function fromState(olds: Properties): Promise<Properties> {
  if (Object.keys(olds).length > 0) return Promise.resolve(olds);
  throw new Error("A random value stands only in state and cannot be imported by the stand-in plugin.");
}

function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

void serve({ package: { name, version }, types, secretConfig: [] });
