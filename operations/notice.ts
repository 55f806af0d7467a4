/**
 * `npm run notice -- --stack S`: announces what `npm run rotate -- --due` will roll, `rollover:notify.notice` ahead of its day.
 * Run once a day it announces each roll once: it keeps no record, so a second run on a day announces again, and a day without
 * a run announces nothing. What is late already is rolled without it.
 * `--failed` tells that an update failed, for what no provider sees: a failure of another vendor's resource, or of the run itself.
 * Exit code 0 told, or nothing to tell; 1 refused, or nobody could be told, or by `required` not everybody; 2 wrong usage.
 */
import { Command, Option } from "commander";
import { addDays } from "../components/rotation/calendar";
import { dueOf } from "../components/rotation/due";
import { formatDuration } from "../components/rotation/duration";
import { isKeyset } from "../components/rotation/keyset-rules";
import { DAY_MS } from "../components/rotation/policy";
import { REASON } from "../components/rotation/operating";
import { ConfigError, listed } from "../components/rotation/problem";
import { LONGEST_WAIT_MS } from "../components/notify/announcement.provider";
import { type Change, type Message, notifier } from "../components/notify/notifier";
import { findCli, pulumi } from "./cli";
import { complain, exitWith, parsed } from "./command";
import { jsonLine, say } from "./console";
import { fileOf, readText } from "./stack-file/file";
import { readStackFile, type StackFile } from "./stack-file/read";
import { WITH_PASSWORD } from "./stack-file/why";
import { Refusal } from "./stack-file/text";

interface Options {
  stack?: string;
  cwd: string;
  configFile?: string;
  json?: true;
  failed?: true;
  text?: string;
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
    .option("--failed", "tell that an update failed, in place of that")
    .option("--text <text>", "with --failed: one line more, such as the address of the run")
    .addOption(new Option("--stack <stack>", "the stack to announce for").env("PULUMI_STACK"))
    .option("--cwd <dir>", "the folder with Pulumi.yaml and the stack files", ".")
    .option("--config-file <file>", "the stack file itself, in place of Pulumi.<stack>.yaml")
    .option("--json", "print one JSON line of what is announced")
    .allowExcessArguments(false)
    .addHelpText(
      "after",
      "\nExit code: 0 told, or nothing to tell; 1 refused, or nobody could be told, or not everybody and rollover:notify says\n" +
        "required; 2 wrong usage.\n\n" +
        "Examples:\n" +
        "  npm run notice -- --stack prod\n" +
        '  npm run notice -- --failed --text "https://ci.example.com/runs/7" --stack prod\n' +
        "  npm run --silent notice -- --stack prod --json | jq '.changes[].credential'\n",
    );
}

/** Pure. @param day `2026-11-20`. */
export function announcedOn({ credentials, policy, notify }: StackFile, day: string): Announced {
  const on = addDays(day, Math.ceil((notify?.noticeMs ?? 0) / DAY_MS));
  const changes = credentials.flatMap((credential): Change[] => {
    const { name, kind, generations } = credential;
    if (dueOf(credential, policy, day).rollOn !== on) return [];
    // A keyset that an emergency left as `generation` is a list again by then.
    const breaksAtOnce = credential.single ? !isKeyset(credential) : kind === "postgres" && credential.inPlace;
    // What is live beside the current one will have been retired by then.
    const from = generations.slice(0, 1);
    return [{ credential: name, kind, from, to: breaksAtOnce ? [on] : [on, ...from] }];
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
  const { failed, text } = options;
  if (text !== undefined && !failed) return complain(2, "--text goes with --failed");
  if (text !== undefined && !REASON.pattern.test(text)) return complain(2, `--text is no ${REASON.allowed.slice(2)}`);
  // The address of a run may be as long and as odd as a token; a password has a place of its own.
  if (WITH_PASSWORD.test(text ?? "")) return complain(2, "--text holds an address with a password; say it without");
  try {
    const read = readStackFile(readText(file), ["policy", "notify"]);
    if (failed) return await tellFailure(read, { ...options, stack });
    const noticeMs = read.notify?.noticeMs ?? 0;
    if (noticeMs <= LONGEST_WAIT_MS) {
      const given =
        noticeMs === 0 ? "no notice" : `a notice of ${formatDuration(noticeMs)}, which the update itself waits for`;
      say(`nothing to announce: rollover:notify of this stack has ${given}`);
      if (options.json) jsonLine({ announced: false, changes: [] });
      return 0;
    }
    const { on, changes } = announcedOn(read, now.toISOString().slice(0, 10));
    const told = changes.length > 0 ? await announce(read, { ...options, stack }, on, changes) : 0;
    const names = listed(changes.map(({ credential }) => credential));
    if (changes.length === 0) say(`nothing to announce: nothing is rolled on ${on}`);
    else say(told > 0 ? `announced for ${on}: ${names}` : `nobody was told what is rolled on ${on}: ${names}`);
    if (options.json) jsonLine({ announced: told > 0, on, changes });
    return changes.length > 0 && told === 0 ? 1 : 0;
  } catch (error) {
    if (error instanceof Refusal || error instanceof ConfigError) return complain(1, error.message);
    throw error;
  }
}

type Named = Options & { stack: string };

async function announce(read: StackFile, options: Named, on: string, changes: Change[]): Promise<number> {
  const text = `npm run rotate -- --due rolls this on ${on}`;
  return tell(read, options, { event: "begin", changes, text, noticeMs: read.notify?.noticeMs ?? 0 });
}

async function tellFailure(read: StackFile, options: Named): Promise<number> {
  const { text, json } = options;
  if (!read.notify) {
    say("nobody to tell: rollover:notify is not set");
    if (json) jsonLine({ told: false });
    return 0;
  }
  const told = await tell(read, options, { event: "failed", changes: [], ...(text !== undefined && { text }) });
  say(told > 0 ? "told that an update failed" : "nobody was told that an update failed");
  if (json) jsonLine({ told: told > 0 });
  return told > 0 ? 0 : 1;
}

/** How many channels took it. */
async function tell(read: StackFile, options: Named, message: Omit<Message, "stack">): Promise<number> {
  const { notify, hasWebhook } = read;
  if (!hasWebhook && !notify?.email)
    throw new Refusal(
      "rollover:notify has nobody to tell: add `email`, or run `pulumi config set --secret alertWebhook`",
    );
  const webhook = hasWebhook ? await secret("alertWebhook", options) : "";
  const smtpPassword = notify?.email?.username === undefined ? "" : await secret("smtpPassword", options);
  const name = options.stack.split("/").at(-1) ?? "";
  return notifier(notify, { webhook, smtpPassword }, say).tell({ ...message, stack: name });
}

/** Throws Refusal, without a word of what the engine printed. */
async function secret(key: string, { cwd, stack, configFile }: Named): Promise<string> {
  const file = configFile === undefined ? [] : ["--config-file", configFile];
  const found = await pulumi(await findCli(), { cwd, stack }, ["config", "get", `rollover:${key}`, ...file]);
  if (found.code === 0) return found.stdout.trim();
  throw new Refusal(
    `the secret ${key} could not be read, so nobody was told; see what \`pulumi config get ${key} --stack ${stack}\` says`,
  );
}

if (require.main === module) exitWith(() => main(process.argv.slice(2), new Date()));
