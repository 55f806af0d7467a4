/** How the operator commands speak: a table and progress for people, one JSON line for programs. */
import CliTable from "cli-table3";
import colors from "picocolors";

/** How often work that lasts is heard of. */
const STILL_BUSY_MS = 5000;
/** Work that is over sooner is not spoken of by `unlessQuick`. */
const QUICK_MS = 2000;

/** A line for people, on standard error. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Runs `work` with a line at its begin and one every 5 s until it ends; `detail` is added to the later ones. */
export async function during<T>(what: string, work: () => Promise<T>, detail: () => string = () => ""): Promise<T> {
  const begun = performance.now();
  say(what);
  const timer = setInterval(() => {
    const rest = detail();
    say(`  still ${Math.round((performance.now() - begun) / 1000)} s${rest === "" ? "" : `, ${rest}`}`);
  }, STILL_BUSY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Runs `work` in silence for 2 s, then as `during`. */
export async function unlessQuick<T>(what: string, work: () => Promise<T>): Promise<T> {
  const working = work();
  // Whoever is told of a failure is the one that awaits the same promise below.
  const quick = working.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise((resolve) => (timer = setTimeout(resolve, QUICK_MS, "busy")));
  const first = await Promise.race([quick, waited]);
  clearTimeout(timer);
  return first === "busy" ? during(what, () => working) : working;
}

/** A cell: `bad` ones are red, on a terminal. */
export type Cell = string | number | { text: string | number; bad: boolean };

/** Colours where `stream` is a terminal that takes them, or FORCE_COLOR asks for them; NO_COLOR ends both. */
export function colorsFor(stream: { isTTY?: boolean }): ReturnType<typeof colors.createColors> {
  // Not picocolors' own answer: it is yes wherever CI is set, for a pipe too.
  const { NO_COLOR: none = "", FORCE_COLOR: forced = "", TERM: terminal } = process.env;
  return colors.createColors(none === "" && (forced !== "" || (stream.isTTY === true && terminal !== "dumb")));
}

/** A table without frames; numbers to the right. */
export function table(head: string[], rows: Cell[][], stream: { isTTY?: boolean }): string {
  const { bold, red } = colorsFor(stream);
  const text = (cell: Cell) => (typeof cell === "object" ? cell.text : cell);
  const made = new CliTable({
    head: head.map(bold),
    colAligns: head.map((_, column) =>
      rows.some((row) => typeof text(row[column] ?? "") === "number") ? "right" : "left",
    ),
    chars: Object.fromEntries(FRAME.map((part) => [part, part === "middle" ? "  " : ""])),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
  });
  for (const row of rows)
    made.push(row.map((cell) => (typeof cell === "object" && cell.bad ? red(String(cell.text)) : String(text(cell)))));
  return `${made
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")}\n`;
}

const FRAME = [
  ...["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"],
  ...["left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"],
] as const;

/** One JSON document as the last line of standard output. */
export function jsonLine(document: object): void {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

let listens = false;

/**
 * Ends the process on Ctrl-C and its like, by way of its exit: whatever ends with the process is ended by that. Called before
 * anything is started that listens to these signals too; a second call does nothing.
 */
export function exitOnSignals(): void {
  if (listens) return;
  listens = true;
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.once(signal, () => {
      say("interrupted: everything that was started is ended");
      process.exit(128 + number);
    });
  }
}
