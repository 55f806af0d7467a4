// Proves what `npm run rotate` does to the stamps of keysets: in front, out (of `restore` too), back from the backup, and the
// emergency, each in every form of YAML, and what it refuses. Not long rows of edits (rotate-keyset-properties.test.ts), and not that
// an update then does what the file says.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { main } from "../../operations/rotate";
import { Refusal } from "../../operations/stack-file";
import { edit, FILE, listsOf } from "./rotate-keyset-fixture";

/** Lines that come and go, each with its sign. */
const diffOf = ({ diff }: { diff: string }) => diff.split("\n").filter((line) => /^[+-]/.test(line));

describe("a key's stamp", () => {
  it("is added in front, and one leaves at the end, as for the others", () => {
    expect(listsOf(edit("block", "rotate").text, "block").live).toEqual(["2026-11-20", "2026-08-01", "2026-07-01"]);
    expect(listsOf(edit("block", "rollback").text, "block").live).toEqual(["2026-07-01", "2026-08-01"]);
    const { text, notes } = edit("block", "retire");
    expect(text).toBe(FILE.replace("        - 2026-07-01   # by Bob\n", ""));
    expect(notes).toEqual([
      "block: 2026-07-01 is dropped by the next update, which waits or refuses while what it signed or encrypted is still accepted",
    ]);
  });

  it("leaves `restore` with `generations`", () => {
    expect(diffOf(edit("spread", "retire"))).toEqual([
      "-        '2026-07-01' # by Bob",
      '-      restore: [ "2026-07-01" ] # from the backup',
      "+      restore: [  ] # from the backup",
    ]);
    expect(diffOf(edit("listed", "retire"))).toEqual([
      '-      generations: ["2026-08-01", "2026-07-01", "2026-06-01"] # three',
      '+      generations: ["2026-08-01", "2026-07-01"] # three',
      '-        - "2026-06-01" # June',
    ]);
    const twice = edit("listed", "retire", "2026-11-20", edit("listed", "retire").text).text;
    expect(listsOf(twice, "listed")).toEqual({ live: ["2026-08-01"], restore: [], atOnce: false });
    expect(twice).not.toContain("restore:\n");
  });

  it("of `generation` is replaced, as for the others", () => {
    const { text, notes } = edit("single", "rotate");
    expect(text).toBe(FILE.replace("generation: 2026-08-01 # one", 'generation: "2026-11-20" # one'));
    expect(notes[0]).toContain("which breaks at once");
  });

  it("of shape dual is no third one", () => {
    const twice = edit("dual", "rotate").text;
    const why =
      "dual: shape dual holds two keys, and has 2026-11-20 and 2026-08-01; retire the last one first (npm run rotate -- dual --retire)";
    expect(() => edit("dual", "rotate", "2026-11-21", twice)).toThrow(new Refusal(why));
    expect(() => edit("dual", "restore", "2026-06-01", twice)).toThrow(new Refusal(why));
    expect(listsOf(edit("dual", "emergency", "2026-11-21", twice).text, "dual").live).toEqual(["2026-11-21"]);
  });
});

describe("--restore", () => {
  const restored = (name: string) => diffOf(edit(name, "restore", "2026-05-01"));

  it("adds the stamp at the end of both lists, in their own style", () => {
    expect(restored("flow").at(-1)).toContain(
      'generations: ["2026-08-01", "2026-07-01", "2026-05-01"], restore: ["2026-05-01"], deliver:',
    );
    expect(restored("block")).toEqual(['+        - "2026-05-01"', "+      restore:", '+        - "2026-05-01"']);
    expect(restored("spread")).toEqual([
      "-        '2026-07-01' # by Bob",
      "+        '2026-07-01', # by Bob",
      '+        "2026-05-01"',
      '-      restore: [ "2026-07-01" ] # from the backup',
      '+      restore: [ "2026-07-01", "2026-05-01" ] # from the backup',
    ]);
    expect(restored("listed").at(-1)).toBe('+        - "2026-05-01"');
  });

  it("makes a list of `generation`, which would drop the others at once", () => {
    const { text, notes } = edit("single", "restore", "2026-05-01");
    expect(text).toBe(
      FILE.replace(
        "      generation: 2026-08-01 # one\n",
        '      generations: ["2026-08-01", "2026-05-01"] # one\n      restore: ["2026-05-01"]\n',
      ),
    );
    expect(notes).toEqual([
      "single: the key of 2026-05-01 is brought back from the backup by the next update, as a previous one; to make it current again, move it to the front afterwards",
    ]);
  });

  it.each([
    ["key", "2026-05-01", "key is of kind random, and only a key of a keyset can be restored"],
    ["bare", "2026-05-01", "bare: it has no `backup`, so there is nothing to restore a key from; rotate instead"],
    ["flow", "2026-07-01", "flow: 2026-07-01 stands in its list already; there is nothing to restore"],
  ])("refuses %s, stamp %s", (name, stamp, message) => {
    expect(() => edit(name, "restore", stamp)).toThrow(new Refusal(message));
  });
});

describe("--emergency", () => {
  it("writes one stamp in place of the list, and keeps the comments that are no stamp's", () => {
    expect(diffOf(edit("flow", "emergency")).at(-1)).toContain(
      '{vault: {path: a/flow}}, generation: "2026-11-20", deliver:',
    );
    expect(edit("block", "emergency").text).toBe(
      FILE.replace("      generations: # of the list\n", '      generation: "2026-11-20" # of the list\n').replace(
        '        - "2026-08-01" # by Ann\n        - 2026-07-01   # by Bob\n',
        "",
      ),
    );
    expect(edit("spread", "emergency").text).toContain(
      '      generation: "2026-11-20" # behind\n        # inside\n      restore: [  ] # from the backup\n',
    );
    // A list that goes whole takes its comments along.
    const listed = edit("listed", "emergency").text;
    expect(listed).toContain('      generation: "2026-11-20" # three\n      backup:');
  });

  it("says what dies, and replaces a `generation`", () => {
    const { text, notes } = edit("single", "emergency", "2026-08-01");
    expect(listsOf(text, "single")).toEqual({ live: ["2026-08-01.2"], restore: [], atOnce: true });
    expect(notes).toEqual([
      "single: 2026-08-01.2 replaces 2026-08-01 at once, without an overlap: the next update makes everything invalid that it signed or encrypted. " +
        "Write `generations` again afterwards, for the next roll",
    ]);
  });

  it("refuses what is no keyset", () => {
    const why = "key is of kind random, and --emergency is for keysets; rotate it, and retire the old stamp";
    expect(() => edit("key", "emergency")).toThrow(new Refusal(why));
  });
});

describe("npm run rotate", () => {
  let dir = "";
  const file = () => path.join(dir, "Pulumi.prod.yaml");
  const printed = { out: "", err: "" };
  const run = (...args: string[]) => main([...args, "--stack", "prod", "--cwd", dir], new Date("2026-11-21T10:00:00Z"));
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "rotate-keyset-"));
    fs.writeFileSync(file(), FILE);
    [printed.out, printed.err] = ["", ""];
    vi.spyOn(process.stdout, "write").mockImplementation((text) => ((printed.out += String(text)), true));
    vi.spyOn(process.stderr, "write").mockImplementation((text) => ((printed.err += String(text)), true));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    fs.rmSync(dir, { recursive: true });
  });
  const lists = (name: string) => listsOf(fs.readFileSync(file(), "utf8"), name);

  it("writes what was asked for, and prints the diff", async () => {
    expect(await run("flow", "--restore", "2026-05-01")).toBe(0);
    expect(lists("flow")).toMatchObject({ live: ["2026-08-01", "2026-07-01", "2026-05-01"], restore: ["2026-05-01"] });
    expect(printed.out).toContain("+    flow: {kind: signing-keyset");
    expect(await run("flow", "block", "--emergency")).toBe(0);
    expect([lists("flow"), lists("block")]).toEqual([
      { live: ["2026-11-21"], restore: [], atOnce: true },
      { live: ["2026-11-21"], restore: [], atOnce: true },
    ]);
    expect(await run("bare", "--emergency", "--stamp", "2026-11-20.3")).toBe(0);
    expect(lists("bare").live).toEqual(["2026-11-20.3"]);
  });

  it.each([
    [1, "no backup of one of two", ["flow", "bare", "--restore", "2026-05-01"], "bare: it has no `backup`"],
    [1, "no keyset", ["key", "--emergency"], "Nothing was changed."],
    [2, "no stamp", ["flow", "--restore", "May"], '--restore "May" is no stamp; allowed:'],
    [2, "two stamps", ["flow", "--restore", "2026-05-01", "--stamp", "2026-05-01"], "cannot be used with"],
    [2, "two actions", ["flow", "--emergency", "--retire"], "cannot be used with"],
    [2, "two actions of keysets", ["flow", "--emergency", "--restore", "2026-05-01"], "cannot be used with"],
  ])("exits %i and changes nothing where there is %s", async (code, _what, args, message) => {
    expect(await run(...args)).toBe(code);
    expect(printed.err).toContain(message);
    expect(fs.readFileSync(file(), "utf8")).toBe(FILE);
  });
});
