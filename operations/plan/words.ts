/** Small parts of the plan's Markdown. */

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** Names come from a pull request: in code they can neither mention anybody, end a table cell nor turn the direction of the text. */
export function code(text: string): string {
  const quiet = text.replace(/[`|\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, " ");
  return quiet === "" ? "(nothing)" : `\`${quiet}\``;
}

/** A sentence that may hold what others wrote, on one line: outside its own code spans it can neither mention anybody nor be markup. */
export function plain(text: string): string {
  const parts = text.replace(/[\r\n]+/g, " ").split(/(`[^`]*`)/);
  const escape = (part: string) => part.replace(/[@<>[\]*|#`]/g, (found) => `&#${found.charCodeAt(0)};`);
  return parts.map((part, index) => (index % 2 === 1 ? part : escape(part))).join("");
}
