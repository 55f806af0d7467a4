/**
 * Ends the local cloud's servers with the process that started them, however that process ends. Neither postgres nor
 * workerd notices the death of its parent. So each is started through a launcher that writes its pid into a folder, and
 * a small shell process, which notices the end by its closed standard input, ends whatever the folder names.
 */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

export interface Supervisor {
  /** A folder that goes away with the process; every user may enter it. */
  dir: string;
  /** Writes an executable that records its pid and becomes `command`; it may be run as any user. */
  launcher(command: string): string;
  /** Forgets the pids of processes that have ended, before the system gives the numbers to others. */
  sweep(): void;
  /** The recorded processes that still run. */
  alive(): number[];
}

// INT is postgres's fast shutdown and workerd's end; KILL after 5 s. The loop looks again for 0.5 s after the last one,
// for a launcher that was about to write its pid when the parent died.
const WATCHDOG = `
cat > /dev/null
i=0; idle=0
while [ $i -lt 100 ] && [ $idle -lt 5 ]; do
  idle=$((idle+1))
  for file in "$1"/pids/*; do
    pid=\${file##*/}
    if kill -0 "$pid" 2> /dev/null; then
      idle=0
      if [ $i -lt 50 ]; then kill -INT "$pid"; else kill -KILL "$pid"; fi
    else
      rm -f "$file"
    fi
  done
  i=$((i+1)); sleep 0.1
done
rm -rf "$1"
`;

let shared: Supervisor | undefined;

/** The supervisor of this process, started on first use. */
export function supervisor(): Supervisor {
  shared ??= start();
  return shared;
}

function start(): Supervisor {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-cloud-"));
  const pids = path.join(dir, "pids");
  // As root, postgres runs as another user: it must be able to enter, and to write its pid.
  fs.chmodSync(dir, 0o711);
  fs.mkdirSync(pids);
  fs.chmodSync(pids, 0o1777);

  // Detached: an interrupt from the terminal goes to the whole foreground group, and must not end the watchdog first.
  const watchdog = spawn("/bin/sh", ["-c", WATCHDOG, "rollover-watchdog", dir], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watchdog.unref();
  // The pipe must stay open as long as this process lives, yet not keep it alive.
  const stdin = watchdog.stdin as unknown as { unref?: () => void };
  stdin.unref?.();

  const launchers = new Map<string, string>();
  const alive = (): number[] =>
    fs
      .readdirSync(pids)
      .map(Number)
      .filter((pid) => isRunning(pid));
  return {
    dir,
    launcher(command) {
      const known = launchers.get(command);
      if (known) return known;
      const file = path.join(dir, `launch-${launchers.size}-${path.basename(command)}`);
      const text = `#!/bin/sh\n: > '${pids}'/$$ && exec '${command}' "$@"\n`;
      fs.writeFileSync(file, text, { mode: 0o755 });
      launchers.set(command, file);
      return file;
    },
    sweep() {
      for (const name of fs.readdirSync(pids))
        if (!isRunning(Number(name))) fs.rmSync(path.join(pids, name), { force: true });
    },
    alive,
  };
}

/** Whether a process with this pid runs, whoever owns it. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
