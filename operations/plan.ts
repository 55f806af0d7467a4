/**
 * `npm run plan -- [--stack S] [--format md|json]`: what the edited config would do, for the pull request. It runs a real
 * preview and reads state; it changes nothing, and prints no secret.
 * Exit code 0 planned, 1 the preview failed (the errors are printed in the same form), 2 wrong usage.
 */
import { Command, Option } from "commander";
import { exitWith, parsed } from "./command";
import { describePlan } from "./plan/describe";
import { toMarkdown } from "./plan/markdown";
import { readFacts } from "./plan/preview";

interface Options {
  stack?: string;
  format: "md" | "json";
  cwd: string;
  configFile?: string;
}

function program(): Command {
  return new Command("plan")
    .description("Says what the next `pulumi up` would do to credentials and their consumers; it changes nothing.")
    .addOption(new Option("--stack <stack>", "the stack (default: the selected one)").env("PULUMI_STACK"))
    .addOption(new Option("--format <format>", "of the standard output").choices(["md", "json"]).default("md"))
    .option("--cwd <dir>", "the folder with Pulumi.yaml", ".")
    .option("--config-file <file>", "the stack file, in place of Pulumi.<stack>.yaml; relative to --cwd")
    .allowExcessArguments(false)
    .addHelpText(
      "after",
      "\nExit code: 0 planned, 1 the preview failed (its errors are in the output), 2 wrong usage.\n\n" +
        "Examples:\n" +
        "  npm run plan -- --stack prod\n" +
        "  npm run --silent plan -- --stack prod --format json | jq '.credentials[].actions'\n",
    );
}

/** Returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const { stack, cwd, configFile, format } = command.opts<Options>();
  const plan = describePlan(await readFacts({ cwd, stack, configFile }));
  process.stdout.write(format === "json" ? `${JSON.stringify(plan, undefined, 2)}\n` : toMarkdown(plan));
  return plan.outcome === "failed" ? 1 : 0;
}

if (require.main === module) {
  exitWith(main(process.argv.slice(2)));
}
