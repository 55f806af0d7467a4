/** Looks at the SQL of a privilege check: is it one statement, and does it leave transaction and role alone? */

/**
 * Statements that would end the transaction which is rolled back after the checks, or change the role that they prove.
 * Procedures that commit are refused by Postgres itself inside a transaction.
 */
const FORBIDDEN =
  /^(begin|start|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|(re)?set\s+(session\s+|local\s+)?(role|session\s+authorization|transaction)|reset\s+all|discard|copy|listen)\b/i;

/** What is wrong with one check, or undefined. The text itself is never part of it: it may hold a value. */
export function checkProblem(sql: string): string | undefined {
  if (sql.length > 4000) return "is longer than 4000 characters";
  const code = bare(sql);
  if (code === undefined) return "has a quote or comment that does not end";
  const statements = code.split(";").map((part) => part.trim());
  const filled = statements.filter((part) => part !== "");
  const [first] = filled;
  if (first === undefined) return "holds no statement";
  if (filled.length > 1) return "holds more than one statement";
  const match = FORBIDDEN.exec(first);
  if (match?.[1] === undefined) return undefined;
  return `is a ${match[1].toUpperCase().replace(/\s+/g, " ")} statement`;
}

/** The text without comments, with each quoted part as `''`; undefined where one does not end. */
function bare(sql: string): string | undefined {
  let out = "";
  let at = 0;
  while (at < sql.length) {
    const rest = sql.slice(at);
    const end = quotedLength(rest, sql.slice(Math.max(0, at - 2), at));
    if (end === undefined) return undefined;
    if (end === 0) out += rest.charAt(0);
    else out += /^(--|\/\*)/.test(rest) ? " " : "''";
    at += Math.max(1, end);
  }
  return out;
}

/** Length of the comment, string, quoted name or dollar quote that `rest` begins with; 0 for none, undefined if open. */
function quotedLength(rest: string, before: string): number | undefined {
  if (rest.startsWith("--")) return /^[^\r\n]*/.exec(rest)?.[0].length;
  if (rest.startsWith("/*")) return commentLength(rest);
  if (rest.startsWith('"')) return /^"(?:[^"]|"")*"/.exec(rest)?.[0].length;
  // E'..' takes backslash escapes, a plain string does not.
  if (rest.startsWith("'")) {
    return (/(?:^|[^A-Za-z0-9_$])[eE]$/.test(before) ? /^'(?:[^'\\]|''|\\[^])*'/ : /^'(?:[^']|'')*'/).exec(rest)?.[0]
      .length;
  }
  const tag = /[A-Za-z0-9_$]$/.test(before) ? undefined : /^\$(?:[A-Za-z_][A-Za-z0-9_]*)?\$/.exec(rest)?.[0];
  if (tag === undefined) return 0;
  const close = rest.indexOf(tag, tag.length);
  return close === -1 ? undefined : close + tag.length;
}

/** Postgres's block comments nest. */
function commentLength(rest: string): number | undefined {
  let depth = 0;
  for (const match of rest.matchAll(/\/\*|\*\//g)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return match.index + 2;
  }
  return undefined;
}
