// Proves that the check of clock reads (eslint.clock.mjs, part of `npm run check`) refuses each way to read the clock, lets through
// what reads none, and that every file which may read it still does. Not that the tree is clean: `npm run check` shows that.
import * as fs from "node:fs";
import * as path from "node:path";
import { Linter } from "eslint";
import tseslint from "typescript-eslint";
import { expect, it } from "vitest";

const checkout = path.resolve(__dirname, "../..");

async function complaints(file: string, text: string, mayRead = true): Promise<number> {
  const { clock } = (await import(path.join(checkout, "eslint.clock.mjs"))) as { clock: { ignores: string[] }[] };
  const parser = { files: ["**/*.ts"], languageOptions: { parser: tseslint.parser } };
  const rules = clock.map(({ ignores, ...config }) => ({ ...config, ignores: mayRead ? ignores : [] }));
  return new Linter({ cwd: checkout }).verify(text, [parser, ...rules] as never, path.join(checkout, file)).length;
}

it.each([
  "const x = new Date();",
  "const x = Date();",
  "const x = Date.now();",
  "const now = Date.now;",
  'const x = Date["now"]();',
  "const x = globalThis.Date.now();",
  "const Clock = Date;",
  "plan(new Date());",
])("refuses %s in program, commands and tests", async (text) => {
  for (const file of ["index.ts", "components/rotation/x.ts", "operations/plan/x.ts", "test/unit/x.test.ts"])
    expect([file, await complaints(file, text)]).toEqual([file, 1]);
});

it.each([
  'const x = new Date("2026-11-20");',
  "const x = performance.now();",
  "main(args, new Date());",
  "Date.parse(a);",
])("lets %s be", async (text) => {
  expect(await complaints("operations/x.ts", text)).toBe(0);
});

it("names no file that reads no clock", async () => {
  const { MAY_READ } = (await import(path.join(checkout, "eslint.clock.mjs"))) as { MAY_READ: object };
  const idle: string[] = [];
  for (const file of Object.keys(MAY_READ)) {
    const text = fs.readFileSync(path.join(checkout, file), "utf8");
    if ((await complaints(file, text, false)) === 0) idle.push(file);
  }
  expect(idle).toEqual([]);
});
