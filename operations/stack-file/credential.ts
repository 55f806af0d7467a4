/** What a rotation, a retirement or a rollback changes in one credential's entry. */
import { isMap, isScalar, type Document, type Scalar, type YAMLMap } from "yaml";
import type { Stamp } from "../../components/rotation/model";
import { closest, listed } from "../../components/rotation/problem";
import { compareStamps, nextStamp, parseStamp, stampParts } from "../../components/rotation/stamp";
import * as keysets from "./keyset";
import * as lists from "./lists";
import { parse, parseEdited, plainOf, rangeOf, Refusal, spliced, type Splice } from "./text";
import { type Why, withWhy } from "./why";

/** `restore` and `emergency` are for keysets alone. */
export type Action = "rotate" | "retire" | "rollback" | "restore" | "emergency";

export interface Today {
  /** The day to rotate on: its next free stamp is added. Of `restore`, the stamp that comes back. */
  stamp: Stamp;
  /** Add `stamp` itself, which may have a counter, and refuse where it is taken. */
  exact: boolean;
  /** Whether a token has expired beyond doubt: then its stamp is cleared from `retired`. */
  hasExpired: (credential: string, stamp: Stamp) => boolean;
}

export interface Applied {
  text: string;
  /** The one that came, went, or is current again. */
  stamp: Stamp;
  notes: string[];
}

export interface Plan {
  splices: Splice[];
  /** What the entry must hold afterwards. */
  expected: Stamps;
  notes: string[];
}

interface Stamps {
  generations: Stamp[];
  retired: Stamp[];
  /** Left out: not looked at. */
  restore?: Stamp[];
}

/** An edit of `generations`, and the stamp that leaves it. */
export interface Edit {
  splices: Splice[];
  generations: Stamp[];
  leaves?: { stamp: Stamp; comment: string };
  note: string;
}

/** One action on one credential of a file. */
export function applied(text: string, name: string, action: Action, today: Today, why: Why): Applied {
  const document = parse(text);
  const { splices, expected, notes } = planFor(document, text, name, action, today);
  const was = lists.liveOf(name, entryOf(document, name));
  const now = expected.generations;
  const returns = noteOfReturn(name, was, expected, today);
  const stamp =
    action === "retire" ? was.find((one) => !now.includes(one)) : action === "restore" ? now.at(-1) : now[0];
  const edited = spliced(text, splices);
  confirm(parseEdited(edited), name, expected);
  const path = ["config", "rollover:credentials", name];
  return {
    text: withWhy(edited, path, ["generations", "generation"], why),
    stamp: stamp ?? "",
    notes: [...notes, ...returns],
  };
}

function planFor(document: Document, text: string, name: string, action: Action, today: Today): Plan {
  const entry = entryOf(document, name);
  // What leaves with a stamp hangs on it.
  if (!entry.has("kind"))
    throw new Refusal(`${name}: it has no kind of its own, but maybe by a merge key; write the entry out in full`);
  const isTurso = entry.get("kind") === "turso";
  const single: unknown = entry.get("generation", true);
  const list: unknown = entry.get("generations", true);
  if (single === undefined && list === undefined)
    throw new Refusal(`${name} has neither generation nor generations; add one by hand`);
  if (isMap(list))
    throw new Refusal(`${name} keeps its stamps by key, which this command does not edit; edit it by hand`);
  if (action === "restore") return keysets.planRestore(name, text, entry, today.stamp);
  if (action === "emergency") return keysets.planEmergency(name, text, entry, (live) => nextFor(name, live, today));
  const isKeyset = keysets.isKeyset(entry);
  if (isKeyset && action === "rotate") keysets.refuseThird(name, entry);
  const taken = lists.listOf(entry, "retired", name)?.stamps ?? [];
  const edit =
    list === undefined
      ? planSingle(name, lists.scalarOf(single, name), isTurso, action, today, taken)
      : planList(name, text, entry, isTurso, action, today, taken);
  if (isKeyset && action === "retire") return keysets.withoutRestore(name, text, entry, edit);
  if (!isTurso)
    return { splices: edit.splices, expected: { generations: edit.generations, retired: [] }, notes: [edit.note] };
  const retired = planRetired(name, text, entry, edit.leaves, action === "rollback" ? () => false : today.hasExpired);
  return {
    splices: [...edit.splices, ...retired.splices],
    expected: { generations: edit.generations, retired: retired.stamps },
    notes: [edit.note, ...retired.notes],
  };
}

function planList(
  name: string,
  text: string,
  entry: YAMLMap,
  isTurso: boolean,
  action: Action,
  today: Today,
  taken: Stamp[],
): Edit {
  const list = lists.listOf(entry, "generations", name);
  if (!list) throw new Error("the caller has seen the list");
  const { items, stamps } = list;
  const [current, previous] = stamps;
  const [only] = items;
  if (action === "rotate" && only !== undefined && entry.get("inPlace") === true) {
    return planReplace(name, only, "which breaks at once: a role altered in place has one password", today);
  }
  if (action === "rotate") {
    const stamp = nextFor(name, [...stamps, ...taken], today);
    const note =
      current === undefined
        ? `${name}: ${stamp} is the first`
        : `${name}: ${stamp} becomes current, ${current} stays in the list`;
    return { splices: [lists.inFront(text, list, stamp)], generations: [stamp, ...stamps], note };
  }
  if (action === "rollback") {
    if (current === undefined || previous === undefined) throw noPrevious(name);
    const note = `${name}: back to ${previous}, ${current} stays in the list`;
    return { splices: lists.swapped(text, list), generations: [previous, current, ...stamps.slice(2)], note };
  }
  const [last, stamp] = [items.at(-1), stamps.at(-1)];
  if (stamps.length < 2 || !last || stamp === undefined) throw onlyStamp(name);
  const comment = list.node.flow === true ? "" : lists.commentAfter(text, rangeOf(last).end);
  return {
    splices: [lists.withoutLast(text, list)],
    generations: stamps.slice(0, -1),
    leaves: { stamp, comment },
    note: isTurso
      ? `${name}: ${stamp} is no longer delivered from the next update on; its token works until it expires, nobody can revoke it alone`
      : `${name}: ${stamp} is withdrawn by the next update`,
  };
}

function planSingle(name: string, item: Scalar, isTurso: boolean, action: Action, today: Today, taken: Stamp[]): Edit {
  if (action === "retire") throw onlyStamp(name);
  if (action === "rollback") throw noPrevious(name);
  if (!isTurso) {
    const why = "which breaks at once: `generation` keeps no previous one (write `generations` for an overlap)";
    return planReplace(name, item, why, today);
  }
  const why = "which is no longer delivered; its token works until it expires, nobody can revoke it alone";
  return { ...planReplace(name, item, why, today, taken), leaves: { stamp: lists.stampOf(item, name), comment: "" } };
}

function planReplace(name: string, item: Scalar, why: string, today: Today, taken: Stamp[] = []): Edit {
  const old = lists.stampOf(item, name);
  const stamp = nextFor(name, [old, ...taken], today);
  return {
    splices: [{ ...rangeOf(item), text: `"${stamp}"` }],
    generations: [stamp],
    note: `${name}: ${stamp} replaces ${old}, ${why}`,
  };
}

/** Moves a stamp to the front of `retired`, made where it is missing, and clears those that have expired. */
function planRetired(
  name: string,
  text: string,
  entry: YAMLMap,
  moved: Edit["leaves"],
  hasExpired: Today["hasExpired"],
): { splices: Splice[]; stamps: Stamp[]; notes: string[] } {
  const list = lists.listOf(entry, "retired", name);
  if (!list) {
    return {
      splices: moved ? [lists.madeKey(text, entry, "retired", moved)] : [],
      stamps: moved ? [moved.stamp] : [],
      notes: [],
    };
  }
  const gone = list.stamps.filter((stamp) => hasExpired(name, stamp));
  const kept = list.stamps.filter((stamp) => !gone.includes(stamp));
  return {
    splices: lists.changed(text, list, (stamp) => gone.includes(stamp), moved),
    stamps: [...(moved ? [moved.stamp] : []), ...kept],
    notes: gone.length > 0 ? [`${name}: ${listed(gone)} cleared from retired, expired for more than a day`] : [],
  };
}

/**
 * A value goes by its stamp until an update has withdrawn it, and the file keeps no stamp that has left it (but Turso's, in
 * `retired`). So where a stamp of today leaves, the day's next free one would be it again, and the file as it was before.
 */
function noteOfReturn(name: string, was: Stamp[], expected: Stamps, { stamp, exact }: Today): string[] {
  const { date } = stampParts(stamp);
  const kept = [...expected.generations, ...expected.retired];
  const next = nextStamp(date, kept);
  const gone = was.find((one) => !kept.includes(one) && stampParts(one).date === date && compareStamps(one, next) >= 0);
  if (gone === undefined) return [];
  if (exact)
    throw new Refusal(`${name}: ${gone} is newer than ${stamp}, and a roll would bring it back; give a newer stamp`);
  const free = nextStamp(date, [gone]);
  return [
    `${name}: until an update has withdrawn ${gone}, roll again on this day only by a --stamp that it never had, such as ${free}: ` +
      `${gone} would bring the same value back`,
  ];
}

function nextFor(name: string, taken: Stamp[], { stamp, exact }: Today): Stamp {
  if (!exact) return nextStamp(stampParts(stamp).date, taken);
  if (!taken.includes(stamp)) return stamp;
  throw new Refusal(`${name}: ${stamp} stands in its list already; give another stamp, or none for the next free one`);
}

/** Reads back what the edit made: a form that the splices do not understand is refused, never written. */
function confirm(document: Document, name: string, expected: Stamps): void {
  const entry = plainOf(document, entryOf(document, name));
  const { generation, generations, retired, restore } = entry as Record<string, unknown>;
  const live: unknown[] = Array.isArray(generations) ? generations : [generation];
  const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  const same = (found: unknown[], stamps: Stamp[]) =>
    found.length === stamps.length && found.every((value, index) => parseStamp(value) === stamps[index]);
  const isRestore = expected.restore === undefined || same(list(restore), expected.restore);
  if (same(live, expected.generations) && same(list(retired), expected.retired) && isRestore) return;
  throw new Refusal(`${name}: its list is written in a form that this command cannot edit; edit it by hand`);
}

export function entryOf(document: Document, name: string): YAMLMap {
  const credentials: unknown = document.getIn(["config", "rollover:credentials"], true);
  if (!isMap(credentials)) throw new Refusal("the stack file has no rollover:credentials; add them as README.md shows");
  if (credentials.has("secure"))
    throw new Refusal("rollover:credentials is stored encrypted; store it in plain text, it holds no secret");
  const entry: unknown = credentials.get(name, true);
  if (isMap(entry)) return entry;
  const known = credentials.items.flatMap(({ key }) => (isScalar(key) ? [String(key.value)] : []));
  const guess = closest(name, known);
  const hint = guess === undefined ? `known: ${listed(known)}` : `did you mean ${guess}?`;
  throw new Refusal(`${name} is no credential of this stack; ${hint}`);
}

function onlyStamp(name: string): Refusal {
  return new Refusal(`${name}: its only stamp cannot be retired; rotate first, or remove the credential's whole entry`);
}

function noPrevious(name: string): Refusal {
  return new Refusal(`${name}: there is no previous stamp to go back to; rotate instead`);
}
