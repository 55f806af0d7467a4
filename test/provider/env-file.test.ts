// Proves on real files what a delivery into an env file leaves there: its lines as a real `sh` and Node's loader read them, all
// other bytes as they were, mode 0600, nothing behind a kill -9; and what it refuses, without a value in any text. It does not
// prove the engine's order, other loaders than those two, or that a write survives a power failure.
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseEnv } from "node:util";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { envFile, type Inputs, type Outputs } from "../../components/file/env-file.provider";

const FILE = ".env.local";
const LEFTOVER = ".env.rollover-tmp..env.local";
const token = "eyJhbGciOiJFZERTQSJ9.eyJhIjoicnciLCJleHAiOjE3OTU5OTk5OTl9.c2lnbmF0dXJl_-x";
const url = "postgres://rounds_20261120:p%40ss@db.example.com:5432/rounds?sslmode=verify-full&a=$HOME#frag";
const lines = { DATABASE_URL: url, TURSO_AUTH_TOKEN: token };

let root: string;
let warnings: string[];

beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "rollover-env-")));
  warnings = [];
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  expect(warnings.filter((line) => line.includes(token) || line.includes(url))).toEqual([]);
  fs.rmSync(root, { recursive: true });
});

const provider = () => envFile(root, (line) => warnings.push(line));
const at = (name = FILE) => path.join(root, name);
const write = (text: string | Buffer, name = FILE) => {
  fs.writeFileSync(at(name), text, { mode: 0o644 });
};
const text = (name = FILE) => fs.readFileSync(at(name), "utf8");
const mode = (name = FILE) => (fs.statSync(at(name)).mode & 0o7777).toString(8);
const create = async (news: Inputs) => (await provider().create(news)).outs as Outputs;
const update = async (olds: Outputs, news: Inputs) =>
  (await provider().update?.(olds.file, olds, news))?.outs as Outputs;
const remove = (olds: Outputs) => provider().delete?.(olds.file, olds);
const refresh = async (olds: Outputs) => (await provider().read?.(olds.file, olds))?.props;
const changes = async (olds: Outputs, news: Inputs) => (await provider().diff?.(olds.file, olds, news))?.changes;

/** Why `check` refuses these inputs; empty if it does not. */
async function failuresOf(news: Inputs): Promise<string[]> {
  const checked = await provider().check?.({} as Inputs, news);
  // The engine prints the value of the property that a failure is of, even of a secret one.
  expect(checked?.failures?.filter(({ property }) => property !== "file")).toEqual([]);
  return checked?.failures?.map(({ reason }) => reason) ?? ["not checked"];
}

/** What a shell has after reading the file, by name. */
function readBySh(names: string[], name = FILE): Record<string, string> {
  const shown = names.map((variable) => `"\${${variable}-unset}"`).join(" ");
  const out = execFileSync("sh", ["-c", `. ./${name}; printf '%s\\0' ${shown}`], { cwd: root, encoding: "utf8" });
  return Object.fromEntries(names.map((variable, index) => [variable, out.split("\0")[index] ?? ""]));
}

/** The text of a refusal by `create` and by `check`; it must be the same, change nothing and carry no value. */
async function refusalOf(file: string): Promise<string> {
  const before = fs.readdirSync(root, { recursive: true }).sort();
  const failures = await failuresOf({ file, lines });
  const error: unknown = await provider()
    .create({ file, lines })
    .catch((thrown: unknown) => thrown);
  const said = error instanceof Error ? error.message : "no error";
  expect(failures).toEqual([said]);
  expect(said).not.toContain(token);
  expect(said).not.toContain(url);
  expect(fs.readdirSync(root, { recursive: true }).sort()).toEqual(before);
  return said;
}

describe("what is written", () => {
  it("makes a file of its own, mode 0600, that sh and Node read alike, and takes it away again", async () => {
    const made = await create({ file: FILE, lines });
    expect(made).toEqual({ file: FILE, lines, made: true, drift: [] });
    expect(mode()).toBe("600");
    expect(readBySh(Object.keys(lines))).toEqual(lines);
    expect(parseEnv(text())).toEqual(lines);
    expect(fs.readdirSync(root)).toEqual([FILE]);
    await remove(made);
    expect(fs.readdirSync(root)).toEqual([]);
  });

  it("keeps every other byte, and gives back the file that there was", async () => {
    for (const others of [
      "# mine\n\nA=1\n  B = 'two # not a comment' # c\nexport C=\"x\n TURSO_AUTH_TOKEN=inside a text\ny\"\n",
      "A=1\r\n# no newline at the end\r\nB=2",
      "A=1",
      "\n",
      "",
      Buffer.from([0x23, 0xff, 0xfe, 0x0a, 0x41, 0x3d, 0xc3, 0xa4]),
    ]) {
      write(others);
      const made = await create({ file: FILE, lines });
      expect(made.made).toBe(false);
      expect(mode()).toBe("600");
      expect(parseEnv(text())).toMatchObject(lines);
      const bytes = Buffer.from(others);
      expect(fs.readFileSync(at()).subarray(0, bytes.length)).toEqual(bytes);
      await remove(made);
      expect(fs.readFileSync(at())).toEqual(bytes);
    }
  });

  it("ends lines as the file does", async () => {
    write("A=1\r\nB=2");
    await create({ file: FILE, lines: { N: "v" } });
    expect(text()).toBe("A=1\r\nB=2\r\nN=v");
  });

  it("replaces a line in its place, with its export and its comment", async () => {
    write("A=1\nexport N=old # the token\nB=2\n");
    await create({ file: FILE, lines: { N: "new" } });
    expect(text()).toBe("A=1\nexport N=new # the token\nB=2\n");
  });

  it.each(["N=old", 'N="old"', "N='o l d'", "N = old", "N= # empty", "N=", 'N="o\nl\nd"', "N=`o`", 'N="o\\"ld"'])(
    "replaces %j",
    async (line) => {
      write(`A=1\n${line}\nB=2\n`);
      await create({ file: FILE, lines: { N: "new" } });
      expect(text()).toBe(`A=1\nN=new${line.includes("#") ? " # empty" : ""}\nB=2\n`);
    },
  );

  it("makes one line of a repeated one, at the first place, so that no later one wins", async () => {
    write('N=a\nURL="x/$N"\nexport N=b\nA=1\nN=c');
    const made = await create({ file: FILE, lines: { N: "new" } });
    expect(text()).toBe('N=new\nURL="x/$N"\nA=1');
    expect(readBySh(["N", "URL"])).toEqual({ N: "new", URL: "x/new" });
    expect((await refresh(made))?.drift).toEqual([]);
  });

  it("leaves names that are only alike", async () => {
    const others = "# N=1\nNN=1\nN.X=1\nMY_N=1\nA=N=1\n";
    write(others);
    await create({ file: FILE, lines: { N: "v" } });
    expect(text()).toBe(`${others}N=v\n`);
  });

  it("gives any value that it takes to sh and to Node unchanged, between lines of others", async () => {
    const taken: Record<string, string> = {};
    let refused = 0;
    const odd = fc.string({
      unit: fc.constantFrom(...Array.from("aZ9_-~:/?#&$=% '\"`\\!*(){}|<>;,.@äß\t\n")),
      maxLength: 20,
    });
    for (const value of fc.sample(fc.oneof(odd, fc.string({ unit: "grapheme" })), { numRuns: 300, seed: 4 })) {
      const name = `V${Object.keys(taken).length}`;
      if ((await failuresOf({ file: FILE, lines: { [name]: value } })).length === 0) taken[name] = value;
      else refused++;
    }
    expect(Object.keys(taken).length).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(10);
    write("FIRST='one'\n");
    await create({ file: FILE, lines: taken });
    fs.appendFileSync(at(), "LAST='two'\n");
    const expected = { FIRST: "one", ...taken, LAST: "two" };
    expect(parseEnv(text())).toEqual(expected);
    expect(readBySh(Object.keys(expected))).toEqual(expected);
  });

  it("refuses a value or name that no line can hold, by name", async () => {
    const failures = (given: Record<string, string>) => failuresOf({ file: FILE, lines: given });
    for (const value of ["secret\nB=2", "secret\0", 'it\'s "secret"', "it's $secret", "secret\\"]) {
      const said = await failures({ N: value });
      expect(said).toEqual([
        expect.stringMatching(/^the value of N for \.env\.local has control characters, or quotes/),
      ]);
      expect(said.join()).not.toContain("secret");
      await expect(create({ file: FILE, lines: { N: value } })).rejects.toThrow(/^N has characters that no line/);
    }
    expect(await failures({ "1N": "v", "N M": "v" })).toEqual([
      expect.stringContaining("1N is no name"),
      expect.stringContaining("N M is no name"),
    ]);
    expect(fs.readdirSync(root)).toEqual([]);
  });
});

describe("what changes later", () => {
  it("rolls in place and takes out what is no longer delivered, once", async () => {
    write("A=1\n");
    const first = await create({ file: FILE, lines: { N: "v1", OLD: "o" } });
    fs.appendFileSync(at(), "Z=9\n");
    const news = { file: FILE, lines: { N: "v2", NEW: "n" } };
    expect(await changes(first, news)).toBe(true);
    const second = await update(first, news);
    expect(text()).toBe("A=1\nN=v2\nZ=9\nNEW=n\n");
    expect(await changes(second, news)).toBe(false);
    expect(warnings).toEqual([]);
  });

  it("sees on refresh what is missing, changed or too open, and repairs it", async () => {
    const news = { file: FILE, lines: { A: "a-value", B: "b-value", C: "c-value" } };
    const made = await create(news);
    expect((await refresh(made))?.drift).toEqual([]);
    write("A=a-value\nB=b-value\nB=later\n");
    fs.chmodSync(at(), 0o640);
    fs.writeFileSync(at(LEFTOVER), "C=c-value\n");
    const seen = await refresh(made);
    expect(seen?.drift).toEqual([
      "B has another value",
      "C is missing",
      "its mode is 640",
      "a killed run left its temporary file",
    ]);
    expect(seen?.lines).toEqual(news.lines);
    expect(await changes(seen ?? made, news)).toBe(true);
    const repaired = await update(seen ?? made, news);
    expect(repaired.drift).toEqual([]);
    expect(parseEnv(text())).toEqual(news.lines);
    expect(mode()).toBe("600");
    expect(fs.readdirSync(root)).toEqual([FILE]);
  });

  it("takes a file that is gone for gone, and deletes no more of it", async () => {
    fs.mkdirSync(at("web"));
    const made = await create({ file: "web/.env", lines });
    for (const gone of ["web/.env", "web"]) {
      fs.rmSync(at(gone), { recursive: true });
      expect(await provider().read?.("web/.env", made)).toEqual({});
      await remove(made);
    }
    expect(fs.readdirSync(root)).toEqual([]);
  });

  it("leaves a value that is not its own, and says so", async () => {
    const made = await create({ file: FILE, lines: { A: "mine", B: "mine-too" } });
    write("A=somebody-else's\nB=mine-too\n");
    const rest = await update(made, { file: FILE, lines: { B: "mine-too" } });
    expect(text()).toBe("A=somebody-else's\nB=mine-too\n");
    expect(warnings).toEqual([expect.stringMatching(/^A in \.env\.local no longer has the value that was written/)]);
    await remove(rest);
    expect(text()).toBe("A=somebody-else's\n");
    expect(mode()).toBe("600");
    expect(warnings).toHaveLength(1);
  });

  it("is replaced for another file, and has nothing to compare while values are unknown", async () => {
    const made = await create({ file: FILE, lines });
    expect(await provider().diff?.(FILE, made, { file: ".env", lines })).toEqual({ changes: true, replaces: ["file"] });
    const unknown = { file: FILE, lines: "04da6b54-80e4-46f7-96ec-b56ff0331ba9" } as unknown as Inputs;
    expect(await failuresOf(unknown)).toEqual([]);
  });
});

describe("what is refused", () => {
  it.each(["/etc/env", "../.env", "a/../../.env", "./.env", "a//.env", "", "a/", "a\0b"])(
    "the path %j",
    async (file) => {
      fs.mkdirSync(at("a"));
      expect(await refusalOf(file)).toContain("is no path inside the project's folder; allowed: a relative one");
    },
  );

  it("a symbolic link, also on the way, and leaves what it leads to", async () => {
    fs.mkdirSync(at("real"));
    write("A=1\n", "real/.env");
    fs.symlinkSync("real/.env", at(FILE));
    fs.symlinkSync("nowhere", at(".env.dangling"));
    fs.symlinkSync("real", at("linked"));
    expect(await refusalOf(FILE)).toMatch(/^\.env\.local is a symbolic link, so that .* replace it with a plain file/);
    expect(await refusalOf(".env.dangling")).toContain("is a symbolic link");
    expect(await refusalOf("linked/.env")).toMatch(/^linked, the way to linked\/\.env, is a symbolic link/);
    expect(text("real/.env")).toBe("A=1\n");
    // It came later: neither a refresh nor a delete goes through it.
    const olds = { file: FILE, lines: { A: "1" }, made: true, drift: [] };
    await expect(refresh(olds)).rejects.toThrow("is a symbolic link");
    await expect(remove(olds)).rejects.toThrow("is a symbolic link");
    expect(text("real/.env")).toBe("A=1\n");
  });

  it("a leftover's name that leads elsewhere: the link goes, its target stays", async () => {
    write("precious", "target");
    fs.symlinkSync("target", at(LEFTOVER));
    await create({ file: FILE, lines });
    expect(text("target")).toBe("precious");
    expect(fs.readdirSync(root).sort()).toEqual([FILE, "target"]);
  });

  it("a folder, a pipe, a hard link, somebody else's file, a folder that is missing or none", async () => {
    fs.mkdirSync(at(".env.d"));
    execFileSync("mkfifo", [at(".env.pipe")]);
    write("A=1\n");
    fs.linkSync(at(FILE), at("second"));
    expect(await refusalOf(".env.d")).toMatch(/^\.env\.d is no plain file; take it away, or name another/);
    expect(await refusalOf(".env.pipe")).toMatch(/^\.env\.pipe is no plain file/);
    expect(await refusalOf(FILE)).toMatch(/^\.env\.local has 2 hard links, which would part/);
    fs.rmSync(at("second"));
    vi.spyOn(process, "getuid").mockReturnValue(fs.statSync(at()).uid + 1);
    expect(await refusalOf(FILE)).toMatch(/^\.env\.local belongs to user \d+, and this is user \d+; run as its owner/);
    vi.restoreAllMocks();
    expect(await refusalOf("apps/web/.env")).toBe(
      'the folder of apps/web/.env does not exist; make it with "mkdir -p apps/web", or name another file',
    );
    expect(await refusalOf(`${FILE}/x.env`)).toMatch(/^\.env\.local, the way to .* is no folder/);
    expect(text()).toBe("A=1\n");
  });

  it("a temporary file that cannot be made, and says why", async () => {
    fs.mkdirSync(at(LEFTOVER));
    write("A=1\n");
    await expect(create({ file: FILE, lines })).rejects.toThrow(
      /^\.env\.local cannot be replaced: \.env\.rollover-tmp\.\.env\.local cannot be made beside it \(\w+\); make/,
    );
    expect(text()).toBe("A=1\n");
  });
});

describe("git", () => {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, stdio: "pipe" });

  it("refuses a file that is tracked, warns of one that is not ignored, and says nothing of an ignored one", async () => {
    git("init", "-q");
    write("A=1\n");
    git("add", FILE);
    expect(await refusalOf(FILE)).toMatch(
      /^\.env\.local is tracked by git, .* "git rm --cached \.env\.local", list it/,
    );
    git("rm", "-q", "--cached", FILE);
    const made = await create({ file: FILE, lines });
    expect(warnings).toEqual([`${FILE} gets secrets and git does not ignore it; add it to .gitignore`]);
    write(".env*\n", ".gitignore");
    await update(made, { file: FILE, lines: { N: "v" } });
    expect(warnings).toHaveLength(1);
    // What a killed run leaves is ignored by the same pattern.
    expect(git("check-ignore", LEFTOVER).toString()).toBe(`${LEFTOVER}\n`);
  });

  it("refuses where git cannot say, and asks nobody where there is no git", async () => {
    git("init", "-q");
    write("no config", ".git/config");
    expect(await refusalOf(FILE)).toMatch(/^git cannot say whether it tracks \.env\.local; run "git ls-files/);
    vi.stubEnv("PATH", at("nothing-here"));
    await create({ file: FILE, lines });
    expect(parseEnv(text())).toEqual(lines);
  });
});

describe("a kill -9 and a rival", () => {
  /** Runs one create in a process of its own, with `rename` replaced by a script. */
  function createInChild(rename: string) {
    const module = path.resolve(__dirname, "../../components/file/env-file.provider.ts");
    const script = `
      const fs = require("node:fs/promises");
      const rename = fs.rename;
      fs.rename = async (from, to) => { ${rename} };
      const { envFile } = require(${JSON.stringify(module)});
      envFile(process.cwd(), console.warn).create(JSON.parse(process.env.NEWS)).catch((error) => {
        console.error(error.message);
        process.exitCode = 1;
      });`;
    const env = { ...process.env, NEWS: JSON.stringify({ file: FILE, lines }) };
    const tsx = require.resolve("tsx/cjs");
    return spawnSync(process.execPath, ["--require", tsx, "-e", script], { cwd: root, env, encoding: "utf8" });
  }

  it("before the rename leaves the file as it was and a private leftover, which the next run takes away", async () => {
    write("A=1\n");
    expect(createInChild(`process.kill(process.pid, "SIGKILL"); await new Promise(() => {});`).signal).toBe("SIGKILL");
    expect(text()).toBe("A=1\n");
    expect(fs.readdirSync(root).sort()).toEqual([FILE, LEFTOVER]);
    expect(text(LEFTOVER)).toContain(token);
    expect(mode(LEFTOVER)).toBe("600");
    await create({ file: FILE, lines });
    expect(fs.readdirSync(root)).toEqual([FILE]);
    expect(parseEnv(text())).toEqual({ A: "1", ...lines });
  });

  it("after the rename has the next run write the same, once", async () => {
    write("A=1\n");
    const kill = `await rename(from, to); process.kill(process.pid, "SIGKILL"); await new Promise(() => {});`;
    expect(createInChild(kill).signal).toBe("SIGKILL");
    const left = text();
    expect(parseEnv(left)).toEqual({ A: "1", ...lines });
    await create({ file: FILE, lines });
    expect(text()).toBe(left);
  });

  it("a failed rename leaves the file, no leftover and no value in its text", () => {
    write("A=1\n");
    const { status, stderr, stdout } = createInChild(`throw new Error("no space");`);
    expect(status).toBe(1);
    expect(stderr).toContain("no space");
    expect(stderr + stdout).not.toContain(token);
    expect(text()).toBe("A=1\n");
    expect(fs.readdirSync(root)).toEqual([FILE]);
  });

  it("of two stacks that write one file at once, one is told to run again, and no line is lost", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `N${index}`);
    const results = await Promise.allSettled(names.map((name) => create({ file: FILE, lines: { [name]: "v" } })));
    const done = names.filter((_, index) => results[index]?.status === "fulfilled");
    expect(fs.existsSync(at()) ? Object.keys(parseEnv(text())).sort() : []).toEqual(done);
    for (const result of results.filter(({ status }) => status === "rejected")) {
      expect(String((result as PromiseRejectedResult).reason)).toMatch(
        /written by another process too|cannot be replaced/,
      );
    }
    expect(done.length).toBeLessThan(names.length);
    expect(fs.readdirSync(root).filter((name) => name !== FILE)).toEqual([]);
  });
});
