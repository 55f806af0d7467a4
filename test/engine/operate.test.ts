// One operating life of a stack, on the real engine, a real git repository, an audit's table and file, a mail server (STARTTLS) and a
// webhook. Proves that the plan says before each update what it then does, and what a pull request changes, why and to whom; that an
// update is told before anything changes and when all is delivered, once, and recorded step by step with who and why; that what
// cannot be announced or recorded stops where that is required; that kills and failures are recorded and told, and the next update
// goes on; that the after-roll program gets the attested value by environment alone. Nothing told, recorded or printed is secret.
// Not: wording (test/unit/plan*.test.ts), each channel's and audit's own failures (test/provider), emergencies (off-boarding.test.ts).
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readAudit, verifyChain } from "../../components/audit/read";
import type { AuditRecord } from "../../components/audit/record";
import type { Audit } from "../../components/rotation/model";
import { main as planCommand } from "../../operations/plan";
import type { Plan } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import { makeCertificate } from "../../local/cloud/smtp";
import { type Crashes, startCrashes } from "../../local/crash";
import { placesOf, sampleArguments, scanForLeaks, secretsOf } from "../../local/leaks";
import { must, type Scene, startScene } from "../../local/scene";
import { type AuditDatabase, startAudit } from "../provider/audits";
import { type Channels, startChannels } from "./channels";
import { signing } from "./keysets";
import { type Planned, planOf, runPlan } from "./plan-run";
import { held, loginsLike, secretOf, servedAs, tryLogin, usualCredentials } from "./rounds";
import { tokenCredential } from "./tokens";

const CHECKOUT = path.resolve(__dirname, "../..");
const PROGRAM = "./test/fixtures/after-roll/hook.mjs";
/** The plan's clock: whatever the day, one stamp is overdue and no other is. */
const TODAY = "2026-11-25";
const [LONG_AGO, OLD, NOW] = ["2010-01-01", "2026-08-01", "2026-11-20"];
const auditFile = { file: `tmp/operate-${randomBytes(4).toString("hex")}/local.jsonl`, required: true };
const at = (name: string, ...keys: string[]) => ["rollover:credentials", name, ...keys];
const postgres = (database: string, as: string[], more: Record<string, unknown> = {}) => ({
  ...{ kind: "postgres", database, owner: `${database}_owner`, login: database, quiet: "300ms", generations: [OLD] },
  ...{ deliver: as.map((name) => ({ worker: "rounds-api", as: name })), ...more },
});

interface ProgramRun {
  at: number;
  user: string;
  env: Record<string, string>;
  args: string[];
}

let scene: Scene;
let table: AuditDatabase;
let channels: Channels;
let crashes: Crashes | undefined;
let sampled: ReturnType<typeof sampleArguments>;
/** Where the program writes what it was given. */
let folder: string;
/** All that plans printed. */
let printed = "";
const secrets = new Map<string, string>();
const clients: Client[] = [];

beforeAll(async () => {
  sampled = sampleArguments();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-hook-"));
  const { "rounds-db": login, "session-key": key } = usualCredentials(OLD);
  scene = await startScene({
    needs: ["postgres", "turso", "workers"],
    credentials: {
      "session-key": { ...key, output: true, generations: [LONG_AGO] },
      "rounds-db": { ...login, afterRoll: PROGRAM },
      "rounds-signing": signing("keyset", [OLD]),
      "rounds-turso": tokenCredential([OLD]),
      "shop-db": postgres("shop", [], { owner: "app", existing: true, adopted: "app" }),
      "stock-db": postgres("stock", ["STOCK_URL"]),
    },
    worker: { settle: "0s", answers: 3, within: "5s" },
    cloud: { turso: { databases: { rounds: { group: "default" }, other: { group: "default" } } } },
  });
  for (const role of ["app", "app2"]) {
    await scene.cloud.postgres.query(`CREATE ROLE ${role} LOGIN PASSWORD 'only-of-this-test'`);
    await scene.cloud.postgres.query(`GRANT ${role} TO rollover_admin WITH ADMIN TRUE, INHERIT TRUE, SET FALSE`);
  }
  await scene.cloud.postgres.query("CREATE DATABASE shop OWNER app");
  const certificate = makeCertificate(folder);
  scene.stack.options.env = {
    ...{ GITHUB_ACTOR: "octocat", GITHUB_SHA: "c0ffee", GITHUB_RUN_ID: "42" },
    ...{ HOOK_DIR: folder, HOOK_URL: scene.cloud.workerUrl("rounds-api"), PULUMI_ACCESS_TOKEN: "" },
    NODE_EXTRA_CA_CERTS: certificate.file,
  };
  channels = await startChannels(scene, certificate);
  table = await startAudit(scene.cloud.postgres);
  scene.edit(["rollover:audit"], tableSettings());
  await scene.stack.setConfig("auditPassword", table.writer.password, { secret: true });
  scene.edit(["rollover:policy"], { maxAge: { random: "3650d", postgres: "3650d" }, enforce: true });
});

afterAll(async () => {
  sampled.stop();
  await Promise.all(clients.map((client) => client.end()));
  await crashes?.stop();
  await channels.stop();
  await scene.end();
  fs.rmSync(folder, { recursive: true, force: true });
  fs.rmSync(path.dirname(path.join(CHECKOUT, auditFile.file)), { recursive: true, force: true });
});

describe("a new stack", () => {
  it("whose config is refused: the plan prints all its problems, and fails", async () => {
    scene.generations("rounds-db", ["2026-13-20", NOW, NOW]);
    const { plan, code } = await planned();
    expect([plan.outcome, code]).toEqual(["failed", 1]);
    expect(plan.errors.join("\n")).toContain("rollover:credentials.rounds-db.generations[0]");
    expect(plan.errors.join("\n")).toContain("rollover:credentials.rounds-db.generations[2]");
    scene.generations("rounds-db", [OLD]);
    const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    const complaint = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    expect([await planCommand(["--format", "xml"], new Date(TODAY)), complaint.mock.calls.length > 0]).toEqual([
      2,
      true,
    ]);
    expect(await planCommand(["--help"], new Date(TODAY))).toBe(0);
    expect(write.mock.calls.join("")).toContain("npm run plan -- --stack prod");
    vi.restoreAllMocks();
  });

  it("is told by the plan as what is delivered first", async () => {
    const { plan } = await planned();
    const names = ["rounds-db", "rounds-signing", "rounds-turso", "session-key", "shop-db", "stock-db"];
    expect(plan.credentials.map(({ name, actions, to }) => `${name} ${actions.join()} ${to ?? ""}`)).toEqual(
      names.map((name) => `${name} first delivery ${name === "session-key" ? LONG_AGO : OLD}`),
    );
    expect(plan.consumers).toMatchObject([{ worker: "rounds-api", change: "first delivery", attested: true }]);
    expect(plan.debts).toEqual([]);
    expect([channels.since(), await rows()]).toEqual([[], []]);
  });

  it("comes up: told before anything is there, in one line; recorded; the program runs", async () => {
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    expect(channels.since()).toEqual(["Rollover local: is watched from now on: 6 credentials"]);
    const [begin] = channels.mail.mails;
    const delivered = changes().map((call) => call.at);
    expect(delivered.length).toBeGreaterThan(0);
    expect(begin?.at).toBeLessThanOrEqual(Math.min(...delivered));
    expect([begin?.tls, begin?.user]).toEqual([true, "rollover"]);
    expect(runs()).toHaveLength(1);

    const records = (await rows()).map(short);
    expect(records.filter((text) => /^rounds-db mint /.test(text))).toEqual([
      `rounds-db mint begun >${OLD}`,
      `rounds-db mint done >${OLD}`,
    ]);
    expect(records.filter((text) => /^(rounds-db|session-key) deliver done /.test(text))).toEqual([
      `rounds-db deliver done >${OLD}`,
      `session-key deliver done >${LONG_AGO}`,
    ]);
    collect();
  });

  it("is left alone by an update that changes nothing: nobody is told, nothing is recorded, no program runs", async () => {
    const before = (await rows()).length;
    await must(scene.stack.up(["--expect-no-changes"]));
    expect([channels.since(), (await rows()).length, runs().length]).toEqual([[], before, 1]);
  });
});

describe("a pull request", () => {
  it("is told what it will do, why, to whom, and what is overdue besides", async () => {
    await logIn("billing-worker");
    git("init", "-q", "-b", "main");
    commit("The stack");
    git("init", "-q", "--bare", "-b", "main", "origin.git");
    git("remote", "add", "origin", "./origin.git");
    git("push", "-q", "origin", "main");
    git("remote", "set-head", "origin", "main");
    git("switch", "-q", "-c", "laptop-stolen");
    const before = (await rows()).length;
    const kept = fs.readFileSync(scene.configFile);
    scene.generations("rounds-db", [NOW]);
    scene.edit(at("rounds-db", "reason"), "a laptop was stolen: `| @everyone");
    scene.edit(at("rounds-db", "ticket"), "OPS-7");
    scene.edit(at("rounds-db", "quiet"), "400ms");
    scene.edit(["rollover:notify", "notice"], "1s");
    scene.generations("rounds-signing", [NOW, OLD]);
    scene.generations("rounds-turso", [NOW]);
    scene.edit(at("rounds-turso", "retired"), [OLD]);
    commit("The laptop's credentials roll");
    git("update-ref", "refs/heads/main", "HEAD"); // a local main that is ahead is not the base

    const { plan, markdown, code } = await planned("origin/main");
    expect(code).toBe(7);
    await expect(normal(markdown)).toMatchFileSnapshot(path.join(CHECKOUT, "test/golden/plan-git.md"));
    expect(plan.sessions).toEqual([
      {
        ...{ name: "rounds-db", stamp: OLD, login: "rounds_20260801" },
        sessions: [{ application: "billing-worker", address: "127.0.0.1", count: 2 }],
      },
    ]);
    const edited = ["rounds-db", "rounds-signing", "rounds-turso", "rollover:notify"];
    expect(plan.why?.edits.map(({ name }) => name)).toEqual(edited);
    expect(plan.policy).toMatchObject({ enforce: true, overdue: [{ name: "session-key" }] });
    expect(plan.permissions.map(({ who }) => who)).toContain("the Postgres admin");
    // Nor does a preview tell, record or run anything.
    expect([channels.since(), (await rows()).length, runs().length]).toEqual([[], before, 1]);
    fs.writeFileSync(scene.configFile, kept);
  });

  it("that names a program which is not there is refused before anything happens", async () => {
    scene.edit(at("rounds-db", "afterRoll"), "./no-such-program.sh");
    expect(await fails(scene.stack.preview())).toContain("afterRoll of rounds-db: ./no-such-program.sh is not there; ");
    scene.edit(at("rounds-db", "afterRoll"), PROGRAM);
  });
});

describe("a roll", () => {
  it("that cannot be announced though it is required stops before anything is minted", async () => {
    scene.generations("rounds-db", [NOW, OLD]);
    scene.edit(at("rounds-db", "reason"), "a laptop was lost: Überprüfung");
    scene.edit(at("rounds-db", "ticket"), "OPS-12");
    scene.edit(["rollover:notify", "required"], true);
    channels.mail.mood("refuse");
    channels.hook.faults.set([{ kind: "status", status: 500, times: 1000 }]);
    const before = [held(scene), await loginsLike(scene, "rounds")];
    const text = await fails();
    expect(text).toContain("the update was not begun, since it could not be announced");
    expect(text).toContain("- the webhook answered status 500");
    expect(text).toContain("- the mail server did not take the mail (EMESSAGE, status 554)");
    expect([held(scene), await loginsLike(scene, "rounds")]).toEqual(before);
    // A Worker that loses its last credential waits for no credential that was announced. Time enough to withdraw it meanwhile.
    const kept = fs.readFileSync(scene.configFile);
    channels.hook.faults.set([{ kind: "hang", times: 1000 }]);
    scene.edit(["rollover:credentials"], {});
    expect(await fails()).toContain("the update was not begun, since it could not be announced");
    expect(held(scene)).toEqual(before[0]);
    fs.writeFileSync(scene.configFile, kept);
    channels.mail.mood("accept");
    channels.hook.faults.set([]);
    scene.edit(["rollover:notify", "required"], undefined);
    expect(channels.since()).toEqual([]);
  });

  it("whose audit is dead stops before a beginning is announced or a login is made, where it is required, and that is told", async () => {
    const before = [(await rows()).length, await loginsLike(scene, "rounds_2"), secretOf(scene, "DATABASE_URL")];
    scene.edit(["rollover:audit"], tableSettings({ port: 9 }));
    expect(await fails()).toMatch(
      /not begun, since its audit record could not be written: announce rounds-db\. No credential was touched\..*ECONNREFUSED.*set rollover:audit\.required to false/,
    );
    scene.edit(["rollover:audit"], tableSettings());
    const after = [(await rows()).length, await loginsLike(scene, "rounds_2"), secretOf(scene, "DATABASE_URL")];
    expect(after).toEqual(before);
    expect(channels.since()).toEqual(["Rollover local: an update failed at step announce: rounds-db"]);
    expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toMatch(/ as rounds_owner$/);
  });

  it("waits for the notice, is recorded with who and why, and the program gets the attested value", async () => {
    scene.edit(["rollover:notify", "notice"], "2s");
    const [before, calls] = [(await rows()).length, changes().length];
    await must(scene.stack.up());
    expect(channels.since()).toEqual([
      "Rollover local: an update begins in 2s: rounds-db",
      "Rollover local: an update is done: rounds-db",
    ]);
    const [begin, done] = channels.mail.mails.slice(-2);
    expect(begin?.text).toBe(
      [
        "Stack local: an update begins in 2s.",
        "- rounds-db: 2026-08-01 -> 2026-11-20, 2026-08-01",
        "  2026-11-20 is current",
        "  2026-08-01 still accepted; 2026-08-01 is retired next",
        "  reason: a laptop was lost: Überprüfung",
        "  ticket: OPS-12",
      ].join("\n"),
    );
    const delivered = changes()
      .slice(calls)
      .map((call) => call.at);
    expect(Math.min(...delivered) - (begin?.at ?? 0)).toBeGreaterThanOrEqual(2000);
    expect(done?.at).toBeGreaterThanOrEqual(Math.max(...delivered));

    expect(runs()).toHaveLength(2);
    expect(done?.at).toBeGreaterThanOrEqual(runs()[1]?.at ?? Infinity);
    const { env, user, args } = runs()[1] ?? { env: {}, user: "", args: [""] };
    expect([args, user]).toEqual([[], "rounds_20261120"]);
    expect(env).toMatchObject({
      ...{ ROLLOVER_STACK: "local", ROLLOVER_CREDENTIAL: "rounds-db", ROLLOVER_STAMP: NOW },
      ROLLOVER_VALUE: secretOf(scene, "DATABASE_URL"),
    });
    for (const name of ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_ACCESS_TOKEN"])
      expect(env).not.toHaveProperty(name);

    const records = (await rows()).slice(before);
    expect(records.map(short)).toEqual(stepsOfRoll(OLD, `${NOW},${OLD}`, NOW).slice(0, 7));
    for (const record of records)
      expect(record).toMatchObject({
        ...{ stack: "local", actor: "octocat", commit: "c0ffee", ticket: "OPS-12", error: "" },
        reason: "a laptop was lost: Überprüfung",
      });
    const [update, ...others] = new Set(records.map((record) => record.update));
    expect(update).toMatch(/^42-[0-9a-f]{16}$/);
    expect(others).toEqual([]);
    const said = (step: string) => records.find((record) => record.step === step && record.result === "done");
    expect(said("mint")).toMatchObject({ proven: true });
    expect(said("deliver")).toMatchObject({ consumer: "rounds-api", attested: true });
    expect(records.some(({ result, attested, proven }) => result === "begun" && (attested || proven))).toBe(false);
    scene.edit(["rollover:notify", "notice"], undefined);
    collect();
  });
});

describe("the plan of what may come next", () => {
  it("tells a rollback, and fails by the policy in state where the change enforces it no longer", async () => {
    scene.generations("rounds-db", [OLD, NOW]);
    scene.edit(["rollover:policy", "enforce"], false);
    const { code, stdout, stderr } = await runPlan(scene, ["--json"]);
    scene.edit(["rollover:policy", "enforce"], true);
    printed += stdout + stderr;
    expect(code, stdout + stderr).toBe(7);
    const plan = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Plan;
    expect(plan.credentials).toMatchObject([{ actions: ["rolls back"], from: NOW, to: OLD, withdraws: [] }]);
    expect(plan.policy).toMatchObject({ enforce: false, overdueBefore: [{ name: "session-key" }] });
    const markdown = toMarkdown(plan);
    expect(markdown).toContain("**weaker with this change**: `rollover:policy`: is enforced no longer");
    expect(markdown).toContain("**overdue by the policy before this change, so this check fails:** `session-key`: ");
  });

  it("tells a retirement and a removal, and passes where nothing is overdue and nothing can be compared or asked", async () => {
    const committed = fs.readFileSync(path.join(CHECKOUT, "Pulumi.local.yaml"), "utf8");
    const kept = fs.readFileSync(scene.configFile);
    scene.generations("rounds-db", [NOW]);
    scene.generations("session-key", [NOW]);
    scene.edit(at("stock-db"), undefined);
    await scene.stack.setConfig("rollover:postgresPassword", "wrong-password-of-the-admin", { secret: true });
    const config = fs.readFileSync(scene.configFile, "utf8");
    fs.rmSync(path.join(scene.dir, ".git"), { recursive: true });
    const { code, stdout, stderr } = await runPlan(scene, []);
    printed += stdout + stderr;
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/^<!-- rollover-plan: local -->\n\n## Rollover plan for `local`\n/);
    expect(stdout).toContain("| `rounds-db` (postgres) | **retires** 2026-08-01 | 2026-11-20 |");
    expect(stdout).toContain("| `session-key` (random) | **rolls** 2010-01-01 → 2026-11-20");
    expect(stdout).toMatch(/\| `stock-db` \(postgres\) \| \*\*removed\*\*/);
    expect(stdout).toContain("Not told: the stack file is in no git repository");
    expect(stdout).toContain("login `rounds_20260801`: its sessions could not be asked for: ");
    expect(stdout).not.toContain("### Policy");
    expect(fs.readFileSync(path.join(CHECKOUT, "Pulumi.local.yaml"), "utf8")).toBe(committed);
    expect(fs.readFileSync(scene.configFile, "utf8")).toBe(config);
    fs.writeFileSync(scene.configFile, kept);
  });
});

describe("what goes wrong on the way", () => {
  it("a program that fails leaves the old generation working, and runs again; an audit that is not required only warns", async () => {
    const before = (await rows()).length;
    scene.edit(["rollover:policy"], undefined);
    scene.edit(["rollover:audit"], tableSettings({ port: 9, required: false }));
    const old = secretOf(scene, "DATABASE_URL");
    fs.writeFileSync(path.join(folder, "fail"), "");
    // Both old ones would be withdrawn by the same update.
    scene.generations("rounds-db", ["2026-11-21"]);
    const text = await fails();
    expect(text).toContain("exit status 7");
    expect(text).toMatch(/no audit record that this began: mint rounds-db\. .*ECONNREFUSED/);
    collect();
    expect(channels.since()).toEqual(["Rollover local: an update begins: rounds-db"]);
    expect(await servedAs(scene)).toBe("rounds_20261121");
    expect(await tryLogin(old)).toBe("rounds_20261120 as rounds_owner");
    expect(ranFor()).toEqual([OLD, NOW, "2026-11-21"]);

    fs.rmSync(path.join(folder, "fail"));
    const { stdout, stderr } = await must(scene.stack.up());
    expect(stdout + stderr).toMatch(/no audit record of how this ended: retire rounds-db\. .*ECONNREFUSED/);
    expect(channels.since()).toEqual(["Rollover local: an update is done: rounds-db"]);
    expect(ranFor()).toEqual([OLD, NOW, "2026-11-21", "2026-11-21"]);
    expect(await tryLogin(old)).toMatch(/^28/);
    scene.edit(["rollover:audit"], tableSettings());
    expect((await rows()).length).toBe(before);
  });

  it.each([
    { victim: "engine" as const, from: "2026-11-21", to: "2026-11-22" },
    { victim: "provider" as const, from: "2026-11-22", to: "2026-11-23" },
  ])(
    "kill -9 of the $victim while a delivery hangs leaves its beginning, and the next update ends it",
    async (kill) => {
      const { victim, from, to } = kill;
      const before = (await rows()).length;
      scene.generations("rounds-db", [to]);
      crashes = await startCrashes(scene);
      await crashes.kill(victim, { at: 0, label: "PATCH secrets-bulk", phase: "before" });
      expect((await rows()).slice(before).map(short)).toEqual(stepsOfRoll(from, to).slice(0, 5));
      await crashes.recover(victim);
      await crashes.stop();
      crashes = undefined;
      expect((await rows()).slice(before + 5).map(short)).toEqual(stepsOfRoll(from, to).slice(4));
      expect(ranFor().at(-1)).toBe(to);
      channels.since();
      collect();
    },
  );

  it("a delivery that fails is recorded, in a file as in a table, and told to both; the plan names what is left to do", async () => {
    scene.edit(["rollover:audit"], { file: auditFile.file });
    const [from, to] = ["2026-11-23", "2026-11-24"];
    const programs = runs().length;
    scene.generations("rounds-db", [to]);
    scene.cloud.cloudflare.faults.set([{ match: { method: "PATCH" }, kind: "status", status: 500, times: 1000 }]);
    await fails();
    scene.cloud.cloudflare.faults.set([]);
    expect(channels.since()).toEqual([
      "Rollover local: an update begins: rounds-db",
      "Rollover local: an update failed at step deliver: rounds-db",
    ]);
    expect(channels.mail.mails.at(-1)?.text).toContain("status 500, code 10013: the API failed; run the update again");
    const failed = await rows(auditFile);
    const steps = stepsOfRoll(from, to);
    expect(failed.map(short)).toEqual([...steps.slice(0, 5), `rounds-db deliver failed ${from}>${to}`]);
    expect(failed.at(-1)).toMatchObject({ attested: false });
    expect(failed.at(-1)?.error).toMatch(/Cloudflare/);
    const { plan } = await planned();
    expect(plan.credentials).toMatchObject([{ name: "rounds-db", withdraws: [{ stamp: from }] }]);
    expect(plan.debts).toMatchObject([
      { name: "rounds-db", what: expect.stringContaining(`${from} (login rounds_20261123)`) as string },
    ]);

    await must(scene.stack.up());
    expect(channels.since()).toEqual(["Rollover local: an update is done: rounds-db"]);
    expect((await rows(auditFile)).slice(6).map(short)).toEqual(steps.slice(4));
    expect(runs()).toHaveLength(programs + 1);
    collect();
  });
});

describe("what changes under stamps that stay", () => {
  it("is told as what it is: an adopted login, a token's database, a kind, checks", async () => {
    const kept = fs.readFileSync(scene.configFile);
    scene.edit(at("shop-db", "adopted"), "app2");
    scene.edit(at("rounds-turso", "database"), "other");
    scene.edit(at("stock-db", "checks"), ["SELECT 1"]);
    const login = { owner: "app", existing: true, login: "key", generations: [LONG_AGO] };
    scene.edit(at("session-key"), postgres("rounds", ["SESSION_KEY"], login));
    const { plan, code } = await planned();
    fs.writeFileSync(scene.configFile, kept);
    expect(code).toBe(0);
    expect(plan).toMatchObject({
      outcome: "changes",
      credentials: [
        { name: "rounds-turso", actions: ["replaced"], withdraws: [{ stamp: OLD, works: true }] },
        { name: "session-key", kind: "random", actions: ["removed"], withdraws: [{ stamp: LONG_AGO }] },
        { name: "session-key", kind: "postgres", actions: ["first delivery"], mints: [LONG_AGO] },
        { name: "shop-db", actions: ["replaced"], withdraws: [{ stamp: "adopted", replaced: true }] },
        { name: "stock-db", actions: ["proven again"], withdraws: [] },
      ],
      consumers: [{ worker: "rounds-api", mintedAgain: ["rounds-turso", "session-key"] }],
      sessions: [{ name: "shop-db", stamp: "adopted", login: "app", sessions: [] }],
      warnings: [{ name: `rounds-turso@${OLD}`, what: expect.stringContaining("database other") as string }],
    });
  });

  it("ends logins of another name, and none of another owner, as the plan says", async () => {
    const current = "2026-11-24";
    const stock = secretOf(scene, "STOCK_URL");
    scene.edit(at("rounds-db", "login"), "rounds2");
    scene.edit(at("stock-db", "owner"), "stock_owner2");
    const { plan, code } = await planned();
    expect(code).toBe(0);
    expect(plan).toMatchObject({
      credentials: [
        { name: "rounds-db", actions: ["replaced"], withdraws: [{ stamp: current, replaced: true }] },
        { name: "stock-db", actions: ["replaced"], withdraws: [] },
      ],
      consumers: [{ change: "delivered", mintedAgain: ["rounds-db"] }],
      sessions: [{ login: "rounds_20261124" }],
    });
    expect(plan.credentials[0]?.withdraws[0]).not.toHaveProperty("works");
    await must(scene.stack.up());
    expect(await loginsLike(scene, "rounds_2")).toEqual([]);
    expect(await tryLogin(secretOf(scene, "DATABASE_URL"))).toBe("rounds2_20261124 as rounds_owner");
    expect(secretOf(scene, "STOCK_URL")).toBe(stock);
    expect(await tryLogin(stock)).toBe("stock_20260801 as stock_owner2");
  });

  it("leaves nothing to say once it is done", async () => {
    const { plan, code } = await planned();
    expect(plan).toMatchObject({ outcome: "nothing", credentials: [], consumers: [], others: [], debts: [] });
    expect(code).toBe(0);
  });
});

it("told, recorded, printed and kept no secret anywhere", async () => {
  collect();
  // Secret only because the program's environment is secret as a whole, and so is what an invalidation tries tokens by.
  const isPublic = (name: string) => /\.ROLLOVER_(STACK|CREDENTIAL|STAMP)$|\.canaries\..*\.(on|tag)$/.test(name);
  for (const { name, value } of await secretsOf(scene, ["rounds-api"])) if (!isPublic(name)) secrets.set(value, name);
  for (const { env } of runs()) secrets.set(env["ROLLOVER_VALUE"] ?? "", "what the program was given");
  for (const [value, name] of channels.secrets) secrets.set(value, name);
  secrets.set(table.writer.password, "the audit's password");
  secrets.set("wrong-password-of-the-admin", "a wrong password of the admin");
  // Each login's password and URL, keys, tokens, the probe's and the API's token.
  expect(secrets.size).toBeGreaterThan(25);
  expect(printed.length).toBeGreaterThan(1000);
  expect(printed).not.toMatch(/04da6b54|__provider/);
  const rows = await table.sql("SELECT * FROM rollover_audit");
  expect(rows.length).toBeGreaterThan(30);
  const leaks = scanForLeaks({
    secrets: [...secrets].map(([value, name]) => ({ name, value })),
    places: [
      ...placesOf(scene, sampled.seen),
      { name: "plans", text: printed },
      { name: "mails", text: channels.mail.mails.map(({ source, text }) => source + text).join("\n") },
      { name: "the chat", text: channels.posts.join("\n") },
      { name: "the table", text: JSON.stringify(rows) },
      { name: "the file", files: [path.join(CHECKOUT, auditFile.file)] },
      { name: "Postgres's log", files: [scene.cloud.postgres.logFile] },
    ],
  });
  expect(leaks).toEqual([]);
});

async function planned(base?: string): Promise<Planned> {
  const found = await planOf(scene, TODAY, base);
  printed += JSON.stringify(found.plan) + found.markdown;
  return found;
}

function tableSettings(over: Record<string, unknown> = {}): Record<string, unknown> {
  const { host, port, database, username, sslmode } = table.audit.server;
  return { host, port, database, username, sslmode, ...over };
}

/** Of the table or the file, whose chain must be whole. */
async function rows(of: Audit = table.audit): Promise<AuditRecord[]> {
  const found = await readAudit(of, CHECKOUT, table.reader);
  if (found.length > 0) expect(verifyChain(found)).toEqual({ ok: true, head: found.at(-1)?.hash });
  return found.map(({ record }) => record);
}

const short = ({ credential, step, result, from, to }: AuditRecord): string =>
  `${credential} ${step} ${result} ${from.join()}>${to.join()}`;

function stepsOfRoll(from: string, to: string, minted = to): string[] {
  return [
    `rounds-db announce begun ${from}>${to}`,
    `rounds-db announce done ${from}>${to}`,
    `rounds-db mint begun >${minted}`,
    `rounds-db mint done >${minted}`,
    `rounds-db deliver begun ${from}>${to}`,
    `rounds-db deliver done ${from}>${to}`,
    `rounds-db complete done ${from}>${to}`,
    `rounds-db retire begun ${from}>`,
    `rounds-db retire done ${from}>`,
  ];
}

function runs(): ProgramRun[] {
  const file = path.join(folder, "runs.jsonl");
  if (!fs.existsSync(file)) return [];
  const lines = fs.readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as ProgramRun);
}

/** The stamps that the program ran for, in order. */
const ranFor = () => runs().map(({ env }) => env["ROLLOVER_STAMP"]);

/** What the Worker holds: a secret that an update retires is known to nobody later. */
function collect(): void {
  for (const [name, value] of Object.entries(held(scene).secrets)) {
    if (name === "ROLLOVER_GENERATIONS") continue;
    secrets.set(value, name);
    const password = URL.canParse(value) ? new URL(value).password : "";
    if (password !== "") secrets.set(decodeURIComponent(password), `${name}, its password`);
  }
}

/** Runs to its failure; what was printed. */
async function fails(run = scene.stack.up()): Promise<string> {
  const { code, stdout, stderr } = await run;
  expect(code, stdout).not.toBe(0);
  return stdout + stderr;
}

const changes = () => scene.cloud.cloudflare.calls.filter(({ method }) => method !== "GET");

/** Two clients that hold a session each, as the login of the current generation. */
async function logIn(application: string): Promise<void> {
  for (let count = 0; count < 2; count++) {
    const client = new Client({
      connectionString: secretOf(scene, "DATABASE_URL"),
      application_name: application,
    });
    client.on("error", () => undefined); // the server may end it first
    await client.connect();
    clients.push(client);
  }
}

function git(...args: string[]): string {
  const who = ["-c", "user.name=A Developer", "-c", "user.email=dev@example.com"];
  return execFileSync("git", [...who, ...args], { cwd: scene.dir, encoding: "utf8", stdio: "pipe" }).trim();
}

function commit(message: string): void {
  git("add", path.basename(scene.configFile));
  git("commit", "-q", "-m", message);
}

/** What differs from run to run. */
function normal(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(git("rev-parse", "origin/main").slice(0, 12), "COMMIT");
}
