/** The arguments of `npm run rotate`, and which of them do not go together. */
import { type Command, Option } from "commander";
import { parseTarget } from "../stack-file/revoke";
import { whyProblem } from "../stack-file/why";

export interface Options {
  retire?: true;
  rollback?: true;
  restore?: string;
  emergency?: true;
  revoke?: true;
  due?: true;
  holder?: string;
  reason?: string;
  ticket?: string;
  json?: true;
  stack?: string;
  cwd: string;
  configFile?: string;
  stamp?: string;
}

const ACTIONS = ["retire", "rollback", "restore", "emergency", "revoke", "due", "holder"];

export function withOptions(command: Command): Command {
  const action = (flags: string, text: string, others: string[] = []) => {
    const option = new Option(flags, text);
    const rest = ACTIONS.filter((name) => name !== option.attributeName());
    return option.conflicts([...rest, ...others]);
  };
  return command
    .description(
      "Edits the stamps of credentials in a stack's config file, and prints the diff; `pulumi up` then acts on it.",
    )
    .argument("[name...]", "credentials under rollover:credentials; with --revoke, group/NAME or database/NAME")
    .addOption(action("--retire", "take out the last stamp", ["stamp"]))
    .addOption(action("--rollback", "move the second stamp to the front", ["stamp"]))
    .addOption(action("--due", "roll what is due by rollover:policy, and retire what has had its overlap", ["stamp"]))
    .addOption(action("--holder <who>", "roll whatever this person may have seen, and retire the old at once"))
    .addOption(
      action("--restore <stamp>", "of a keyset: bring a retired key back from the backup, as a previous one", [
        "stamp",
      ]),
    )
    .addOption(
      action("--emergency", "of a keyset: a new key and no other; all that the old ones signed is refused at once"),
    )
    .addOption(
      action("--revoke", "kill every token of Turso groups or databases: an outage until consumers are delivered to"),
    )
    .option("--reason <text>", "why, in one line: kept in the entry, in records and in messages")
    .option("--ticket <ticket>", "under which ticket, kept likewise")
    .option("--json", "print one JSON line in place of the diff")
    .addOption(new Option("--stack <stack>", "the stack whose file to edit").env("PULUMI_STACK"))
    .option("--cwd <dir>", "the folder of the stack files", ".")
    .option("--config-file <file>", "the stack file itself, in place of Pulumi.<stack>.yaml")
    .option("--stamp <stamp>", "the stamp to add, in place of today's (UTC) next free one")
    .addHelpText(
      "after",
      "\nExit code: 0 edited, or nothing is due; 1 refused, and nothing was changed; 2 wrong usage; " +
        "7 something stays overdue and rollover:policy is enforced: what could be edited was.\n\n" +
        "Examples:\n" +
        '  npm run rotate -- rounds-db --reason "the laptop of Ann" --ticket OPS-12 --stack prod\n' +
        "  npm run rotate -- --due --stack prod\n" +
        '  npm run rotate -- --holder a@example.com --reason "left" --stack prod\n' +
        "  npm run rotate -- rounds-turso --retire --stack prod\n" +
        "  npm run rotate -- rounds-signing --restore 2026-08-01 --stack prod\n" +
        "  npm run rotate -- rounds-signing --emergency --stack prod\n" +
        '  npm run rotate -- --revoke group/production --reason "token in a public log" --stack prod\n',
    );
}

/** What is wrong with the arguments; undefined where nothing is. A target has a slash, and a credential's name has none. */
export function misuse(names: readonly string[], options: Options): string | undefined {
  const { revoke, due, holder, reason } = options;
  const wrong = whyProblem(options);
  if (wrong !== undefined) return wrong;
  const targets = names.filter((name) => parseTarget(name) !== undefined);
  if (holder !== undefined) {
    if (names.length > 0) return "--holder rolls whatever that person holds; name no credentials with it";
    return reason === undefined ? "--holder needs --reason, such as --reason left" : undefined;
  }
  if (names.length === 0 && !due)
    return "missing required argument 'name': name at least one, or use --due or --holder";
  if (!revoke) {
    return targets[0] === undefined
      ? undefined
      : `${targets[0]} is no credential; add --revoke to invalidate its tokens`;
  }
  const [other] = names.filter((name) => !targets.includes(name));
  return other === undefined
    ? undefined
    : `--revoke takes group/NAME and database/NAME, and ${other} is neither: nobody can revoke one Turso token alone, and others are retired`;
}
