/** For tests of a delivery into an env file: a folder for each, the provider in it, and looks at what is there. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { envFile, type Inputs, type Outputs } from "../../components/file/env-file.provider";

export const FILE = ".env.local";
export const LEFTOVER = ".env.rollover-tmp..env.local";
export const token = "eyJhbGciOiJFZERTQSJ9.eyJhIjoicnciLCJleHAiOjE3OTU5OTk5OTl9.c2lnbmF0dXJl_-x";
export const url = "postgres://rounds_20261120:p%40ss@db.example.com:5432/rounds?sslmode=verify-full&a=$HOME#frag";
export const lines = { DATABASE_URL: url, TURSO_AUTH_TOKEN: token };

/** The project's folder, and what the provider said, of one test. */
export let root: string;
export let warnings: string[];

/** Gives each test of the file that calls this a new folder, and sees that no warning carries a value. */
export function useFolder(): void {
  beforeEach(() => {
    root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "rollover-env-")));
    warnings = [];
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    expect(warnings.filter((line) => line.includes(token) || line.includes(url))).toEqual([]);
    fs.rmSync(root, { recursive: true });
  });
}

export const provider = () => envFile(root, (line) => warnings.push(line));
export const at = (name = FILE) => path.join(root, name);
export const write = (text: string | Buffer, name = FILE) => {
  fs.writeFileSync(at(name), text, { mode: 0o644 });
};
export const text = (name = FILE) => fs.readFileSync(at(name), "utf8");
export const mode = (name = FILE) => (fs.statSync(at(name)).mode & 0o7777).toString(8);
export const create = async (news: Inputs) => (await provider().create(news)).outs as Outputs;
export const update = async (olds: Outputs, news: Inputs) =>
  (await provider().update?.(olds.file, olds, news))?.outs as Outputs;
export const remove = (olds: Outputs) => provider().delete?.(olds.file, olds);
export const refresh = async (olds: Outputs) => (await provider().read?.(olds.file, olds))?.props;

/** Why `check` refuses these inputs; empty if it does not. */
export async function failuresOf(news: Inputs): Promise<string[]> {
  const checked = await provider().check?.({} as Inputs, news);
  // The engine prints the value of the property that a failure is of, even of a secret one.
  expect(checked?.failures?.filter(({ property }) => property !== "file")).toEqual([]);
  return checked?.failures?.map(({ reason }) => reason) ?? ["not checked"];
}
