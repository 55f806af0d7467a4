/** Reads test/fixtures/configs, and makes a config from the good one. */
import * as fs from "node:fs";
import * as path from "node:path";
import { parse } from "yaml";
import { rawSettings, SECRETS, type RawConfig, type Secret } from "../../components/rotation/raw-config";

export const FIXTURES = path.resolve(__dirname, "../fixtures/configs");

/** How a config differs from good.yaml; paths are keys joined by "/". */
export interface Change {
  set?: Record<string, unknown>;
  unset?: string[];
  /** Further keys of the namespace. */
  keys?: string[];
  /** Secrets that are not set. */
  missing?: Secret[];
  /** Secrets that are set without encryption. */
  plain?: Secret[];
}

export type Mapping = Record<string, unknown>;

export function goodConfig(): Mapping {
  return parse(fs.readFileSync(path.join(FIXTURES, "good.yaml"), "utf8")) as Mapping;
}

export function rawOf(config: Mapping, change: Change = {}): RawConfig {
  return {
    keys: [...Object.keys(config), ...(change.keys ?? [])].map((key) => `rollover:${key}`),
    settings: rawSettings((key) => config[key]),
    secrets: SECRETS.filter((key) => !change.missing?.includes(key)),
    plainSecrets: change.plain ?? [],
  };
}

/** good.yaml with a change. */
export function changed(change: Change): RawConfig {
  const config = goodConfig();
  for (const [at, value] of Object.entries(change.set ?? {})) parentOf(config, at)[lastOf(at)] = value;
  for (const at of change.unset ?? []) Reflect.deleteProperty(parentOf(config, at), lastOf(at));
  return rawOf(config, change);
}

function parentOf(config: Mapping, at: string): Mapping {
  return at
    .split("/")
    .slice(0, -1)
    .reduce((mapping, key) => mapping[key] as Mapping, config);
}

function lastOf(at: string): string {
  return at.split("/").slice(-1).join("");
}
