/** The workflows, read as what they hold. */
import * as fs from "node:fs";
import * as path from "node:path";
import { parse } from "yaml";

export const checkout = path.join(__dirname, "..", "..");
export const folder = path.join(checkout, ".github", "workflows");
export const files = fs.readdirSync(folder).sort();

export interface Step {
  id?: string;
  if?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}
export interface Job {
  if?: string;
  needs?: string | string[];
  environment?: string;
  permissions?: Record<string, string>;
  concurrency?: Record<string, unknown>;
  "timeout-minutes"?: number;
  steps: Step[];
}
export interface Workflow {
  on: Record<string, unknown>;
  permissions?: Record<string, string>;
  jobs: Record<string, Job>;
}

export const read = (file: string) => fs.readFileSync(path.join(folder, file), "utf8");
export const workflow = (file: string) => parse(read(file)) as Workflow;
export const jobs = (file: string) => Object.entries(workflow(file).jobs);
