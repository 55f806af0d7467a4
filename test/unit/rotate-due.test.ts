// Proves what `npm run rotate -- --due` makes of a stack file, day by day over simulated years: never anything overdue, comments
// and order as they were, and nothing written where nothing is due. When something is due is in due.test.ts; not that an update
// then does what the file says.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { addDays } from "../../components/rotation/calendar";
import { dueOf, freezeOn } from "../../components/rotation/due";
import { main } from "../../operations/rotate";
import { editDue } from "../../operations/rotate/due";
import { editStackFile } from "../../operations/stack-file";
import { readStackFile } from "../../operations/stack-file/read";
import { DUE_FILE } from "./due-fixture";

const statuses = (text: string, day: string) => {
  const { credentials, policy } = readStackFile(text);
  return credentials.map((credential) => `${credential.name} ${dueOf(credential, policy, day).status}`);
};
/** What is no stamp, and no line or key that carries only stamps or why. */
const restOf = (text: string) =>
  text
    .split("\n")
    .filter((line) => !/^ +(- )?"?2026-\d\d-\d\d|^ +(- )?"2027|^ +(retired|reason):/.test(line))
    .map((line) => line.replace(/, reason: "due"/, "").replace(/(generations?: )(\[.*?\]|\S+)/, "$1"))
    .join("\n");

describe("--due, once a day", { timeout: 120_000 }, () => {
  it("lets nothing be overdue over a year and a half, and keeps the file as it was", () => {
    let text = DUE_FILE;
    const done: string[] = [];
    for (let day = "2026-01-02"; day < "2027-06-01"; day = addDays(day, 1)) {
      const before = readStackFile(text);
      const edited = editDue(text, [], day, () => false, { reason: "due" });
      if (edited.changes.length === 0) expect(edited).toMatchObject({ text, diff: "" });
      if (freezeOn(before.policy, day)) expect(edited.changes).toEqual([]);
      for (const { credential, action, stamp } of edited.changes) {
        done.push(`${credential} ${action}`);
        const was = before.credentials.find(({ name }) => name === credential)?.generations ?? [];
        expect(was.length, `${day} ${credential}`).toBe(action === "rotate" ? 1 : 2);
        expect(stamp).toBe(action === "rotate" ? day : was[1]);
      }
      text = edited.text;
      expect(statuses(text, day).filter((one) => one.endsWith("overdue"))).toEqual([]);
    }
    expect(restOf(text)).toBe(restOf(DUE_FILE));
    for (const comment of DUE_FILE.match(/#.*/g)?.filter((one) => one !== "# by Ann") ?? [])
      expect(text).toContain(comment);
    const count = (what: string) => done.filter((one) => one === what).length;
    for (const name of ["flow", "block", "spread", "tokens", "signing"]) {
      expect(count(`${name} rotate`)).toBeGreaterThanOrEqual(5);
      expect(count(`${name} rotate`) - count(`${name} retire`)).toBeLessThanOrEqual(1);
    }
    expect([count("single rotate") >= 8, count("single retire")]).toEqual([true, 0]);
  });

  it("says what it does and why, and of what breaks at once that it does", () => {
    const { changes, notes } = editDue(DUE_FILE, ["single"], "2026-02-27");
    expect(changes).toEqual([
      {
        credential: "single",
        action: "rotate",
        stamp: "2026-02-27",
        why: expect.stringMatching(/^is due by 2026-03-02, and its day is 2026-02-\d\d$/) as string,
      },
    ]);
    expect(notes.join("\n")).toContain("which breaks at once");
  });

  it("rolls nothing in an open overlap, and retires first where a run was missed", () => {
    const open = DUE_FILE.replace('["2026-01-01"] # then', '["2026-02-26", "2025-12-30"] # then').replace(
      "default: 60d",
      "default: 61d",
    );
    expect(editDue(open, ["tokens"], "2026-02-27").changes).toEqual([]);
    const late = editDue(open, ["tokens"], "2026-06-27");
    expect(late.changes.map(({ action, stamp }) => `${action} ${stamp}`)).toEqual(["retire 2025-12-30"]);
    expect(late.text).toContain('generations: ["2026-02-26"] # then retired\n      retired: ["2025-12-30"]\n');
    expect(editDue(late.text, ["tokens"], "2026-06-27").changes.map(({ action }) => action)).toEqual(["rotate"]);
  });

  it("tells how a stamp of the future is mended, and then mends it", () => {
    let text = DUE_FILE.replace(
      'flow: { kind: random, generations: ["2026-01-01"]',
      'flow: { kind: random, generations: ["2062-01-01", "2026-01-01"]',
    );
    const [told] = editDue(text, ["flow"], "2026-01-10").skipped;
    expect(told?.why).toContain("roll it by its name, and 2062-01-01 is retired in its time");
    text = editStackFile(text, ["flow"], "rotate", "2026-01-10").text;
    const done: string[] = [];
    for (let day = "2026-01-10"; day < "2026-02-25"; day = addDays(day, 1)) {
      const { text: next, changes } = editDue(text, ["flow"], day);
      done.push(...changes.map(({ action, stamp }) => `${day} ${action} ${stamp}`));
      text = next;
    }
    expect(done.slice(0, 2)).toEqual(["2026-01-15 retire 2026-01-01", "2026-01-15 retire 2062-01-01"]);
    expect(editDue(text, ["flow"], "2026-02-25")).toMatchObject({ skipped: [], overdue: [] });
  });

  it("refuses an unknown name", () => {
    expect(() => editDue(DUE_FILE, ["blck"], "2026-02-27")).toThrow(
      "blck is no credential of this stack; did you mean block?",
    );
  });
});

describe("npm run rotate -- --due", () => {
  let dir = "";
  const file = () => path.join(dir, "Pulumi.prod.yaml");
  const run = async (day: string, ...args: string[]) => {
    const said = { out: "", err: "" };
    const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => ((said.out += String(text)), true));
    const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => ((said.err += String(text)), true));
    try {
      const code = await main(["--due", "--stack", "prod", "--cwd", dir, ...args], new Date(`${day}T12:00:00Z`));
      return { code, ...said, text: fs.readFileSync(file(), "utf8") };
    } finally {
      out.mockRestore();
      err.mockRestore();
    }
  };
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "rotate-due-"));
    fs.writeFileSync(file(), DUE_FILE);
  });
  afterEach(() => {
    fs.rmSync(dir, { recursive: true });
  });

  it("exits 0 and leaves the file untouched where nothing is due", async () => {
    const { ino, mtimeMs } = fs.statSync(file());
    expect(await run("2026-01-10")).toMatchObject({ code: 0, out: "nothing is due\n", text: DUE_FILE });
    expect(fs.statSync(file())).toMatchObject({ ino, mtimeMs });
    const { out } = await run("2026-01-10", "--json");
    expect(JSON.parse(out)).toEqual({ edited: [], skipped: [], file: "Pulumi.prod.yaml" });
  });

  it("edits what is due, limited to the names that are given, as diff or as JSON", async () => {
    const one = await run("2026-02-27", "flow", "--reason", "policy");
    expect(one).toMatchObject({ code: 0 });
    expect(one.out).toContain(
      '+    flow: { kind: random, generations: ["2026-02-27", "2026-01-01"], reason: "policy", holders:',
    );
    expect(one.text).toBe(
      DUE_FILE.replace('["2026-01-01"], holders', '["2026-02-27", "2026-01-01"], reason: "policy", holders'),
    );
    const { edited } = JSON.parse((await run("2026-02-27", "block", "--json")).out) as { edited: unknown[] };
    expect(edited).toEqual([
      {
        credential: "block",
        action: "rotate",
        stamp: "2026-02-27",
        why: expect.stringContaining("is due by 2026-03-02") as string,
      },
    ]);
  });

  it("edits nothing in a freeze, and says what waits for its end", async () => {
    const { out, err, text } = await run("2026-03-05");
    expect([out, text]).toEqual(["nothing was edited\n", DUE_FILE]);
    expect(err).toContain("flow is to be edited, but not in the freeze until 2026-03-21\n");
  });

  it("says so where a stack has no policy", async () => {
    fs.writeFileSync(file(), "config:\n  rollover:credentials: { key: { kind: random, generations: [2020-01-01] } }\n");
    expect(await run("2026-02-27")).toMatchObject({
      code: 0,
      err: "rollover:policy is not set, so nothing is ever due\n",
    });
  });

  it("refuses a policy that is wrong, and changes nothing", async () => {
    const bad = DUE_FILE.replace("overlap: 5d", "overlap: 14d");
    fs.writeFileSync(file(), bad);
    const { code, err, text } = await run("2026-02-27");
    expect([code, text]).toEqual([1, bad]);
    expect(err).toContain("rollover:policy.warnBefore\n  leaves no day to roll on");
  });
});
