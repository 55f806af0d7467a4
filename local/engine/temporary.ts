/** Temp folders of one test file. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

/** `make(name)` gives a folder of that name, always the same; `remove()` removes them all. */
export function temporaryFolder(prefix: string): { make: (name: string) => string; remove: () => void } {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), `${prefix}-`));
  return {
    make: (name) => {
      const folder = path.join(root, name);
      fs.mkdirSync(folder, { recursive: true });
      return folder;
    },
    remove: () => {
      fs.rmSync(root, { recursive: true, force: true });
    },
  };
}
