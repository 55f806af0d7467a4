/**
 * `npm run rotate -- NAME... [--retire | --rollback] [--stack S]`: edits the stamps in `Pulumi.S.yaml` and prints the diff;
 * of keysets also `--restore STAMP`, a key out of the backup, and `--emergency`, a new key and no other;
 * `--due` edits what is due by rollover:policy; `--holder WHO` rolls what somebody may have seen;
 * `--revoke group/NAME...` stamps invalidations of Turso groups and databases.
 * It changes no credential: that is the next `pulumi up`. Exit code 0 done or nothing due, 1 refused (nothing changed), 2 wrong
 * usage, 7 something stays overdue by an enforced policy (what could be edited was).
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { Command } from "commander";
import { addDays } from "../components/rotation/calendar";
import { parseStamp, STAMP_ALLOWED, stampParts } from "../components/rotation/stamp";
import type { Stamp } from "../components/rotation/model";
import { ConfigError } from "../components/rotation/problem";
import { complain, exitWith, parsed } from "./command";
import { jsonLine, say } from "./console";
import { type HasExpired, readExpired } from "./expired";
import { editDue, type Skipped } from "./rotate/due";
import { editHolder } from "./rotate/holder";
import { misuse, type Options, withOptions } from "./rotate/options";
import { type Action, editStackFile, type Edited, invalidateIn, Refusal, withRetired } from "./stack-file";
import { fileOf, readText } from "./stack-file/file";
import { parseTarget } from "./stack-file/revoke";
import type { Why } from "./stack-file/why";

/** What an edit says besides: of `--due` what it left alone, of `--holder` what it cannot end. */
interface Made extends Edited {
  skipped?: Skipped[];
  overdue?: Skipped[];
  enforce?: boolean;
  invalidate?: { target: string; credentials: string[]; command: string }[];
  unending?: { credential: string; why: string }[];
}

/** Returns the exit code. `now` is the only clock. */
export async function main(args: readonly string[], now: Date): Promise<number> {
  const command = withOptions(new Command("rotate"));
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const options = command.opts<Options>();
  const wrong = misuse(command.args, options);
  if (wrong !== undefined) return complain(2, wrong);
  const file = fileOf(options);
  if (file === undefined) return complain(2, "name the stack: --stack S, or --config-file FILE");
  for (const [flag, value] of [["--stamp", options.stamp] as const, ["--restore", options.restore] as const]) {
    if (value !== undefined && parseStamp(value) === undefined)
      return complain(2, `${flag} ${JSON.stringify(value)} is no stamp; allowed: ${STAMP_ALLOWED}`);
  }
  const today = now.toISOString().slice(0, 10);
  const stamp = parseStamp(options.stamp) ?? today;
  // Somewhere it is tomorrow already. A later one would never be due.
  const last = addDays(today, 1);
  if (stampParts(stamp).date > last)
    return complain(2, `--stamp ${stamp} is in the future; allowed: a day up to ${last}, which is tomorrow in UTC`);
  try {
    const text = readText(file);
    const made = await edited(text, command.args, options, stamp, now);
    if (made.text !== text) replaceFile(file, text, made.text);
    print(made, options.configFile ?? path.basename(file), options);
    return made.enforce && made.overdue?.length ? 7 : 0;
  } catch (error) {
    if (error instanceof Refusal || error instanceof ConfigError)
      return complain(1, `${error.message}\nNothing was changed.`);
    throw error;
  }
}

async function edited(
  text: string,
  names: readonly string[],
  options: Options,
  stamp: Stamp,
  now: Date,
): Promise<Made> {
  const { reason, ticket, holder } = options;
  const why: Why = { ...(reason !== undefined && { reason }), ...(ticket !== undefined && { ticket }) };
  const exact = options.stamp !== undefined;
  const never: HasExpired = () => false;
  if (options.revoke) {
    const targets = names.flatMap((name) => parseTarget(name) ?? []);
    return invalidateIn(text, targets, stamp, exact, why);
  }
  if (options.due) {
    return clearing(text, options, now, (hasExpired) => editDue(text, names, stamp, hasExpired, why));
  }
  if (holder !== undefined) {
    // An emergency waits for no state: expired stamps are cleared by the next rotation.
    const made = editHolder(text, holder, { stamp, exact, hasExpired: never }, why);
    return {
      ...made,
      invalidate: made.invalidate.map((one) => ({ ...one, command: commandFor(one.target, options) })),
    };
  }
  const restored = parseStamp(options.restore);
  if (restored !== undefined) return editStackFile(text, names, "restore", restored, true, never, why);
  const action: Action = options.emergency
    ? "emergency"
    : options.retire
      ? "retire"
      : options.rollback
        ? "rollback"
        : "rotate";
  const work = (hasExpired: HasExpired) => editStackFile(text, names, action, stamp, exact, hasExpired, why);
  return action === "rotate" || action === "retire" ? clearing(text, options, now, work) : work(never);
}

/** The state is asked which retired tokens have expired only where some are retired, and after everything that may be refused. */
async function clearing<T extends Edited>(
  text: string,
  { cwd, stack }: Options,
  now: Date,
  work: (hasExpired: HasExpired) => T,
): Promise<T> {
  const made = work(() => false);
  const names = [...new Set(made.changes.map(({ credential }) => credential))];
  if (withRetired(text, names).length === 0) return made;
  const expired =
    stack === undefined
      ? { why: "--config-file does not say which stack it is of; add --stack" }
      : await readExpired({ cwd, stack }, now);
  if ("hasExpired" in expired) return work(expired.hasExpired);
  const note = `retired stamps stay as they are: the state could not be read, ${expired.why}`;
  return { ...made, notes: [...made.notes, note] };
}

/** As a shell takes it, whatever stands in the reason. */
function commandFor(target: string, { reason = "", ticket, stack, cwd, configFile }: Options): string {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const file = configFile === undefined ? `--stack ${quote(stack ?? "")}` : `--config-file ${quote(configFile)}`;
  const where = cwd === "." ? file : `${file} --cwd ${quote(cwd)}`;
  const of = ticket === undefined ? "" : ` --ticket ${quote(ticket)}`;
  return `npm run rotate -- --revoke ${target} --reason ${quote(reason)}${of} ${where}`;
}

function print(made: Made, file: string, options: Options): void {
  const { changes, skipped = [], overdue = [], invalidate, unending } = made;
  if (options.json) {
    const rest = {
      ...(overdue.length > 0 && { overdue }),
      ...(invalidate && { invalidate }),
      ...(unending && { unending }),
    };
    jsonLine({ edited: changes, skipped, file, ...rest });
  } else if (made.diff !== "") {
    process.stdout.write(`--- ${file}\n+++ ${file}\n${made.diff}`);
  } else process.stdout.write(skipped.length + overdue.length > 0 ? "nothing was edited\n" : "nothing is due\n");
  for (const note of made.notes) say(note);
  for (const { credential, why } of skipped) say(`${credential} ${why}`);
  for (const { credential, why } of overdue) say(`${credential} is overdue: ${why}`);
  for (const { target, credentials, command } of invalidate ?? []) {
    say(
      `Only an invalidation ends the old tokens of ${credentials.join(", ")}, and with them every other of ${target}:`,
    );
    say(`  ${command}`);
  }
  for (const { credential, why } of unending ?? []) say(`A roll does not end this: ${credential}, ${why}`);
}

/**
 * By a rename in the same folder, so that no reader ever sees half a file; a link stays a link. Refused where the file is no
 * longer what was read: another command or an editor has been quicker.
 */
function replaceFile(file: string, was: string, text: string): void {
  const target = fs.realpathSync(file);
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    fs.writeFileSync(temporary, text, { mode: fs.statSync(target).mode, flag: "wx" });
    if (fs.readFileSync(target, "utf8") !== was)
      throw new Refusal(`${file} was changed by somebody else meanwhile; run the command again`);
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    if (error instanceof Refusal) throw error;
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new Refusal(`${file} cannot be written (${code})`);
  }
}

if (require.main === module) exitWith(() => main(process.argv.slice(2), new Date()));
