// Proves that the scripts of the workflows find the right stacks in a real repository, also one with hostile file names, and open one
// pull request for what is due (a stand-in for gh). Not that GitHub runs them: that needs GitHub.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { asOf } from "../../local/engine/as-of";
import { checkout, workflow } from "./workflows-fixture";

describe("the scripts in a real repository", { timeout: 120_000 }, () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-workflows-"));
  const repository = path.join(dir, "repository");
  const prod = fs.readFileSync(path.join(checkout, "Pulumi.prod.yaml"), "utf8");
  const rolled = prod.replace('generations: ["2026-11-20"]', 'generations: ["2026-11-21", "2026-11-20"]');
  const protectedGroup = "      production:\n        deleteProtection: true\n";
  const invalidated = prod.replace(protectedGroup, `${protectedGroup}        invalidated: "2026-11-21" # a leak\n`);
  const incident = prod.replace(
    protectedGroup,
    `${protectedGroup}        incident: { reason: a leak, readOnly: 7d }\n`,
  );
  const moved = prod.replace("db.example.com", "evil.example.com");
  let base = "";

  beforeAll(() => {
    fs.mkdirSync(repository);
    git("init", "--quiet", "--initial-branch=main");
    git("remote", "add", "origin", repository);
    base = commit({ "Pulumi.prod.yaml": prod, "Pulumi.staging.yaml": prod, "Pulumi.local.yaml": prod });
    for (const name of ["node_modules", "operations", "components", "local", "tsconfig.json", "package.json"]) {
      fs.symlinkSync(path.join(checkout, name), path.join(repository, name));
      fs.appendFileSync(path.join(repository, ".git", "info", "exclude"), `/${name}\n`);
    }
  });
  afterEach(() => {
    git("checkout", "--quiet", "--force", "main");
  });
  afterAll(() => {
    fs.rmSync(dir, { recursive: true, force: true });
  });

  it.each<[string, Record<string, string>, string, string]>([
    ["a roll", { "Pulumi.prod.yaml": rolled }, '["prod"]', "false"],
    ["two rolls", { "Pulumi.prod.yaml": rolled, "Pulumi.staging.yaml": rolled }, '["prod","staging"]', "false"],
    [
      "a roll beside a moved server",
      { "Pulumi.prod.yaml": rolled, "Pulumi.staging.yaml": moved },
      '["prod","staging"]',
      "true",
    ],
    [
      "a roll beside other files",
      { "Pulumi.prod.yaml": rolled, "index.ts": "steal()", "a/Pulumi.x.yaml": "" },
      '["prod"]',
      "false",
    ],
    ["an invalidation of Turso tokens", { "Pulumi.prod.yaml": invalidated }, '["prod"]', "false"],
    ["an incident at Turso", { "Pulumi.prod.yaml": incident }, '["prod"]', "true"],
    ["a new stack", { "Pulumi.new.yaml": prod }, '["new"]', "true"],
    ["the local stack", { "Pulumi.local.yaml": moved }, "[]", "false"],
    ["names with a dot", { "Pulumi.new.eu.yaml": prod, "Pulumi.prod.yaml": rolled }, '["new.eu","prod"]', "true"],
  ])("classifies %s", (_, changed, stacks, approval) => {
    const head = onBranch(() => commit(changed));
    expect(script("preview.yml", "classify", { HEAD: head })).toEqual({ stacks, approval });
  });

  it("finds a stack with a dot in its name everywhere", () => {
    const before = onBranch(() => commit({ "Pulumi.prod.eu.yaml": prod }));
    git("checkout", "--quiet", before);
    const head = commit({ "Pulumi.prod.eu.yaml": rolled });
    expect(script("up.yml", "stacks", { BEFORE: before })).toEqual({ stacks: '["prod.eu"]' });
    expect(script("due.yml", "stacks", {})).toEqual({ stacks: '["prod.eu","prod","staging"]' });
    git("checkout", "--quiet", before);
    expect(script("preview.yml", "classify", { HEAD: head })).toEqual({ stacks: '["prod.eu"]', approval: "false" });
  });

  it.each(["Pulumi.$(touch pwned).yaml", 'Pulumi.a"]}.yaml', "Pulumi.a\n::b.yaml", "Pulumi.é.yaml", "Pulumi..yaml"])(
    "refuses the file name %j in one line, and minds it no more when it is deleted",
    (name) => {
      const head = onBranch(() => commit({ [name]: rolled, "Pulumi.prod.yaml": rolled }));
      const refused = ({ status, stdout, outputs }: ReturnType<typeof attempt>) => {
        expect(stdout).toMatch(/^::error::\S.* is no stack file: .+\n$/);
        expect({ failed: status !== 0, outputs }).toEqual({ failed: true, outputs: {} });
      };
      refused(attempt("preview.yml", "classify", { HEAD: head }));
      git("checkout", "--quiet", head);
      refused(attempt("up.yml", "stacks", { BEFORE: base }));
      refused(attempt("due.yml", "stacks", {}));
      fs.rmSync(path.join(repository, name));
      const after = commit({ "Pulumi.staging.yaml": rolled });
      expect(script("up.yml", "stacks", { BEFORE: head })).toEqual({ stacks: '["staging"]' });
      git("checkout", "--quiet", head);
      expect(script("preview.yml", "classify", { HEAD: after })).toEqual({ stacks: '["staging"]', approval: "false" });
      expect(fs.existsSync(path.join(repository, "pwned"))).toBe(false);
    },
  );

  it("has nothing to preview or to update where a stack file is deleted", () => {
    const head = onBranch(() => {
      fs.rmSync(path.join(repository, "Pulumi.prod.yaml"));
      return commit({});
    });
    expect(script("preview.yml", "classify", { HEAD: head })).toEqual({ stacks: "[]", approval: "false" });
    git("checkout", "--quiet", head);
    expect(script("up.yml", "stacks", { BEFORE: base })).toEqual({ stacks: "[]" });
  });

  it("classifies a link in place of a stack file as text, which needs approval", () => {
    const head = onBranch(() => {
      fs.rmSync(path.join(repository, "Pulumi.prod.yaml"));
      fs.symlinkSync("/proc/self/environ", path.join(repository, "Pulumi.prod.yaml"));
      return commit({});
    });
    expect(script("preview.yml", "classify", { HEAD: head })).toEqual({ stacks: '["prod"]', approval: "true" });
  });

  it("updates what a push has changed, and everything where nothing came before", () => {
    const head = onBranch(() => commit({ "Pulumi.prod.yaml": rolled, "Pulumi.local.yaml": rolled }));
    git("checkout", "--quiet", head);
    expect(script("up.yml", "stacks", { BEFORE: base })).toEqual({ stacks: '["prod"]' });
    expect(script("up.yml", "stacks", { BEFORE: "0".repeat(40) })).toEqual({ stacks: '["prod","staging"]' });
  });

  it("finds the stacks that may be due", () => {
    expect(script("due.yml", "stacks", {})).toEqual({ stacks: '["prod","staging"]' });
  });

  it.each([
    ["due.yml", "stacks", "ls-files"],
    ["up.yml", "stacks", "diff"],
    ["preview.yml", "classify", "diff"],
    ["preview.yml", "classify", "show"],
  ])("%s: the job %s fails where git %s does", (file, job, command) => {
    const head = onBranch(() => commit({ "Pulumi.prod.yaml": rolled }));
    const bin = fs.mkdtempSync(path.join(dir, "bin-"));
    fs.writeFileSync(
      path.join(bin, "git"),
      `#!/bin/sh\nif [ "$1" = ${command} ]; then echo "fatal: no" >&2; exit 128; fi\nexec env PATH="$REST" git "$@"\n`,
      { mode: 0o755 },
    );
    const REST = process.env["PATH"] ?? "";
    const { status, outputs, stderr } = attempt(file, job, { HEAD: head, BEFORE: base, REST, PATH: `${bin}:${REST}` });
    expect(stderr).toContain("fatal: no");
    expect({ failed: status !== 0, outputs }).toEqual({ failed: true, outputs: {} });
  });

  it("opens one pull request for what is due, makes it anew, and closes it when nothing is", () => {
    const today = "2027-02-10";
    const long = (days: number) => new Date(Date.parse(today) - days * 86_400_000).toISOString().slice(0, 10);
    const stack = (stamp: string) =>
      `config:\n  rollover:policy: { maxAge: { default: 90d } }\n  rollover:credentials:\n    key: { kind: random, generations: ["${stamp}"] } # a key\n`;
    const hub = path.join(dir, "gh");
    fs.writeFileSync(
      hub,
      '#!/bin/sh\necho "$@" >> "$ASKED"\nif [ "$1 $2" = "pr list" ]; then printf "%s" "$OPEN"; fi\n',
      { mode: 0o755 },
    );
    const origin = path.join(dir, "origin.git");
    git("init", "--quiet", "--bare", origin);
    git("remote", "set-url", "origin", origin);
    const asked = (OPEN: string, text: string, expected = "0") => {
      git("checkout", "--quiet", "--detach", base);
      commit({ "Pulumi.due.eu.yaml": text });
      git("branch", "--quiet", "--force", "main", "HEAD");
      git("checkout", "--quiet", "main");
      const ASKED = path.join(dir, "asked");
      fs.writeFileSync(ASKED, "");
      const env = {
        ...asOf(today),
        STACK: "due.eu",
        GITHUB_STEP_SUMMARY: path.join(dir, "summary"),
        OPEN,
        ASKED,
        PATH: `${dir}:${process.env["PATH"] ?? ""}`,
      };
      const { changed, code } = script("due.yml", "due", env, "edit");
      expect(code).toBe(expected);
      script("due.yml", "due", { ...env, CHANGED: changed ?? "" }, "propose");
      return fs.readFileSync(ASKED, "utf8").trim().split("\n");
    };
    try {
      const opened = asked("", stack(long(85)));
      expect(opened.at(-1)).toMatch(
        /^pr create --base main --head rollover\/due-due\.eu --title Roll what is due in due\.eu --body-file /,
      );
      expect(fs.readFileSync(path.join(dir, "due.md"), "utf8")).toMatch(
        /^Due by `rollover:policy`.*\n\n- `key`: rotate 2027-02-10; it is due by /,
      );
      const pushed = git("show", "rollover/due-due.eu:Pulumi.due.eu.yaml");
      expect(pushed).toContain(`["${today}", "${long(85)}"], reason: "due by policy" } # a key`);
      expect(git("--git-dir", origin, "rev-parse", "rollover/due-due.eu")).toBe(
        git("rev-parse", "rollover/due-due.eu"),
      );
      expect(git("diff", "--name-only", "main", "rollover/due-due.eu")).toBe("Pulumi.due.eu.yaml");
      expect(asked("7", stack(long(86))).at(-1)).toMatch(/^pr edit 7 /);
      expect(git("--git-dir", origin, "show", "rollover/due-due.eu:Pulumi.due.eu.yaml")).toContain(long(86));
      const closed = "pr close 7 --comment Nothing of this is to be edited today.";
      expect(asked("7", stack(long(1))).at(-1)).toBe(closed);
      const frozen = stack(long(85)).replace("} }", `}, freeze: [{ from: ${long(1)}, to: ${long(-2)} }] }`);
      expect(asked("7", frozen).at(-1)).toBe(closed);
      expect(asked("", stack(long(1)))).toHaveLength(1);
      // What the edit does not mend: nobody knows the age of a stamp whose day is yet to come.
      const ahead = `    ahead: { kind: random, generations: ["${long(-5)}"] }\n`;
      const late = stack(long(100)).replace("} }", "}, enforce: true }") + ahead;
      expect(asked("", late, "7").at(-1)).toMatch(/^pr create /);
      expect(fs.readFileSync(path.join(dir, "due.md"), "utf8")).toMatch(
        /^- `key`: rotate .*(?:\n.*)*\n- `ahead` is overdue: .+\n$/m,
      );
    } finally {
      git("checkout", "--quiet", "--force", "--detach", base);
      git("branch", "--quiet", "--force", "main", base);
      git("checkout", "--quiet", "main");
      git("remote", "set-url", "origin", repository);
    }
  });

  function git(...args: string[]): string {
    const identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
    const { status, stdout, stderr } = spawnSync("git", [...identity, ...args], { cwd: repository, encoding: "utf8" });
    if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  }

  function commit(changed: Record<string, string>): string {
    for (const [name, text] of Object.entries(changed)) {
      fs.mkdirSync(path.dirname(path.join(repository, name)), { recursive: true });
      fs.writeFileSync(path.join(repository, name), text);
    }
    git("add", "--all");
    git("commit", "--quiet", "--message", "test");
    return git("rev-parse", "HEAD");
  }

  /** Makes a commit on a branch of its own and goes back to the base. */
  function onBranch(make: () => string): string {
    git("checkout", "--quiet", "--detach", base);
    const head = make();
    git("checkout", "--quiet", "main");
    return head;
  }

  /** Runs a step of a job that succeeds, and returns what it put out. */
  function script(file: string, job: string, env: NodeJS.ProcessEnv, step = "stacks"): Record<string, string> {
    const { status, stderr, outputs } = attempt(file, job, env, step);
    if (status !== 0) throw new Error(`the script failed: ${stderr}`);
    return outputs;
  }

  /** Runs a step of a job as the runner does where no shell is named: `-e`, and no pipefail. */
  function attempt(file: string, job: string, env: NodeJS.ProcessEnv, step = "stacks") {
    const run = workflow(file).jobs[job]?.steps.find(({ id }) => id === step)?.run;
    if (run === undefined) throw new Error(`${file} has no step ${step} in ${job}`);
    const output = path.join(dir, "output");
    fs.writeFileSync(output, "");
    const { status, stdout, stderr } = spawnSync("bash", ["-e", "-c", run], {
      cwd: repository,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: dir, RUNNER_TEMP: dir, GITHUB_OUTPUT: output, ...env },
    });
    const lines = fs.readFileSync(output, "utf8").split("\n").filter(Boolean);
    const outputs: Record<string, string> = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    return { status, stdout, stderr, outputs };
  }
});
