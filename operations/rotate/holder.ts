/** What `--holder` edits: whatever somebody may have seen is rolled, and the old is retired in the same update. */
import { isScalar, isSeq } from "yaml";
import { isKeyset } from "../../components/rotation/keyset-rules";
import type { Credential, TursoAccount } from "../../components/rotation/model";
import { closest, listed } from "../../components/rotation/problem";
import { applied, entryOf, type Today } from "../stack-file/credential";
import { type Change, edit, type Edited } from "../stack-file/edit";
import { changed, liveOf, pairOf, scalarOf } from "../stack-file/lists";
import { type Place, placesOf } from "../stack-file/reach";
import { readStackFile } from "../stack-file/read";
import { parse, parseEdited, Refusal, spliced } from "../stack-file/text";
import type { Why } from "../stack-file/why";

export interface Left extends Edited {
  /** Turso groups whose invalidation alone ends tokens that are no longer delivered. */
  invalidate: { target: string; credentials: string[] }[];
  /** What goes on whatever is rolled, and who can end it, if anybody can. */
  unending: { credential: string; why: string }[];
}

/** Throws Refusal where nobody of that name holds anything. */
export function editHolder(text: string, who: string, today: Today, why: Why): Left {
  const { credentials, turso } = readStackFile(text, ["turso"]);
  const held = credentials.filter(({ holders }) => holders?.some((one) => isSame(one, who)));
  if (held.length === 0) throw unknown(who, credentials);
  const edited = edit(text, (whole) => {
    const made = {
      ...{ text: whole, notes: [] as string[], changes: [] as Change[] },
      places: held.flatMap(({ name }): Place[] => [
        ...placesOf(name),
        ["config", "rollover:credentials", name, "holders"],
      ]),
    };
    for (const credential of held) {
      const { name } = credential;
      const one = replaced(made.text, credential, today, why);
      made.text = withoutHolder(one.text, name, who);
      made.changes.push(...one.changes);
      made.notes.push(...one.notes);
    }
    return made;
  });
  return { ...edited, invalidate: invalidations(held, turso), unending: held.flatMap(unendingOf) };
}

/** Nobody has two addresses that differ in the case of letters. */
function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function unknown(who: string, credentials: Credential[]): Refusal {
  const known = [...new Set(credentials.flatMap(({ holders }) => holders ?? []))].sort();
  const guess = closest(who, known);
  const hint = guess === undefined ? `known: ${listed(known)}` : `did you mean ${guess}? Known: ${listed(known)}`;
  const all =
    known.length === 0 ? "no credential names any; add `holders: [...]` to those that people have seen" : hint;
  return new Refusal(`${JSON.stringify(who)} is no holder of a credential of this stack; ${all}`);
}

/** A new generation and no other. */
function replaced(text: string, credential: Credential, today: Today, why: Why) {
  const { name, generations } = credential;
  const action = isKeyset(credential) ? "emergency" : "rotate";
  const first = applied(text, name, action, today, why);
  const made = {
    text: first.text,
    changes: [{ credential: name, action, stamp: first.stamp } as Change],
    notes: [] as string[],
  };
  while (action === "rotate" && liveOf(name, entryOf(parse(made.text), name)).length > 1) {
    const one = applied(made.text, name, "retire", today, why);
    made.text = one.text;
    made.changes.push({ credential: name, action: "retire", stamp: one.stamp, why: "" });
  }
  made.changes = made.changes.map((change) => ({ ...change, why: why.reason ?? "" }));
  const old = `${listed(generations)} ${generations.length === 1 ? "is" : "are"}`;
  const end =
    credential.kind === "turso"
      ? `${old} no longer delivered, and work until they expire or their group is invalidated`
      : isKeyset(credential)
        ? `${old} dropped at once, and so is everything signed or encrypted with them`
        : `${old} withdrawn by the same update`;
  made.notes.push(`${name}: ${first.stamp} is the only generation from the next update on; ${end}`);
  return made;
}

function withoutHolder(text: string, name: string, who: string): string {
  const entry = entryOf(parse(text), name);
  const pair = pairOf(entry, "holders");
  const form = `${name}: its holders are written in a form that this command cannot edit; edit it by hand`;
  if (!pair || !isSeq(pair.value)) throw new Refusal(form);
  const items = pair.value.items.map((item) => scalarOf(item, name));
  const stamps = items.map(({ value }) => String(value));
  const list = { name, key: pair.key, node: pair.value, items, stamps };
  const edited = spliced(
    text,
    changed(text, list, (one) => isSame(one, who), undefined),
  );
  const left: unknown = entryOf(parseEdited(edited), name).get("holders");
  const found = isSeq(left) ? left.items.map((item) => (isScalar(item) ? String(item.value) : "")) : [];
  if (found.join("\n") !== stamps.filter((one) => !isSame(one, who)).join("\n")) throw new Refusal(form);
  return edited;
}

function invalidations(held: Credential[], turso: TursoAccount | undefined): Left["invalidate"] {
  const groups = new Map<string, string[]>();
  for (const credential of held) {
    if (credential.kind !== "turso") continue;
    const { kind, name } = credential.target;
    const group = kind === "group" ? name : turso?.databases.find((database) => database.name === name)?.group;
    if (group !== undefined) groups.set(group, [...(groups.get(group) ?? []), credential.name]);
  }
  return [...groups].map(([group, credentials]) => ({ target: `group/${group}`, credentials }));
}

function unendingOf(credential: Credential): Left["unending"] {
  const { name, kind } = credential;
  const found: string[] = [];
  if (kind === "encryption-keyset")
    found.push("what was copied can still be decrypted with an old key that was copied");
  if (isKeyset(credential) && credential.backup) {
    const { mount, path } = credential.backup;
    found.push(`the old keys stay in the backup at ${mount}/${path}: take away who may read it, or delete them there`);
  }
  if (credential.kind === "postgres" && credential.adopted !== undefined)
    found.push(`the adopted login ${credential.adopted} works on: take the line \`adopted\` out to end it`);
  if (kind === "random") found.push("nobody can be asked where else its old value is still taken");
  return found.map((why) => ({ credential: name, why }));
}
