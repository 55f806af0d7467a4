// Proves with real files and processes: two processes make one chain, a killed writer and a torn line stop nobody and the torn line
// is found, the file is private and stays inside the project. Does not prove it for two machines that share a folder.
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hashOf } from "../../components/audit/chain";
import { appendRecords } from "../../components/audit/file";
import { readAudit, verifyChain } from "../../components/audit/read";
import { verify } from "../../operations/report/verify";
import { recordOf } from "./audits";

const FILE = "audit/prod.jsonl";
let root: string;

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-audit-"));
});

afterEach(() => {
  fs.rmSync(root, { recursive: true, force: true });
});

const at = (): string => path.join(root, FILE);
const text = (): string => fs.readFileSync(at(), "utf8");
const read = () => readAudit({ file: FILE, required: true }, root, {});
const append = (...credentials: string[]) =>
  appendRecords(
    root,
    FILE,
    credentials.map((credential) => recordOf({ credential })),
  );

/** Another process that appends `count` times; says so by a line when it has begun. */
function appender(name: string, count: number) {
  const code = `
    const { appendRecords } = require("./components/audit/file");
    const { recordOf } = require("./test/provider/audits");
    (async () => {
      for (let at = 0; at < ${count}; at++) {
        await appendRecords(${JSON.stringify(root)}, "${FILE}", [recordOf({ credential: "${name}-" + at }), recordOf()]);
        if (at === 0) console.log("begun");
      }
    })();`;
  const child = spawn(process.execPath, ["--require", "tsx/cjs", "--eval", code], {
    cwd: path.resolve(__dirname, "../.."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { child, begun: once(child.stdout, "data"), ended: once(child, "exit") };
}

it("keeps what was written, mode 0600, each row chained to the one before", async () => {
  expect(await read()).toEqual([]);
  await append("Überprüfung 試験 🔑", "b");
  await append("c");
  const rows = await read();
  expect(rows.map(({ seq, record }) => [seq, record.credential])).toEqual([
    [1, "Überprüfung 試験 🔑"],
    [2, "b"],
    [3, "c"],
  ]);
  expect(verifyChain(rows)).toEqual({ ok: true, head: rows[2]?.hash });
  expect(fs.statSync(at()).mode & 0o777).toBe(0o600);
  expect(fs.statSync(path.dirname(at())).mode & 0o777).toBe(0o700);
  expect(fs.readdirSync(path.dirname(at()))).toEqual(["prod.jsonl"]);
});

it("two processes that append at once make one chain", async () => {
  const [one, two] = [appender("one", 30), appender("two", 30)];
  expect((await Promise.all([one.ended, two.ended])).map(([code]: unknown[]) => code)).toEqual([0, 0]);
  const rows = await read();
  expect(rows).toHaveLength(120);
  expect(verifyChain(rows)).toMatchObject({ ok: true });
  for (const name of ["one", "two"]) {
    const own = rows.filter(({ record }) => record.credential.startsWith(name));
    expect(own.map(({ record }) => record.credential)).toEqual(
      Array.from({ length: 30 }, (_, index) => `${name}-${index}`),
    );
  }
});

it("goes on after a writer was killed, and takes over the lock of one that is dead", async () => {
  const { child, begun, ended } = appender("killed", 100_000);
  await begun;
  child.kill("SIGKILL");
  await ended;
  // Whether or not it held the lock when it was killed.
  fs.writeFileSync(`${at()}.lock`, `${child.pid ?? 0} ${os.hostname()}`);
  const before = text();
  await append("after");
  expect(text().startsWith(before)).toBe(true);
  const rows = await read();
  expect(rows.at(-1)?.record.credential).toBe("after");
  const found = verifyChain(rows);
  // A kill between two writes leaves whole rows; one within a write a torn line, which is named.
  if (before.endsWith("\n")) expect(found).toMatchObject({ ok: true });
  else expect(found).toMatchObject({ ok: false, seq: before.split("\n").length });
  expect(fs.existsSync(`${at()}.lock`)).toBe(false);
});

it("waits for a live writer, however many wait", async () => {
  await append("first");
  fs.writeFileSync(`${at()}.lock`, `${process.pid} ${os.hostname()}`);
  const waiting = Promise.all([append("second"), append("third")]);
  const early = await Promise.race([
    waiting.then(() => "done"),
    new Promise((resolve) => setTimeout(resolve, 200, "waiting")),
  ]);
  expect(early).toBe("waiting");
  expect(await read()).toHaveLength(1);
  fs.rmSync(`${at()}.lock`);
  await waiting;
  expect(verifyChain(await read())).toMatchObject({ ok: true });
});

it("a write that fails half-way leaves what was there, and says why", async () => {
  await append("first");
  const before = text();
  // 1 KiB is the most that this process may write to one file.
  const code = `require("./components/audit/file").appendRecords(${JSON.stringify(root)}, "${FILE}", Array(5).fill(require("./test/provider/audits").recordOf()))
    .catch((error) => { console.log(error.message); });`;
  const child = spawn(
    "bash",
    ["-c", 'ulimit -f 1; exec "$0" "$@"', process.execPath, "--require", "tsx/cjs", "--eval", code],
    {
      cwd: path.resolve(__dirname, "../.."),
      env: { ...process.env, TSX_DISABLE_CACHE: "1" },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const said: string[] = [];
  child.stdout.on("data", (part: Buffer) => said.push(part.toString()));
  await once(child, "close");
  expect(said.join("")).toMatch(/^the audit file audit\/prod\.jsonl could not be written \(EFBIG\); /);
  expect(text()).toBe(before);
  await append("second");
  expect(verifyChain(await read())).toMatchObject({ ok: true });
});

it.each([
  ["its folder cannot be made", `${"x".repeat(300)}/prod.jsonl`, /\(ENAMETOOLONG at mkdir\)/],
  ["no lock can be made beside it", `${"x".repeat(245)}.jsonl`, /\(ENAMETOOLONG at open\)/],
])("says what to do, and no path of this machine, where %s", async (_, file, why) => {
  const message = await appendRecords(root, file, [recordOf()]).then(
    () => "it was done",
    (error: unknown) => (error as Error).message,
  );
  expect(message).toMatch(/^the audit file x+.* cannot be used .*; see that you may write in its folder/);
  expect(message).toMatch(why);
  expect(message).not.toContain(root);
});

it("says what to do, and no path of this machine, where its folder cannot be read", async () => {
  const audit = { file: `${"x".repeat(300)}/prod.jsonl`, required: true };
  await expect(readAudit(audit, root, {})).rejects.toThrow(
    `the audit file ${audit.file} cannot be used (ENAMETOOLONG at lstat); see that you may read in its folder`,
  );
});

it("an audit that is not there is empty, or is refused where it has to be there", async () => {
  expect(await read()).toEqual([]);
  const audit = { file: FILE, required: true };
  await expect(readAudit(audit, root, {}, { missing: "throws" })).rejects.toThrow(
    "there is no audit file audit/prod.jsonl; see rollover:audit.file, and that this is the machine that writes it",
  );
});

describe("broken rows", () => {
  it("a torn last line gets its end, is named, and the chain goes on behind it", async () => {
    await append("a", "b");
    fs.writeFileSync(at(), text().slice(0, -40));
    expect(verifyChain(await read())).toMatchObject({
      ...{ ok: false, seq: 2, stray: true, more: [] },
      why: expect.stringMatching(/^line 2 holds no row: .* at the end/) as string,
    });
    await append("c");
    expect(text().split("\n")).toHaveLength(4);
    const rows = await read();
    expect(verifyChain(rows)).toEqual({
      ...{ ok: false, seq: 2, stray: true, more: [], head: rows[2]?.hash },
      why: expect.stringMatching(/^line 2 holds no row: .* torn by a crash, and no row is missing there/) as string,
    });
    expect(rows[2]).toMatchObject({ seq: 2, previous: rows[0]?.hash, record: { credential: "c" } });
  });

  it("behind a torn line what was changed or cut off is found too, and a head can be noted", async () => {
    await append("a", "b", "x");
    fs.writeFileSync(at(), text().slice(0, -40));
    await append("c", "d", "e");
    const whole = text();
    const rows = await read();
    const head = rows.at(-1)?.hash ?? "";
    // Until somebody has looked, and noted a head behind it.
    expect(verify(rows, undefined)).toMatchObject({ ok: false, head, seq: 3, more: [], known: [] });
    expect(verify(rows, head)).toMatchObject({ ok: true, head, known: [{ seq: 3 }] });
    fs.writeFileSync(at(), whole.replace('"d"', '"y"'));
    expect(verify(await read(), head)).toMatchObject({ ok: false, seq: 4, more: [], known: [{ seq: 3 }] });
    fs.writeFileSync(at(), whole.replace('"a"', '"y"'));
    expect(verify(await read(), head)).toMatchObject({ ok: false, seq: 1, more: [], known: [{ seq: 3 }] });
    fs.writeFileSync(at(), whole.split("\n").slice(0, -2).join("\n") + "\n");
    expect(verify(await read(), head)).toMatchObject({
      ...{
        ok: false,
        seq: 3,
        more: [{ why: expect.stringMatching(/^the head that was noted is not in it/) as string }],
      },
    });
  });

  it("goes on behind a row that is no record, and behind no line that is no row", async () => {
    await append("a");
    const [first] = await read();
    const at2 = "2026-11-20T09:30:00.000Z";
    const previous = first?.hash ?? "";
    const row = { seq: 2, at: at2, record: {}, previous, hash: hashOf(previous, 2, at2, "{}") };
    fs.appendFileSync(at(), `${JSON.stringify(row)}\n{"seq":99,"hash":"x"}\n`);
    await append("b");
    const rows = await read();
    expect(rows.at(-1)).toMatchObject({ seq: 3, previous: row.hash });
    expect(verifyChain(rows)).toMatchObject({
      ...{
        ok: false,
        seq: 2,
        stray: true,
        why: expect.stringMatching(/^row 2 holds no record of Rollover's/) as string,
      },
      more: [{ seq: 3, stray: true, why: expect.stringMatching(/^line 3 holds no row/) as string }],
    });
  });

  it("finds the last row behind a long torn line", async () => {
    await append("a");
    fs.appendFileSync(at(), `{"seq":2,"record":"${"x".repeat(400_000)}`);
    await append("b");
    expect((await read()).at(-1)).toMatchObject({ seq: 2, record: { credential: "b" } });
  });

  it.each([
    ["changed", (lines: string[]) => lines.map((line) => line.replace('"b"', '"x"')), 2],
    ["no JSON", (lines: string[]) => lines.map((line, index) => (index === 1 ? "gone" : line)), 2],
    ["emptied", (lines: string[]) => lines.map((line, index) => (index === 1 ? "" : line)), 2],
    ["taken out", (lines: string[]) => lines.filter((_, index) => index !== 0), 1],
    ["written with other spaces", (lines: string[]) => lines.map((line) => line.replace('"seq":3', '"seq": 3')), 3],
    ["with a key twice", (lines: string[]) => lines.map((line) => line.replace('"seq":3', '"seq":1,"seq":3')), 3],
    ["with a key more", (lines: string[]) => lines.map((line) => line.replace('"seq":3', '"x":1,"seq":3')), 3],
  ])("a row that is %s is named", async (_, edit, seq) => {
    await append("a", "b", "c");
    fs.writeFileSync(at(), edit(text().trimEnd().split("\n")).join("\n") + "\n");
    expect(verifyChain(await read())).toMatchObject({ ok: false, seq });
  });
});

describe("a way out of the project", () => {
  const outside = "the-outside.txt";

  it("is refused, and nothing is written there", async () => {
    const target = path.join(root, outside);
    fs.writeFileSync(target, "untouched\n");
    fs.mkdirSync(path.join(root, "audit"));
    fs.symlinkSync(target, at());
    await expect(append("a")).rejects.toThrow(/audit\/prod.jsonl cannot be opened \(it is a symbolic link\)/);
    fs.rmSync(at());
    fs.linkSync(target, at());
    await expect(append("a")).rejects.toThrow(/has other names too/);
    fs.rmSync(path.join(root, "audit"), { recursive: true });
    fs.mkdirSync(path.join(root, "elsewhere"));
    fs.symlinkSync(path.join(root, "elsewhere"), path.join(root, "audit"));
    await expect(append("a")).rejects.toThrow(/audit, the way to the audit file .* is a symbolic link or no folder/);
    await expect(read()).rejects.toThrow(/is a symbolic link or no folder/);
    expect(fs.readFileSync(target, "utf8")).toBe("untouched\n");
    expect(fs.readdirSync(path.join(root, "elsewhere"))).toEqual([]);
  });
});
