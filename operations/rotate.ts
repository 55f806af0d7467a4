/**
 * `npm run rotate -- NAME... [--retire | --rollback] [--stack S]`: edits the stamps in `Pulumi.S.yaml` and prints the diff.
 * It changes no credential: that is the next `pulumi up`. Exit code 0 done, 1 refused (nothing changed), 2 wrong usage.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { Command, Option } from "commander";
import { parsed } from "./command";
import { ConfigError } from "../components/rotation/problem";
import { parseStamp, STAMP_ALLOWED } from "../components/rotation/stamp";
import { type Action, editStackFile, Refusal } from "./stack-file";

interface Options {
  retire?: true;
  rollback?: true;
  stack?: string;
  cwd: string;
  configFile?: string;
  stamp?: string;
}

function program(): Command {
  return new Command("rotate")
    .description(
      "Edits the stamps of credentials in a stack's config file, and prints the diff; `pulumi up` then acts on it.",
    )
    .argument("<name...>", "credentials under rollover:credentials")
    .addOption(new Option("--retire", "take out the last stamp").conflicts(["rollback", "stamp"]))
    .addOption(new Option("--rollback", "move the second stamp to the front").conflicts("stamp"))
    .addOption(new Option("--stack <stack>", "the stack whose file to edit").env("PULUMI_STACK"))
    .option("--cwd <dir>", "the folder of the stack files", ".")
    .option("--config-file <file>", "the stack file itself, in place of Pulumi.<stack>.yaml")
    .option("--stamp <stamp>", "the stamp to add, in place of today's (UTC) next free one");
}

/** Returns the exit code. `now` is the only clock. */
export function main(args: readonly string[], now: Date): number {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const options = command.opts<Options>();
  const file = stackFile(options);
  const stamp = options.stamp === undefined ? now.toISOString().slice(0, 10) : parseStamp(options.stamp);
  if (file === undefined) return complain(2, "name the stack: --stack S, or --config-file FILE");
  if (stamp === undefined)
    return complain(2, `--stamp ${JSON.stringify(options.stamp)} is no stamp; allowed: ${STAMP_ALLOWED}`);
  const action: Action = options.retire ? "retire" : options.rollback ? "rollback" : "rotate";
  try {
    const edited = editStackFile(read(file), command.args, action, stamp, options.stamp !== undefined);
    replaceFile(file, edited.text);
    process.stdout.write(
      `--- ${options.configFile ?? path.basename(file)}\n+++ ${options.configFile ?? path.basename(file)}\n`,
    );
    process.stdout.write(edited.diff);
    for (const note of edited.notes) process.stderr.write(`${note}\n`);
    return 0;
  } catch (error) {
    if (error instanceof Refusal || error instanceof ConfigError)
      return complain(1, `${error.message}\nNothing was changed.`);
    throw error;
  }
}

/** The last part of a full stack name (`org/project/prod`) names its file. */
function stackFile(options: Options): string | undefined {
  if (options.configFile !== undefined) return path.resolve(options.cwd, options.configFile);
  const stack = options.stack?.split("/").at(-1);
  return stack === undefined || stack === "" ? undefined : path.resolve(options.cwd, `Pulumi.${stack}.yaml`);
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new Refusal(`${file} cannot be read (${code}); check --stack and --cwd`);
  }
}

/** By a rename in the same folder, so that no reader ever sees half a file; a link stays a link. */
function replaceFile(file: string, text: string): void {
  const target = fs.realpathSync(file);
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    fs.writeFileSync(temporary, text, { mode: fs.statSync(target).mode, flag: "wx" });
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new Refusal(`${file} cannot be written (${code})`);
  }
}

function complain(code: number, text: string): number {
  process.stderr.write(`${text}\n`);
  return code;
}

if (require.main === module) process.exitCode = main(process.argv.slice(2), new Date());
