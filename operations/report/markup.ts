/** HTML in which everything is text unless it was written here: a value that is put in is escaped. */

export class Markup {
  constructor(readonly text: string) {}
}

export type Part = string | number | Markup | false | undefined | readonly Part[];

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** A template whose values are escaped, for text and for attributes in double quotes; `Markup` in it stays as it is. */
export function markup(texts: TemplateStringsArray, ...values: Part[]): Markup {
  return new Markup(texts.map((text, index) => text + shown(values[index])).join(""));
}

function shown(part: Part): string {
  if (part === undefined || part === false) return "";
  if (part instanceof Markup) return part.text;
  if (typeof part === "object") return part.map(shown).join("");
  return String(part).replace(/[&<>"']/g, (found) => ENTITIES[found] ?? "");
}
