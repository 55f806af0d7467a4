// Proves that what the engine starts as language host and stand-in plugins is bundled, that an edit of a source makes another
// bundle beside the one in use, and that nothing is built where nothing changed. Not proven: what the helpers do; test/provider's
// plugins and test/engine's engineHost talk to these bundles.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, expect, it } from "vitest";
import { bundleHelpers } from "../../local/engine/bundle";
import { temporaryFolder } from "../../local/engine/temporary";

const CHECKOUT = path.join(__dirname, "..", "..");
const folder = temporaryFolder("engine-bundle-test");
afterAll(() => {
  folder.remove();
});

it("makes one file a helper, and a new one for a changed source", { timeout: 120_000 }, async () => {
  const [checkout, home] = [folder.make("checkout"), folder.make("home")];
  for (const name of ["local/engine", "local/plugins", "components", "index.ts", "package-lock.json"])
    fs.cpSync(path.join(CHECKOUT, name), path.join(checkout, name), { recursive: true });
  fs.symlinkSync(path.join(CHECKOUT, "node_modules"), path.join(checkout, "node_modules"));

  const first = await bundleHelpers(checkout, home);
  const made = fs.statSync(first).ino;
  // The host preloads the others, from beside itself, into each program.
  expect(fs.readdirSync(path.join(first, "engine")).sort()).toEqual([
    "deferred.cjs",
    "languageHost.js",
    "lifeline.cjs",
    "transpiled.cjs",
  ]);
  expect(fs.readdirSync(path.join(first, "plugins")).sort()).toEqual([
    "cloudflare.js",
    "command.js",
    "postgresql.js",
    "random.js",
  ]);
  expect(await bundleHelpers(checkout, home)).toBe(first);
  expect(fs.statSync(first).ino).toBe(made);

  fs.writeFileSync(path.join(checkout, "local", "plugins", "random.ts"), 'process.stdout.write("edited");\n');
  const second = await bundleHelpers(checkout, home);
  const answer = (bundles: string) => execFileSync(process.execPath, [path.join(bundles, "plugins", "random.js")]);
  expect(second).not.toBe(first);
  expect(answer(second).toString()).toBe("edited");
  expect(fs.statSync(first).ino).toBe(made);
  expect(fs.readdirSync(path.join(home, "bundles"))).toHaveLength(2);
});
