/**
 * `npm run rotate -- NAME... [--retire | --rollback] [--stack S]`: edits the stamps in `Pulumi.S.yaml` and prints the diff;
 * of keysets also `--restore STAMP`, a key out of the backup, and `--emergency`, a new key and no other;
 * `npm run rotate -- --revoke group/NAME... [--reason TEXT]` stamps invalidations of Turso groups and databases.
 * It changes no credential: that is the next `pulumi up`. Exit code 0 done, 1 refused (nothing changed), 2 wrong usage.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { Command, Option } from "commander";
import { exitWith, parsed } from "./command";
import { ConfigError } from "../components/rotation/problem";
import { parseStamp, STAMP_ALLOWED } from "../components/rotation/stamp";
import { readExpired } from "./expired";
import { type Action, type Edited, editStackFile, invalidateIn, Refusal, withRetired } from "./stack-file";
import { fileOf, readText } from "./stack-file/file";
import { parseTarget } from "./stack-file/revoke";

interface Options {
  retire?: true;
  rollback?: true;
  restore?: string;
  emergency?: true;
  revoke?: true;
  reason?: string;
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
    .argument("<name...>", "credentials under rollover:credentials; with --revoke, group/NAME or database/NAME")
    .addOption(new Option("--retire", "take out the last stamp").conflicts(["rollback", "revoke", "stamp"]))
    .addOption(new Option("--rollback", "move the second stamp to the front").conflicts(["revoke", "stamp"]))
    .addOption(
      new Option(
        "--restore <stamp>",
        "of a keyset: bring a retired key back from the backup, as a previous one",
      ).conflicts(["retire", "rollback", "emergency", "revoke", "stamp"]),
    )
    .addOption(
      new Option(
        "--emergency",
        "of a keyset: a new key and no other; all that the old ones signed is refused at once",
      ).conflicts(["retire", "rollback", "revoke"]),
    )
    .option("--revoke", "kill every token of Turso groups or databases: an outage until consumers are delivered to")
    .option("--reason <text>", "with --revoke, why: a comment behind the stamp")
    .addOption(new Option("--stack <stack>", "the stack whose file to edit").env("PULUMI_STACK"))
    .option("--cwd <dir>", "the folder of the stack files", ".")
    .option("--config-file <file>", "the stack file itself, in place of Pulumi.<stack>.yaml")
    .option("--stamp <stamp>", "the stamp to add, in place of today's (UTC) next free one")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  npm run rotate -- rounds-db --stack prod\n" +
        "  npm run rotate -- rounds-turso --retire --stack prod\n" +
        "  npm run rotate -- rounds-signing --restore 2026-08-01 --stack prod\n" +
        "  npm run rotate -- rounds-signing --emergency --stack prod\n" +
        '  npm run rotate -- --revoke group/production --reason "token in a public log" --stack prod\n',
    );
}

/** Returns the exit code. `now` is the only clock. */
export async function main(args: readonly string[], now: Date): Promise<number> {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const options = command.opts<Options>();
  const file = fileOf(options);
  const stamp = options.stamp === undefined ? now.toISOString().slice(0, 10) : parseStamp(options.stamp);
  if (file === undefined) return complain(2, "name the stack: --stack S, or --config-file FILE");
  if (stamp === undefined)
    return complain(2, `--stamp ${JSON.stringify(options.stamp)} is no stamp; allowed: ${STAMP_ALLOWED}`);
  const { restore } = options;
  if (restore !== undefined && parseStamp(restore) === undefined)
    return complain(2, `--restore ${JSON.stringify(restore)} is no stamp; allowed: ${STAMP_ALLOWED}`);
  const wrong = misuse(command.args, options);
  if (wrong !== undefined) return complain(2, wrong);
  try {
    const text = readText(file);
    const exact = options.stamp !== undefined;
    const edited = options.revoke
      ? invalidateIn(
          text,
          command.args.flatMap((name) => parseTarget(name) ?? []),
          stamp,
          exact,
          options.reason,
        )
      : await rotated(text, command.args, stamp, options, now);
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

async function rotated(
  text: string,
  names: readonly string[],
  stamp: string,
  options: Options,
  now: Date,
): Promise<Edited> {
  const restored = parseStamp(options.restore);
  if (restored !== undefined) return editStackFile(text, names, "restore", restored, true);
  const exact = options.stamp !== undefined;
  if (options.emergency) return editStackFile(text, names, "emergency", stamp, exact);
  const action: Action = options.retire ? "retire" : options.rollback ? "rollback" : "rotate";
  // Refused before the state is asked for, which takes a while.
  const edited = editStackFile(text, names, action, stamp, exact);
  if (action === "rollback" || withRetired(text, names).length === 0) return edited;
  const { cwd, stack } = options;
  const expired =
    stack === undefined
      ? { why: "--config-file does not say which stack it is of; add --stack" }
      : await readExpired({ cwd, stack }, now);
  if ("hasExpired" in expired) return editStackFile(text, names, action, stamp, exact, expired.hasExpired);
  const note = `retired stamps stay as they are: the state could not be read, ${expired.why}`;
  return { ...edited, notes: [...edited.notes, note] };
}

/** A credential's name and a target's cannot be taken for one another: a target has a slash. */
function misuse(names: readonly string[], { revoke, reason }: Options): string | undefined {
  const targets = names.filter((name) => parseTarget(name) !== undefined);
  if (revoke) {
    const [other] = names.filter((name) => !targets.includes(name));
    if (other !== undefined)
      return `--revoke takes group/NAME and database/NAME, and ${other} is neither: nobody can revoke one Turso token alone, and others are retired`;
    if (reason !== undefined && !/^(?=.*\S)[^\p{Cc}]{1,500}$/u.test(reason))
      return "--reason is no text of one line, at most 500 characters";
    return undefined;
  }
  if (reason !== undefined) return "--reason is only for --revoke";
  return targets[0] === undefined ? undefined : `${targets[0]} is no credential; add --revoke to invalidate its tokens`;
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

if (require.main === module) exitWith(main(process.argv.slice(2), new Date()));
