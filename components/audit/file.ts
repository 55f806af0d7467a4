/** The audit as a file of JSON lines, one row a line, for one machine: its chain holds as long as nobody rewrites all of it. */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { BEGINNING, hashOf } from "./chain";
import { locked } from "./lock";
import type { AuditRecord, AuditRow } from "./record";
import { type Row, rowOfLine } from "./shape";

/** How much of the end is read to find the last row: some hundred of them. */
const TAIL_BYTES = 256 * 1024;

/**
 * Adds the records at the end in one write, so that a crash leaves all of them or a torn last line, which the next write ends
 * and `verifyChain` finds. Makes the file (mode 0600) and its folders. Other processes wait for their turn.
 *
 * @param file Relative to `root` and inside it.
 * @throws Error with what to do, without a path of this machine.
 */
export function appendRecords(root: string, file: string, records: readonly AuditRecord[]): Promise<void> {
  return append(root, file, records).catch((error: unknown) => refused(file, error, "write"));
}

async function append(root: string, file: string, records: readonly AuditRecord[]): Promise<void> {
  const target = await locate(root, file, true);
  await locked(target, file, async () => {
    const handle = await openPlain(target, file, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT);
    try {
      const { size } = await handle.stat();
      const tail = await readTail(handle, size);
      let last: Pick<AuditRow, "seq" | "hash"> = lastRow(tail) ?? { seq: 0, hash: BEGINNING };
      const lines = records.map((record) => {
        const [at, seq, previous] = [new Date().toISOString(), last.seq + 1, last.hash];
        const row: AuditRow = { seq, at, record, previous, hash: hashOf(previous, seq, at, JSON.stringify(record)) };
        last = row;
        return `${JSON.stringify(row)}\n`;
      });
      const text = (tail === "" || tail.endsWith("\n") ? "" : "\n") + lines.join("");
      await addWhole(handle, text, size, file);
    } finally {
      await handle.close();
    }
  });
}

/** All of the text or nothing: on a full disk a part of a row would be a break of the chain that nobody made. */
async function addWhole(handle: fs.FileHandle, text: string, size: number, file: string): Promise<void> {
  try {
    await handle.appendFile(text);
    await handle.datasync();
  } catch (error) {
    await handle.truncate(size).catch(() => undefined);
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      `the audit file ${file} could not be written (${code ?? "unknown error"}); see that its disk has room for it`,
    );
  }
}

/** The system's own words hold this machine's paths, and failures go to chat and mail. */
function refused(file: string, error: unknown, use: "read" | "write"): never {
  const { code = "unknown error", syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) throw error;
  const system = use === "write" ? ", that its disk has room and hard links, and that its name is not too long" : "";
  throw new Error(
    `the audit file ${file} cannot be used (${code} at ${syscall}); see that you may ${use} in its folder${system}`,
  );
}

/** Its lines, as they stand; undefined where there is no such file. @throws Error as `appendRecords`. */
export function readLines(root: string, file: string): Promise<string[] | undefined> {
  return linesOf(root, file).catch((error: unknown) => refused(file, error, "read"));
}

async function linesOf(root: string, file: string): Promise<string[] | undefined> {
  const target = await locate(root, file, false);
  const there = await fs.lstat(target).catch(absent);
  if (!there) return undefined;
  const handle = await openPlain(target, file, constants.O_RDONLY);
  try {
    const lines = (await handle.readFile("utf8")).split("\n");
    return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
  } finally {
    await handle.close();
  }
}

/** The end of the file: all of it where the last row is not in the last part. */
async function readTail(handle: fs.FileHandle, size: number): Promise<string> {
  const from = Math.max(0, size - TAIL_BYTES);
  const tail = await readFrom(handle, from, size);
  return from === 0 || lastRow(tail) ? tail : await readFrom(handle, 0, size);
}

async function readFrom(handle: fs.FileHandle, from: number, size: number): Promise<string> {
  const bytes = Buffer.alloc(size - from);
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, from);
  return bytes.toString("utf8", 0, bytesRead);
}

/** What the reader takes for a row too, so that the chain goes on from it: no torn line. */
function lastRow(text: string): Row | undefined {
  for (const line of text.split("\n").reverse()) {
    const row = rowOfLine(line);
    if (row) return row;
  }
  return undefined;
}

/** Where the file is. Throws where its way leads through a symbolic link, which could leave the project. */
async function locate(root: string, file: string, make: boolean): Promise<string> {
  let folder = root;
  for (const part of path.dirname(file).split("/")) {
    folder = path.join(folder, part);
    if (make) await fs.mkdir(folder, { mode: 0o700 }).catch(present);
    const stat = await fs.lstat(folder).catch(absent);
    if (stat && !stat.isDirectory())
      throw new Error(
        `${path.relative(root, folder)}, the way to the audit file ${file}, is a symbolic link or no folder; name another file under rollover:audit.file`,
      );
  }
  return path.join(folder, path.basename(file));
}

/** Not blocking: to open a pipe would wait for its other end. */
async function openPlain(target: string, file: string, flags: number): Promise<fs.FileHandle> {
  const handle = await fs.open(target, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600).catch(unopened);
  const stat = await handle.stat();
  if (stat.isFile() && stat.nlink === 1) return handle;
  await handle.close();
  throw new Error(`the audit file ${file} is no plain file, or has other names too; replace it with a copy of its own`);

  function unopened(error: unknown): never {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      `the audit file ${file} cannot be opened (${code === "ELOOP" ? "it is a symbolic link" : (code ?? "unknown error")}); make it a plain file that you may read and write`,
    );
  }
}

function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

function present(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
}
