/** The few settings that the plan takes from the stack file itself: whom to ask for sessions, and whether records go to a table. */
import type { PostgresServer } from "../../components/rotation/model";
import { describe, type Problem } from "../../components/rotation/problem";
import { Fields } from "../../components/rotation/read";
import { parseServer } from "../../components/rotation/server";
import { isMapping, mapping, parse, plainOf } from "../stack-file/text";

/** A stack file, judged by nobody. Throws Refusal where the text is no YAML. */
export function fileIn(text: string): Record<string, unknown> {
  return text === "" ? {} : mapping(plainOf(parse(text)));
}

/** What stands in it below `config:`. */
export function configIn(text: string): Record<string, unknown> {
  return mapping(fileIn(text)["config"]);
}

/** The server of the admin login, or why it cannot be told. */
export function serverIn(config: Record<string, unknown>): PostgresServer | string {
  const problems: Problem[] = [];
  const fields = new Fields("rollover:postgres", config["rollover:postgres"] ?? {}, problems);
  const server = { ...parseServer(fields, "the admin's password"), superuser: false };
  const [first] = problems;
  return first ? describe(first).split("\n").slice(0, 2).join(":") : server;
}

/** Whether audit records go to a table. */
export function isAuditTable(config: Record<string, unknown>): boolean {
  const audit = config["rollover:audit"];
  return isMapping(audit) && !("file" in audit) && !("secure" in audit);
}
