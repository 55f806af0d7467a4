// Proves how versions are compared and the PATH is read; the ways to an engine are proven in test/engine.
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, expect, it } from "vitest";
import { isAtLeast, onPath } from "../../local/engine/acquire";
import { temporaryFolder } from "../../local/engine/temporary";

const folder = temporaryFolder("engine-acquire-test");
afterAll(() => {
  folder.remove();
});

it.each([
  ["3.227.0", "3.227.0", true],
  ["3.226.9", "3.227.0", false],
  ["3.1000.0", "3.227.0", true],
  ["4.0.0", "3.227.0", true],
  ["2.999.999", "3.227.0", false],
  ["v3.256.0-dev.1", "3.256.0", true],
  ["1.21", "1.21", true],
  ["1.9.7", "1.21", false],
  ["", "1.21", false],
])("%s against %s: %s", (version, oldest, expected) => {
  expect(isAtLeast(version, oldest)).toBe(expected);
});

it("finds what can be executed, in the order of the PATH, and in no relative folder", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => folder.make(name)) as [string, string, string];
  fs.writeFileSync(path.join(a, "tool"), "text", { mode: 0o644 });
  fs.writeFileSync(path.join(b, "tool"), "", { mode: 0o755 });
  fs.writeFileSync(path.join(c, "tool"), "#!/bin/sh\n", { mode: 0o755 });
  const searchPath = [a, b, "", ".", path.join(a, "missing"), c].join(path.delimiter);
  expect(onPath("tool", searchPath)).toEqual([path.join(c, "tool")]);
  expect(onPath("tool", "")).toEqual([]);
});
