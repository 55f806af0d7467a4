// Proves that the small engine of the provider tests calls providers as the real engine does, and keeps the same resources: one program
// is brought through creations, updates, replacements, failures, resumes, edits taken back and deletions on both at once, and both must
// have made the same calls. Not: secrets, aliases, targets, refresh, kills of the engine's own process.
import * as fs from "node:fs";
import { createRequire } from "node:module";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { prepareEngine } from "../../local/engine";
import { Stack } from "../../local/stack";
import { listed, type Provider, SmallEngine } from "../support/small-engine";

const cwd = path.resolve(__dirname, "..", "fixtures", "small-engine");
const provider = createRequire(__filename)(path.join(cwd, "provider.cjs")) as Provider;

interface Traced {
  gen: number;
  value: number;
  needs: string[];
}
interface Faults {
  /** Calls that fail. */
  fails?: string[];
  /** Calls that wait until another one was made. */
  waits?: Record<string, string>;
}

let dir: string;
let configFile: string;
let stack: Stack;
let small: SmallEngine;
/** By name; `b` needs `a`, and `c` needs `b`. */
let now: Record<string, Traced> = {
  a: { gen: 1, value: 1, needs: [] },
  b: { gen: 1, value: 1, needs: ["a"] },
  c: { gen: 1, value: 1, needs: ["b"] },
  d: { gen: 1, value: 1, needs: [] },
};

beforeAll(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-small-engine-"));
  configFile = path.join(dir, "Pulumi.test.yaml");
  fs.writeFileSync(configFile, "");
  stack = new Stack(await prepareEngine(), { cwd, stack: "test", configFile, dir });
  await stack.init();
  small = new SmallEngine({ providerOf: () => provider });
});
afterAll(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

it("creates in the order of dependencies", async () => {
  expect(await up()).toEqual({ failed: false, changes: ["create a 1", "create b 1", "create c 1"] });
});

it("leaves alone what has not changed", async () => {
  expect(await up()).toEqual({ failed: false, changes: [] });
});

it("updates what depends on an output that has changed, and nothing beyond", async () => {
  change("a", { value: 2 });
  expect(await up()).toEqual({ failed: false, changes: ["update a", "update b"] });
});

it("replaces by a new one, whose dependents follow, and deletes the old one last", async () => {
  change("b", { gen: 2 });
  expect(await up()).toEqual({ failed: false, changes: ["create b 2", "update c", "delete b 1"] });
});

it("goes no further where a step fails, lets finish what is under way, and deletes nothing", async () => {
  change("a", { gen: 2 });
  change("d", { value: 2 });
  const faults = { fails: ["update b"], waits: { "create a 2": "update d" } };
  expect(await up(faults)).toEqual({ failed: true, changes: ["create a 2", "update b"] });
  // What was replaced stays, to be deleted.
  expect(kept()).toEqual(["a", "a, to be deleted", "b", "c", "d"]);
});

it("resumes where it failed, and deletes then", async () => {
  expect(await up()).toEqual({ failed: false, changes: ["update b", "delete a 1"] });
});

it("goes back where an edit is taken back after a failure", async () => {
  change("a", { value: 3 });
  expect(await up({ fails: ["update b"] })).toEqual({ failed: true, changes: ["update a", "update b"] });
  change("a", { value: 2 });
  expect(await up()).toEqual({ failed: false, changes: ["update a"] });
});

it("keeps nothing of a create that failed, nor deletes what it was to replace", async () => {
  change("b", { gen: 3 });
  expect(await up({ fails: ["create b 3"] })).toEqual({ failed: true, changes: ["create b 3"] });
  expect(kept()).toEqual(["a", "b", "c", "d"]);
  expect(await up()).toEqual({ failed: false, changes: ["create b 3", "update c", "delete b 2"] });
});

it("keeps what it could not delete after a replacement, and deletes it by the next update, last", async () => {
  change("b", { gen: 4 });
  expect(await up({ fails: ["delete b 3"] })).toEqual({
    failed: true,
    changes: ["create b 4", "update c", "delete b 3"],
  });
  expect(kept()).toEqual(["a", "b", "b, to be deleted", "c", "d"]);
  change("c", { value: 2 });
  expect(await up()).toEqual({ failed: false, changes: ["update c", "delete b 3"] });
});

it("deletes dependents first, and goes no further where a deletion fails", async () => {
  const { a, b, c, ...rest } = now;
  now = { ...rest, ...(a && { a }) };
  expect(await up({ fails: ["delete c 1"] })).toEqual({ failed: true, changes: ["delete c 1"] });
  expect(kept()).toEqual(["a", "b", "c", "d"]);
  // Taken back, it is as it was.
  now = { ...now, ...(b && { b }), ...(c && { c }) };
  expect(await up()).toEqual({ failed: false, changes: [] });
  now = { ...rest, ...(a && { a }) };
  expect(await up()).toEqual({ failed: false, changes: ["delete c 1", "delete b 4"] });
});

it("carries out side by side what does not depend on one another", async () => {
  now = { ...now, e: { gen: 1, value: 1, needs: [] }, f: { gen: 1, value: 1, needs: [] } };
  // The first waits for the second: in turn neither would end.
  expect(await up({ waits: { "create e 1": "create f 1" } })).toEqual({ failed: false, changes: [] });
  expect(kept()).toEqual(["a", "d", "e", "f"]);
});

function change(name: string, edit: Partial<Traced>): void {
  now = Object.fromEntries(Object.entries(now).map(([key, one]) => [key, key === name ? { ...one, ...edit } : one]));
}

/** One update on both, which must have made the same calls; of a, b and c those that change something. */
async function up(faults: Faults = {}): Promise<{ failed: boolean; changes: string[] }> {
  const resources = Object.entries(now).map(([name, one]) => ({ name, ...one }));
  const [real, own] = [path.join(dir, "real"), path.join(dir, "small")];
  for (const trace of [real, own]) {
    fs.writeFileSync(trace, "");
    fs.writeFileSync(`${trace}.faults`, JSON.stringify(faults));
  }
  const config = { "small-engine:trace": real, "small-engine:resources": JSON.stringify(resources) };
  const before = parse(fs.readFileSync(configFile, "utf8")) as object | null;
  fs.writeFileSync(configFile, stringify({ ...before, config }));
  const { code } = await stack.up();
  const { failed } = await small.up(
    listed(
      resources.map(({ needs, ...one }) => ({
        name: one.name,
        after: needs,
        inputs: (outputsOf) => ({ ...one, from: needs.map((need) => outputsOf(need)["out"]), trace: own }),
      })),
    ),
  );
  const [ofReal, ofSmall] = [callsIn(real), callsIn(own)];
  expect(byResource(ofSmall)).toEqual(byResource(ofReal));
  const changes = changesIn(ofReal);
  expect(changesIn(ofSmall)).toEqual(changes);
  expect(failed.size > 0).toBe(code !== 0);
  expect(kept()).toEqual(await keptByReal());
  return { failed: code !== 0, changes };
}

function callsIn(trace: string): string[] {
  return fs.readFileSync(trace, "utf8").split("\n").filter(Boolean);
}

/** Those of one resource in their order: what does not depend on one another may be called in any. */
function byResource(calls: string[]): Record<string, string[]> {
  const names = [...new Set(calls.map((call) => call.split(" ")[1] ?? ""))].sort();
  return Object.fromEntries(names.map((name) => [name, calls.filter((call) => call.split(" ")[1] === name)]));
}

function changesIn(calls: string[]): string[] {
  return calls.filter((call) => /^(create|update|delete) [abc]( |$)/.test(call));
}

function kept(): string[] {
  return small.state.map(({ urn, delete: isOld }) => (isOld ? `${urn}, to be deleted` : urn)).sort();
}

async function keptByReal(): Promise<string[]> {
  const { resources = [] } = (await stack.exportState()).deployment;
  const traced = resources.filter(({ type }) => type.endsWith(":Traced"));
  return traced
    .map(({ urn, delete: isOld }): string => {
      const name = urn.split("::").at(-1) ?? "";
      return isOld ? `${name}, to be deleted` : name;
    })
    .sort();
}
