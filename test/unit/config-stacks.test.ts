// Proves that the project's own stack files are valid once their secrets are set, that each names the secrets it needs and no
// others, and what their differences are. Does not prove that they deploy.
import * as fs from "node:fs";
import * as path from "node:path";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { SECRETS } from "../../components/rotation/raw-config";
import { rawOf, type Mapping } from "./config-fixture";

/** The project's own stacks, with their credentials. */
const STACKS: Record<string, [string, string][]> = {
  prod: [
    ["session-key", "random"],
    ["rounds-db", "postgres"],
    ["rounds-signing", "signing-keyset"],
    ["rounds-turso", "turso"],
  ],
  staging: [["rounds-turso", "turso"]],
  dev: [["rounds-turso", "turso"]],
  local: [
    ["session-key", "random"],
    ["rounds-db", "postgres"],
    ["rounds-signing", "signing-keyset"],
    ["rounds-turso", "turso"],
  ],
};

function textOf(stack: string): string {
  return fs.readFileSync(path.resolve(__dirname, `../../Pulumi.${stack}.yaml`), "utf8");
}

function configOf(stack: string): Mapping {
  const { config } = parse(textOf(stack)) as { config: Mapping };
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace("rollover:", ""), value]));
}

describe("the project's stacks", () => {
  it.each(Object.keys(STACKS))("%s is valid once its secrets are set", (stack) => {
    const model = parseStack(rawOf(configOf(stack)));
    expect(model.credentials.map(({ name, kind }) => [name, kind])).toEqual(STACKS[stack]);
    expect(model.production).toBe(stack === "prod");
  });

  it.each(Object.keys(STACKS))("%s names the secrets that it needs, and no others", (stack) => {
    const own = configOf(stack);
    // Nothing needs a webhook.
    const needed = SECRETS.filter((key) => key !== "alertWebhook" && textOf(stack).includes(`rollover:${key}`));
    expect(needed).not.toEqual([]);
    for (const key of needed) {
      expect(() => parseStack(rawOf(own, { missing: [key] }))).toThrow(`run \`pulumi config set --secret ${key}\``);
    }
    const others = SECRETS.filter((key) => !needed.includes(key));
    expect(parseStack(rawOf(own, { missing: others })).credentials).not.toEqual([]);
  });

  it("differ in where a Turso token works, how long, and where it goes", () => {
    const tokens = ["prod", "staging", "dev"].map((stack) => {
      const token = parseStack(rawOf(configOf(stack))).credentials.find(({ name }) => name === "rounds-turso");
      if (token?.kind !== "turso") throw new Error(`${stack} has no rounds-turso of kind turso`);
      return [token.target.name, token.expiration, token.deliver[0]?.worker ?? token.deliver[0]?.file];
    });
    expect(tokens).toEqual([
      ["rounds", "90d", "rounds-api"],
      ["staging-db", "30d", "rounds-api"],
      ["dev-db", "30d", ".env.local"],
    ]);
  });

  it("of a developer may not be marked production: it delivers into a file", () => {
    expect(() => parseStack(rawOf({ ...configOf("dev"), production: true }))).toThrow(/deliver\[0\]\.file/);
  });
});
