// Proves that the packaged PostgreSQL runs although its install ran no script (no symbolic links) and although its folder
// is closed to the user who is to run it. Does not prove it for other platforms than the one the test runs on.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { packagedBinaries, unprivileged, usableBinaries } from "../../local/cloud/binaries";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-binaries-"));
  fs.chmodSync(dir, 0o711);
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

/** The package as npm unpacks it: without links. */
function unpacked(parent: string): string {
  const native = path.join(parent, "native");
  fs.cpSync(packagedBinaries(), native, {
    recursive: true,
    filter: (source) => !fs.lstatSync(source).isSymbolicLink(),
  });
  return native;
}

const version = (binaries: string, name: string): string =>
  execFileSync(path.join(binaries, "bin", name), ["--version"], { ...unprivileged(), encoding: "utf8" });

it("makes the links that an install without scripts leaves out, and again changes nothing", { timeout: 60_000 }, () => {
  const native = unpacked(dir);
  expect(() => version(native, "initdb")).toThrow("Command failed");
  for (let count = 0; count < 2; count++) expect(usableBinaries(native, unprivileged(), dir)).toBe(native);
  expect(version(native, "initdb")).toContain("initdb (PostgreSQL) 18");
});

it("copies the binaries where their user cannot run them in their place", { timeout: 60_000 }, () => {
  const closed = path.join(dir, "closed");
  fs.mkdirSync(closed);
  const native = unpacked(closed);
  fs.chmodSync(path.join(native, "bin", "postgres"), 0o600);
  if (unprivileged()) fs.chmodSync(closed, 0o700);
  const usable = usableBinaries(native, unprivileged(), dir);
  expect(usable).toBe(path.join(dir, "native"));
  expect(version(usable, "postgres")).toContain("postgres (PostgreSQL) 18");
});
