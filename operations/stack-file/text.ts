/** A stack file as text: it is parsed to know where things stand, and what is put in or taken out are its characters. */
import { isDocument, isMap, isSeq, parseDocument, type Document, type Node, type YAMLMap } from "yaml";

/** Replaces what stands from `start` to before `end`. */
export interface Splice {
  start: number;
  end: number;
  text: string;
}

/** The edit is not possible or not allowed; nothing was changed. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

export function parse(text: string): Document {
  const { document, why } = read(text);
  if (why !== undefined) throw new Refusal(`the stack file is no YAML: ${why}`);
  return document;
}

/** The same of what an edit made of a file that was YAML before. */
export function parseEdited(text: string): Document {
  const { document, why } = read(text);
  if (why === undefined) return document;
  const form = "the stack file holds a form that this command cannot edit";
  throw new Refusal(`${form} (it would be no YAML: ${why}); edit it by hand`);
}

/** The parser's own messages quote the text, which may hold anything; the place is enough. */
function read(text: string): { document: Document; why?: string } {
  const document = parseDocument(text, { merge: true });
  const [error] = document.errors;
  if (error) return { document, why: `${error.code} at line ${error.linePos?.[0].line ?? "?"}` };
  try {
    plainOf(document);
    return { document };
  } catch {
    return { document, why: "an alias or a merge key of it stands for nothing that it can stand for" };
  }
}

/**
 * The values that a document, or a node of it, stands for. Throws where an alias stands for nothing. An anchor may be used as often
 * as one likes: the parser's limit is for files of strangers, and Pulumi has none that anybody reaches.
 */
export function plainOf(document: Document, node: Document | Node = document): unknown {
  const options = { maxAliasCount: -1 };
  const value: unknown = isDocument(node) ? node.toJS(options) : node.toJS(document, options);
  return value;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Anything else is an empty one. */
export function mapping(value: unknown): Record<string, unknown> {
  return isMapping(value) ? value : {};
}

/** They must not overlap. What is put where something else is taken out stands before what follows that. */
export function spliced(text: string, splices: Splice[]): string {
  return [...splices]
    .sort((a, b) => b.start - a.start || b.end - a.end)
    .reduce((result, { start, end, text: put }) => result.slice(0, start) + put + result.slice(end), text);
}

export function rangeOf(node: { range?: [number, number, number] | null }): { start: number; end: number } {
  if (!node.range) throw new Error("a parsed node has no range");
  return { start: node.range[0], end: node.range[1] };
}

export function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

export function nextLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end + 1;
}

export function eolOf(text: string): string {
  return text.includes("\r\n") ? "\r\n" : "\n";
}

/** Adds `key: value` as a mapping's last, in the mapping's style. `value` is one line of YAML. */
export function addPair(text: string, map: YAMLMap, key: string, value: string): Splice {
  const last = map.items.at(-1);
  const { start, end } = rangeOf(map);
  if (last === undefined) return { start, end, text: `{ ${key}: ${value} }` };
  const at = endOf(last.value ?? last.key);
  if (map.flow === true) return { start: at, end: at, text: `, ${key}: ${value}` };
  const line = nextLine(text, at - 1);
  return { start: line, end: line, text: `${indentOf(text, map)}${key}: ${value}${eolOf(text)}` };
}

/** What stands before each key of a block mapping. */
export function indentOf(text: string, map: YAMLMap): string {
  const first = map.items[0]?.key as Node | undefined;
  const { start } = rangeOf(first ?? map);
  const indent = text.slice(lineStart(text, start), start);
  if (!/^ *$/.test(indent))
    throw new Refusal("a mapping of the stack file begins in the middle of a line; edit it by hand");
  return indent;
}

/** Where a node's own text ends: a block collection's range runs on over the comments behind it. */
export function endOf(node: unknown): number {
  if (isMap(node) && node.flow !== true) {
    const last = node.items.at(-1);
    if (last) return endOf(last.value ?? last.key);
  }
  if (isSeq(node) && node.flow !== true && node.items.length > 0) return endOf(node.items.at(-1));
  return rangeOf(node as Node).end;
}
