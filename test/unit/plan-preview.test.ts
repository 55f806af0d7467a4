// Proves how `npm run plan` takes what a `pulumi` prints, by a stand-in of it: a preview that cannot be read is no plan of nothing, and
// a stack that was never updated has its name. Not what a real one prints: test/engine/plan*.test.ts.
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it, vi } from "vitest";
import { main } from "../../operations/plan";
import type { State, Step } from "../../operations/plan/shapes";
import { commandFolder } from "./command-folder";
import { outputsOf, resource, step } from "./plan-fixture";

const STACK = "urn:pulumi:local::rollover::pulumi:pulumi:Stack::rollover-local";
const database = resource("Database", "rounds-database");
const removal = step("delete", database);

const folder = commandFolder("plan-preview-");
const { said } = folder;
const plan = (...args: string[]) => main(["--cwd", folder.dir, ...args], new Date("2026-11-25T12:00:00Z"));

/** In place of the user's pulumi; as it does, it streams events where that variable says so. */
function answering(printed: string, resources: State["resources"]): void {
  const { dir } = folder;
  const state = { type: "pulumi:pulumi:Stack", state: outputsOf({}) };
  const files = {
    "preview.json": printed,
    "events.json": `{"sequence":0,"preludeEvent":{}}\n{"sequence":1,"resourcePreEvent":{"metadata":{"op":"delete"}}}\n`,
    "plan.json": JSON.stringify({ resourcePlans: { [STACK]: state } }),
    "state.json": JSON.stringify({ deployment: { resources } }),
  };
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(dir, name), text);
  const script = `#!/bin/sh
case "$1" in
  version) echo v3.300.0 ;;
  stack) cat '${dir}/state.json' ;;
  preview)
    cp '${dir}/plan.json' "$4"
    case "$PULUMI_ENABLE_STREAMING_JSON_PREVIEW" in
      1 | true) cat '${dir}/events.json' ;;
      *) cat '${dir}/preview.json' ;;
    esac ;;
esac
`;
  folder.answering(script);
}

function previewOf(...steps: Step[]): string {
  return JSON.stringify({ steps });
}

describe("a preview", { timeout: 60_000 }, () => {
  it("is read as one document, even where the user's pulumi is to stream events", async () => {
    answering(previewOf(removal), [database]);
    vi.stubEnv("PULUMI_ENABLE_STREAMING_JSON_PREVIEW", "true");
    expect(await plan(), said.err).toBe(0);
    expect(said.out).toContain("Database `rounds-database`: delete, **with all of its data**");
  });

  it("that cannot be read fails, and is no plan of nothing", async () => {
    for (const printed of ["", "{", '{"sequence":0}\n{"sequence":1}\n', '{"steps":[{"op":1}]}', "[]"]) {
      answering(printed, [database]);
      said.out = "";
      expect(await plan(), printed).toBe(1);
      expect(said.out).toContain("**The preview failed; nothing was changed.**");
      expect(said.out).toContain("`pulumi preview --json` printed nothing that can be read");
    }
  });
});

describe("a stack without state", { timeout: 60_000 }, () => {
  it("is named by its preview where it is the selected one, and its stack file is compared", async () => {
    fs.writeFileSync(path.join(folder.dir, "Pulumi.yaml"), "name: rollover\nruntime: nodejs\n");
    fs.writeFileSync(path.join(folder.dir, "Pulumi.local.yaml"), "config: {}\n");
    answering(previewOf(step("create", database)), []);
    expect(await plan(), said.err).toBe(0);
    expect(said.out).toMatch(/^<!-- rollover-plan: local -->\n\n## Rollover plan for `local`\n/);
    expect(said.out).toContain("### Why\n\nNot told: the stack file is in no git repository that can be read.\n");
  });
});
