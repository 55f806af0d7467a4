// Proves that `npm run rotate` writes all or nothing, keeps mode and link, prints the diff, and ends with the right exit
// code. What an edit does to a file is in rotate.test.ts; neither proves that an update then does what the stamps say.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { FILE, stampsOf, TURSO_FILE } from "./stack-file-fixture";

const ROOT = path.resolve(__dirname, "../..");

describe("npm run rotate", { timeout: 60_000 }, () => {
  let dir = "";
  const file = () => path.join(dir, "Pulumi.prod.yaml");
  const run = (...args: string[]) => {
    const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${dir}${path.delimiter}${process.env.PATH ?? ""}` };
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
    const result = run("flow", "--stack", "acme/rollover/prod", "--cwd", dir, "--stamp", "2020-11-20");
    expect([result.status, result.stderr]).toEqual([
      0,
      "flow: 2020-11-20 becomes current, 2026-08-01 stays in the list\n",
    ]);
    expect(result.stdout).toContain("--- Pulumi.prod.yaml\n+++ Pulumi.prod.yaml\n@@ -11,7 +11,7 @@\n");
    const text = fs.readFileSync(file(), "utf8");
    expect(stampsOf(text, "flow")).toEqual(["2020-11-20", "2026-08-01"]);
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

  describe("with retired stamps", () => {
    /** In place of the user's pulumi: it answers `stack output expires`, and notes what it was asked. */
    const answering = (answer: string, code = 0) => {
      const script = `#!/bin/sh\nif [ "$1" = version ]; then echo v3.300.0; exit; fi\necho "$@" >> "${dir}/asked"\necho '${answer}'\necho secret-of-the-backend >&2\nexit ${code}\n`;
      fs.writeFileSync(path.join(dir, "pulumi"), script, { mode: 0o755 });
    };
    const asked = () => fs.readFileSync(path.join(dir, "asked"), "utf8").trim().split("\n");
    const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
    const retired = (name: string) => {
      const { config } = parse(fs.readFileSync(file(), "utf8")) as {
        config: { "rollover:credentials": Record<string, { retired?: string[] }> };
      };
      return config["rollover:credentials"][name]?.retired ?? [];
    };
    beforeEach(() => {
      fs.writeFileSync(file(), TURSO_FILE);
    });

    it("clears those that have expired for more than a day, by the stack's outputs", () => {
      answering(
        JSON.stringify({ kept: { "2026-06-01": ago(23), "2026-05-01": ago(25) }, lines: { "2026-05-01": "never" } }),
      );
      const result = run("kept", "lines", "--retire", "--stack", "prod", "--cwd", dir);
      expect([result.status, retired("kept"), retired("lines")]).toEqual([
        0,
        ["2026-07-01", "2026-06-01"],
        ["2026-07-01", "2026-06-01", "2026-05-01"],
      ]);
      expect(result.stderr).toContain("kept: 2026-05-01 cleared from retired");
      expect(asked()).toEqual(["stack output expires --json --non-interactive --color never --stack prod"]);
    });

    it.each([
      ["the engine fails", "", 1, ["--stack", "prod"], "`pulumi stack output expires` failed"],
      ["it is no output of ours", "[1]", 0, ["--stack", "prod"], "is not one of this program"],
      ["nobody says which stack it is", "{}", 0, [], "--config-file does not say which stack it is of; add --stack"],
    ])("clears nothing and says so where %s", (_what, answer, code, args, why) => {
      answering(answer, code);
      const result = run("kept", "--config-file", file(), ...args, "--cwd", dir);
      expect([result.status, retired("kept")]).toEqual([0, ["2026-06-01", "2026-05-01"]]);
      expect(result.stderr).toContain("retired stamps stay as they are: the state could not be read,");
      expect(result.stderr).toContain(why);
      expect(result.stderr).not.toContain("secret-of-the-backend");
    });

    it("asks for no state where nothing is retired, nor for a rollback", () => {
      answering("{}");
      expect(run("flow", "--stack", "prod", "--cwd", dir).status).toBe(0);
      expect(run("kept", "--rollback", "--stack", "prod", "--cwd", dir).status).toBe(0);
      expect(fs.existsSync(path.join(dir, "asked"))).toBe(false);
    });
  });

  it("stamps invalidations, and prints what fails until when", () => {
    fs.writeFileSync(file(), TURSO_FILE);
    const args = ["--revoke", "group/staging", "group/production", "--reason", "token in a log", "--stack", "prod"];
    const result = run(...args, "--stamp", "2026-11-20", "--cwd", dir);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toContain('+        invalidated: "2026-11-20"\n+        reason: "token in a log"\n');
    expect(result.stderr).toContain(
      "group production: every token of it and of its 2 databases dies with the next update;",
    );
  });

  it.each([
    [
      "a credential among targets",
      ["--revoke", "group/staging", "flow"],
      "--revoke takes group/NAME and database/NAME",
    ],
    ["a target among credentials", ["flow", "group/staging"], "group/staging is no credential; add --revoke"],
    ["a reason of two lines", ["flow", "--reason", "x\n    y: z"], "no text of one line"],
    ["a ticket with a space", ["flow", "--ticket", "a b"], "--ticket is not allowed"],
    ["a holder without a reason", ["--holder", "a@example.com"], "--holder needs --reason"],
    ["a holder beside a name", ["flow", "--holder", "a@example.com", "--reason", "x"], "name no credentials with it"],
    ["a stamp for what is due", ["--due", "--stamp", "2026-11-20"], "cannot be used with"],
    ["two actions", ["--revoke", "group/staging", "--retire"], "cannot be used with"],
  ])("refuses %s", (_what, args, message) => {
    fs.writeFileSync(file(), TURSO_FILE);
    const result = run(...args, "--stack", "prod", "--cwd", dir);
    expect([result.status, result.stdout]).toEqual([2, ""]);
    expect(result.stderr).toContain(message);
    expect(fs.readFileSync(file(), "utf8")).toBe(TURSO_FILE);
  });
});
