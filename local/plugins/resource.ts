/**
 * How a stand-in describes a resource type: one rule for each input, from which check, diff and the preview's outputs
 * follow as the official plugins (Terraform schemas behind a bridge) have them.
 */
import type { Properties } from "./wire";
import { equal, isObject, isUnknown, UNKNOWN } from "./wire";

export interface Rule {
  kind: "string" | "number" | "boolean" | "list" | "map";
  required?: true;
  /** What an absent input means; also its output. Left out: an absent input has no output. */
  initial?: unknown;
  /** `check` writes `initial` into the inputs and names it in `__defaults`, as the bridge does for schema defaults. */
  fill?: true;
  /** A change makes a new resource. */
  replace?: true;
  /** Absent means that the server decides, so leaving it out is never a change. */
  computed?: true;
  /** A list whose order means nothing. */
  unordered?: true;
  /** A change of it alone does nothing (write-only values). */
  ignored?: true;
}

export interface Failure {
  property: string;
  reason: string;
}

export interface Created {
  id: string;
  outputs: Properties;
}

export interface ResourceType {
  /** `random:index/randomPassword:RandomPassword` */
  token: string;
  rules: Record<string, Rule>;
  /** Outputs that no input gives; unknown until created. */
  generated: string[];
  /** Outputs that are always secret. */
  secrets: string[];
  /**
   * A Terraform SDK resource: the bridge lists filled defaults under `__defaults` and tells the engine what changes at
   * which path. For a framework resource (random) it does neither.
   */
  detailed?: true;
  deleteBeforeReplace?: true;
  /** Inputs that mean the same are made the same before they are compared or created from. */
  prepare?(inputs: Properties): Properties;
  /** What the rules cannot say. Called with inputs that may hold unknown values. */
  check?(inputs: Properties): Failure[];
  create(planned: Properties): Promise<Created>;
  /** Complete outputs. Without it every change must replace. */
  update?(olds: Properties, planned: Properties): Promise<Properties>;
  delete?(olds: Properties): Promise<void>;
  /** What is really there; undefined if it is gone. */
  read(id: string, olds: Properties): Promise<Properties | undefined>;
}

export interface Difference {
  changed: string[];
  replaces: string[];
  /** What happens at each path (`privileges[1]`); undefined for types that leave it to the engine. */
  details?: Map<string, "add" | "delete" | "update">;
}

/** The inputs with defaults filled in, and everything that is wrong with them. */
export function checkInputs(type: ResourceType, inputs: Properties): { inputs: Properties; failures: Failure[] } {
  const filled: Properties = { ...inputs };
  delete filled["__defaults"];
  const failures: Failure[] = [];
  for (const name of Object.keys(filled)) {
    if (type.rules[name] !== undefined) continue;
    const known = Object.keys(type.rules).join(", ");
    failures.push({ property: name, reason: `${type.token} has no input "${name}"; it has ${known}` });
  }
  const defaults: string[] = [];
  for (const [name, rule] of Object.entries(type.rules)) {
    const value = filled[name];
    if (isAbsent(value) && rule.fill) {
      filled[name] = rule.initial;
      defaults.push(name);
    } else if (isAbsent(value)) {
      if (rule.required) failures.push({ property: name, reason: `"${name}" is required: give it a ${rule.kind}` });
    } else if (!isUnknown(value) && kindOf(value) !== rule.kind) {
      failures.push({ property: name, reason: `"${name}" must be a ${rule.kind}, not a ${kindOf(value)}` });
    }
  }
  if (failures.length === 0) failures.push(...(type.check?.(filled) ?? []));
  if (type.detailed) filled["__defaults"] = defaults.sort();
  return { inputs: filled, failures };
}

/** What the inputs ask for: one value for each rule that has one. */
export function plan(type: ResourceType, inputs: Properties): Properties {
  const given = type.prepare?.(inputs) ?? inputs;
  const planned: Properties = {};
  for (const [name, rule] of Object.entries(type.rules)) {
    const value = isAbsent(given[name]) ? rule.initial : given[name];
    if (value !== undefined) planned[name] = rule.unordered && Array.isArray(value) ? sorted(value) : value;
  }
  return planned;
}

/** The outputs that a preview of a create shows. */
export function previewCreate(type: ResourceType, inputs: Properties): Properties {
  const unknown = Object.entries(type.rules).filter(([, rule]) => rule.computed);
  const outputs: Properties = Object.fromEntries(unknown.map(([name]) => [name, UNKNOWN]));
  for (const name of type.generated) outputs[name] = UNKNOWN;
  return { ...outputs, ...plan(type, inputs) };
}

/** Which inputs differ from what stands in state (which a refresh may have set to what is really there). */
export function difference(type: ResourceType, olds: Properties, news: Properties, ignore: string[]): Difference {
  const planned = plan(type, news);
  const changed = Object.entries(type.rules)
    .filter(([name, rule]) => {
      if (rule.ignored || ignore.includes(name)) return false;
      if (rule.computed && isAbsent(planned[name])) return false;
      return !same(rule, name in olds ? olds[name] : rule.initial, planned[name]);
    })
    .map(([name]) => name);
  const replaces = changed.filter((name) => type.rules[name]?.replace);
  if (!type.detailed) return { changed, replaces };
  const details = changed.flatMap((name) => changesAt(name, olds[name], planned[name]));
  return { changed, replaces, details: new Map(details) };
}

type Change = [path: string, kind: "add" | "delete" | "update"];

function changesAt(path: string, old: unknown, now: unknown): Change[] {
  if (!Array.isArray(old) || !Array.isArray(now)) {
    return [[path, isAbsent(old) ? "add" : isAbsent(now) ? "delete" : "update"]];
  }
  const gone = old.flatMap((item, i): Change[] => (now.includes(item) ? [] : [[`${path}[${i}]`, "delete"]]));
  const come = now.flatMap((item, i): Change[] => (old.includes(item) ? [] : [[`${path}[${i}]`, "add"]]));
  // A value in the place of another is one change; a list that is only sorted anew changes as a whole.
  const both = come.map(([at]): Change => [at, gone.some(([other]) => other === at) ? "update" : "add"]);
  const all = new Map([...gone, ...both]);
  return all.size === 0 ? [[path, "update"]] : [...all];
}

/** The inputs after a refresh: those given, with the values that were found where these differ. */
export function refreshedInputs(type: ResourceType, inputs: Properties, outputs: Properties): Properties {
  const refreshed: Properties = { ...inputs };
  for (const [name, rule] of Object.entries(type.rules)) {
    if (rule.ignored || !(name in outputs)) continue;
    const given = inputs[name];
    if (isAbsent(given) && rule.computed) continue;
    if (!same(rule, isAbsent(given) ? rule.initial : given, outputs[name])) refreshed[name] = outputs[name];
  }
  return refreshed;
}

/** Terraform does not tell an absent value from an empty text or list. */
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function same(rule: Rule, left: unknown, right: unknown): boolean {
  return equal(comparable(rule, left), comparable(rule, right));
}

function comparable(rule: Rule, value: unknown): unknown {
  if (isAbsent(value) || value === "") return null;
  if (Array.isArray(value)) return value.length === 0 ? null : rule.unordered ? sorted(value) : value;
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([, item]) => !isAbsent(item));
  return kept.length === 0 ? null : Object.fromEntries(kept);
}

function sorted(values: unknown[]): unknown[] {
  return values.slice().sort((left, right) => (String(left) < String(right) ? -1 : 1));
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "list";
  return isObject(value) ? "map" : typeof value;
}
