// Proves that `npm run rotate -- --due` is never silent about what stays overdue (code 7 where the policy is enforced), brings a
// keyset back from an emergency, and edits nothing that it was not to edit. Not when something is due (due.test.ts), nor what an
// update then does.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { main } from "../../operations/rotate";
import { stampsOf } from "./stack-file-fixture";

const POLICY = "  rollover:policy: { maxAge: { default: 90d }, enforce: true }\n";
const FRESH = '    fresh: { kind: random, generations: ["2026-11-20"] }\n';
const KEYSET = '    signing: { kind: encryption-keyset, maxTokenAge: 2m, generation: "STAMP" } # after a leak\n';

describe("npm run rotate -- --due", () => {
  let dir = "";
  const said = { out: "", err: "" };
  const file = () => path.join(dir, "Pulumi.prod.yaml");
  const textOf = (credentials: string, policy = POLICY) => `config:\n${policy}  rollover:credentials:\n${credentials}`;
  const run = async (text: string, ...args: string[]) => {
    fs.writeFileSync(file(), text);
    [said.out, said.err] = ["", ""];
    const code = await main(["--due", "--stack", "prod", "--cwd", dir, ...args], new Date("2026-11-21T10:00:00Z"));
    return { code, ...said, text: fs.readFileSync(file(), "utf8") };
  };
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "rotate-overdue-"));
    vi.spyOn(process.stdout, "write").mockImplementation((text) => ((said.out += String(text)), true));
    vi.spyOn(process.stderr, "write").mockImplementation((text) => ((said.err += String(text)), true));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    fs.rmSync(dir, { recursive: true });
  });

  const old = '    key: { kind: random, generations: ["2026-08-01"] }\n';
  const frozen = POLICY.replace("enforce: true", "enforce: true, freeze: [{ from: 2026-11-21, to: 2026-11-25 }]");
  const cases: [string, string, string, string][] = [
    ["in a freeze", textOf(old, frozen), "key", "2026-08-01 is 112 days old, and 90d is the most"],
    [
      "with a form that cannot be edited",
      textOf(`    key: { kind: random, generations: [&a "2026-08-01"] }\n`),
      "key",
      "cannot be edited: a stamp is no plain text",
    ],
    [
      "with a stamp in the future",
      textOf('    key: { kind: random, generations: ["2027-11-20"] }\n'),
      "key",
      "key holds 2027-11-20, whose day is yet to come: roll it by its name, and 2027-11-20 is retired in its time",
    ],
  ];

  it.each(cases)("ends with 7 and says so where something is overdue %s", async (_what, text, name, why) => {
    const made = await run(text + FRESH);
    expect(made).toMatchObject({ code: 7, out: "nothing was edited\n", text: text + FRESH });
    expect(made.err).toContain(why);
    expect(made.err).toContain(`${name} is overdue: `);
    expect(made.err).not.toContain("fresh");
    const { overdue } = JSON.parse((await run(text, "--json")).out) as { overdue: unknown[] };
    expect(overdue).toEqual([{ credential: name, why: expect.stringContaining(" is ") as string }]);
    const lax = await run(text.replace("enforce: true", "enforce: false"));
    expect(lax.code).toBe(0);
    expect(lax.err).toContain(`${name} is overdue: `);
    // Others are not asked for.
    expect(await run(text + FRESH, "fresh")).toMatchObject({ code: 0, out: "nothing is due\n", err: "" });
  });

  it("ends with 0 once it has rolled what was overdue, and retires the one before when its overlap is over", async () => {
    const late = await run(textOf(old));
    expect(late.code).toBe(0);
    expect(stampsOf(late.text, "key")).toEqual(["2026-11-21", "2026-08-01"]);
    expect(late.err).not.toContain("overdue");
    const retired = await run(late.text.replace("2026-11-21", "2026-11-14"));
    expect([retired.code, stampsOf(retired.text, "key")]).toEqual([0, ["2026-11-14"]]);
    expect(retired.err).not.toContain("overdue");
  });

  it("makes a list again of a keyset that an emergency left as `generation`, once it is due", async () => {
    const early = textOf(KEYSET.replace("STAMP", "2026-10-01"));
    expect(await run(early)).toMatchObject({ code: 0, out: "nothing is due\n", text: early });
    const { code, text, err } = await run(textOf(KEYSET.replace("STAMP", "2026-08-26")));
    expect(code).toBe(0);
    expect(text).toContain('generations: ["2026-11-21", "2026-08-26"] }');
    expect(text).toContain("} # after a leak\n");
    expect(err).toContain("signing: `generation` is a list again, so that the keys overlap");
    expect(err).toContain("signing: 2026-11-21 becomes current, 2026-08-26 stays in the list");
  });

  it("leaves alone what shares its list with another, says so, and rolls the rest", async () => {
    const shared =
      '    c: { kind: random, generations: &g ["2026-08-26"] }\n' +
      "    d: { kind: random, generations: *g }\n" +
      '    e: { kind: random, generations: ["2026-08-26"] }\n';
    const { code, text, err } = await run(textOf(shared));
    expect(text).toBe(
      textOf(shared).replace("e: { kind: random, generations: [", 'e: { kind: random, generations: ["2026-11-21", '),
    );
    expect(err).toContain("c cannot be edited: the edit would also change rollover:credentials.d.generations");
    expect(err).toContain("d cannot be edited: generations is no list");
    expect(code).toBe(0);
  });
});
