// Proves what the plan tells of the stack file's diff: lists of stamps and reasons by what they are on, names of other settings and
// never a value, against the right commit of real git repositories, and that no reason can break the Markdown. Not the rest of the plan.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Edit, editsOf, readWhy, type Why } from "../../operations/plan/base";
import { whyLines } from "../../operations/plan/why-markdown";
import { code } from "../../operations/plan/words";

const SECRET = "hunter2-of-a-value";
const file = (...lines: string[]) => ["config:", ...lines.map((line) => `  ${line}`), ""].join("\n");
const credentials = (...lines: string[]) => file("rollover:credentials:", ...lines.map((line) => `  ${line}`));
const stack = (stamps: string, more = "") =>
  credentials(`rounds-db: { kind: postgres, generations: [${stamps}]${more} }`);

describe("an edit", () => {
  it("is told by its stamps in one form, whatever the file's is, with its reason", () => {
    const before = credentials("rounds-db:", "  kind: postgres", "  # of August", "  generation: 2026-08-01");
    expect(editsOf(before, stack('"2026-11-20", 2026-08-01', ', reason: "laptop stolen", ticket: OPS-7'))).toEqual([
      {
        ...{ name: "rounds-db", change: "changed", reason: "laptop stolen", ticket: "OPS-7", settings: [] },
        from: ['generation: "2026-08-01"'],
        to: ['generations: ["2026-11-20", "2026-08-01"]'],
      },
    ]);
    expect(
      editsOf(before, `# other comments and quotes\n${before.replace("2026-08-01", '"2026-08-01" # the same')}`),
    ).toEqual([]);
  });

  it("is one of Turso's targets too: a stamp that invalidates, an incident", () => {
    const turso = (groups: string, databases: string) =>
      file(`rollover:turso: { organization: acme, groups: ${groups}, databases: ${databases} }`);
    const before = turso('{ production: { invalidated: "2026-08-01" } }', "{ rounds: { group: production } }");
    const leak = '{ readOnly: 7d, reason: "token in a log" }';
    const now = turso(
      '{ production: { invalidated: "2026-11-20", reason: left, ticket: HR-1 } }',
      `{ rounds: { group: production, incident: ${leak} } }`,
    );
    expect(editsOf(before, now)).toEqual([
      {
        ...{ name: "group/production", change: "changed", reason: "left", ticket: "HR-1", settings: [] },
        from: ['invalidated: "2026-08-01"'],
        to: ['invalidated: "2026-11-20"'],
      },
      {
        ...{ name: "database/rounds", change: "changed", reason: "token in a log", settings: [] },
        from: [],
        to: ["incident: { readOnly: 7d }"],
      },
    ]);
  });

  it("of anything else is told by name, and its value never", () => {
    const before = file(
      "rollover:workers: { rounds-api: { script: a, probe: https://a.example.com } }",
      "rollover:vaultToken: { secure: v1:a }",
      "rollover:abandon: [one]",
      "rollover:production: true",
      "other:key: 1",
    );
    const now = file(
      `rollover:workers: { rounds-api: { script: ${SECRET}, probe: https://${SECRET}.example.com }, "\`| @all": {} }`,
      `rollover:vaultToken: { secure: v1:${SECRET} }`,
      `rollover:abandon: [${SECRET}]`,
      "rollover:production: true",
      `other:key: ${SECRET}`,
      `rollover:credentials: { session-key: { generations: ["${SECRET}", 2026-11-20], incident: { readOnly: ${SECRET} } } }`,
    );
    const edits = editsOf(before, now);
    expect(edits.map(({ name, change, settings }) => [name, change, settings])).toEqual([
      ["workers.rounds-api", "changed", ["script", "probe"]],
      ["workers.`| @all", "added", []],
      ["rollover:vaultToken", "changed", []],
      ["rollover:abandon", "changed", []],
      ["other:key", "changed", []],
      ["session-key", "added", []],
    ]);
    expect(JSON.stringify(edits)).not.toContain(SECRET);
    expect(edits.at(-1)?.to).toEqual(['generations: [(no stamp), "2026-11-20"]', "incident: {}"]);
  });

  it("is told where it stands beside `config`, and hides behind no credential of its name", () => {
    const one = "{ kind: random, generation: 2026-08-01 }";
    const named = (policy: string, top: string) =>
      `${top}\n${file(`rollover:policy: ${policy}`, `rollover:credentials: { policy: ${one}, environment: ${one} }`)}`;
    const edits = editsOf(
      named("{ enforce: true }", "encryptionsalt: v1:a"),
      named(
        "{ enforce: false }",
        `encryptionsalt: v1:${SECRET}\nenvironment: [${SECRET}]\nsecretsprovider: awskms://${SECRET}`,
      ),
    );
    expect(edits).toMatchObject([
      { name: "stack file: encryptionsalt", change: "changed", settings: [] },
      { name: "stack file: environment", change: "added", settings: [] },
      { name: "stack file: secretsprovider", change: "added", settings: [] },
      { name: "rollover:policy", change: "changed", settings: ["enforce"] },
    ]);
    expect(JSON.stringify(edits)).not.toContain(SECRET);
    const [, list] = whyLines({ base: "0123", edits });
    expect(list).toContain(
      "- `stack file: encryptionsalt`: changed, value not shown\n- `stack file: environment`, added\n",
    );
    expect(list).toContain("- `rollover:policy`; also changed, values not shown: `enforce`");
  });

  it("is seen where a part of the config has a form that it should not have", () => {
    const names = (value: string) =>
      editsOf(stack('"2026-08-01"'), file(`rollover:credentials: ${value}`)).map(({ name }) => name);
    for (const value of ["a text", "[1]", "{ secure: v1:x }"])
      expect(names(value)).toEqual(["rollover:credentials", "rounds-db"]);
    expect(editsOf("", "")).toEqual([]);
    expect(() => editsOf("", "a: [")).toThrow(/no YAML/);
  });
});

describe("the text", () => {
  const edit: Edit = { name: "key", change: "changed", from: [], to: ['generation: "2026-11-20"'], settings: [] };

  it("cannot be broken by what stands in the file", () => {
    const nasty = fc.string({
      unit: fc.constantFrom(
        "`",
        "```",
        "\n",
        "\r",
        "|",
        "<!--",
        "-->",
        "@all ",
        "[a](http://b)",
        "# ",
        "\u202e",
        "\u2028",
        "a",
        " ",
      ),
    });
    fc.assert(
      fc.property(nasty, nasty, nasty, (name, reason, setting) => {
        const why: Why = { base: "0123", edits: [{ ...edit, name, reason, settings: [setting] }] };
        const [head = "", ...rest] = whyLines(why)[1]?.split("\n") ?? [];
        expect(rest).toEqual(["```diff", '+ generation: "2026-11-20"', "```"]);
        const outside = head.replace(/`[^`]*`|\(nothing\)/g, "");
        expect(outside).toBe(", reason ; also changed, values not shown: ");
        expect(head).not.toMatch(/[\r\u2028\u202e|]/);
      }),
    );
    expect(code("a\u202eb`c\n")).toBe("`a b c `");
  });
});

describe("the commit", () => {
  const name = "Pulumi.prod.yaml";
  let dir: string;
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
      cwd: dir,
      encoding: "utf8",
      stdio: "pipe",
    }).trim();
  const write = (text: string) => {
    fs.writeFileSync(path.join(dir, name), text);
  };
  const commit = (text: string) => {
    write(text);
    git("add", name);
    git("commit", "-qm", "edit");
    return git("rev-parse", "HEAD");
  };
  const told = (base?: string) => readWhy(path.join(dir, name), fs.readFileSync(path.join(dir, name), "utf8"), base);

  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-why-"));
    git("init", "-q", "-b", "main");
  });
  afterEach(() => {
    fs.rmSync(dir, { recursive: true, force: true });
  });

  it("is where HEAD left the default branch, whatever came to that since", async () => {
    const start = commit(stack('"2026-08-01"'));
    git("switch", "-qc", "rotate");
    commit(stack('"2026-11-20", "2026-08-01"'));
    git("switch", "-q", "main");
    const later = commit(stack('"2026-10-01", "2026-08-01"'));
    git("switch", "-q", "rotate");
    const [from, to] = [['generations: ["2026-08-01"]'], ['generations: ["2026-11-20", "2026-08-01"]']];
    expect(await told()).toMatchObject({ base: start.slice(0, 12), edits: [{ from, to }] });
    expect(await told("main")).toMatchObject({
      base: later.slice(0, 12),
      edits: [{ from: ['generations: ["2026-10-01", "2026-08-01"]'], to }],
    });
    // The remote's default branch counts before a local one.
    git("update-ref", "refs/remotes/origin/trunk", "rotate");
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk");
    expect((await told()).edits).toEqual([]);
  });

  it("is HEAD itself where that is on the default branch, so an uncommitted edit shows; a new file is new", async () => {
    commit(stack('"2026-08-01"'));
    write(stack('"2026-11-20"'));
    expect((await told()).edits).toMatchObject([{ change: "changed", to: ['generations: ["2026-11-20"]'] }]);
    git("mv", name, "other.yaml");
    git("commit", "-qm", "away");
    write(stack('"2026-11-20"'));
    expect((await told()).edits).toMatchObject([{ name: "rounds-db", change: "added", from: [] }]);
  });

  it("is not there: then that is what is told", async () => {
    write(stack('"2026-08-01"'));
    const unknown = async (base?: string) => {
      const why = await told(base);
      expect(why.edits).toEqual([]);
      expect(whyLines(why)).toHaveLength(1);
      return why.unknown;
    };
    expect(await unknown()).toContain("no default branch");
    for (const base of ["no-such", "--output=/tmp/x", ""])
      expect(await unknown(base)).toContain("no commit by the name");
    commit("a: [\n");
    write(stack('"2026-08-01"'));
    expect(await unknown()).toContain("no YAML");
    fs.rmSync(path.join(dir, ".git"), { recursive: true });
    expect(await unknown()).toContain("no git repository");
  });
});
