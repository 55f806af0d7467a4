import { require } from "tsx/cjs/api";
import { defineConfig } from "vitest/config";

const { asOf } = require("./local/engine/as-of.ts", import.meta.url) as typeof import("./local/engine/as-of.js");

// Two projects: what needs no engine first, on every core; then what starts servers and the real engine, two files at a time: more
// would only make one another slow, and each has its own servers, stack and folder.
// `TEST_TODAY=2031-03-01 npm test`: that is the day for the tests, for every process of Node's that they start, and in Workers. libSQL
// server and Postgres keep the machine's clock; the local Turso translates. Without it, the day is the machine's.
const { TEST_TODAY } = process.env;
if (TEST_TODAY !== undefined) Object.assign(process.env, asOf(TEST_TODAY));

/** What is drawn by chance is the same in every run. */
const setupFiles = ["test/support/draws.ts"];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "fast",
          include: ["test/{unit,component}/**/*.test.ts"],
          setupFiles,
          sequence: { groupOrder: 0 },
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "real",
          include: ["test/{provider,engine}/**/*.test.ts"],
          setupFiles,
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
