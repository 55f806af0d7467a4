// Proves that Pulumi reads a stack file after 1,000 random edits, with reasons that hold quotes and the like, as the `yaml` package does,
// and that every stamp and reason is what the edits wanted. What the edits do to the file's text is in test/unit/stack-edits.test.ts.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseStamp } from "../../components/rotation/stamp";
import { editStackFile } from "../../operations/stack-file";
import { prepareEngine } from "../../local/engine";
import { must } from "../../local/scene";
import { Stack } from "../../local/stack";
import { edited, entriesOf } from "../unit/stack-edits-fixture";

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-stack-edits-"));
const configFile = path.join(dir, "Pulumi.edits.yaml");
const REASON = 'Ann said "no": # it\'s C:\\new \u2028 {x} ${y} 😀';
let stack: Stack;

beforeAll(async () => {
  const engine = await prepareEngine();
  stack = new Stack(engine, { cwd: path.resolve(__dirname, "../.."), stack: "edits", configFile, dir });
  const { text } = edited(1000, 20261121);
  const last = editStackFile(text, ["block", "flow"], "rotate", "2026-10-01", false, undefined, { reason: REASON });
  fs.writeFileSync(configFile, last.text);
  await stack.init();
});

afterAll(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

it("reads the same stamps and reasons as the edits left", async () => {
  const { stdout } = await must(stack.run(["config", "--json"]));
  const config = JSON.parse(stdout) as Record<string, { objectValue?: unknown }>;
  const found = plain(config["rollover:credentials"]?.objectValue);
  const wanted = entriesOf(fs.readFileSync(configFile, "utf8"));
  expect(found).toEqual(plain(wanted));
  const live = Object.values(wanted).flatMap(({ generations }) => generations);
  expect(live.length).toBeGreaterThan(5);
  expect(live.map(parseStamp)).not.toContain(undefined);
  expect(found).toMatchObject({ block: { reason: REASON }, flow: { reason: REASON } });
});

/** Unquoted dates arrive as times of that day's begin, in another form from each reader. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_key, one: unknown) => parseStamp(one) ?? one) as unknown;
}
