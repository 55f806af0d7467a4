// Proves that `npm run rotate` writes all or nothing, keeps mode and link, prints the diff, and ends with the right exit
// code. What an edit does to a file is in rotate.test.ts; neither proves that an update then does what the stamps say.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FILE, stampsOf } from "./stack-file-fixture";

const ROOT = path.resolve(__dirname, "../..");

describe("npm run rotate", { timeout: 60_000 }, () => {
  let dir = "";
  const file = () => path.join(dir, "Pulumi.prod.yaml");
  const run = (...args: string[]) => {
    const env = { ...process.env };
    delete env.PULUMI_STACK;
    const all = ["--require", "tsx/cjs", path.join(ROOT, "operations/rotate.ts"), ...args];
    return spawnSync(process.execPath, all, { cwd: ROOT, encoding: "utf8", timeout: 60_000, env });
  };
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "rotate-"));
    fs.writeFileSync(file(), FILE, { mode: 0o640 });
  });
  afterEach(() => {
    fs.rmSync(dir, { recursive: true });
  });

  it("edits the stack's file, prints the diff and exits 0", () => {
    const result = run("flow", "--stack", "acme/rollover/prod", "--cwd", dir, "--stamp", "2026-11-20");
    expect([result.status, result.stderr]).toEqual([
      0,
      "flow: 2026-11-20 becomes current, 2026-08-01 stays in the list\n",
    ]);
    expect(result.stdout).toContain("--- Pulumi.prod.yaml\n+++ Pulumi.prod.yaml\n@@ -11,7 +11,7 @@\n");
    const text = fs.readFileSync(file(), "utf8");
    expect(stampsOf(text, "flow")).toEqual(["2026-11-20", "2026-08-01"]);
    expect(fs.statSync(file()).mode & 0o777).toBe(0o640);
    expect(fs.readdirSync(dir)).toEqual(["Pulumi.prod.yaml"]);
  });

  it("adds today's date in UTC, and keeps a link a link", () => {
    const link = path.join(dir, "link.yaml");
    fs.symlinkSync("Pulumi.prod.yaml", link);
    const days = [new Date().toISOString().slice(0, 10)];
    expect(run("flow", "--config-file", link).status).toBe(0);
    days.push(new Date().toISOString().slice(0, 10));
    expect(days).toContain(stampsOf(fs.readFileSync(file(), "utf8"), "flow")[0]);
    expect(fs.lstatSync(link).isSymbolicLink()).toBe(true);
  });

  it("exits 1 with the reason and changes nothing where one of several names is refused", () => {
    const result = run("block", "flow", "--retire", "--config-file", file());
    expect([result.status, result.stdout]).toEqual([1, ""]);
    expect(result.stderr).toMatch(/^flow: its only stamp cannot be retired;.*\nNothing was changed\.\n$/);
    expect(fs.readFileSync(file(), "utf8")).toBe(FILE);
  });

  it.each([
    ["no name", [], 2, "missing required argument"],
    ["no stack", ["flow"], 2, "name the stack: --stack S, or --config-file FILE"],
    ["two actions", ["flow", "--retire", "--rollback"], 2, "cannot be used with"],
    ["an unknown option", ["flow", "--retier"], 2, "unknown option"],
    [
      "a bad stamp",
      ["flow", "--stack", "prod", "--stamp", "2026-02-30"],
      2,
      '--stamp "2026-02-30" is no stamp; allowed: a real date',
    ],
    [
      "a missing file",
      ["flow", "--stack", "nowhere"],
      1,
      "Pulumi.nowhere.yaml cannot be read (ENOENT); check --stack and --cwd",
    ],
  ])("says what is wrong with %s", (_what, args, status, message) => {
    const result = run(...args, "--cwd", dir);
    expect([result.status, result.stdout]).toEqual([status, ""]);
    expect(result.stderr).toContain(message);
  });
});
