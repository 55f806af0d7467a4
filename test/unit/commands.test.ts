// Proves the manners that all commands share, on real processes: help with examples and exit codes, code 2 and a suggestion for wrong
// usage, code 2 where npm has taken the options, and Ctrl-C that ends what was started and leaves neither folders nor half files.
// Not proven: what each command does, nor any npm but the one that is installed.
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
  const file = /(?:operations|local)\/\S+\.ts$/.exec(script)?.[0];
  return file === undefined ? [] : [{ name, file }];
});
const fileOf = (name: string) => commands.find((command) => command.name === name)?.file ?? "";
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
    const { code, errors } = await run(["local/rehearse.ts", "--only", "postgers"]);
    expect(code).toBe(2);
    expect(errors).toContain("Did you mean postgres?");
  });
});

describe("without npm's `--`", { timeout: 60_000 }, () => {
  // None has a meaning of npm's own, so npm puts it into the environment, true where no `=` follows.
  it.each([
    ["alerts", ["--stack", "prod"], { npm_config_job: "true" }, "--job"],
    ["bench", ["--hlep"], { npm_config_rounds: "true", npm_config_consumers: "1" }, "--rounds and --consumers"],
    ["notice", ["--stack", "prod"], { npm_config_config_file: "true" }, "--config-file"],
    ["plan", ["--cwd", "/nowhere"], { npm_config_base: "true" }, "--base"],
    ["report", ["--cwd", "/nowhere"], { npm_config_verify: "true" }, "--verify"],
    ["rotate", ["no-such-key", "--stack", "prod"], { npm_config_due: "" }, "--due"],
  ])("%s does nothing", async (name, args, taken, options) => {
    const { code, out, errors } = await run([fileOf(name), ...args], {
      env: { npm_lifecycle_event: name, ...taken },
    });
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toBe(
      `npm has taken ${options} for itself: put \`--\` before the options, as in \`npm run ${name} -- ${options.split(" ")[0] ?? ""}\`\n`,
    );
  });

  it("what is npm's own is no reason, nor what another than npm has set", async () => {
    const npm = {
      npm_lifecycle_event: "alerts",
      npm_config_json: "true",
      npm_config_audit: "",
      npm_config_cwd: undefined,
    };
    const args = ["operations/alerts.ts", "--stack", "prod"];
    expect((await run(args, { env: npm })).code).toBe(0);
    expect((await run(args, { env: { npm_lifecycle_event: undefined, npm_config_job: "true" } })).code).toBe(0);
  });

  it.each([["--emergency"], ["--retire"], ["--rollback"], ["--due"], ["--holder=a@example.com", "--reason=left"]])(
    "a key whose roll would be none of the kind stays as it is: npm run rotate key %s",
    async (...options) => {
      const file = path.join(dir, "Pulumi.prod.yaml");
      const text =
        "config:\n  rollover:credentials: { key: { kind: random, generations: [2026-08-01, 2026-07-01] } }\n";
      fs.writeFileSync(file, text);
      const args = ["run", "--silent", "rotate", "key", ...options, "--", "--config-file", file];
      const { code, out, errors } = await run(args, { program: "npm" });
      expect({ code, out, text: fs.readFileSync(file, "utf8") }).toEqual({ code: 2, out: "", text });
      expect(errors).toContain("put `--` before the options");
    },
  );

  it.each([
    ["--reason", ["key", "--stack", "prod", "--reason", "--emergency"]],
    ["--ticket", ["key", "--ticket", "--rollback", "--stack", "prod"]],
    ["--holder", ["--holder", "--reason", "left", "--stack", "prod"]],
    ["--stack", ["key", "--stack", "--retire"]],
  ])("%s takes no option for its value", async (option, args) => {
    const { code, out, errors } = await run(["operations/rotate.ts", ...args, "--cwd", dir]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toBe(`${option} has no value: an option follows it\n`);
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

/**
 * One command as a process, in the checkout, or another `program` in its place. `interruptAt`: SIGINT once standard error holds
 * the text.
 */
function run(
  args: string[],
  { env = {}, interruptAt, program }: { env?: NodeJS.ProcessEnv; interruptAt?: string; program?: string } = {},
): Promise<{ code: number; out: string; errors: string }> {
  const command = program === undefined ? [process.execPath, "--require", "tsx/cjs", ...args] : [program, ...args];
  const [first = "", ...rest] = command;
  const child = spawn(first, rest, {
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
