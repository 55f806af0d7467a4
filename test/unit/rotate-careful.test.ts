// Proves what `npm run rotate` must not do: wait for the state, in an emergency or for ever, write over somebody else's edit, take
// a stamp of the future, or miss a holder for the case of letters. Not what an update then does.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readExpired } from "../../operations/expired";
import { main } from "../../operations/rotate";
import { DUE_FILE } from "./due-fixture";
import { stampsOf, TURSO_FILE } from "./stack-file-fixture";

describe("npm run rotate", { timeout: 60_000 }, () => {
  let dir = "";
  const said = { out: "", err: "" };
  const file = () => path.join(dir, "Pulumi.prod.yaml");
  const text = () => fs.readFileSync(file(), "utf8");
  const run = (...args: string[]) => main([...args, "--stack", "prod", "--cwd", dir], new Date("2026-11-21T10:00:00Z"));
  /** In place of the user's pulumi. */
  const answering = (script: string) => {
    const all = `#!/bin/sh\nif [ "$1" = version ]; then echo v3.300.0; exit; fi\ntouch '${dir}/asked'\n${script}\n`;
    fs.writeFileSync(path.join(dir, "pulumi"), all, { mode: 0o755 });
  };
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "rotate-careful-"));
    vi.stubEnv("PATH", `${dir}${path.delimiter}${process.env["PATH"] ?? ""}`);
    [said.out, said.err] = ["", ""];
    vi.spyOn(process.stdout, "write").mockImplementation((part) => ((said.out += String(part)), true));
    vi.spyOn(process.stderr, "write").mockImplementation((part) => ((said.err += String(part)), true));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    fs.rmSync(dir, { recursive: true });
  });

  it("rolls what somebody held without asking for the state, in whatever case the name is written", async () => {
    answering("exec sleep 600");
    const retired = DUE_FILE.replace("# then retired", '\n      retired: ["2025-12-01"]');
    fs.writeFileSync(file(), retired);
    expect(await run("--holder", "A@Example.com", "--reason", "left"), said.err).toBe(0);
    expect(fs.existsSync(path.join(dir, "asked"))).toBe(false);
    expect(text()).not.toContain("a@example.com");
    expect(text()).toContain('retired: ["2026-01-01", "2025-12-01"]');
    for (const name of ["flow", "block", "tokens", "signing"]) expect(stampsOf(text(), name)).toEqual(["2026-11-21"]);
    expect(stampsOf(text(), "spread")).toEqual(["2026-01-01"]);
    expect(said.err).toContain("npm run rotate -- --revoke group/production --reason 'left' --stack 'prod'");
    expect(said.err).toContain(`--cwd '${dir}'\n`);
  });

  it("gives up on a state that does not answer", async () => {
    answering("exec sleep 600");
    const read = await readExpired({ cwd: dir, stack: "prod" }, new Date(), 500);
    expect(read).toEqual({ why: "which took longer than 0.5 s" });
  });

  it("writes nothing where somebody has edited the file meanwhile", async () => {
    fs.writeFileSync(file(), TURSO_FILE);
    answering(`echo '# theirs' >> '${file()}'\necho '{}'`);
    expect(await run("kept", "--retire")).toBe(1);
    expect(text()).toBe(`${TURSO_FILE}# theirs\n`);
    expect(said.err).toContain("was changed by somebody else meanwhile; run the command again\nNothing was changed.\n");
    expect(fs.readdirSync(dir).sort()).toEqual(["Pulumi.prod.yaml", "asked", "pulumi"]);
  });

  it("takes no stamp that is more than a day ahead", async () => {
    fs.writeFileSync(file(), TURSO_FILE);
    expect(await run("key", "--stamp", "2026-11-23")).toBe(2);
    expect(said.err).toBe(
      "--stamp 2026-11-23 is in the future; allowed: a day up to 2026-11-22, which is tomorrow in UTC\n",
    );
    expect(await run("group/staging", "--revoke", "--stamp", "2027-11-21.2")).toBe(2);
    expect(text()).toBe(TURSO_FILE);
    expect(await run("key", "--stamp", "2026-11-22.2")).toBe(0);
    expect(stampsOf(text(), "key")).toEqual(["2026-11-22.2", "2026-08-01"]);
  });

  it("guesses which stack was meant", async () => {
    fs.writeFileSync(file(), TURSO_FILE);
    expect(await main(["key", "--stack", "acme/rollover/prodd", "--cwd", dir], new Date())).toBe(1);
    expect(said.err).toContain("Pulumi.prodd.yaml cannot be read (ENOENT); did you mean --stack prod?\n");
    expect(await main(["key", "--stack", "staging", "--cwd", dir], new Date())).toBe(1);
    expect(said.err).toContain("Pulumi.staging.yaml cannot be read (ENOENT); check --stack and --cwd\n");
  });
});
