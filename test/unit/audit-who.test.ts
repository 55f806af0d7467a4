// Proves whom and which commit an audit names, and why: from the CI, git, the system and config. Not that a CI sets its variables.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { whoRuns, whyOf } from "../../components/audit/who";
import { model } from "./audit-recorded-fixture";

describe("who and why", () => {
  it("come from the CI, else from git, else from the system", async () => {
    const ci = { GITHUB_ACTOR: "octocat", GITHUB_SHA: "c0ffee", GITHUB_RUN_ID: "42" };
    expect(await whoRuns(".", ci)).toMatchObject({ actor: "octocat", commit: "c0ffee" });
    expect(await whoRuns(".", { ...ci, GITHUB_TRIGGERING_ACTOR: "who-ran-it-again" })).toMatchObject({
      actor: "who-ran-it-again",
    });
    expect((await whoRuns(".", ci)).update).toMatch(/^42-[0-9a-f]{16}$/);
    expect((await whoRuns(".", {})).update).toMatch(/^[0-9a-f]{16}$/);
    const nowhere = await whoRuns("/", { PATH: process.env["PATH"], HOME: "/nonexistent" });
    expect(nowhere.commit).toBe("");
    expect(nowhere.actor).not.toBe("");
    expect((await whoRuns(".", { GITHUB_ACTOR: `two\nlines${"x".repeat(500)}` })).actor).toMatch(/^two linesx{191}$/);
  });

  it("say of a commit of this machine whether the stack file was edited since, and of no other file", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-who-"));
    const git = (...args: string[]) => execFileSync("git", args, { cwd: folder, encoding: "utf8" }).trim();
    const env = { PATH: process.env["PATH"], HOME: "/nonexistent" };
    try {
      for (const name of ["Pulumi.prod.yaml", "other"]) fs.writeFileSync(path.join(folder, name), "a: 1\n");
      git("init", "-q");
      git("add", ".");
      git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "first");
      const head = git("rev-parse", "HEAD");
      fs.writeFileSync(path.join(folder, "other"), "edited\n");
      expect((await whoRuns(folder, env)).commit).toBe(head);
      fs.writeFileSync(path.join(folder, "Pulumi.prod.yaml"), "edited: 1\n");
      expect((await whoRuns(folder, env)).commit).toBe(`${head}+edited`);
      expect((await whoRuns(folder, { ...env, GITHUB_SHA: "c0ffee" })).commit).toBe("c0ffee");
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it("are a credential's or a Turso target's, an incident's where it has none of its own", () => {
    expect(whyOf(model, "rounds-db")).toEqual({ reason: "quarterly", ticket: "OPS-12" });
    expect(whyOf(model, "group/production")).toEqual({ reason: "a leak", ticket: "" });
    expect(whyOf(model, "database/rounds")).toEqual({ reason: "moved", ticket: "" });
    expect(whyOf(model, "unknown")).toEqual({ reason: "", ticket: "" });
  });
});
