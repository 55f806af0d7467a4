/** Sets the stamp `invalidated` of Turso groups and databases, and why. */
import { isMap, stringify, type Document, type YAMLMap } from "yaml";
import { z } from "zod";
import type { Stamp, TursoTarget } from "../../components/rotation/model";
import { closest, listed } from "../../components/rotation/problem";
import { compareStamps, nextStamp, parseStamp, stampParts } from "../../components/rotation/stamp";
import { pairOf, scalarOf } from "./lists";
import { addPair, parse, parseEdited, plainOf, rangeOf, Refusal, spliced, type Splice } from "./text";
import { type Why, withWhy } from "./why";

/** `group/NAME` or `database/NAME`, as the command takes it. */
export function parseTarget(text: string): TursoTarget | undefined {
  const [, kind, name] = /^(group|database)\/(.+)$/.exec(text) ?? [];
  return name === undefined ? undefined : { kind: kind === "group" ? "group" : "database", name };
}

/** The edited text, and a note that says what the next update does. */
export function revoked(
  text: string,
  target: TursoTarget,
  today: { stamp: Stamp; exact: boolean },
  why: Why,
): { text: string; stamp: Stamp; note: string } {
  const document = parse(text);
  const reach = reachOf(document);
  const { kind, name } = target;
  const known = kind === "group" ? reach.groups : [...reach.databases.keys()];
  if (!known.includes(name)) {
    const guess = closest(name, known);
    const hint = guess === undefined ? `known: ${listed(known)}` : `did you mean ${kind}/${guess}?`;
    throw new Refusal(`${kind}/${name} is no ${kind} of this stack; ${known.length === 0 ? "it has none" : hint}`);
  }
  const turso: unknown = document.getIn(["config", "rollover:turso"], true);
  if (!isMap(turso)) throw new Refusal("rollover:turso is no mapping that can be edited; edit it by hand");
  const path = [`${kind}s`, name, "invalidated"];
  const old: unknown = turso.getIn(path);
  const stamp = next(target, old === undefined || old === null ? undefined : parseStamp(old), today);
  const edited = spliced(text, [putAt(turso, path, `"${stamp}"`, text)]);
  const found: unknown = (parseEdited(edited).getIn(["config", "rollover:turso"]) as YAMLMap).getIn(path);
  if (found !== stamp)
    throw new Refusal(`${kind}/${name} is written in a form that this command cannot edit; edit it by hand`);
  const place = ["config", "rollover:turso", `${kind}s`, name];
  return { text: withWhy(edited, place, ["invalidated"], why), stamp, note: noteOf(target, reach) };
}

/** Newer than the last one: an older stamp is an edit that was taken back, and invalidates nothing. */
function next(target: TursoTarget, old: Stamp | undefined, { stamp, exact }: { stamp: Stamp; exact: boolean }): Stamp {
  const isNewer = old === undefined || compareStamps(stamp, old) > 0;
  if (exact && isNewer) return stamp;
  if (exact)
    throw new Refusal(
      `${target.kind}/${target.name} is invalidated by ${old ?? ""} already; give a newer stamp than that, or none`,
    );
  return isNewer ? stamp : nextStamp(stampParts(old).date, [old]);
}

/** Replaces what stands at the path, or adds what is missing of it in the style of its mapping. */
function putAt(map: YAMLMap, [key = "", ...rest]: string[], value: string, text: string): Splice {
  const wrapped = rest.reduceRight((inner, name) => `{ ${plain(name)}: ${inner} }`, value);
  const pair = pairOf(map, key);
  if (!pair) return addPair(text, map, plain(key), wrapped);
  const { value: node } = pair;
  if (isMap(node)) return putAt(node, rest, value, text);
  const scalar = scalarOf(node, key);
  const { start, end } = rangeOf(scalar);
  if (rest.length === 0) return { start, end, text: start === end ? ` ${value}` : value };
  if (scalar.value !== null) throw new Refusal(`rollover:turso: ${key} is no mapping; write it as one`);
  return { start, end, text: start === end ? ` ${wrapped}` : wrapped };
}

/** A key as YAML needs it: `123` would be a number. */
function plain(name: string): string {
  return stringify(name).trim();
}

interface Reach {
  groups: string[];
  /** Database to group. */
  databases: Map<string, string>;
  /** Of credentials of kind turso. */
  credentials: { name: string; group: string; consumers: string[] }[];
}

const shapes = {
  turso: z.object({
    groups: z.record(z.string(), z.unknown()).catch({}),
    databases: z.record(z.string(), z.object({ group: z.string() }).catch({ group: "" })).catch({}),
  }),
  credential: z.object({
    kind: z.literal("turso"),
    database: z.string().optional(),
    group: z.string().optional(),
    deliver: z.array(z.object({ worker: z.string().optional(), file: z.string().optional() })).catch([]),
  }),
};

/** What an invalidation reaches. From the file itself, not from the model: other parts of it may be encrypted. */
function reachOf(document: Document): Reach {
  const { config } = z
    .object({ config: z.record(z.string(), z.unknown()) })
    .catch({ config: {} })
    .parse(plainOf(document));
  const turso = shapes.turso.safeParse(config["rollover:turso"]);
  if (!turso.success)
    throw new Refusal("the stack file has no rollover:turso in plain text; there is nothing to invalidate");
  const databases = new Map(Object.entries(turso.data.databases).map(([name, { group }]) => [name, group]));
  const entries = z.record(z.string(), z.unknown()).catch({}).parse(config["rollover:credentials"]);
  const credentials = Object.entries(entries).flatMap(([name, entry]) => {
    const { data } = shapes.credential.safeParse(entry);
    if (!data) return [];
    const consumers = data.deliver.map(({ worker, file }) => worker ?? file ?? "");
    return [{ name, group: data.group ?? databases.get(data.database ?? "") ?? "", consumers }];
  });
  const groups = [...Object.keys(turso.data.groups), ...databases.values(), ...credentials.map(({ group }) => group)];
  return { groups: [...new Set(groups)].filter((group) => group !== "").sort(), databases, credentials };
}

function noteOf({ kind, name }: TursoTarget, { databases, credentials }: Reach): string {
  const group = kind === "group" ? name : (databases.get(name) ?? "");
  const own = [...databases].filter(([, of]) => of === group).length;
  const databaseCount = `its ${own === 1 ? "database" : `${own} databases`}`;
  const what =
    kind === "group"
      ? `group ${name}: every token of it and of ${own === 0 ? "its databases" : databaseCount} dies with the next update`
      : `database ${name}: every token of it dies with the next update, and those of its whole group ${group} are taken for dead and minted again`;
  const consumers = credentials.filter((one) => one.group === group).flatMap((one) => one.consumers);
  const told = [...new Set(consumers)].sort();
  return told.length === 0
    ? `${what}; no consumer of this stack holds one`
    : `${what}; consumers fail until they are delivered to: ${told.join(", ")}`;
}
