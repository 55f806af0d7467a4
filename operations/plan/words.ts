/** Small parts of the plan's Markdown. What others wrote, such as a name or a reason in a pull request, goes through `code` or `plain`. */

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** Without what moves a terminal's cursor, breaks a line or turns the direction of the text. */
export function quiet(text: string): string {
  return text.replace(/[\s\p{Cc}\p{Bidi_Control}]/gu, " ");
}

/** Names come from a pull request: in code they can neither mention anybody nor end a table cell. */
export function code(text: string): string {
  const inside = quiet(text).replace(/[`|]/g, " ");
  return inside === "" ? "(nothing)" : `\`${inside}\``;
}

/**
 * A code span whose inside means nothing to Markdown, so that it does no harm whoever wrote it. Its two backticks touch no other, and
 * no other is left unescaped: so every parser takes these two for a pair.
 */
const SPAN = /(?<!`)(`[\w./:=-]+(?: [\w./:=-]+)*`)(?!`)/;

/** A sentence that may hold what others wrote, on one line: but for such code spans it can neither mention anybody nor be markup. */
export function plain(text: string): string {
  const parts = quiet(text).trim().split(SPAN);
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
