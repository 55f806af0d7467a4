/** Runs a few tests in a copy of the checkout, and says what came of them. */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";

export type Outcome =
  /** So many tests ran, and all passed. */
  | { kind: "passed"; tests: number }
  /** `test` failed first. */
  | { kind: "failed"; test: string; why: string }
  /** No test has failed, and yet they did not pass: a file that cannot be loaded, a hook that failed, no such test, no end. */
  | { kind: "broken"; why: string };

export interface Selection {
  tests: string[];
  named?: string;
}

/** The part of vitest's JSON report that is looked at. */
export interface Report {
  testResults: {
    name: string;
    message: string;
    status: string;
    assertionResults: { fullName: string; status: string; failureMessages: string[] | null }[];
  }[];
}

const running = new Set<ChildProcess>();

/** Ends what is under way, with all that it has started. */
export function endAll(): void {
  for (const { pid } of running) if (pid !== undefined) endGroup(pid);
}

/**
 * Ends after `timeoutMs` at the latest.
 *
 * @param root The copy of the checkout.
 * @param options `bail`: ends at the first test that fails; `env`: beside this process's own.
 * @returns Vitest's report, or why there is none.
 */
export async function runTests(
  root: string,
  { tests, named }: Selection,
  { timeoutMs, bail = false, env = {} }: { timeoutMs: number; bail?: boolean; env?: NodeJS.ProcessEnv },
): Promise<Report | string> {
  const report = path.join(root, "vitest.json");
  fs.rmSync(report, { force: true });
  const args = [
    ...[path.join(root, "node_modules", "vitest", "vitest.mjs"), "run", "--bail", bail ? "1" : "0"],
    ...["--config", path.join(root, "test", "mutants", "vitest.config.mts")],
    ...["--reporter", "json", "--outputFile", report],
    ...(named === undefined ? [] : ["-t", named]),
    ...tests,
  ];
  // A group of its own, so that the servers and engines of the tests end with it.
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  running.add(child);
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  const late = new AbortController();
  const deadline = setTimeout(() => {
    late.abort();
    if (child.pid !== undefined) endGroup(child.pid);
  }, timeoutMs);
  await new Promise<void>((resolve, reject) =>
    child
      .once("close", () => {
        resolve();
      })
      .once("error", reject),
  );
  clearTimeout(deadline);
  running.delete(child);
  if (child.pid !== undefined) endGroup(child.pid);
  if (late.signal.aborted) return `did not end within ${timeoutMs / 1000} s`;
  if (!fs.existsSync(report)) return `vitest gave no report: ${lastLine(said)}`;
  return JSON.parse(fs.readFileSync(report, "utf8")) as Report;
}

/** @param named Only the tests whose full name matches count. @default all */
export function outcomeOf(report: Report | string, named = ""): Outcome {
  if (typeof report === "string") return { kind: "broken", why: report };
  const { testResults } = report;
  const isNamed = new RegExp(named);
  const all = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ fullName }) => isNamed.test(fullName)),
  );
  const failed = all.find(({ status }) => status === "failed");
  const why = failed?.failureMessages?.[0] ?? "";
  // Too late for a test is not wrong for it; in place of such an error the report has only where the test stands.
  if (/STACK_TRACE_ERROR|(?:Test|Hook) timed out/.test(why))
    return { kind: "broken", why: `"${failed?.fullName ?? ""}" was not done in time` };
  if (failed) return { kind: "failed", test: failed.fullName, why: firstLine(why) };
  const broken = testResults.find(
    ({ status, assertionResults }) =>
      status === "failed" && assertionResults.every(({ status: one }) => one !== "failed"),
  );
  if (broken) return { kind: "broken", why: `${path.basename(broken.name)}: ${firstLine(broken.message)}` };
  const passed = all.filter(({ status }) => status === "passed").length;
  return passed > 0 ? { kind: "passed", tests: passed } : { kind: "broken", why: "no test of that name was run" };
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").slice(0, 200);
}

function lastLine(text: string): string {
  return firstLine(text.trim().split("\n").at(-1) ?? "");
}
