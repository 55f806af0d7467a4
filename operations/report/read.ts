/** What a report is made from: the stack's state by one `pulumi stack export`, and the audit's rows. Nothing is changed. */
import { z } from "zod";
import { readAudit } from "../../components/audit/read";
import type { AuditRow } from "../../components/audit/record";
import type { Audit } from "../../components/rotation/model";
import { parseAudit } from "../../components/rotation/operating";
import { ConfigError, type Problem } from "../../components/rotation/problem";
import { SECRETS } from "../../components/rotation/raw-config";
import { findCli, json, pulumi, type Where } from "../cli";
import { exported, kindOf, outputs, type Outputs, type State } from "../plan/shapes";
import { fileOf, readText } from "../stack-file/file";
import { parse, plainOf, Refusal } from "../stack-file/text";

export interface Source extends Where {
  /** In place of `Pulumi.<stack>.yaml`: where `rollover:audit` is read. */
  configFile: string | undefined;
  /** False: from state alone, wherever the audit may be. */
  audit: boolean;
}

export interface Facts {
  stack: string;
  now: Date;
  sinceMs: number;
  outputs: Outputs;
  /** Outputs that the plan does not read. */
  evidence: Evidence;
  state: State;
  /** Undefined where config names no audit, or none is to be read. */
  rows: AuditRow[] | undefined;
}

/** Turso, by credential and stamp: ISO time or `never`. Not known, or secret, is none. */
const expires = z.record(z.string(), z.record(z.string(), z.string())).catch({});
const policy = z
  .object({
    warnBefore: z.string(),
    overlap: z.string(),
    enforce: z.boolean(),
    freeze: z.array(z.object({ from: z.string(), to: z.string(), reason: z.string().optional() })).default([]),
  })
  .optional()
  .catch(undefined); // empty where there is none
export const evidence = z.object({
  expires: expires.default({}),
  policy,
  credentials: z.record(z.string(), z.object({ maxAge: z.string().optional() })).default({}),
});
export type Evidence = z.infer<typeof evidence>;

/** Throws Refusal, ConfigError or the audit's error, each with what to do. */
export async function readFacts(source: Source, now: Date, sinceMs: number): Promise<Facts> {
  const known = await readState(source);
  const audit = source.audit ? auditOf(source, known.stack) : undefined;
  return { ...known, now, sinceMs, rows: audit && (await readRows(audit, source.cwd)) };
}

/** Throws Refusal. */
export async function readState(source: Source): Promise<Pick<Facts, "stack" | "state" | "outputs" | "evidence">> {
  const cli = await findCli();
  const shown = await pulumi(cli, source, ["stack", "export"]);
  // Its text is not passed on: what went wrong is the user's to see, in their own terminal.
  if (shown.code !== 0)
    throw new Refusal("`pulumi stack export` failed; run it yourself, with the same --stack, to see what it says");
  const read = exported.safeParse(json(shown.stdout));
  if (!read.success) throw new Refusal("`pulumi stack export` printed no state that can be read");
  const state = read.data.deployment;
  const stackOutputs = state.resources.find(({ urn }) => kindOf(urn) === "Stack")?.outputs ?? {};
  const [known, more] = [outputs.safeParse(stackOutputs), evidence.safeParse(stackOutputs)];
  if (!known.success || !more.success) throw new Refusal("the outputs in state are not those of this program");
  const stack = stackOf(state.resources[0]?.urn) ?? source.stack?.split("/").at(-1) ?? "";
  return { stack, state, outputs: known.data, evidence: more.data };
}

/** The name of the selected stack. Throws Refusal. */
export async function selectedStack(where: Where): Promise<string> {
  const shown = await pulumi(await findCli(), where, ["stack", "--show-name"]);
  const name = shown.stdout.trim();
  if (shown.code !== 0 || name === "") throw new Refusal("no stack is selected; name one by --stack");
  return name;
}

/** Undefined where the stack file names none. Throws Refusal or ConfigError. */
export function auditOf({ cwd, configFile }: Pick<Source, "cwd" | "configFile">, stack: string): Audit | undefined {
  const file = fileOf({ cwd, stack, ...(configFile === undefined ? {} : { configFile }) });
  if (file === undefined) throw new Refusal("no stack is selected; name one by --stack");
  const config = (plainOf(parse(readText(file))) as { config?: Record<string, unknown> } | null)?.config ?? {};
  const raw = config["rollover:audit"] ?? config["audit"];
  if (raw === undefined) return undefined;
  const problems: Problem[] = [];
  // Whether the writer's password is set does not matter here: reading takes a login of its own.
  const audit = parseAudit(raw, { keys: [], settings: {}, secrets: SECRETS }, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return audit;
}

/** Of a file that is not there no rows. Throws Refusal: a report that silently lacked its evidence would be worse than none. */
export async function readRows(audit: Audit, cwd: string): Promise<AuditRow[]> {
  try {
    return await readAudit(audit, cwd, process.env);
  } catch (error) {
    throw new Refusal(`the audit cannot be read: ${whyOf(error)}. Or add --no-audit, for a report from state alone`);
  }
}

/** As they are to be verified: without a file there is nothing that could be whole. Throws Refusal. */
export async function readRowsToVerify(audit: Audit, cwd: string, missing: "empty" | "throws"): Promise<AuditRow[]> {
  try {
    return await readAudit(audit, cwd, process.env, { missing });
  } catch (error) {
    throw new Refusal(`the audit cannot be verified: ${whyOf(error)}`);
  }
}

function whyOf(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : "unknown error";
}

/** `urn:pulumi:STACK::PROJECT::...` */
function stackOf(urn: string | undefined): string | undefined {
  return /^urn:pulumi:([^:]+)::/.exec(urn ?? "")?.[1];
}
