/**
 * The text of an env file: lines `NAME=value` that a shell and a dotenv loader read alike, among lines of others that are
 * kept byte for byte. Pure. Texts of files are latin1, one character a byte; names and values are ordinary strings.
 */

/** A line, or the lines of a value in quotes that goes on below, as dotenv (https://github.com/motdotla/dotenv) reads it. */
interface Entry {
  /** All of it but the line end. */
  text: string;
  /** Empty only at the end of a file that ends without one. */
  eol: string;
  /** Left out for comments and blank lines. */
  name?: string;
  /** Without quotes; an escape in them stays as it is written. */
  value: string;
  /** Indentation and `export `. */
  head: string;
  /** A comment behind the value, with the blanks before it. */
  tail: string;
}

const ENTRY =
  /(?:([ \t]*(?:export[ \t]+)?)([\w.-]+)[ \t]*=(?:[ \t]*("(?:\\[^]|[^"\\])*"|'[^']*'|`[^`]*`))?)?([^\r\n]*)(\r\n|\n|\r|$)/gy;

/**
 * Sets each of `lines` where its name stands first, takes every other line of that name away, and adds what is missing at the
 * end. Of `unwanted`, takes the lines away whose value is still the one given.
 */
export function edited(text: string, lines: Record<string, string>, unwanted: Record<string, string>): string {
  const entries = entriesOf(text);
  const placed = new Set<string>();
  const kept = entries.flatMap((entry): { text: string; eol: string }[] => {
    const { name, head, tail, eol } = entry;
    if (name === undefined) return [entry];
    // Somebody's own line may be named `toString`, which every object answers to.
    const value = Object.hasOwn(lines, name) ? lines[name] : undefined;
    if (value === undefined) return Object.hasOwn(unwanted, name) && unwanted[name] === entry.value ? [] : [entry];
    if (placed.has(name)) return [];
    placed.add(name);
    return [{ text: `${head}${assignment(name, value)}${tail}`, eol }];
  });
  const added = Object.entries(lines).filter(([name]) => !placed.has(name));
  const result = [...kept, ...added.map(([name, value]) => ({ text: assignment(name, value), eol: "" }))];
  const eol = entries[0]?.eol === "\r\n" ? "\r\n" : "\n";
  const open = entries.at(-1)?.eol === "";
  return result.map((line, index) => line.text + (open && index === result.length - 1 ? "" : line.eol || eol)).join("");
}

/** What each name is set to; where it stands more than once the last counts, as it does for every loader. */
export function valuesIn(text: string): Map<string, string> {
  return new Map(entriesOf(text).flatMap(({ name, value }) => (name === undefined ? [] : [[name, value]])));
}

/** A value as it can stand behind `NAME=`; undefined if no writing of it means the same to a shell and to dotenv loaders. */
export function quoted(value: string): string | undefined {
  if (/^[\w./:@%+,-]+=*$/.test(value)) return value;
  if (/[\x00-\x1f\x7f]/.test(value)) return undefined;
  // dotenv takes a backslash before a single quote for an escape, a shell does not.
  if (!value.includes("'") && !value.endsWith("\\")) return `'${value}'`;
  return /["$`\\]/.test(value) ? undefined : `"${value}"`;
}

function assignment(name: string, value: string): string {
  const text = quoted(value);
  if (text === undefined) throw new Error(`${name} has characters that no line of an env file can hold`);
  return `${name}=${Buffer.from(text, "utf8").toString("latin1")}`;
}

function entriesOf(text: string): Entry[] {
  return [...text.matchAll(ENTRY)].flatMap(([all, head = "", name, quote, rest = "", eol = ""]): Entry[] => {
    if (all === "") return [];
    const tail = /[ \t]+#.*$/.exec(rest)?.[0] ?? "";
    const value = quote === undefined ? rest.slice(0, rest.length - tail.length).trim() : quote.slice(1, -1);
    const line = { text: all.slice(0, all.length - eol.length), eol, head, tail };
    return [{ ...line, value: Buffer.from(value, "latin1").toString("utf8"), ...(name === undefined ? {} : { name }) }];
  });
}
