/** Who runs this update, from which commit, and why its credentials were edited. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as os from "node:os";
import { promisify } from "node:util";
import { whyIn } from "../notify/changes";
import type { StackModel } from "../rotation/model";
import type { AuditRecord } from "./record";

export type Who = Pick<AuditRecord, "actor" | "commit" | "update">;

/**
 * From the CI's variables (GitHub Actions, GitLab, Buildkite), else from git, else the system's user. A git that does not answer
 * within 5 s, or is not there, says nothing. `+edited` behind a commit: a stack file is not as it is in there.
 *
 * @param cwd The project's folder.
 */
export async function whoRuns(cwd: string, env: NodeJS.ProcessEnv): Promise<Who> {
  const actor = first(env, ["GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILDKITE_BUILD_CREATOR"]);
  const commit = first(env, ["GITHUB_SHA", "CI_COMMIT_SHA", "BUILDKITE_COMMIT"]);
  const run = first(env, ["GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILDKITE_BUILD_ID"]);
  const ours = randomBytes(8).toString("hex");
  const [email, head, edited] = await Promise.all([
    actor === "" ? git(cwd, env, ["config", "user.email"]) : "",
    commit === "" ? git(cwd, env, ["rev-parse", "HEAD"]) : "",
    // CI runs what it has checked out; a person may run what nobody else has seen.
    commit === "" ? git(cwd, env, ["--no-optional-locks", "status", "--porcelain", "--", "Pulumi.*.yaml"]) : "",
  ]);
  const here = head === "" || edited === "" ? head : `${line(head)}+edited`;
  return {
    actor: line(actor || email || userName()),
    commit: line(commit || here),
    update: line(run === "" ? ours : `${run}-${ours}`),
  };
}

/** Of a credential, or of a Turso target such as `group/production`, as config says it today. */
export function whyOf(stack: StackModel, name: string): Pick<AuditRecord, "reason" | "ticket"> {
  const { groups = [], databases = [] } = stack.turso ?? {};
  const { incident } =
    groups.find((group) => `group/${group.name}` === name) ??
    databases.find((database) => `database/${database.name}` === name) ??
    {};
  const { reason = incident?.reason ?? "", ticket = "" } = whyIn(stack)(name);
  return { reason, ticket };
}

function first(env: NodeJS.ProcessEnv, names: string[]): string {
  return names.map((name) => env[name] ?? "").find((value) => value !== "") ?? "";
}

/** What git says; not of where a hook that started us points to. */
async function git(cwd: string, env: NodeJS.ProcessEnv, question: string[]): Promise<string> {
  const inherited = Object.entries(env).filter(([name]) => !name.startsWith("GIT_"));
  try {
    const args = ["-c", "core.fsmonitor=false", ...question];
    const { stdout } = await promisify(execFile)("git", args, {
      cwd,
      env: Object.fromEntries(inherited),
      timeout: 5000,
    });
    return stdout;
  } catch {
    return "";
  }
}

/** A user without an entry in the system's list has a number only. */
function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}

/** One line, at most 200 characters. */
function line(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, 200);
}
