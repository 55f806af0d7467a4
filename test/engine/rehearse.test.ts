// Proves that `npm run rehearse` rolls, retires and rolls back for real with no failed request, that an invalidation fails some
// and kills every older token, and that the order "mint, deliver, wait, rotate" fails them until it is repaired; that it prints the
// table and the JSON document that programs read, writes nothing into the checkout, and leaves no process and no folder behind,
// also on Ctrl-C; and that requests that fail and an update that fails are problems. Not what clients elsewhere would notice, and with
// fewer requests after each update than users make, since these find a server at rest.
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { bringUp, rehearse, type Report } from "../../local/rehearse";
import { startScene } from "../../local/scene";

const CHECKOUT = path.resolve(__dirname, "..", "..");
/** In each step at least. */
const REQUESTS = 200;
/** Every kind, on a slow machine with other work. */
const REHEARSAL_MS = 9 * 60_000;

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

const own = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-rehearse-test-"));
// As root, postgres runs as another user, who must be able to enter.
fs.chmodSync(own, 0o711);
afterAll(() => {
  fs.rmSync(own, { recursive: true, force: true });
});

/** The command itself, with a temp folder of its own; `at` is called once with the process when stderr holds the text. */
function command(args: string[], interrupt?: { at: string; signal: NodeJS.Signals }): Promise<Ended> {
  const child = spawn(process.execPath, ["--require", "tsx/cjs", "local/rehearse.ts", ...args], {
    cwd: CHECKOUT,
    env: { ...process.env, TMPDIR: own },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    const before = stderr;
    stderr += text;
    if (interrupt && !before.includes(interrupt.at) && stderr.includes(interrupt.at)) child.kill(interrupt.signal);
  });
  return new Promise((resolve) => {
    child.once("close", (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Folders of the rehearsal and its servers that are still there, and processes that name them. */
function leftovers(): string[] {
  const folders = fs.readdirSync(own).filter((name) => name.startsWith("rollover-"));
  const commands = fs.readdirSync("/proc").flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")] : [];
    } catch {
      return []; // it has ended meanwhile
    }
  });
  return [...folders, ...commands.filter((command) => command.includes(own))];
}

describe("npm run rehearse", () => {
  it(
    "rolls, retires and rolls back each kind without a failed request, invalidates with some, and reports it to programs",
    async () => {
      const before = fs.readFileSync(path.join(CHECKOUT, "Pulumi.local.yaml"), "utf8");
      const { code, stdout, stderr } = await command(["--json", "--requests", String(REQUESTS)]);
      expect(code, stderr).toBe(0);
      const report = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as {
        rows: Record<string, unknown>[];
        engine: Record<string, unknown>;
        plugins: Record<string, unknown>;
      };
      const steps = ["roll", "retire", "roll again", "roll back"];
      const signing = [...steps, ...["retire", "roll", "roll back"].map((step) => `${step}, sticky pools`)];
      const overlapping = ["random", "postgres", "signing-keys", "turso-token"].flatMap((kind) =>
        (kind === "signing-keys" ? signing : steps).map((step) => ({ kind, step })),
      );
      const breaking = ["invalidate", "seed's order"].map((step) => ({ kind: "turso-invalidate", step }));
      expect(report.rows.map(({ kind, step }) => ({ kind, step }))).toEqual([...overlapping, ...breaking]);
      for (const { requests, updateMs } of report.rows) {
        expect(requests).toBeGreaterThanOrEqual(REQUESTS);
        expect(updateMs).toBeGreaterThan(0);
      }
      const tokens = report.rows.filter(({ kind }) => kind === "signing-keys").map(({ requests }) => Number(requests));
      expect(tokens.reduce((sum, requests) => sum + requests)).toBeGreaterThanOrEqual(7 * 3 * REQUESTS);
      const [invalidate, seedsOrder] = report.rows.slice(overlapping.length);
      for (const { failed, worstGapMs } of report.rows.slice(0, overlapping.length)) {
        expect(failed).toBe(0);
        expect(worstGapMs).toBeLessThan(5000);
      }
      expect(invalidate?.["failed"]).toBeGreaterThan(0);
      expect(seedsOrder?.["failed"]).toBeGreaterThan(200);
      // The rotate at the end of that order is an outage until somebody notices; an invalidation ends its own.
      expect(seedsOrder?.["worstGapMs"]).toBeGreaterThan(Number(invalidate?.["worstGapMs"]));
      expect(report.engine["version"]).toMatch(/^\d+\.\d+\.\d+/);
      expect(["path", "npm", "go-build"]).toContain(report.engine["origin"]);
      expect(Object.keys(report.plugins)).toEqual(expect.arrayContaining(["random", "postgresql"]));
      for (const served of Object.values(report.plugins)) expect(["official", "stand-in"]).toContain(served);
      // With --json the table is for people on standard error; no colours off a terminal.
      expect(stderr).toMatch(/postgres +retire +\d+ +0 +\d+ +\d+ +old value refused/);
      expect(stderr).toMatch(
        /turso-token +retire +\d+ +0 +\d+ +\d+ +old token undelivered; it works on, and is listed/,
      );
      expect(stderr).toMatch(/turso-invalidate +invalidate +\d+ +\d+ +\d+ +\d+ +every older token refused \(401\)/);
      expect(stderr + stdout).not.toContain("\u001b[");
      expect(fs.readFileSync(path.join(CHECKOUT, "Pulumi.local.yaml"), "utf8")).toBe(before);
      await expect.poll(leftovers, { timeout: 20_000 }).toEqual([]);
    },
    REHEARSAL_MS,
  );

  it("calls failed requests and a failed update problems, and stops there", async () => {
    const scene = await startScene({ needs: ["postgres", "turso", "workers"] });
    try {
      await bringUp(scene);
      await scene.cloud.postgres.query(`DO $$ BEGIN
        EXECUTE (SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM pg_roles WHERE rolname LIKE '%20261120');
      END $$`);
      scene.cloud.cloudflare.faults.set([
        { match: { method: "PATCH" }, times: 99, kind: "status", status: 403, code: 10000 },
      ]);
      const report: Report = { rows: [], proofs: [], problems: [] };
      await rehearse(scene, "postgres", report);
      expect(report.rows).toHaveLength(1);
      expect(report.rows[0]?.failed).toBeGreaterThan(0);
      const [update, requests] = report.problems;
      expect(report.problems).toHaveLength(2);
      expect(update).toMatch(/^postgres, roll: the update failed:\n[^]*cloudflareApiToken/);
      expect(requests).toMatch(/^postgres, roll: \d+ of \d+ requests failed: status 500/);
      expect(report.proofs).toEqual(["FAILED, see below"]);
    } finally {
      await scene.stop();
    }
  });

  it("ends everything on an interrupt in the middle of an update", async () => {
    const { code, stderr } = await command(["--only", "random"], { at: "random, roll:", signal: "SIGINT" });
    expect(code, stderr).toBe(130);
    expect(stderr).toContain("interrupted");
    await expect.poll(leftovers, { timeout: 20_000 }).toEqual([]);
  });

  it("says what is allowed instead of an unknown kind, and shows examples", async () => {
    const wrong = await command(["--only", "turso"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain(
      "Allowed choices are random, postgres, signing-keys, turso-token, turso-invalidate.",
    );
    expect((await command(["--requests", "0"])).stderr).toContain("A number from 1 to 999999.");
    const help = await command(["--help"]);
    expect(help.code).toBe(0);
    expect(help.stdout).toContain("npm run rehearse -- --only postgres");
  });
});
