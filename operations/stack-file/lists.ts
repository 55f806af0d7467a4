/** Edits of one list of stamps: in front, at the end, out of it, and its first two swapped. Comments keep their places. */
import { isScalar, isSeq, type Pair, type Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import type { Stamp } from "../../components/rotation/model";
import { parseStamp } from "../../components/rotation/stamp";
import { eolOf, indentOf, lineStart, nextLine, rangeOf, Refusal, type Splice } from "./text";

export interface StampList {
  /** The credential, for messages. */
  name: string;
  key: Scalar;
  node: YAMLSeq;
  items: Scalar[];
  stamps: Stamp[];
}

/** A list of stamps of a credential; undefined where it has no such key. */
export function listOf(entry: YAMLMap, key: string, name: string): StampList | undefined {
  const pair = pairOf(entry, key);
  if (!pair) return undefined;
  const { value: node } = pair;
  if (!isSeq(node)) throw new Refusal(`${name}: ${key} is no list that can be edited; write it as a list`);
  const items = node.items.map((item) => scalarOf(item, name));
  return { name, key: pair.key, node, items, stamps: items.map((item) => stampOf(item, name)) };
}

/** The live stamps of a credential, current first, in either form. */
export function liveOf(name: string, entry: YAMLMap): Stamp[] {
  return listOf(entry, "generations", name)?.stamps ?? [stampOf(scalarOf(entry.get("generation", true), name), name)];
}

export function pairOf(map: YAMLMap, key: string): Pair<Scalar> | undefined {
  return map.items.find((pair): pair is Pair<Scalar> => isScalar(pair.key) && String(pair.key.value) === key);
}

export function scalarOf(node: unknown, name: string): Scalar {
  if (isScalar(node) && node.range && node.anchor === undefined) return node;
  throw new Refusal(`${name}: a stamp is no plain text, but a list, a mapping, an anchor or an alias; edit it by hand`);
}

export function stampOf(item: Scalar, name: string): Stamp {
  const stamp = parseStamp(item.value);
  if (stamp === undefined) throw new Refusal(`${name}: its list holds something that is no stamp; correct it first`);
  return stamp;
}

/** @param comment What follows the stamp on its line, where the list is a block; with its `#`. */
export function inFront(text: string, { node, items }: StampList, stamp: Stamp, comment = ""): Splice {
  const [first] = items;
  if (first === undefined) return { ...rangeOf(node), text: `["${stamp}"]` };
  const { start } = rangeOf(first);
  const line = lineStart(text, start);
  const before = text.slice(line, start);
  const eol = eolOf(text);
  if (node.flow !== true) return { start: line, end: line, text: `${before}"${stamp}"${comment}${eol}` };
  const separator = before.trim() === "" ? `,${eol}${before}` : ", ";
  return { start, end: start, text: `"${stamp}"${separator}` };
}

/** Puts a stamp behind the last one: on a line of its own where that one has one. */
export function atEnd(text: string, { node, items }: StampList, stamp: Stamp): Splice[] {
  const last = items.at(-1);
  if (last === undefined) return [{ ...rangeOf(node), text: `["${stamp}"]` }];
  const { start, end } = rangeOf(last);
  const [next, eol] = [nextLine(text, end), eolOf(text)];
  const before = text.slice(lineStart(text, start), start);
  if (node.flow !== true) return [{ start: next, end: next, text: `${before}"${stamp}"${eol}` }];
  if (!ownLine(text, { start, end })) return [{ start: end, end, text: `, "${stamp}"` }];
  const hasComma = /^[ \t]*,/.test(text.slice(end));
  const line = { start: next, end: next, text: `${before}"${stamp}"${hasComma ? "," : ""}${eol}` };
  return hasComma ? [line] : [line, { start: end, end, text: "," }];
}

/** A key with one stamp behind `generations`, in the same style. */
export function madeKey(text: string, entry: YAMLMap, key: string, put: { stamp: Stamp; comment: string }): Splice {
  const { stamp, comment } = put;
  const value: unknown = (pairOf(entry, "generations") ?? pairOf(entry, "generation"))?.value;
  const isBlock = isSeq(value) && value.flow !== true;
  const { end } = rangeOf(isBlock ? (value.items.at(-1) as Scalar) : (value as Scalar));
  if (entry.flow === true) return { start: end, end, text: `, ${key}: ["${stamp}"]` };
  const at = nextLine(text, end);
  const [indent, eol] = [indentOf(text, entry), eolOf(text)];
  if (!isBlock) return { start: at, end: at, text: `${indent}${key}: ["${stamp}"]${eol}` };
  const { start } = rangeOf(value.items[0] as Scalar);
  const dash = text.slice(lineStart(text, start), start);
  return { start: at, end: at, text: `${indent}${key}:${eol}${dash}"${stamp}"${comment}${eol}` };
}

/** Takes out the last item: its line where it has one of its own, with that line's comment; else from the item before on. */
export function withoutLast(text: string, { node, items }: StampList): Splice {
  const [before, last] = items.slice(-2).map(rangeOf);
  if (before === undefined || last === undefined) throw new Error("a list of one has nothing to take out");
  if (node.flow !== true) return { start: lineStart(text, last.start), end: nextLine(text, last.end), text: "" };
  if (!text.slice(before.end, last.start).includes("\n")) return { start: before.end, end: last.end, text: "" };
  return ownLine(text, last) ?? { ...last, text: "" };
}

/**
 * Takes out every stamp that `isGone` picks and puts `front` before the rest. The key goes with the last item of a block list,
 * which cannot be empty.
 */
export function changed(
  text: string,
  list: StampList,
  isGone: (stamp: Stamp) => boolean,
  front: { stamp: Stamp; comment: string } | undefined,
): Splice[] {
  const { name, key, node, items, stamps } = list;
  const put = front ? [inFront(text, list, front.stamp, front.comment)] : [];
  const gone = items.filter((_, index) => isGone(stamps[index] ?? ""));
  const [first, last] = [items[0], items.at(-1)].map((item) => item && rangeOf(item));
  if (gone.length === 0 || !first || !last) return put;
  if (node.flow === true && !text.slice(first.start, last.end).includes("\n")) {
    const kept = items.filter((item) => !gone.includes(item)).map(rangeOf);
    const texts = kept.map(({ start, end }) => text.slice(start, end));
    return [{ start: first.start, end: last.end, text: [...(front ? [`"${front.stamp}"`] : []), ...texts].join(", ") }];
  }
  if (node.flow !== true && gone.length === items.length && !front) {
    return [{ start: lineStart(text, rangeOf(key).start), end: nextLine(text, last.end), text: "" }];
  }
  const lines = gone.map(rangeOf).map((range) => {
    if (node.flow !== true) return { start: lineStart(text, range.start), end: nextLine(text, range.end), text: "" };
    const line = ownLine(text, range);
    if (line) return line;
    throw new Refusal(`${name}: its ${String(key.value)} share lines; write one a line, or all of them on one`);
  });
  // In a flow list the new one stands in front of a stamp, not of its line.
  const at = lines.find(({ start, end }) => put[0] && put[0].start > start && put[0].start < end)?.start;
  return [...put.map((one) => (at === undefined ? one : moved(text, one, at))), ...lines];
}

/** The same on a line of its own, in front of the line that goes. */
function moved(text: string, { start, text: put }: Splice, at: number): Splice {
  return { start: at, end: at, text: `${text.slice(at, start)}${put.trimEnd()}${eolOf(text)}` };
}

/** The first two change places: whole lines in a block list, so that comments go with their stamps. */
export function swapped(text: string, { node, items }: StampList): Splice[] {
  const [a, b] = items.slice(0, 2).map((item) => {
    const range = rangeOf(item);
    return node.flow === true ? range : { start: range.start, end: range.end + commentAfter(text, range.end).length };
  });
  if (a === undefined || b === undefined) throw new Error("a list of one has nothing to swap");
  return [
    { ...a, text: text.slice(b.start, b.end) },
    { ...b, text: text.slice(a.start, a.end) },
  ];
}

/** What stands behind an item of a block list to the end of its line. */
export function commentAfter(text: string, at: number): string {
  return /^[^\r\n]*/.exec(text.slice(at))?.[0] ?? "";
}

/** The line of an item of a flow list, where nothing else stands on it. */
export function ownLine(text: string, { start, end }: { start: number; end: number }): Splice | undefined {
  const from = lineStart(text, start);
  const rest = /^[ \t]*,?[ \t]*(#[^\n]*)?\r?\n/.exec(text.slice(end));
  return rest && text.slice(from, start).trim() === ""
    ? { start: from, end: end + rest[0].length, text: "" }
    : undefined;
}
