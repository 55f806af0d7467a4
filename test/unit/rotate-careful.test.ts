// Proves what `npm run rotate` must not do: wait for the state, in an emergency or for ever, write over somebody else's edit, take
// a stamp of the future, bring back a value of the same day, or miss a holder for the case of letters. Not what an update then does.
import * as fs from "node:fs";
import * as path from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../components/rotation/problem";
import { compareStamps } from "../../components/rotation/stamp";
import { readExpired } from "../../operations/expired";
import { main } from "../../operations/rotate";
import { type Action, editStackFile, Refusal } from "../../operations/stack-file";
import { commandFolder } from "./command-folder";
import { DUE_FILE } from "./due-fixture";
import { FILE as KEYSETS } from "./rotate-keyset-fixture";
import { FILE, stampsOf, TURSO_FILE } from "./stack-file-fixture";

describe("npm run rotate", { timeout: 60_000 }, () => {
  const folder = commandFolder("rotate-careful-");
  const { said } = folder;
  const file = () => path.join(folder.dir, "Pulumi.prod.yaml");
  const text = () => fs.readFileSync(file(), "utf8");
  const run = (...args: string[]) =>
    main([...args, "--stack", "prod", "--cwd", folder.dir], new Date("2026-11-21T10:00:00Z"));
  /** In place of the user's pulumi. */
  const answering = (script: string) => {
    const all = `#!/bin/sh\nif [ "$1" = version ]; then echo v3.300.0; exit; fi\ntouch '${folder.dir}/asked'\n${script}\n`;
    folder.answering(all);
  };

  it("rolls what somebody held without asking for the state, in whatever case the name is written", async () => {
    answering("exec sleep 600");
    const retired = DUE_FILE.replace("# then retired", '\n      retired: ["2025-12-01"]');
    fs.writeFileSync(file(), retired);
    expect(await run("--holder", "A@Example.com", "--reason", "left"), said.err).toBe(0);
    expect(fs.existsSync(path.join(folder.dir, "asked"))).toBe(false);
    expect(text()).not.toContain("a@example.com");
    expect(text()).toContain('retired: ["2026-01-01", "2025-12-01"]');
    for (const name of ["flow", "block", "tokens", "signing"]) expect(stampsOf(text(), name)).toEqual(["2026-11-21"]);
    expect(stampsOf(text(), "spread")).toEqual(["2026-01-01"]);
    expect(said.err).toContain("npm run rotate -- --revoke group/production --reason 'left' --stack 'prod'");
    expect(said.err).toContain(`--cwd '${folder.dir}'\n`);
  });

  it("gives up on a state that does not answer", async () => {
    answering("exec sleep 600");
    const read = await readExpired({ cwd: folder.dir, stack: "prod" }, new Date("2026-11-25T12:00:00Z"), 500);
    expect(read).toEqual({ why: "which took longer than 0.5 s" });
  });

  it("writes nothing where somebody has edited the file meanwhile", async () => {
    fs.writeFileSync(file(), TURSO_FILE);
    answering(`echo '# theirs' >> '${file()}'\necho '{}'`);
    expect(await run("kept", "--retire")).toBe(1);
    expect(text()).toBe(`${TURSO_FILE}# theirs\n`);
    expect(said.err).toContain("was changed by somebody else meanwhile; run the command again\nNothing was changed.\n");
    expect(fs.readdirSync(folder.dir).sort()).toEqual(["Pulumi.prod.yaml", "asked", "pulumi"]);
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

  it("says how to roll again on the day on which a value came, leaked and was withdrawn", async () => {
    fs.writeFileSync(file(), FILE);
    for (const args of [[], ["--rollback"], ["--retire"]]) expect(await run("flow", ...args)).toBe(0);
    expect(said.err.trim().split("\n").at(-1)).toBe(
      "flow: until an update has withdrawn 2026-11-21, roll again on this day only by a --stamp that it never had, such as " +
        "2026-11-21.2: 2026-11-21 would bring the same value back",
    );
    expect(await run("flow", "--stamp", "2026-11-21.2")).toBe(0);
    expect(stampsOf(text(), "flow")).toEqual(["2026-11-21.2", "2026-08-01"]);
    said.err = "";
    expect(await run("flow", "--retire")).toBe(0);
    expect(said.err).toBe("flow: 2026-08-01 is withdrawn by the next update\n");
  });

  it("guesses which stack was meant", async () => {
    fs.writeFileSync(file(), TURSO_FILE);
    expect(
      await main(["key", "--stack", "acme/rollover/prodd", "--cwd", folder.dir], new Date("2026-11-25T12:00:00Z")),
    ).toBe(1);
    expect(said.err).toContain("Pulumi.prodd.yaml cannot be read (ENOENT); did you mean --stack prod?\n");
    expect(await main(["key", "--stack", "staging", "--cwd", folder.dir], new Date("2026-11-25T12:00:00Z"))).toBe(1);
    expect(said.err).toContain("Pulumi.staging.yaml cannot be read (ENOENT); check --stack and --cwd\n");
  });
});

describe("any edits of one day", { timeout: 60_000 }, () => {
  const actions: Action[] = ["rotate", "retire", "rollback", "emergency"];
  it.each([
    ["secrets and logins", FILE, ["flow", "block", "single", "fixed"]],
    ["tokens", TURSO_FILE, ["flow", "block", "single"]],
    ["keysets", KEYSETS, ["flow", "block", "single", "dual"]],
  ])("bring back no stamp of %s, and so no value, if one goes by what they say", (_, file, names) => {
    const steps = fc.array(fc.constantFrom(...actions), { minLength: 8, maxLength: 14 });
    let rolls = 0;
    fc.assert(
      fc.property(fc.constantFrom(...names), steps, (name, edits) => {
        let text = file;
        const seen = new Set<string>();
        let free: string | undefined;
        for (const action of edits) {
          try {
            const isRoll = action === "rotate" || action === "emergency";
            const byHand = isRoll ? free : undefined;
            const edited = editStackFile(text, [name], action, byHand ?? "2026-11-21", byHand !== undefined);
            text = edited.text;
            const said = /such as (\S+):/.exec(edited.notes.join())?.[1];
            if (said !== undefined && (free === undefined || compareStamps(said, free) > 0)) free = said;
            if (!isRoll) continue;
            free = undefined;
            const stamp = edited.changes[0]?.stamp ?? "";
            expect(seen.has(stamp), `${name}: ${edits.join()}`).toBe(false);
            seen.add(stamp);
            rolls++;
          } catch (error) {
            if (!(error instanceof Refusal || error instanceof ConfigError)) throw error;
          }
        }
      }),
      { numRuns: 50 },
    );
    expect(rolls).toBeGreaterThan(100);
  });

  it("refuse a stamp given by hand that is older than one of its day that it replaces", () => {
    const single = editStackFile(FILE, ["single"], "rotate", "2026-11-21.5", true).text;
    expect(() => editStackFile(single, ["single"], "rotate", "2026-11-21.3", true)).toThrow(
      "single: 2026-11-21.5 is newer than 2026-11-21.3, and a roll would bring it back; give a newer stamp",
    );
    expect(editStackFile(single, ["single"], "rotate", "2026-11-21").changes[0]?.stamp).toBe("2026-11-21.6");
  });
});
