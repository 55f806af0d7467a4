// Proves on a real engine that a credential reaches an env file, follows its rotation there, is repaired after an edit by hand, and
// leaves with the delivery; and that a production stack refuses it. Not: the file's own rules (test/provider/env-file.test.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { parseEnv } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { must, type Scene, startScene } from "../../local/scene";
import { heldToken, statusOf, tokenCredential } from "./tokens";
import { settled } from "./rounds";

/** In the project's folder, where env files are; ignored by git. */
const name = `.env.test-${process.pid}`;
const file = path.resolve(__dirname, "..", "..", name);

let scene: Scene;

beforeAll(async () => {
  const deliver = [
    { worker: "rounds-api", as: "TURSO_AUTH_TOKEN" },
    { file: name, as: "TURSO_AUTH_TOKEN" },
  ];
  fs.writeFileSync(file, "# mine\nPORT=8080\n");
  scene = await startScene({
    needs: ["turso", "workers"],
    credentials: { "rounds-turso": tokenCredential(["2026-11-20"], { deliver }) },
  });
});
afterAll(async () => {
  fs.rmSync(file, { force: true });
  await scene.end();
});

it("writes the token beside what is there, for its owner alone", async () => {
  await must(scene.stack.up());
  await settled(scene);
  expect(fs.readFileSync(file, "utf8").startsWith("# mine\nPORT=8080\n")).toBe(true);
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  expect(token()).toBe(heldToken(scene));
  expect(await statusOf(scene, token())).toBe(200);
});

it("follows a roll, and a refresh finds what was changed by hand", async () => {
  const before = token();
  scene.generations("rounds-turso", ["2026-11-21", "2026-11-20"]);
  await must(scene.stack.up());
  expect(token()).not.toBe(before);
  expect(token()).toBe(heldToken(scene));

  fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace(token(), "changed-by-hand"));
  await must(scene.stack.refresh());
  await must(scene.stack.up());
  expect(token()).toBe(heldToken(scene));
  await settled(scene);
});

it("is refused for a production stack, before anything is done", async () => {
  scene.edit(["rollover:production"], true);
  const refused = await scene.stack.preview();
  expect(refused.code).not.toBe(0);
  expect(refused.stdout + refused.stderr).toContain("rollover:credentials.rounds-turso.deliver[1].file");
  scene.edit(["rollover:production"], undefined);
});

it("takes its line out with the delivery, and nothing else", async () => {
  scene.edit(["rollover:credentials", "rounds-turso", "deliver"], [{ worker: "rounds-api", as: "TURSO_AUTH_TOKEN" }]);
  await must(scene.stack.up());
  expect(fs.readFileSync(file, "utf8")).toBe("# mine\nPORT=8080\n");
});

function token(): string {
  return parseEnv(fs.readFileSync(file, "utf8"))["TURSO_AUTH_TOKEN"] ?? "";
}
