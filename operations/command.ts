/** What the operator commands share: reading arguments, a folder of their own, and ending with an exit code. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { type Command, CommanderError } from "commander";
import { closest, listed } from "../components/rotation/problem";
import { exitOnSignals, say } from "./console";

/** How commander refuses a value that is not among an option's choices. */
const NOT_ALLOWED = /argument '(?<given>.*)' is invalid\. Allowed choices are (?<choices>.*)\.\s*$/s;

/** Options of ours that npm has too, by `npm config ls -l`: the user may have set them for npm, whatever the command. */
const OF_NPM = ["--audit", "--json", "--only"];

/** Reads the arguments into `command`. Returns an exit code where that was all there was to do: 0 for help, 2 for wrong usage. */
export function parsed(command: Command, args: readonly string[]): number | undefined {
  const [example, ...others] = takenByNpm(command);
  if (example !== undefined) {
    const taken = `npm has taken ${listed([example, ...others])} for itself`;
    return complain(2, `${taken}: put \`--\` before the options, as in \`npm run ${command.name()} -- ${example}\``);
  }
  try {
    // commander has a suggestion for an unknown option, and none for an unknown value.
    command.configureOutput({
      outputError: (text, write) => {
        write(`${text.trimEnd()}\n${suggestion(text)}`);
      },
    });
    command.exitOverride().parse(args, { from: "user" });
  } catch (error) {
    // commander has printed what is wrong, or the help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  // commander takes whatever follows for the value.
  const empty = command.options.find((option) => {
    const value: unknown = command.getOptionValue(option.attributeName());
    return typeof value === "string" && value.startsWith("--");
  });
  return empty && complain(2, `${empty.long ?? empty.flags} has no value: an option follows it`);
}

/**
 * Options that did not reach the command: without `--` before them npm takes every option for its own, and an edit would be
 * another than was asked for. It leaves them in the environment alone. https://docs.npmjs.com/cli/v11/commands/npm-run
 */
function takenByNpm(command: Command): string[] {
  const { env } = process;
  if (env["npm_lifecycle_event"] === undefined) return [];
  const all = command.options.flatMap(({ long }) => long?.replace(/^--no-/, "--") ?? []);
  return all.filter((name) => {
    return !OF_NPM.includes(name) && env[`npm_config_${name.slice(2).replaceAll("-", "_")}`] !== undefined;
  });
}

function suggestion(text: string): string {
  const { given = "", choices = "" } = NOT_ALLOWED.exec(text)?.groups ?? {};
  const guess = closest(given, choices.split(", "));
  return guess === undefined ? "" : `(Did you mean ${guess}?)\n`;
}

/** Gives `work` a folder of its own, which only this user can read. It is gone afterwards, also after Ctrl-C. */
export async function withFolder<T>(prefix: string, work: (dir: string) => Promise<T>): Promise<T> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), prefix)); // 0700
  const remove = () => {
    fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once("exit", remove);
  try {
    return await work(dir);
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/**
 * Ends the process with the code that `main` gives, or with 1 and its error's text. A function is called when signals are
 * listened to already: what it does without a pause, such as to replace a file, is then done whole or not at all.
 */
export function exitWith(main: Promise<number> | (() => number | Promise<number>)): void {
  exitOnSignals();
  Promise.resolve()
    .then(() => (typeof main === "function" ? main() : main))
    .then(
      (code) => (process.exitCode = code),
      (error: unknown) => {
        say(error instanceof Error ? error.message : String(error));
        process.exitCode = 1;
      },
    );
}

/** Says what is wrong, and gives the exit code back. */
export function complain(code: number, text: string): number {
  say(text);
  return code;
}
