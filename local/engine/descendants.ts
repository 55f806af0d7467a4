/** Processes below one, for tests that kill it; Linux and macOS. */
import { execFileSync } from "node:child_process";

interface Row {
  pid: number;
  parent: number;
  /** A zombie, ended but not yet collected, has state Z. */
  state: string;
}

function rows(): Row[] {
  const text = execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" });
  return text.split("\n").flatMap((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/);
    return state === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), state }];
  });
}

/** The pids of all processes that this one started, directly or not. */
export function descendants(pid: number): number[] {
  const all = rows();
  const below = (parent: number): number[] =>
    all.filter((row) => row.parent === parent).flatMap((row) => [row.pid, ...below(row.pid)]);
  return below(pid);
}

export function isRunning(pid: number): boolean {
  return rows().some((row) => row.pid === pid && !row.state.startsWith("Z"));
}
