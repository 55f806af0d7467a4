// Proves that the text in state by which a provider's process finds its code is the one of old states in this program, and leads
// there from another program's folder that imports the components by their path. Under mocks, but for that process's own loading.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, expect, it, vi } from "vitest";
import { TursoOutcome } from "../../components";

const folders: string[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true });
});

it("in this program it stays what old states hold", async () => {
  expect(await textIn(process.cwd())).toBe(
    'exports.handler=()=>require(process.cwd()+"/components/loader.cjs")("TursoOutcome")',
  );
});

it("in another program's folder it leads to the code", async () => {
  const elsewhere = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "rollover-library-path-")));
  folders.push(elsewhere);
  const text = await textIn(elsewhere);
  const script = `${text}; console.log(typeof exports.handler().configure)`;
  expect(execFileSync(process.execPath, ["-e", script], { cwd: elsewhere, encoding: "utf8" })).toBe("function\n");
});

/** The provider's text of a resource that is declared by a program in `folder`. */
async function textIn(folder: string): Promise<string> {
  let text = "";
  await pulumi.runtime.setMocks({
    newResource: ({ name, inputs }) => {
      const { __provider } = inputs as { __provider?: string };
      text = __provider ?? text;
      return { id: name, state: {} };
    },
    call: () => ({}),
  });
  vi.spyOn(process, "cwd").mockReturnValue(folder);
  new TursoOutcome("turso", { organization: "acme", failures: [] });
  vi.restoreAllMocks();
  await pulumi.runtime.disconnect();
  return text;
}
