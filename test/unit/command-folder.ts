/** A folder in which a test runs a command, with a stand-in for the user's `pulumi`, and what the command says. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, vi } from "vitest";

export interface CommandFolder {
  /** Of the test that runs. */
  dir: string;
  readonly said: { out: string; err: string };
  /** What stands for the user's pulumi from now on. */
  answering(script: string): void;
}

/** Is there anew for each test of the file or of the `describe` that it is called in. */
export function commandFolder(prefix: string): CommandFolder {
  const said = { out: "", err: "" };
  const folder: CommandFolder = {
    dir: "",
    said,
    answering: (script) => {
      fs.writeFileSync(path.join(folder.dir, "pulumi"), script, { mode: 0o755 });
    },
  };
  beforeEach(() => {
    folder.dir = fs.mkdtempSync(path.join(os.tmpdir(), prefix));
    vi.stubEnv("PATH", `${folder.dir}${path.delimiter}${process.env["PATH"] ?? ""}`);
    [said.out, said.err] = ["", ""];
    vi.spyOn(process.stdout, "write").mockImplementation((part) => ((said.out += String(part)), true));
    vi.spyOn(process.stderr, "write").mockImplementation((part) => ((said.err += String(part)), true));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    fs.rmSync(folder.dir, { recursive: true });
  });
  return folder;
}
