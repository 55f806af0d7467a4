/** What processes show as their arguments to the whole machine while something runs. Linux; elsewhere nothing is seen. */
import * as fs from "node:fs";

const EVERY_MS = 50;
/** A process shows its parent's arguments at first, then those of what it becomes. */
const LOOKS = 3;

/** Adds the arguments of each process that begins between the first `begin` and the last `end`, whoever started it. */
export function watchArguments(seen: Set<string>): { begin(): void; end(): void } {
  const looks = new Map<string, number>();
  let running = 0;
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    for (const pid of fs.existsSync("/proc") ? fs.readdirSync("/proc") : []) {
      const before = looks.get(pid) ?? 0;
      if (before >= LOOKS || !/^\d+$/.test(pid)) continue;
      looks.set(pid, before + 1);
      seen.add(argumentsOf(pid));
    }
  };
  return {
    begin() {
      running += 1;
      if (running > 1) return;
      looks.clear();
      timer = setInterval(look, EVERY_MS);
    },
    end() {
      running -= 1;
      if (running === 0) clearInterval(timer);
    },
  };
}

/** Empty for a process that has ended meanwhile. */
function argumentsOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
