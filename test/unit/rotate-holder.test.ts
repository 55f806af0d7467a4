// Proves what `npm run rotate -- --holder` makes of a stack file for each kind, what it says that only an invalidation or nobody
// can end, and what it refuses. That an update then ends it all is for the engine's tests.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { editHolder } from "../../operations/rotate/holder";
import { DUE_FILE } from "./due-fixture";

const ROOT = path.resolve(__dirname, "../..");
const today = { stamp: "2026-02-27", exact: false, hasExpired: () => false };
const left = (file: string, who = "a@example.com") => editHolder(file, who, today, { reason: "left", ticket: "OPS-7" });
const entryOf = (text: string, name: string) =>
  (parse(text) as { config: { "rollover:credentials": Record<string, object> } }).config["rollover:credentials"][name];

/** Two generations each, where a kind keeps two. */
const TWO = DUE_FILE.replaceAll('generations: ["2026-01-01"]', 'generations: ["2026-01-01", "2025-12-30"]').replace(
  '- "2026-01-01" # by Ann',
  '- "2026-01-01" # by Ann\n        - "2025-12-30" # by Bob',
);

describe("--holder", () => {
  const { text, changes, notes, invalidate, unending } = left(TWO);
  const why = { reason: "left", ticket: "OPS-7" };

  it("leaves one new generation of each kind, and takes the person out", () => {
    expect(entryOf(text, "flow")).toEqual({
      kind: "random",
      generations: ["2026-02-27"],
      ...why,
      holders: ["b@example.com"],
    });
    expect(entryOf(text, "block")).toEqual({
      kind: "postgres",
      generations: ["2026-02-27"],
      ...why,
      holders: ["b@example.com"],
    });
    expect(entryOf(text, "tokens")).toMatchObject({
      generations: ["2026-02-27"],
      retired: ["2026-01-01", "2025-12-30"],
      holders: [],
      ...why,
    });
    expect(entryOf(text, "signing")).toMatchObject({ generation: "2026-02-27", holders: [], ...why });
    expect(entryOf(text, "signing")).not.toHaveProperty("generations");
  });

  it("leaves everybody else's alone, and every comment that is not a stamp's or theirs", () => {
    for (const name of ["spread", "single"]) expect(entryOf(text, name)).toEqual(entryOf(TWO, name));
    const gone = ["# by Ann", "# by Bob", "# until May"];
    for (const comment of TWO.match(/#.*/g) ?? [])
      expect(text.includes(comment) || gone.includes(comment), comment).toBe(true);
    expect(text).toContain("      holders:\n        - b@example.com\n");
  });

  it("names what was done, and what becomes of the old", () => {
    expect(changes).toContainEqual({ credential: "flow", action: "rotate", stamp: "2026-02-27", why: "left" });
    expect(changes).toContainEqual({ credential: "flow", action: "retire", stamp: "2025-12-30", why: "left" });
    expect(changes).toContainEqual({ credential: "signing", action: "emergency", stamp: "2026-02-27", why: "left" });
    const said = notes.join("\n");
    expect(said).toContain(
      "block: 2026-02-27 is the only generation from the next update on; 2026-01-01 and 2025-12-30 are withdrawn by the same update",
    );
    expect(said).toContain(
      "tokens: 2026-02-27 is the only generation from the next update on; 2026-01-01 and 2025-12-30 are no longer delivered, and work until",
    );
    expect(said).toContain(
      "signing: 2026-02-27 is the only generation from the next update on; 2026-01-01 and 2025-12-30 are dropped at once",
    );
    expect(invalidate).toEqual([{ target: "group/production", credentials: ["tokens"] }]);
    expect(unending).toContainEqual({
      credential: "signing",
      why: expect.stringContaining("backup at secret/rollover/signing") as string,
    });
  });

  it("says of an adopted login, which nothing but a line of config ends, that it works on", () => {
    const entry = "kind: postgres, existing: true, adopted: app, owner: app, holders: [bob]";
    const file = DUE_FILE.replace("    flow:", `    live: { ${entry}, generations: ["2020-01-01"] }\n    flow:`);
    const edited = left(file, "bob");
    expect(entryOf(edited.text, "live")).toMatchObject({ adopted: "app", generations: ["2026-02-27"], holders: [] });
    expect(edited.unending).toEqual([
      { credential: "live", why: "the adopted login app works on: take the line `adopted` out to end it" },
    ]);
    const without = left(file.replace("existing: true, adopted: app, owner: app, ", ""), "bob");
    expect(without.unending).toEqual([]);
  });

  it("refuses who holds nothing, with a suggestion and the known ones", () => {
    expect(() => left(TWO, "a@exampel.com")).toThrow(
      '"a@exampel.com" is no holder of a credential of this stack; did you mean a@example.com? Known: a@example.com and b@example.com',
    );
    const none =
      DUE_FILE.slice(0, DUE_FILE.indexOf("    flow:")) + "    key: { kind: random, generation: 2026-01-01 }\n";
    expect(() => left(none)).toThrow("no credential names any; add `holders: [...]`");
  });

  it("refuses holders that another entry shares, and what cannot be edited", () => {
    const shared = TWO.replace("holders: [a@example.com]", "holders: &h [a@example.com]").replace(
      'holders: ["a@example.com"]',
      "holders: *h",
    );
    expect(() => left(shared)).toThrow("edit it by hand");
  });

  it("prints the very command for what only an invalidation kills, which then works", { timeout: 60_000 }, () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rotate-holder-"));
    const file = path.join(dir, "Pulumi.prod.yaml");
    fs.writeFileSync(file, TWO);
    const env = { ...process.env, PULUMI_STACK: undefined };
    const rotate = path.join(ROOT, "operations/rotate.ts");
    const node = (args: string[]) =>
      spawnSync(process.execPath, ["--require", "tsx/cjs", rotate, ...args, "--cwd", dir], {
        cwd: ROOT,
        encoding: "utf8",
        env,
      });
    try {
      const reason = 'Ann\'s laptop; $(touch pwned) "left"';
      const { status, stderr } = node(["--holder", "a@example.com", "--reason", reason, "--stack", "prod"]);
      expect(status, stderr).toBe(0);
      const command = /^ +(npm run rotate -- --revoke group\/production .*)$/m.exec(stderr)?.[1] ?? "";
      expect(command).toContain("--stack 'prod'");
      // Through a shell, as somebody would paste it.
      const pasted = command.replace("npm run rotate --", `'${process.execPath}' --require tsx/cjs '${rotate}'`);
      const again = spawnSync("sh", ["-c", `${pasted} --cwd '${dir}'`], { cwd: ROOT, encoding: "utf8", env });
      expect(again.status, again.stderr).toBe(0);
      const { groups } =
        (
          parse(fs.readFileSync(file, "utf8")) as {
            config: Record<string, { groups?: Record<string, { reason: string }> }>;
          }
        ).config["rollover:turso"] ?? {};
      expect(groups?.["production"]?.reason).toBe(reason);
      expect(fs.readdirSync(dir)).toEqual(["Pulumi.prod.yaml"]);
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });
});
