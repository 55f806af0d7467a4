// Proves that each bad config of test/fixtures/configs/bad.yaml is refused with exactly its message, that messages name
// every part they promise, and that no message shows a secret. Does not prove that Pulumi hands such a config over.
import * as fs from "node:fs";
import * as path from "node:path";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { ConfigError } from "../../components/rotation/problem";
import { changed, FIXTURES, goodConfig, rawOf, type Change } from "./config-fixture";

interface BadConfig extends Change {
  name: string;
  message: string;
}

const cases = parse(fs.readFileSync(path.join(FIXTURES, "bad.yaml"), "utf8")) as BadConfig[];

function refusal(bad: BadConfig): ConfigError {
  try {
    parseStack(changed(bad));
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`accepted: ${bad.name}`);
}

describe("bad configs", () => {
  it("are fifty or more, each by its own name", () => {
    expect(new Set(cases.map((bad) => bad.name)).size).toBe(cases.length);
    expect(cases.length).toBeGreaterThanOrEqual(50);
  });

  it("differ from a config that is accepted", () => {
    expect(parseStack(rawOf(goodConfig())).credentials.map(({ name }) => name)).toEqual([
      ...["session-key", "rounds-db", "rounds-turso", "all-turso"],
    ]);
  });

  it.each(cases)("$name", (bad) => {
    const error = refusal(bad);
    expect(`${error.message}\n`).toBe(bad.message);
    for (const problem of error.problems) {
      expect(problem.where).toMatch(/^rollover:/);
      expect(problem.fix).not.toBe("");
    }
    expect(error.message).not.toContain("hunter2");
  });
});
