// Proves that `npm run bench` measures on the real engine and gives rows of the documented form with finite figures, with two
// consumers in place of 20. It does not judge the figures: they depend on the machine.
import { spawnSync } from "node:child_process";
import * as path from "node:path";
import { expect, it } from "vitest";

const CHECKOUT = path.resolve(__dirname, "..", "..");

it("gives each row its name, value, unit and aim", () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--require", "tsx/cjs", "local/bench.ts", "--rounds", "1", "--consumers", "1,2", "--json"],
    { cwd: CHECKOUT, encoding: "utf8" },
  );
  expect(status, stderr).toBe(0);
  const { rows } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { rows: Record<string, unknown>[] };
  expect(rows.map(({ name, unit, aim }) => ({ name, unit, aim }))).toEqual([
    { name: "roll of one credential / up of an empty program", unit: "ratio", aim: 1.5 },
    { name: "up without a change / up of an empty program", unit: "ratio", aim: 1.2 },
    { name: "state per generation", unit: "bytes", aim: 8192 },
    { name: "CPU of all processes, up without a change", unit: "s", aim: undefined },
    { name: "CPU of all processes, up of an empty program", unit: "s", aim: undefined },
    { name: "invalidation outage, 1 consumer", unit: "ratio", aim: 2 },
    { name: "invalidation outage, 2 consumers", unit: "ratio", aim: 2 },
    { name: "tokens rejected, roll by pulumi up", unit: "percent", aim: 0 },
    { name: "tokens rejected, current and previous swapped by hand", unit: "percent", aim: 0 },
    { name: "tokens rejected, single key swapped by hand", unit: "percent", aim: 0 },
  ]);
  for (const { name, value } of rows) {
    expect(Number.isFinite(value)).toBe(true);
    if (name === "tokens rejected, roll by pulumi up") expect(value).toBe(0);
    else expect(value).toBeGreaterThan(0);
  }
});

it("measures with 1 and 20 consumers unless told otherwise, and refuses numbers that are none", () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ["--require", "tsx/cjs", "local/bench.ts", ...args], {
      cwd: CHECKOUT,
      encoding: "utf8",
    });
  expect(run("--help").stdout).toMatch(/--consumers <list>[^]*default:\s+1,20\)/);
  for (const wrong of [
    ["--rounds", "0"],
    ["--consumers", "1,none"],
  ]) {
    const { status, stderr } = run(...wrong);
    expect(status).toBe(2);
    expect(stderr).toContain("It is not a whole number above 0.");
  }
});
