// Proves on real files what a delivery into an env file refuses, without a value in any text and without a change, what it asks of
// git, and that neither a kill -9 nor a rival leaves half a file. It does not prove what is written else (env-file.test.ts), the
// engine's order, or that a write survives a power failure.
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { parseEnv } from "node:util";
import { describe, expect, it, vi } from "vitest";
import {
  at,
  create,
  failuresOf,
  FILE,
  LEFTOVER,
  lines,
  mode,
  provider,
  refresh,
  remove,
  root,
  text,
  token,
  update,
  url,
  useFolder,
  warnings,
  write,
} from "./env-files";

useFolder();

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
