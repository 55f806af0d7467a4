import { defineConfig } from "vitest/config";

// Two projects: what needs no engine runs in parallel; what starts servers and the real engine runs one file at a time, since
// its load and its timing would otherwise disturb each other.
export default defineConfig({
  test: {
    projects: [
      { test: { name: "fast", include: ["test/{unit,component}/**/*.test.ts"] } },
      {
        test: {
          name: "real",
          include: ["test/{provider,engine}/**/*.test.ts"],
          globalSetup: ["test/support/global-setup.ts"],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
