import { defineConfig } from "vitest/config";

/** What is drawn by chance is the same in every run. */
const setupFiles = ["test/support/draws.ts"];

// Two projects: what needs no engine first, on every core; then what starts servers and the real engine, two files at a time: more
// would only make one another slow, and each has its own servers, stack and folder.
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
