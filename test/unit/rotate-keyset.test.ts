// Proves what `npm run rotate` does to the stamps of keysets: in front, out (of `restore` too), back from the backup, and the
// emergency, in every form of YAML, with comments and everything else kept, and what it refuses. Not that an update then does it.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { main } from "../../operations/rotate";
import { type Action, editStackFile, Refusal } from "../../operations/stack-file";

const FILE = `config:
  rollover:cloudflare: {accountId: 0123456789abcdef0123456789abcdef}
  rollover:vault: { address: https://vault.example.com }
  rollover:workers: { rounds-api: { probe: https://rounds.example.com/probe } } # asked
  rollover:credentials:
    flow: {kind: signing-keyset, maxTokenAge: 120s, backup: {vault: {path: a/flow}}, generations: ["2026-08-01", "2026-07-01"], deliver: [{ worker: rounds-api, as: KEYS }]} # one line
    block:
      kind: encryption-keyset
      maxTokenAge: 90d
      backup: { vault: { path: a/block } } # beside the others
      generations: # of the list
        # newest first
        - "2026-08-01" # by Ann
        - 2026-07-01   # by Bob
      # after the list
      deliver: [{ worker: rounds-api, as: STORE_KEYS }]
    spread:
      maxTokenAge: 120s
      backup: { vault: { path: a/spread } }
      generations: [
        # inside
        "2026-08-01", # by Ann
        '2026-07-01' # by Bob
      ] # behind
      restore: [ "2026-07-01" ] # from the backup
      kind: signing-keyset
    listed:
      kind: signing-keyset
      maxTokenAge: 120s
      generations: ["2026-08-01", "2026-07-01", "2026-06-01"] # three
      restore:
        # why
        - "2026-06-01" # June
        - "2026-07-01" # July
      backup: { vault: { path: a/listed } }
    single:
      kind: signing-keyset
      generation: 2026-08-01 # one
      maxTokenAge: 120s
      backup: { vault: { path: a/single } }
    dual: { kind: signing-keyset, shape: dual, maxTokenAge: 120s, backup: { vault: { path: a/dual } }, generations: ["2026-08-01"], deliver: [{ worker: rounds-api, as: JWT_SECRET, alsoAs: JWT_SECRET_NEW }] }
    bare: { kind: signing-keyset, maxTokenAge: 120s, generations: ["2026-08-01"] }
    key: { kind: random, generations: ["2026-08-01"] }
# the end
`;
const backedUp = ["flow", "block", "spread", "listed", "single", "dual"];

interface Entry {
  generation?: string;
  generations?: string[];
  restore?: string[];
}

const entriesOf = (text: string) =>
  (parse(text) as { config: { "rollover:credentials": Record<string, Entry> } }).config["rollover:credentials"];

function listsOf(text: string, name: string): { live: string[]; restore: string[]; atOnce: boolean } {
  const { generation, generations, restore } = entriesOf(text)[name] ?? {};
  return { live: generations ?? [generation ?? ""], restore: restore ?? [], atOnce: generations === undefined };
}

const edit = (name: string, action: Action, stamp = "2026-11-20", text = FILE) =>
  editStackFile(text, [name], action, stamp);

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
    const twice = edit("listed", "retire", "", edit("listed", "retire").text).text;
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

describe("any edits, one after the other", () => {
  const rows = fc.array(
    fc.tuple(
      fc.constantFrom(...backedUp),
      fc.constantFrom<Action>("rotate", "rotate", "retire", "rollback", "restore", "restore", "emergency"),
      fc.integer({ min: 1, max: 28 }),
    ),
    { minLength: 40, maxLength: 40 },
  );
  // Those behind a stamp go with it, those in a block of `restore` with the whole of it.
  const comments = (FILE.match(/#.*/g) ?? []).filter((text) => !/by |June|July|why/.test(text));

  it.each(["\n", "\r\n"])(
    "leave exactly the wanted lists, and every comment (line ends %j)",
    { timeout: 60_000 },
    (eol) => {
      expect(comments).toHaveLength(12);
      const done = new Map<Action, number>();
      const file = FILE.replaceAll("\n", eol);
      fc.assert(
        fc.property(rows, (steps) => {
          let text = file;
          for (const [name, action, day] of steps) {
            const stamp = `2026-${action === "restore" ? "05" : "09"}-${String(day).padStart(2, "0")}`;
            const was = listsOf(text, name);
            if (action === "rotate" && was.live.length > 6) continue;
            const others = Object.entries(entriesOf(text)).filter(([other]) => other !== name);
            try {
              text = edit(name, action, stamp, text).text;
            } catch (error) {
              if (!(error instanceof Refusal)) throw error;
              expect(isRefused(name, action, stamp, was), error.message).toBe(true);
              continue;
            }
            done.set(action, (done.get(action) ?? 0) + 1);
            const now = listsOf(text, name);
            expect(now).toEqual(wanted(action, stamp, was, now.live[0] ?? ""));
            if (action === "rotate" || action === "emergency") {
              expect(now.live[0]?.startsWith(stamp) && !was.live.includes(now.live[0])).toBe(true);
            }
            expect(Object.entries(entriesOf(text)).filter(([other]) => other !== name)).toEqual(others);
            for (const comment of comments) expect(text).toContain(comment);
            expect(text.split(eol).join("")).not.toMatch(/[\r\n]/);
          }
        }),
        { numRuns: 8 },
      );
      for (const action of ["rotate", "retire", "rollback", "restore", "emergency"] as const) {
        expect(done.get(action) ?? 0).toBeGreaterThan(5);
      }
    },
  );

  type Lists = ReturnType<typeof listsOf>;

  function wanted(action: Action, stamp: string, { live, restore, atOnce }: Lists, added: string): Lists {
    const last = live.at(-1);
    switch (action) {
      case "rotate":
        return { live: atOnce ? [added] : [added, ...live], restore, atOnce };
      case "retire":
        return { live: live.slice(0, -1), restore: restore.filter((one) => one !== last), atOnce };
      case "rollback":
        return { live: [live[1] ?? "", live[0] ?? "", ...live.slice(2)], restore, atOnce };
      case "restore":
        return { live: [...live, stamp], restore: [...restore, stamp], atOnce: false };
      case "emergency":
        return { live: [added], restore: [], atOnce: true };
    }
  }

  function isRefused(name: string, action: Action, stamp: string, { live }: Lists): boolean {
    if (action === "retire" || action === "rollback") return live.length < 2;
    const isThird = name === "dual" && live.length === 2;
    return action === "rotate" ? isThird : action === "restore" && (isThird || live.includes(stamp));
  }
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
