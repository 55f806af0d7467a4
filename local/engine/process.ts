/** Runs a command to its end, bounded in time; for the engine's bootstrap. */
import { spawn } from "node:child_process";

export interface Finished {
  /** The exit code; -1 when the command could not be started, was ended by a signal or ran out of time. */
  code: number;
  stdout: string;
  /** What the command said, or why it did not run. */
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs: number;
  /** Called with each line of stderr as it comes. */
  onLine?: (line: string) => void;
}

/** Never rejects: a command that cannot be started is an outcome like any other. */
export function run(command: string, args: string[], options: RunOptions): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, options.timeoutMs);
    const stop = () => child.kill("SIGKILL");
    process.once("exit", stop);
    const finish = (code: number, reason: string) => {
      clearTimeout(timer);
      process.off("exit", stop);
      resolve({ code, stdout, stderr: stderr + reason });
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      for (const line of text.split("\n")) if (line.trim() !== "") options.onLine?.(line.trimEnd());
    });
    child.once("error", (error) => {
      finish(-1, `cannot start ${command}: ${error.message}`);
    });
    child.once("close", (code, signal) => {
      if (timedOut) finish(-1, `ended after ${options.timeoutMs / 1000} s`);
      else if (code === null) finish(-1, `ended by ${signal ?? "a signal"}`);
      else finish(code, "");
    });
  });
}

/** The last line that says something, for a one-line reason. */
export function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}
