/** Small parts of the plan's Markdown. What others wrote, such as a name or a reason in a pull request, goes through `code` or `plain`. */

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** Without what moves a terminal's cursor, breaks a line or turns the direction of the text. */
export function quiet(text: string): string {
  return text.replace(/[\s\p{Cc}\p{Bidi_Control}]/gu, " ");
}

/** At most so many characters. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  // At most two units each; more of them need not be looked at.
  const characters = Array.from(text.slice(0, 2 * most + 1));
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : text;
}

/** That others are left out. */
function andMore(n: number): string {
  return `and ${n} more`;
}

/** The first 20, and how many there are besides. */
export function few(texts: string[]): string[] {
  const most = 20;
  return texts.length > most ? [...texts.slice(0, most), andMore(texts.length - most)] : texts;
}

/** How long a part may be that stands before what the change does: of a comment GitHub takes 65,536 characters. */
const PART = 10_000;

/** The first blocks, as many as have room in a part, and how many there are besides. */
export function roomy(blocks: string[], more = andMore): string[] {
  let length = 0;
  const left = blocks.findIndex((block, index) => (length += block.length + 1) > PART && index > 0);
  return left === -1 ? blocks : [...blocks.slice(0, left), more(blocks.length - left)];
}

/** The longest reason that config takes. */
export const REASON = 500;

/** Names come from a pull request: in code they can neither mention anybody nor end a table cell. */
export function code(text: string, most = 200): string {
  const inside = cut(quiet(text), most).replace(/[`|]/g, " ");
  return inside === "" ? "(nothing)" : `\`${inside}\``;
}

/**
 * A code span whose inside means nothing to Markdown, so that it does no harm whoever wrote it. Its two backticks touch no other, and
 * no other is left unescaped: so every parser takes these two for a pair.
 */
const SPAN = /(?<!`)(`[\w./:=-]+(?: [\w./:=-]+)*`)(?!`)/;

/** A sentence that may hold what others wrote, on one line: but for such code spans it can neither mention anybody nor be markup. */
export function plain(text: string): string {
  const parts = cut(quiet(text).trim(), 1000).split(SPAN);
  const escaped = parts.map((part, index) => (index % 2 === 1 ? part : escape(part))).join("");
  // Else it could begin a list, a rule or a heading where it stands first.
  return escaped.replace(/^(?:[-+=]|\d+[.)])/, (found) => `${entity(found)}${found.slice(1)}`);
}

/**
 * GitHub looks for mentions, issues and addresses in what is left after Markdown, where an entity is a character again: a
 * zero-width space takes them apart. https://github.com/github/cmark-gfm/issues/181
 */
const APART = "&#8203;";

/** For the inside of one line of Markdown. */
export function escape(text: string): string {
  return text.replace(/[@#]|:(?=\/\/)|www(?=\.)|[&<>[\]*|`\\~$]|(?<!\w)_+|_+(?!\w)/gi, (found) =>
    /[@#:w]/i.test(found) ? `${found}${APART}` : found.replace(/./g, entity),
  );
}

function entity(character: string): string {
  return `&#${character.charCodeAt(0)};`;
}
