/** What the operator commands share: reading arguments, and ending with an exit code. */
import { type Command, CommanderError } from "commander";
import { say } from "./console";

/** Reads the arguments into `command`. Returns an exit code where that was all there was to do: 0 for help, 2 for wrong usage. */
export function parsed(command: Command, args: readonly string[]): number | undefined {
  try {
    command.exitOverride().parse(args, { from: "user" });
    return undefined;
  } catch (error) {
    // commander has printed what is wrong, or the help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

/** Ends the process with the code that `main` gives, or with 1 and its error's text. */
export function exitWith(main: Promise<number>): void {
  main.then(
    (code) => (process.exitCode = code),
    (error: unknown) => {
      say(error instanceof Error ? error.message : String(error));
      process.exitCode = 1;
    },
  );
}
