/**
 * What stands of a credential, from state. An update that failed half-way may have written the stack's outputs already, or not
 * yet: so what is live is taken from the resources that exist, and what is current from what the consumers hold. Pure.
 */
import { z } from "zod";
import { compareStamps, parseStamp } from "../../components/rotation/stamp";
import { heldBy } from "../plan/consumers";
import { kindOf, nameOf, type Resource, type State, type Summary as Declared } from "../plan/shapes";

export interface Standing {
  /** Empty where nothing of it is declared. */
  current: string;
  /** Newest first, as all lists here. */
  previous: string[];
  /** Newer than the current one, and not with every consumer: an update failed before. */
  next: string[];
  /** No longer delivered, and may still work: kept so by config, or because its retirement failed. */
  retired: string[];
}

/** Of a consumer: the Worker's or the file's name, and by credential what it was last given, current first. */
export interface Holder {
  consumer: string;
  isFile: boolean;
  stamps: Record<string, string[]>;
}

const given = z.record(z.string(), z.array(z.string()));
const completed = z.record(z.string(), z.string());

export function holdersIn(state: State): Holder[] {
  const workers = heldBy(state).map(({ worker, generations }) => ({
    consumer: worker,
    isFile: false,
    stamps: Object.fromEntries(
      Object.entries(generations).map(([name, list]) => [name, list.map(({ stamp }) => stamp)]),
    ),
  }));
  const files = thereOf(state)
    .filter(({ urn }) => kindOf(urn) === "EnvFile")
    .flatMap(({ urn, outputs }) => {
      const read = given.safeParse(jsonOf(outputs["generations"]));
      return read.success ? [{ consumer: nameOf(urn), isFile: true, stamps: read.data }] : [];
    });
  return [...workers, ...files];
}

/** @param declared By the stack's outputs; undefined for one that only the audit knows. */
export function standingOf(name: string, declared: Declared | undefined, state: State): Standing {
  const existing = stampsIn(name, state);
  if (!declared) return { current: "", previous: [], next: [], retired: existing };
  const held = holdersIn(state).map(({ stamps }) => stamps[name] ?? []);
  const current = currentOf(name, declared, held, existing, state);
  // What outputs alone know is taken at their word: kinds of before, whose resources are named otherwise.
  const there = existing.length > 0 ? existing : declared.live;
  const isAhead = (stamp: string) =>
    compareStamps(stamp, current) > 0 &&
    (declared.current !== current || !declared.live.includes(stamp)) &&
    // After a rollback, one that is newer is the previous one.
    !held.some((list) => list.indexOf(stamp) > 0);
  const placeOf = (stamp: string): keyof Standing => {
    if (stamp === current) return "current";
    if (declared.retired.includes(stamp)) return "retired";
    if (isAhead(stamp)) return "next";
    const isKept = declared.live.includes(stamp) || held.some((list) => list.includes(stamp));
    return isKept ? "previous" : "retired";
  };
  const all = newestFirst([...there, ...declared.retired.filter((stamp) => !there.includes(stamp))]);
  const inPlace = (place: keyof Standing) => all.filter((stamp) => placeOf(stamp) === place);
  return { current, previous: inPlace("previous"), next: inPlace("next"), retired: inPlace("retired") };
}

/** What all consumers begin with. Where they differ, what was completed last, as long as one of them has it. */
function currentOf(name: string, declared: Declared, held: string[][], existing: string[], state: State): string {
  const heads = [...new Set(held.flatMap(([head]) => head ?? []))];
  const candidates = heads.length > 0 ? heads : existing;
  const wanted = [completedIn(state, name), declared.current].find((stamp) => candidates.includes(stamp));
  return (heads.length === 1 ? heads[0] : wanted) ?? heads[0] ?? declared.current;
}

/** The current stamp after the last update that ended well; empty where nobody watches this stack. */
function completedIn(state: State, name: string): string {
  const [completion] = thereOf(state).filter(({ urn }) => kindOf(urn) === "Completion");
  const read = completed.safeParse(completion?.outputs["stamps"]);
  return (read.success ? read.data[name] : undefined)?.split(",")[0] ?? "";
}

function stampsIn(name: string, state: State): string[] {
  const stamps = thereOf(state)
    .filter((resource) => nameOf(resource.urn).startsWith(`${name}@`) && !isUnminted(resource))
    .map(({ urn }) => parseStamp(nameOf(urn).slice(name.length + 1)));
  return newestFirst(stamps.flatMap((stamp) => stamp ?? []));
}

/** A token whose minting failed leaves a resource, so that the rest of its update goes on. */
function isUnminted({ urn, outputs }: Resource): boolean {
  return kindOf(urn) === "TursoToken" && outputs["tag"] === "";
}

function thereOf({ resources }: State): Resource[] {
  return resources.filter((resource) => !resource.delete);
}

function newestFirst(stamps: string[]): string[] {
  return [...new Set(stamps)].sort((a, b) => compareStamps(b, a));
}

function jsonOf(text: unknown): unknown {
  try {
    return typeof text === "string" ? JSON.parse(text) : undefined;
  } catch {
    return undefined; // of a resource that was never finished
  }
}
