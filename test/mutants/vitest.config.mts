import { defineConfig } from "vitest/config";

// For the tests that are named for a fault: no engine is got beforehand, which most of them need none of, and a test may take its time,
// since one that is late proves nothing.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], maxWorkers: 2, testTimeout: 240_000, hookTimeout: 240_000 },
});
