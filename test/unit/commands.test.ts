// Proves the manners that all commands share, on real processes: help with examples and exit codes, code 2 and a suggestion for wrong
// usage, and Ctrl-C that ends what was started and leaves neither folders nor half files. Not proven: what each command does.
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";

const checkout = path.resolve(__dirname, "..", "..");
const manifest = JSON.parse(fs.readFileSync(path.join(checkout, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};
const commands = Object.entries(manifest.scripts).flatMap(([name, script]) => {
  const file = /operations\/\S+\.ts$/.exec(script)?.[0];
  return file === undefined ? [] : [{ name, file }];
});
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-commands-"));
afterAll(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

describe.each(commands)("npm run $name", { timeout: 60_000 }, ({ name, file }) => {
  it("explains itself, with examples and exit codes", async () => {
    const { code, out, errors } = await run([file, "--help"]);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    expect(out).toMatch(/^Examples?:\n {2}npm run /m);
    expect(out).toContain(` ${name}`);
    expect(out).toMatch(/^Exit codes?:/m);
    expect(out).not.toContain("\u001b[");
  });

  it("refuses an option that it does not know, and guesses what was meant", async () => {
    const { code, out, errors } = await run([file, "--hlep"]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toContain("unknown option '--hlep'");
    expect(errors).toContain("Did you mean --help?");
  });
});

describe("a wrong value", { timeout: 60_000 }, () => {
  it("of a list of choices is answered with the likely one", async () => {
    const { code, errors } = await run(["operations/rehearse.ts", "--only", "postgers"]);
    expect(code).toBe(2);
    expect(errors).toContain("Did you mean postgres?");
  });
});

describe("--json", { timeout: 60_000 }, () => {
  it("gives the alerting rules as one line, the same as in YAML", async () => {
    const yaml = await run(["operations/alerts.ts", "--stack", "prod"]);
    const json = await run(["operations/alerts.ts", "--stack", "prod", "--json"]);
    expect(json.out.trimEnd()).not.toContain("\n");
    expect(JSON.parse(json.out)).toEqual(parse(yaml.out));
  });
});

describe("Ctrl-C", { timeout: 60_000 }, () => {
  it("ends a CLI that hangs, says what was waited for, and leaves no folder", async () => {
    const bin = path.join(dir, "bin");
    const tmp = path.join(dir, "tmp");
    for (const folder of [bin, tmp]) fs.mkdirSync(folder);
    const pid = path.join(dir, "pid");
    // A CLI of which only the version is known at once.
    const hangs = `#!/bin/sh\nif [ "$1" = version ]; then echo v3.999.0; exit; fi\necho $$ > '${pid}'\nexec sleep 600\n`;
    fs.writeFileSync(path.join(bin, "pulumi"), hangs, { mode: 0o755 });
    const env = { PATH: `${bin}${path.delimiter}${process.env["PATH"] ?? ""}`, TMPDIR: tmp };
    const { code, out, errors } = await run(["operations/plan.ts", "--stack", "prod"], {
      env,
      interruptAt: "pulumi preview",
    });
    expect({ code, out }).toEqual({ code: 130, out: "" });
    expect(errors).toContain("interrupted");
    expect(fs.readdirSync(tmp).filter((name) => name.startsWith("rollover-"))).toEqual([]);
    // What is killed counts as there until the machine's first process has reaped it.
    const gone = () => {
      expect(isAlive(Number(fs.readFileSync(pid, "utf8")))).toBe(false);
    };
    await vi.waitFor(gone, { timeout: 20_000 });
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** One command as a process, in the checkout. `interruptAt`: SIGINT once standard error holds the text. */
function run(
  args: string[],
  { env = {}, interruptAt }: { env?: NodeJS.ProcessEnv; interruptAt?: string } = {},
): Promise<{ code: number; out: string; errors: string }> {
  const child = spawn(process.execPath, ["--require", "tsx/cjs", ...args], {
    cwd: checkout,
    env: { ...process.env, CI: "true", NO_COLOR: undefined, FORCE_COLOR: undefined, PULUMI_STACK: undefined, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 50_000,
    killSignal: "SIGKILL",
  });
  let [out, errors, sent] = ["", "", false];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
    if (sent || interruptAt === undefined || !errors.includes(interruptAt)) return;
    sent = child.kill("SIGINT");
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ code: code ?? -1, out, errors });
    });
  });
}
