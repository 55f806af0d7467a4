// Proves that the check of imports (eslint.directions.mjs, part of `npm run check`) refuses each wrong direction, however the import is
// written, and lets the right ones pass. Not that the tree is clean: `npm run check` shows that.
import * as path from "node:path";
import { Linter } from "eslint";
import { expect, it } from "vitest";
import tseslint from "typescript-eslint";

const checkout = path.resolve(__dirname, "../..");
const rule = path.join(checkout, "eslint.directions.mjs");

async function complaints(file: string, text: string): Promise<string[]> {
  const { directions } = (await import(rule)) as { directions: never };
  const linter = new Linter({ cwd: checkout });
  const found = linter.verify(
    text,
    [
      {
        files: ["**/*.ts"],
        languageOptions: { parser: tseslint.parser },
        plugins: { rollover: { rules: { directions } } },
        rules: { "rollover/directions": "error" },
      },
    ],
    path.join(checkout, file),
  );
  return found.map(({ message }) => message);
}

it.each([
  ["operations/plan.ts", "../test/support/readme"],
  ["operations/plan.ts", "../local/cloud"],
  ["operations/plan.ts", "../local/scene"],
  ["components/http.ts", "../operations/console"],
  ["components/turso/api.ts", "../../local/cloud/turso"],
  ["components/turso/api.ts", "../postgres/sql"],
  ["components/postgres/sql.ts", "../cloudflare/api"],
  ["components/keyset/keyset.ts", "../random/random-secret"],
  ["components/rotation/model.ts", "../turso/api"],
  ["components/rotation/model.ts", "../thin"],
  ["local/cloud/postgres.ts", "../../test/support/readme"],
  ["local/engine/home.ts", "../cloud"],
  ["index.ts", "./local/scene"],
])("refuses that %s imports %s", async (file, name) => {
  const message = `${file} may not import ${path.join(path.dirname(file), name)}: eslint.directions.mjs`;
  expect(await complaints(file, `import { x } from "${name}";`)).toEqual([message]);
});

it.each([
  'import type { X } from "../test/windows";',
  'export { x } from "../test/windows";',
  'export * from "../test/windows";',
  'const x = await import("../test/windows");',
  'type X = import("../test/windows").X;',
  'const x = require("../test/windows");',
  'const x = require.resolve("../test/windows");',
])("reads %s", async (text) => {
  expect(await complaints("operations/plan.ts", text)).toHaveLength(1);
});

it.each([
  ["operations/plan.ts", "../components/rotation/model"],
  ["operations/cli.ts", "../local/engine"],
  ["operations/cli.ts", "../local/engine/acquire"],
  ["components/turso/api.ts", "../http"],
  ["components/keyset/keyset.ts", "../vault/vault-key"],
  ["components/rotation/model.ts", "./stamp"],
  ["local/rehearse.ts", "../operations/console"],
  ["local/cloud/index.ts", "../../components/rotation/model"],
  ["test/unit/x.test.ts", "../support/windows"],
  ["index.ts", "./components"],
  ["index.ts", "@pulumi/pulumi"],
])("lets %s import %s", async (file, name) => {
  expect(await complaints(file, `import { x } from "${name}";`)).toEqual([]);
});
