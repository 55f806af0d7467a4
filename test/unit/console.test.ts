/**
 * Proves that a table for a pipe or a file has no colours, also where CI is set, unless they are forced, and that only work which
 * lasts is spoken of. Not how it looks.
 */
import { afterEach, expect, it, vi } from "vitest";
import type * as console from "../../operations/console";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function tableFor(stream: { isTTY?: boolean }, env: Record<string, string> = {}): Promise<string> {
  vi.stubEnv("CI", "true"); // picocolors takes it for "colours are welcome"
  vi.stubEnv("TERM", "xterm");
  for (const name of ["NO_COLOR", "FORCE_COLOR"]) vi.stubEnv(name, env[name] ?? "");
  vi.resetModules();
  const { table } = await vi.importActual<typeof console>("../../operations/console");
  return table(["kind", "failed"], [["random", { text: 1, bad: true }]], stream);
}

it("a table for a pipe has no colours on a CI machine", async () => {
  expect(await tableFor({})).not.toContain("\u001b[");
});

it("a table for a terminal has them", async () => {
  expect(await tableFor({ isTTY: true })).toContain("\u001b[");
});

it("FORCE_COLOR gives a pipe colours, and NO_COLOR takes them from a terminal, whatever else is set", async () => {
  expect(await tableFor({}, { FORCE_COLOR: "1" })).toContain("\u001b[");
  expect(await tableFor({ isTTY: true }, { NO_COLOR: "1" })).not.toContain("\u001b[");
  expect(await tableFor({ isTTY: true }, { NO_COLOR: "1", FORCE_COLOR: "1" })).not.toContain("\u001b[");
});

it("work of under 2 s is silent, longer work is named, and its outcome is handed on either way", async () => {
  vi.useFakeTimers();
  const { unlessQuick } = await vi.importActual<typeof console>("../../operations/console");
  let said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text.toString();
    return true;
  });
  const lasting = (ms: number) => () => new Promise<number>((resolve) => setTimeout(resolve, ms, ms));
  const quick = unlessQuick("quick", lasting(1900));
  await vi.advanceTimersByTimeAsync(1900);
  expect([await quick, said]).toEqual([1900, ""]);

  const slow = unlessQuick("slow", lasting(8000));
  await vi.advanceTimersByTimeAsync(8000);
  expect([await slow, said]).toEqual([8000, "slow\n  still 5 s\n"]);
  await expect(unlessQuick("failing", () => Promise.reject(new Error("refused")))).rejects.toThrow("refused");
});
