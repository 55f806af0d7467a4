/** Which stack file a command is about, and its text. */
import * as fs from "node:fs";
import * as path from "node:path";
import { closest } from "../../components/rotation/problem";
import { Refusal } from "./text";

/** The last part of a full stack name (`org/project/prod`) names its file. Undefined where neither option is given. */
export function fileOf(options: { cwd: string; stack?: string; configFile?: string }): string | undefined {
  if (options.configFile !== undefined) return path.resolve(options.cwd, options.configFile);
  const stack = options.stack?.split("/").at(-1);
  return stack === undefined || stack === "" ? undefined : path.resolve(options.cwd, `Pulumi.${stack}.yaml`);
}

/** Throws Refusal. */
export function readText(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    const guess = closest(stackOf(file) ?? "", stacksIn(path.dirname(file)));
    const advice = guess === undefined ? "check --stack and --cwd" : `did you mean --stack ${guess}?`;
    throw new Refusal(`${file} cannot be read (${code}); ${advice}`);
  }
}

function stackOf(file: string): string | undefined {
  return /^Pulumi\.(.+)\.yaml$/.exec(path.basename(file))?.[1];
}

/** Stacks that have a file in the folder. */
function stacksIn(folder: string): string[] {
  try {
    return fs.readdirSync(folder).flatMap((name) => stackOf(name) ?? []);
  } catch {
    return [];
  }
}
