/**
 * `npm run alerts -- [--stack S | --config-file F] [--job JOB] [--json]`: prints a Prometheus rule file for a stack's tokens, keys and
 * API, from its config alone: no state, no secret, no network. It alerts nobody by itself; Prometheus has to be given it.
 * Exit code 0 printed, 1 refused (the file is missing or wrong), 2 wrong usage.
 */
import { Command, Option } from "commander";
import { parse } from "yaml";
import { ConfigError } from "../components/rotation/problem";
import { watched } from "./alerts/read";
import { ruleFile, type Scope } from "./alerts/rules";
import { complain, exitWith, parsed } from "./command";
import { jsonLine } from "./console";
import { fileOf, readText } from "./stack-file/file";
import { Refusal } from "./stack-file/text";

interface Options {
  stack?: string;
  configFile?: string;
  cwd: string;
  job?: string;
  json?: true;
}

function program(): Command {
  return new Command("alerts")
    .description("Prints a Prometheus rule file made from rollover:alerts and the live generations of signing keysets.")
    .addOption(new Option("--stack <stack>", "the stack whose file to read").env("PULUMI_STACK"))
    .option("--config-file <file>", "the stack file itself, in place of Pulumi.<stack>.yaml; relative to --cwd")
    .option("--cwd <dir>", "the folder of the stack files", ".")
    .option("--job <job>", "only metrics of this scrape job (default: of any)")
    .option("--json", "the rules as one JSON document in the last line of standard output, in place of YAML")
    .allowExcessArguments(false)
    .addHelpText(
      "after",
      "\nExit code: 0 printed, 1 the file is missing or wrong, 2 wrong usage.\n\n" +
        "Examples:\n" +
        "  npm run --silent alerts -- --stack prod > rollover-prod.yaml && promtool check rules rollover-prod.yaml\n" +
        "  npm run --silent alerts -- --stack prod --job rounds-api\n" +
        "  npm run --silent alerts -- --stack prod --json | tail -n 1 | jq '.groups[].rules[].alert'\n",
    );
}

/** Returns the exit code. */
export function main(args: readonly string[]): number {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const options = command.opts<Options>();
  const { job, json } = options;
  const file = fileOf(options);
  if (file === undefined) return complain(2, "name the stack: --stack S, or --config-file FILE");
  if (job !== undefined && !/^[^\p{Cc}]{1,200}$/u.test(job))
    return complain(2, "--job is no name of a scrape job: allowed are 1 to 200 characters of one line");
  const stack = options.stack?.split("/").at(-1);
  const scope: Scope = { ...(stack ? { stack } : {}), ...(job === undefined ? {} : { job }) };
  try {
    const rules = ruleFile(watched(readText(file)), scope);
    if (json) jsonLine(parse(rules) as object);
    else process.stdout.write(rules);
    return 0;
  } catch (error) {
    if (error instanceof Refusal || error instanceof ConfigError) return complain(1, error.message);
    throw error;
  }
}

if (require.main === module) {
  exitWith(() => main(process.argv.slice(2)));
}
