/**
 * `npm run notice -- --stack S`: announces what `npm run rotate -- --due` will roll, `rollover:notify.notice` ahead of its day.
 * Run once a day it announces each roll once: it keeps no record, so a second run on a day announces again, and a day without
 * a run announces nothing. What is late already is rolled without it.
 * Exit code 0 announced, or nothing to announce; 1 refused, or somebody must be told (`required`) and could not be; 2 wrong usage.
 */
import { Command, Option } from "commander";
import { addDays } from "../components/rotation/calendar";
import { dueOf } from "../components/rotation/due";
import { formatDuration } from "../components/rotation/duration";
import { DAY_MS } from "../components/rotation/policy";
import { ConfigError, listed } from "../components/rotation/problem";
import { type Change, notifier } from "../components/notify/notifier";
import { findCli, pulumi } from "./cli";
import { exitWith, parsed } from "./command";
import { jsonLine, say } from "./console";
import { fileOf, readText } from "./stack-file/file";
import { readStackFile, type StackFile } from "./stack-file/read";
import { Refusal } from "./stack-file/text";

/** The update itself waits for as long as this. */
const LONGEST_WAIT_MS = 3_600_000;

interface Options {
  stack?: string;
  cwd: string;
  configFile?: string;
  json?: true;
}

/** What is to be announced on a day. */
export interface Announced {
  /** The day of the roll. */
  on: string;
  changes: Change[];
}

function program(): Command {
  return new Command("notice")
    .description(
      "Announces what `npm run rotate -- --due` will roll, rollover:notify.notice ahead; it changes nothing.",
    )
    .addOption(new Option("--stack <stack>", "the stack to announce for").env("PULUMI_STACK"))
    .option("--cwd <dir>", "the folder with Pulumi.yaml and the stack files", ".")
    .option("--config-file <file>", "the stack file itself, in place of Pulumi.<stack>.yaml")
    .option("--json", "print one JSON line of what is announced")
    .allowExcessArguments(false)
    .addHelpText(
      "after",
      "\nExit code: 0 announced, or nothing to announce; 1 refused, or nobody could be told and rollover:notify says required; " +
        "2 wrong usage.\n\n" +
        "Examples:\n" +
        "  npm run notice -- --stack prod\n" +
        "  npm run --silent notice -- --stack prod --json | jq '.changes[].credential'\n",
    );
}

/** Pure. @param day `2026-11-20`. */
export function announcedOn({ credentials, single, policy, notify }: StackFile, day: string): Announced {
  const on = addDays(day, Math.ceil((notify?.noticeMs ?? 0) / DAY_MS));
  const changes = credentials.flatMap((credential): Change[] => {
    const { name, generations } = credential;
    const isEmergency = "atOnce" in credential && credential.atOnce;
    if (isEmergency || dueOf(credential, policy, day).rollOn !== on) return [];
    const breaksAtOnce = single.includes(name) || (credential.kind === "postgres" && credential.inPlace);
    // What is live beside the current one will have been retired by then.
    const from = generations.slice(0, 1);
    return [{ credential: name, from, to: breaksAtOnce ? [on] : [on, ...from] }];
  });
  return { on, changes };
}

/** Returns the exit code. `now` is the only clock. */
export async function main(args: readonly string[], now: Date): Promise<number> {
  const command = program();
  const code = parsed(command, args);
  if (code !== undefined) return code;
  const options = command.opts<Options>();
  const { stack } = options;
  const file = fileOf(options);
  if (stack === undefined || file === undefined) return complain(2, "name the stack: --stack S");
  try {
    const read = readStackFile(readText(file));
    const noticeMs = read.notify?.noticeMs ?? 0;
    if (noticeMs <= LONGEST_WAIT_MS) {
      const given =
        noticeMs === 0 ? "no notice" : `a notice of ${formatDuration(noticeMs)}, which the update itself waits for`;
      say(`nothing to announce: rollover:notify of this stack has ${given}`);
      if (options.json) jsonLine({ announced: false, changes: [] });
      return 0;
    }
    const { on, changes } = announcedOn(read, now.toISOString().slice(0, 10));
    if (changes.length > 0) await tell(read, { ...options, stack }, on, changes);
    const names = listed(changes.map(({ credential }) => credential));
    say(changes.length === 0 ? `nothing to announce: nothing is rolled on ${on}` : `announced for ${on}: ${names}`);
    if (options.json) jsonLine({ announced: changes.length > 0, on, changes });
    return 0;
  } catch (error) {
    if (error instanceof Refusal || error instanceof ConfigError) return complain(1, error.message);
    throw error;
  }
}

async function tell(
  read: StackFile,
  options: Options & { stack: string },
  on: string,
  changes: Change[],
): Promise<void> {
  const { notify, hasWebhook } = read;
  if (!hasWebhook && !notify?.email)
    throw new Refusal(
      "rollover:notify has nobody to tell: add `email`, or run `pulumi config set --secret alertWebhook`",
    );
  const webhook = hasWebhook ? await secret("alertWebhook", options) : "";
  const smtpPassword = notify?.email?.username === undefined ? "" : await secret("smtpPassword", options);
  const name = options.stack.split("/").at(-1) ?? "";
  await notifier(notify, { webhook, smtpPassword }, say).tell({
    event: "begin",
    stack: name,
    changes,
    text: `npm run rotate -- --due rolls this on ${on}`,
    ...(notify && { noticeMs: notify.noticeMs }),
  });
}

/** Throws Refusal, without a word of what the engine printed. */
async function secret(key: string, { cwd, stack, configFile }: Options & { stack: string }): Promise<string> {
  const file = configFile === undefined ? [] : ["--config-file", configFile];
  const found = await pulumi(await findCli(), { cwd, stack }, ["config", "get", `rollover:${key}`, ...file]);
  if (found.code === 0) return found.stdout.trim();
  throw new Refusal(
    `the secret ${key} could not be read, so nobody was told; see what \`pulumi config get ${key} --stack ${stack}\` says`,
  );
}

function complain(code: number, text: string): number {
  say(text);
  return code;
}

if (require.main === module) exitWith(main(process.argv.slice(2), new Date()));
