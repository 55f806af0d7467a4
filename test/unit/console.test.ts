/** Proves that a table for a pipe or a file has no colours, also where CI is set. Not how it looks. */
import { afterEach, expect, it, vi } from "vitest";
import type * as console from "../../operations/console";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});

async function tableFor(stream: { isTTY?: boolean }): Promise<string> {
  vi.stubEnv("CI", "true"); // picocolors takes it for "colours are welcome"
  vi.stubEnv("NO_COLOR", "");
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
