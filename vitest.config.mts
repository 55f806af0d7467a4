import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { require } from "tsx/cjs/api";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Starts the longest test files first, so that the workers end together. What a file takes is told by how often its text runs the
 * engine: nearly all of the time goes there, and nobody has to keep a list.
 */
class LongestFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const weighed = files.map((file) => ({ file, weight: weightOf(file.moduleId) }));
    return Promise.resolve(weighed.sort((a, b) => b.weight - a.weight).map(({ file }) => file));
  }
}

/**
 * By the names of the helpers that run the engine once. What no count shows: a rehearsal's loads, and the kills of a matrix, each of
 * which is an update of the small engine.
 */
function weightOf(moduleId: string): number {
  if (moduleId.endsWith("/engine/rehearse.test.ts")) return 1e6;
  const runs = /\b(up|preview|refresh|destroy|settled|finishes|repaired|refusedFor|kill|recover)\(/g;
  const count = fs.readFileSync(moduleId, "utf8").match(runs)?.length ?? 0;
  return /\/engine\/|-matrix\./.test(moduleId) ? 1000 + count : count;
}

const { asOf } = require("./local/engine/as-of.ts", import.meta.url) as typeof import("./local/engine/as-of.js");

// Two projects: what needs no engine first, on every core; then what starts servers and the real engine, two files at a time: more
// would only make one another slow, and each has its own servers, stack and folder.
// `TEST_TODAY=2031-03-01 npm test`: that is the day for the tests, for every process of Node's that they start, and in Workers. libSQL
// server and Postgres keep the machine's clock; the local Turso translates. Without it, the day is the machine's.
const { TEST_TODAY } = process.env;
if (TEST_TODAY !== undefined) Object.assign(process.env, asOf(TEST_TODAY));

/** What is drawn by chance is the same in every run. */
const setupFiles = ["test/support/draws.ts"];

/** Half of each test file's start would go into what @pulumi/pulumi loads and no test needs. */
const execArgv = ["--require", fileURLToPath(new URL("local/engine/deferred.cjs", import.meta.url))];

/** What a test watches for may take a while on a busy machine; the default is one second. */
const watching = { poll: { timeout: 30_000 } };

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "fast",
          include: ["test/{unit,component}/**/*.test.ts"],
          setupFiles,
          expect: watching,
          execArgv,
          sequence: { groupOrder: 0 },
          // Vitest leaves one processor to itself, which is half of a small machine.
          maxWorkers: "100%",
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "real",
          include: ["test/{provider,engine}/**/*.test.ts"],
          setupFiles,
          expect: watching,
          execArgv,
          globalSetup: ["test/support/global-setup.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
