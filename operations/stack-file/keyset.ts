/** What is different in the entry of a keyset: keys that come back from the backup, and the emergency. */
import { isSeq, type Scalar, type YAMLMap } from "yaml";
import { isKeysetKind } from "../../components/rotation/keyset-kinds";
import type { Stamp } from "../../components/rotation/model";
import { listed } from "../../components/rotation/problem";
import type { Edit, Plan } from "./credential";
import * as lists from "./lists";
import { eolOf, lineStart, nextLine, rangeOf, Refusal, spliced, type Splice } from "./text";

export function isKeyset(entry: YAMLMap): boolean {
  return isKeysetKind(entry.get("kind"));
}

/** Shape dual has names for two keys. */
export function refuseThird(name: string, entry: YAMLMap): void {
  const live = lists.liveOf(name, entry);
  if (entry.get("shape") !== "dual" || live.length < 2) return;
  throw new Refusal(
    `${name}: shape dual holds two keys, and has ${listed(live)}; retire the last one first (npm run rotate -- ${name} --retire)`,
  );
}

/** A stamp that leaves `generations` leaves `restore` too: there it stands only while its key is live. */
export function withoutRestore(name: string, text: string, entry: YAMLMap, edit: Edit): Plan {
  const gone = edit.leaves?.stamp;
  const list = lists.listOf(entry, "restore", name);
  return {
    splices: [...edit.splices, ...(list ? lists.changed(text, list, (stamp) => stamp === gone, undefined) : [])],
    expected: {
      generations: edit.generations,
      retired: [],
      restore: (list?.stamps ?? []).filter((stamp) => stamp !== gone),
    },
    notes: [
      `${name}: ${gone ?? ""} is dropped by the next update, which waits or refuses while what it signed or encrypted is still accepted`,
    ],
  };
}

/** Puts the stamp at the end of `generations` and of `restore`, which is made where it is missing. */
export function planRestore(name: string, text: string, entry: YAMLMap, stamp: Stamp): Plan {
  requireKeyset(name, entry, "only a key of a keyset can be restored");
  if (!entry.has("backup"))
    throw new Refusal(`${name}: it has no \`backup\`, so there is nothing to restore a key from; rotate instead`);
  const live = lists.liveOf(name, entry);
  if (live.includes(stamp))
    throw new Refusal(`${name}: ${stamp} stands in its list already; there is nothing to restore`);
  refuseThird(name, entry);
  const list = lists.listOf(entry, "restore", name);
  const kept = list?.stamps ?? [];
  const isListed = kept.includes(stamp);
  const put = list ? (isListed ? [] : lists.atEnd(text, list, stamp)) : [madeRestore(text, entry, stamp)];
  return {
    // The new key first: where both are put in the same place, the last one stands first.
    splices: [...put, ...added(name, text, entry, stamp)],
    expected: { generations: [...live, stamp], retired: [], restore: isListed ? kept : [...kept, stamp] },
    notes: [
      `${name}: the key of ${stamp} is brought back from the backup by the next update, as a previous one; to make it current again, move it to the front afterwards`,
    ],
  };
}

/** `generation: STAMP` in place of the list: the next update drops every other key at once. */
export function planEmergency(name: string, text: string, entry: YAMLMap, nextFor: (live: Stamp[]) => Stamp): Plan {
  requireKeyset(name, entry, "--emergency is for keysets; rotate it, and retire the old stamp");
  const live = lists.liveOf(name, entry);
  const stamp = nextFor(live);
  const restore = lists.listOf(entry, "restore", name);
  return {
    splices: [
      ...replaced(name, text, entry, stamp),
      ...(restore ? lists.changed(text, restore, () => true, undefined) : []),
    ],
    expected: { generations: [stamp], retired: [], restore: [] },
    notes: [
      `${name}: ${stamp} replaces ${listed(live)} at once, without an overlap: the next update makes everything invalid that ` +
        `${live.length === 1 ? "it" : "they"} signed or encrypted. Write \`generations\` again afterwards, for the next roll`,
    ],
  };
}

/** `generations: [STAMP]` in place of `generation: STAMP`: the same is live, and the next roll has an overlap. */
export function asList(name: string, text: string, entry: YAMLMap): string {
  const { key, item } = singleOf(name, entry);
  const stamp = lists.stampOf(item, name);
  return spliced(text, [
    { ...rangeOf(key), text: "generations" },
    { ...rangeOf(item), text: `["${stamp}"]` },
  ]);
}

function requireKeyset(name: string, entry: YAMLMap, why: string): void {
  if (!isKeyset(entry)) throw new Refusal(`${name} is of kind ${String(entry.get("kind"))}, and ${why}`);
}

function added(name: string, text: string, entry: YAMLMap, stamp: Stamp): Splice[] {
  const list = lists.listOf(entry, "generations", name);
  if (list) return lists.atEnd(text, list, stamp);
  const { key, item } = singleOf(name, entry);
  const old = lists.stampOf(item, name);
  return [
    { ...rangeOf(key), text: "generations" },
    { ...rangeOf(item), text: `["${old}", "${stamp}"]` },
  ];
}

function madeRestore(text: string, entry: YAMLMap, stamp: Stamp): Splice {
  return lists.madeKey(text, entry, "restore", { stamp, comment: "" });
}

/** The comments on the lines of stamps go with them; those on lines of their own stay. */
function replaced(name: string, text: string, entry: YAMLMap, stamp: Stamp): Splice[] {
  const list = lists.listOf(entry, "generations", name);
  if (!list) return [{ ...rangeOf(singleOf(name, entry).item), text: `"${stamp}"` }];
  const { key, node, items } = list;
  const { start, end } = rangeOf(node);
  if (node.flow === true) {
    const comments = text
      .slice(start, end)
      .split("\n")
      .filter((line) => /^[ \t]*#/.test(line));
    const next = nextLine(text, end);
    return [
      { ...rangeOf(key), text: "generation" },
      { start, end, text: `"${stamp}"` },
      { start: next, end: next, text: comments.map((line) => `${line.trimEnd()}${eolOf(text)}`).join("") },
    ];
  }
  const colon = text.indexOf(":", rangeOf(key).end) + 1;
  const lines = items.map(rangeOf).map((one) => ({
    start: lineStart(text, one.start),
    end: nextLine(text, one.end),
    text: "",
  }));
  return [{ ...rangeOf(key), text: "generation" }, { start: colon, end: colon, text: ` "${stamp}"` }, ...lines];
}

function singleOf(name: string, entry: YAMLMap): { key: Scalar; item: Scalar } {
  const pair = lists.pairOf(entry, "generation");
  if (!pair || isSeq(pair.value)) throw new Refusal(`${name}: generation is no stamp; edit it by hand`);
  return { key: pair.key, item: lists.scalarOf(pair.value, name) };
}
