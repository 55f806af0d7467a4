/**
 * Fine-grained permissions, which the open libSQL server does not know: a small judge of SQL statements in front of it.
 * It knows the statements below and refuses what it cannot judge. Which privileges the vendor asks for a statement is
 * documented by the names of the actions alone: https://docs.turso.tech/sdk/authorization/fine-grained-permissions
 */

/** As the API takes them: tables (null: all) and actions. An action with an unknown name grants nothing. */
export interface Rule {
  t: string[] | null;
  a: string[];
}

/** The first privilege that a pipeline's SQL needs and the rules do not give: `data_add on comments`. */
export function refusedPipeline(rules: Rule[], body: string): string | undefined {
  for (const sql of sqlOf(parse(body)))
    for (const statement of statements(sql)) {
      const refused = refusedStatement(rules, statement);
      if (refused !== undefined) return refused;
    }
  return undefined;
}

/** Every SQL text of a pipeline: those of statements, batches and sequences, and those that are stored for later. */
function sqlOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) =>
    key === "sql" && typeof item === "string" ? [item] : sqlOf(item),
  );
}

/** The server itself refuses what is no JSON. */
function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

interface Need {
  action: string;
  table: string;
}

interface Token {
  /** A bare word in capitals, or a sign; a quoted name has none. */
  word: string;
  /** A bare or quoted name without its quotes; strings and signs have none. */
  name?: string;
}

const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$\u0080-\uffff]+|\S/g;

function statements(sql: string): Token[][] {
  const found: Token[][] = [[]];
  for (const [text] of sql.matchAll(TOKEN)) {
    if (text.startsWith("--") || text.startsWith("/*")) continue;
    if (text === ";") found.push([]);
    else found.at(-1)?.push(token(text));
  }
  return found.filter((statement) => statement.length > 0);
}

function token(text: string): Token {
  if (/^["`[]./.test(text)) return { word: "", name: text.slice(1, -1).replaceAll(/""|``/g, (two) => two.slice(1)) };
  return /^[\w$\u0080-\uffff]/.test(text) ? { word: text.toUpperCase(), name: text } : { word: text };
}

function refusedStatement(rules: Rule[], statement: Token[]): string | undefined {
  const needs = needsOf(statement);
  if (!needs) return "a privilege for a statement of this form";
  const missing = needs.find((need) => !granted(rules, need));
  return missing && `${missing.action} on ${missing.table}`;
}

function granted(rules: Rule[], { action, table }: Need): boolean {
  const name = table.toLowerCase();
  if (action === "data_read" && /^(sqlite_(temp_)?(schema|master)|pragma_\w+)$/.test(name)) return true;
  return rules.some(({ t, a }) => a.includes(action) && (t === null || t.some((one) => one.toLowerCase() === name)));
}

const MODIFIER = /^(OR|ROLLBACK|ABORT|REPLACE|FAIL|IGNORE|INTO|FROM|TABLE|TEMP|TEMPORARY|IF|NOT|EXISTS)$/;

/** Undefined for a statement that cannot be judged. */
function needsOf(statement: Token[]): Need[] | undefined {
  const words = statement.map(({ word }) => word);
  const [verb = ""] = words;
  if (/^(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)$/.test(verb)) return [];
  if (verb === "SELECT") return reads(statement);

  const action =
    { INSERT: "data_add", REPLACE: "data_add", UPDATE: "data_update", DELETE: "data_delete" }[verb] ??
    (words.slice(1, 3).includes("TABLE")
      ? { CREATE: "schema_add", ALTER: "schema_update", DROP: "schema_delete" }[verb]
      : undefined);
  let at = 1;
  while (MODIFIER.test(words[at] ?? "")) at += 1;
  const target = nameAt(statement, at);
  const others = reads(statement.slice(target?.next));
  if (action === undefined || !target || !others) return undefined;
  const { table } = target;
  const needs = [{ action, table }, ...others];
  if (verb === "REPLACE" || (verb === "INSERT" && words.slice(1, at).includes("REPLACE")))
    needs.push({ action: "data_delete", table });
  if (verb === "INSERT" && / DO UPDATE /.test(words.join(" "))) needs.push({ action: "data_update", table });
  return needs;
}

/** A name with or without its schema. */
function nameAt(tokens: Token[], at: number): { table: string; next: number } | undefined {
  const last = tokens[at + 1]?.word === "." ? at + 2 : at;
  const table = tokens[last]?.name;
  return table === undefined ? undefined : { table, next: last + 1 };
}

/** What each FROM and JOIN names, those of subqueries too; undefined for one of another form. */
function reads(tokens: Token[]): Need[] | undefined {
  const needs: Need[] = [];
  for (let index = 0; index < tokens.length; index++) {
    const { word = "" } = tokens[index] ?? {};
    if (word !== "FROM" && word !== "JOIN") continue;
    let at = index + 1;
    do {
      if (tokens[at]?.word === ",") at += 1;
      if (tokens[at]?.word === "(") {
        // A subquery, whose own FROM is met by the outer loop.
        if (tokens[at + 1]?.word !== "SELECT") return undefined;
      } else {
        const found = nameAt(tokens, at);
        if (!found) return undefined;
        needs.push({ action: "data_read", table: found.table });
        at = found.next;
      }
      // The arguments of a table-valued function, or the subquery; then an alias.
      if (tokens[at]?.word === "(") at = afterParenthesis(tokens, at);
      if (tokens[at]?.word === "AS") at += 1;
      if (tokens[at + 1]?.word === "," && tokens[at]?.name !== undefined) at += 1;
    } while (tokens[at]?.word === ",");
  }
  return needs;
}

function afterParenthesis(tokens: Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (tokens[at]?.word === "(") depth += 1;
    if (tokens[at]?.word === ")") depth -= 1;
    if (depth === 0) return at + 1;
  }
  return tokens.length;
}
