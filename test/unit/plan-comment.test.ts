// Proves what preview.yml's own scripts do with a plan, by running them against a stand-in of GitHub's client: which commit the
// comment names, that it is edited in place, and that a commit which is not the newest writes none. Not that GitHub runs them.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

interface Step {
  id?: string;
  name?: string;
  if?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}

const file = path.join(__dirname, "..", "..", ".github", "workflows", "preview.yml");
const { jobs } = parse(fs.readFileSync(file, "utf8")) as { jobs: { preview: { steps: Step[] } } };
const { steps } = jobs.preview;
const scripts = steps.filter(({ uses }) => uses?.includes("/github-script@"));
const [HEAD, NEWER] = ["0123456789abcdef".repeat(2), "f".repeat(32)];
const MARKER = "<!-- rollover-plan: prod -->";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-comment-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

type Run = (...args: unknown[]) => Promise<unknown>;
const Script = Object.getPrototypeOf(run) as { constructor: new (...source: string[]) => Run };

/** Runs a script as actions/github-script does, where the newest commit and the comments are these. */
async function run(step: Step | undefined, newest: string, comments: { id: number; by: string; body: string }[] = []) {
  const written: { id?: number; body: string }[] = [];
  const outputs: Record<string, unknown> = {};
  const write = ({ comment_id: id, body }: { comment_id?: number; body: string }) => {
    written.push({ ...(id === undefined ? {} : { id }), body });
    return Promise.resolve();
  };
  const listed = comments.map(({ id, by, body }) => ({ id, user: { login: by }, body }));
  const pulls = { get: () => Promise.resolve({ data: { head: { sha: newest } } }) };
  const github = {
    rest: { pulls, issues: { listComments: "listComments", createComment: write, updateComment: write } },
    paginate: () => Promise.resolve(listed),
  };
  const context = { repo: { owner: "acme", repo: "stacks" }, payload: { pull_request: { number: 7 } } };
  const core = {
    warning: () => undefined,
    notice: () => undefined,
    setOutput: (name: string, value: unknown) => (outputs[name] = value),
  };
  const process = { env: { RUNNER_TEMP: dir, HEAD } };
  const script = new Script.constructor(
    "github",
    "context",
    "core",
    "require",
    "process",
    String(step?.with?.["script"]),
  );
  await script(github, context, core, require, process);
  return { written, outputs };
}

describe("the comment", () => {
  const comment = scripts.at(-1);
  const plan = (text = `${MARKER}\n\n## Rollover plan for \`prod\`\n`) => {
    fs.writeFileSync(path.join(dir, "plan.md"), text);
  };

  it("begins with its marker, names the commit that was read, and is edited in place", async () => {
    plan();
    const { written } = await run(comment, HEAD);
    const body = `${MARKER}\n\nOf commit \`0123456789ab\`.\n\n## Rollover plan for \`prod\`\n`;
    expect(written).toEqual([{ body }]);
    const bot = "github-actions[bot]";
    const there = [
      { id: 1, by: "mallory", body: MARKER },
      { id: 2, by: bot, body: "<!-- rollover-plan: staging -->" },
      { id: 3, by: bot, body: `${MARKER}\n\nold` },
    ];
    expect((await run(comment, HEAD, there)).written).toEqual([{ id: 3, body }]);
  });

  it("is not written of a commit that is not the newest, nor where there is no plan, and is cut where it is too long", async () => {
    expect((await run(comment, HEAD)).written).toEqual([]);
    plan("");
    expect((await run(comment, HEAD)).written).toEqual([]);
    plan();
    expect((await run(comment, NEWER)).written).toEqual([]);
    plan(`${MARKER}\n${"x".repeat(70_000)}`);
    const [one] = (await run(comment, HEAD)).written;
    expect(one?.body.length).toBeLessThan(65_536);
    expect(one?.body).toMatch(/Cut here; the whole plan is in the run's summary\.$/);
  });
});

describe("the job", () => {
  it("takes the pull request's stack file or says nothing: no later step goes on without it", () => {
    const index = steps.findIndex(({ id }) => id === "take");
    expect(steps[index]?.run).toContain('git show "$HEAD:Pulumi.$STACK.yaml"');
    const later = steps.slice(index + 1);
    expect(later.length).toBeGreaterThan(2);
    for (const { if: condition } of later)
      expect(condition ?? "").toMatch(/^$|^\$\{\{ !cancelled\(\) && steps\.take\.outcome == 'success' \}\}$/);
    expect(later.filter(({ if: condition }) => condition === undefined).map(({ uses }) => uses)).not.toContain(
      undefined,
    );
  });

  it("lets Pulumi comment only on the newest commit too", async () => {
    const [check] = scripts;
    expect(check?.id).toBe("newest");
    expect((await run(check, HEAD)).outputs).toEqual({ newest: true });
    expect((await run(check, NEWER)).outputs).toEqual({ newest: false });
    const pulumi = steps.find(({ uses }) => uses?.startsWith("pulumi/actions@"));
    expect(pulumi?.with?.["comment-on-pr"]).toBe("${{ steps.newest.outputs.newest == 'true' }}");
    for (const { env } of scripts) expect(env).toEqual({ HEAD: "${{ github.event.pull_request.head.sha }}" });
  });
});
