// Proves the clock of a test run: a process that is told a day has it for today in every way that there is to ask `Date`, dates
// that are given stay, the time of day is the machine's, and a shift of nothing changes nothing. The same for a Worker's code is
// seen by test/provider/rounds-api.test.ts, whose tokens are signed here and checked there.
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { asOf, machineNow, ownClock, shiftDays } from "../../local/engine/as-of";

/** What a script prints, as JSON, in a process with this clock. */
function printed(clock: NodeJS.ProcessEnv, expression: string): unknown {
  const script = `console.log(JSON.stringify(${expression}))`;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", script], {
    env: { PATH: process.env["PATH"], TZ: "UTC", ...clock },
    encoding: "utf8",
  });
  if (stderr !== "") throw new Error(stderr);
  return JSON.parse(stdout);
}

it.each(["2026-11-20", "2031-03-01", "1999-12-31"])("a process as of %s has that day in every way of asking", (day) => {
  // Once more where midnight came between the two clocks.
  const ask = () =>
    printed(
      asOf(day),
      `[new Date(), new (class extends Date {})(), Date.now(), Date(), new Date(0).constructor(), new (new Date(0).constructor)()]
        .map((date) => new Date(date).toISOString().slice(0, 10))`,
    );
  const days = [ask(), ask()];
  expect(days).toContainEqual(Array.from({ length: 6 }, () => day));
});

it("leaves the dates that are given, their types, and the time of day", () => {
  const given =
    "[new Date(0), new Date(2020, 1, 3), Date.UTC(2020, 0), Date.parse('2020-01-01'), new (class extends Date {})(5).getTime()]";
  expect(printed(asOf("2031-03-01"), given)).toEqual(printed({}, given));
  expect(
    printed(
      asOf("2031-03-01"),
      "[new Date() instanceof Date, new (class A extends Date {})().constructor.name, Date.name, Date.length, typeof Date()]",
    ),
  ).toEqual([true, "A", "Date", 7, "string"]);
  const offByDays = Number(printed(asOf("2031-03-01"), "Date.now()")) - machineNow();
  const rest = offByDays - Math.round(offByDays / 86_400_000) * 86_400_000;
  expect(Math.abs(rest)).toBeLessThan(60_000);
});

it("hands on this process's own clock, and none where it has none", () => {
  const days = Math.round((Date.now() - machineNow()) / 86_400_000);
  expect([shiftDays(), Object.keys(ownClock()).length]).toEqual([days, days === 0 ? 0 : 2]);
  expect(Math.abs(Number(printed(ownClock(), "Date.now()")) - Date.now())).toBeLessThan(60_000);
});

it("takes a day and nothing else", () => {
  expect(() => asOf("tomorrow")).toThrow("tomorrow is no day: write it as 2031-03-01");
  expect(() => asOf("2031-03-01T12:00")).toThrow("is no day");
});
