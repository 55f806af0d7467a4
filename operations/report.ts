/**
 * `npm run report -- [--stack S] [--since 90d] [--format md|json|html]`: evidence from state and audit, for whoever asks when
 * what was rotated, by whom and why. It changes nothing, and nothing in it is secret.
 * `npm run report -- --verify [--head HASH]`: whether the audit is what was written.
 * Exit code 0 printed (verified: whole), 1 it cannot be read (verified: broken), 2 wrong usage.
 */
import { Command, Option } from "commander";
import { BEGINNING } from "../components/audit/chain";
import { formatDuration, parseDuration, DURATION_ALLOWED } from "../components/rotation/duration";
import { ConfigError } from "../components/rotation/problem";
import { complain, exitWith, parsed } from "./command";
import { jsonLine, say } from "./console";
import { describeReport } from "./report/describe";
import { toHtml } from "./report/html";
import { toMarkdown } from "./report/markdown";
import { auditOf, readFacts, readRowsToVerify, readState, selectedStack, type Source } from "./report/read";
import { verifiedText, verify } from "./report/verify";
import { Refusal } from "./stack-file/text";

interface Options {
  stack?: string;
  since: string;
  format: "md" | "json" | "html";
  json?: true;
  verify?: true;
  head?: string;
  audit: boolean;
  cwd: string;
  configFile?: string;
}

const DAY = 86_400_000;
const SINCE = { least: DAY, most: 3650 * DAY };

function program(): Command {
  return new Command("report")
    .description(
      "Evidence of a stack's rotations, from its state and its audit. It changes nothing, and prints no secret.",
    )
    .addOption(new Option("--stack <stack>", "the stack (default: the selected one)").env("PULUMI_STACK"))
    .option("--since <duration>", "how far back changes go, 1d to 3650d", "90d")
    .addOption(new Option("--format <format>", "of the standard output").choices(["md", "json", "html"]).default("md"))
    .addOption(new Option("--json", "the same as --format json: one document, the last line").conflicts("format"))
    .option("--verify", "check the chain of the audit's rows, and name each break")
    .addOption(new Option("--head <hash>", "with --verify: a head noted before, which has to be in the chain"))
    .option("--no-audit", "from state alone")
    .option("--cwd <dir>", "the folder with Pulumi.yaml", ".")
    .option("--config-file <file>", "the stack file, in place of Pulumi.<stack>.yaml; relative to --cwd")
    .allowExcessArguments(false)
    .addHelpText(
      "after",
      "\nAn audit in a table is read by the login in PGUSER and PGPASSWORD.\n\n" +
        "Exit code: 0 printed, or the audit is whole; 1 it cannot be read, or the audit is broken; 2 wrong usage.\n\n" +
        "Examples:\n" +
        "  npm run report -- --stack prod\n" +
        "  npm run --silent report -- --stack prod --since 365d --format html > report.html\n" +
        "  npm run --silent report -- --stack prod --json | jq '.credentials[] | {name, age}'\n" +
        "  npm run report -- --stack prod --verify\n",
    );
}

/** Returns the exit code. `now` is the only clock. */
export async function main(args: readonly string[], now: Date): Promise<number> {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const options = command.opts<Options>();
  const wrong = misuse(options);
  if (wrong !== undefined) return complain(2, wrong);
  const { stack, cwd, configFile, audit } = options;
  try {
    const source = { stack, cwd, configFile, audit };
    return options.verify ? await verified(source, options) : await reported(source, options, now);
  } catch (error) {
    if (error instanceof Refusal || error instanceof ConfigError) return complain(1, error.message);
    throw error;
  }
}

async function reported(source: Source, { since, format, json }: Options, now: Date): Promise<number> {
  const report = describeReport(await readFacts(source, now, parseDuration(since) ?? 0));
  if (report.audit.state === "broken") say(`The audit is broken at row ${report.audit.seq}: ${report.audit.why}`);
  if (json || format === "json") jsonLine(report);
  else process.stdout.write(format === "html" ? toHtml(report) : toMarkdown(report));
  return 0;
}

async function verified(source: Source, { head, format, json }: Options): Promise<number> {
  const audit = auditOf(source, source.stack ?? (source.configFile === undefined ? await selectedStack(source) : ""));
  if (!audit) throw new Refusal("rollover:audit is not set in the stack file, so there is nothing to verify");
  // Who notes that it was empty knows that it may not be there yet.
  const rows = await readRowsToVerify(audit, source.cwd, head === BEGINNING ? "empty" : "throws");
  const isUnexplained = rows.length === 0 && head === undefined;
  const known = isUnexplained ? Object.keys((await readState(source)).outputs.credentials).length : 0;
  const found = verify(rows, head, known);
  if (json || format === "json") jsonLine(found);
  else process.stdout.write(verifiedText(found));
  return found.ok ? 0 : 1;
}

function misuse({ since, verify: isVerify, head, format, audit }: Options): string | undefined {
  const ms = parseDuration(since);
  if (ms === undefined || ms < SINCE.least || ms > SINCE.most) {
    const range = `from ${formatDuration(SINCE.least)} to ${formatDuration(SINCE.most)}`;
    return `--since ${JSON.stringify(since)} is no such time; allowed: ${DURATION_ALLOWED}, ${range}`;
  }
  if (head !== undefined && !isVerify) return "--head is only for --verify";
  if (head !== undefined && !/^[0-9a-f]{64}$/.test(head))
    return "--head is no hash; allowed: the 64 hexadecimal digits that --verify printed before";
  if (isVerify && format === "html") return "--verify prints text or --json, no html";
  return isVerify && !audit ? "--verify and --no-audit exclude one another" : undefined;
}

if (require.main === module) exitWith(() => main(process.argv.slice(2), new Date()));
