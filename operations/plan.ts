/**
 * `npm run plan -- [--stack S] [--base REF] [--format md|json]`: what the edited config would do, for the pull request. It runs a
 * real preview, reads state, git, and who is logged in by a login that goes; it changes nothing, and prints no secret.
 * Exit code 0 planned, 1 the preview failed (the errors are printed in the same form), 2 wrong usage, 7 a credential is overdue
 * and the policy is enforced, the one in the stack file or the one that the last update wrote to state.
 */
import { Command, Option } from "commander";
import { exitWith, parsed } from "./command";
import { jsonLine } from "./console";
import { describePlan, type Plan } from "./plan/describe";
import { toMarkdown } from "./plan/markdown";
import { readFacts } from "./plan/preview";

interface Options {
  stack?: string;
  format: "md" | "json";
  json?: true;
  base?: string;
  cwd: string;
  configFile?: string;
}

function program(): Command {
  return new Command("plan")
    .description(
      "Says what the next `pulumi up` would do to credentials and their consumers, and why; it changes nothing.",
    )
    .addOption(new Option("--stack <stack>", "the stack (default: the selected one)").env("PULUMI_STACK"))
    .addOption(new Option("--format <format>", "of the standard output").choices(["md", "json"]).default("md"))
    .option("--json", "the same as --format json, in one line, the last of the standard output")
    .option(
      "--base <ref>",
      "what the stack file is compared with, any name that git knows (default: where HEAD left the default branch)",
    )
    .option("--cwd <dir>", "the folder with Pulumi.yaml", ".")
    .option("--config-file <file>", "the stack file, in place of Pulumi.<stack>.yaml; relative to --cwd")
    .allowExcessArguments(false)
    .addHelpText(
      "after",
      "\nExit code: 0 planned, 1 the preview failed (its errors are in the output), 2 wrong usage,\n" +
        "7 a credential will be overdue, by its age or by a stamp in the future, and rollover:policy.enforce is true:\n" +
        "  in the stack file, or in the policy that the stack was last updated with, so that no change passes by\n" +
        "  weakening it (the plan is in the output).\n\n" +
        "Examples:\n" +
        "  npm run plan -- --stack prod\n" +
        "  npm run plan -- --stack prod --base origin/main\n" +
        "  npm run --silent plan -- --stack prod --json | tail -n 1 | jq '.credentials[].actions'\n",
    );
}

/** Returns the exit code. */
export async function main(args: readonly string[], now: Date): Promise<number> {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const { stack, cwd, configFile, format, json, base } = command.opts<Options>();
  const plan = describePlan(await readFacts({ cwd, stack, configFile, base }, now));
  if (json) jsonLine(plan);
  else process.stdout.write(format === "json" ? `${JSON.stringify(plan, undefined, 2)}\n` : toMarkdown(plan));
  return exitCodeOf(plan);
}

/** A policy that is not enforced says the same, and passes. */
export function exitCodeOf({ outcome, policy }: Pick<Plan, "outcome" | "policy">): number {
  if (outcome === "failed") return 1;
  if (!policy) return 0;
  return policy.overdueBefore.length > 0 || (policy.enforce && policy.overdue.length > 0) ? 7 : 0;
}

if (require.main === module) exitWith(() => main(process.argv.slice(2), new Date()));
