// Proves on the real engine that `npm run rotate -- --holder WHO` and `pulumi up` end all that somebody took along: each old login,
// session key and signing key is refused, each old Turso token is listed as debt until the printed command, run as it stands, and
// one more update end it too; what only others hold keeps its value; the longest notice holds up neither; the audit's file says who,
// why and under which ticket. Then `npm run report` tells that life as JSON, Markdown and a page, verifies the audit that it wrote,
// and names a row that was changed. Nothing holds a secret. Not: what the leaver did with them before, nor systems that took copies
// and that config does not name; the report's wording (test/unit/report*.test.ts) and page (test/provider/report-page.test.ts).
import { execFile } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readAudit, verifyChain } from "../../components/audit/read";
import type { AuditRecord } from "../../components/audit/record";
import { sign, signingKeys } from "../../components/jws/worker";
import type { Plan } from "../../operations/plan/describe";
import { main as reportCommand } from "../../operations/report";
import type { Report } from "../../operations/report/model";
import type { Verified } from "../../operations/report/verify";
import { makeCertificate } from "../../local/cloud/smtp";
import { placesOf, sampleArguments, scanForLeaks, type Secret, secretsOf } from "../../local/leaks";
import { must, type Scene, startScene } from "../../local/scene";
import { type Channels, startChannels } from "./channels";
import { newToken, shown, signing } from "./keysets";
import { planOf, runCommand, runHere } from "./plan-run";
import { held, openSession, secretOf, servedAs, tryLogin, usualCredentials } from "./rounds";
import { statusOf, tokenCredential, workerSays } from "./tokens";

const CHECKOUT = path.resolve(__dirname, "../..");
const [LEAVER, STAYER] = ["a@example.com", "b@example.com"];
const [NOW, BEFORE] = ["2026-08-01", "2026-05-01"];
const HELD = ["rounds-db", "rounds-signing", "rounds-turso", "session-key"];
const file = `tmp/off-boarding-${randomBytes(4).toString("hex")}/local.jsonl`;

let scene: Scene;
let channels: Channels;
/** The mail server's certificate. */
let folder: string;
let sampled: ReturnType<typeof sampleArguments>;
let session: Awaited<ReturnType<typeof openSession>> | undefined;
/** What the leaver copied, under each of the two generations. */
const copies: Awaited<ReturnType<typeof copy>>[] = [];
/** The stamp that the command chose. */
let stamp = "";
let command = "";
let printed = "";
const secrets = new Map<string, Secret>();

beforeAll(async () => {
  sampled = sampleArguments();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-off-boarding-"));
  const credentials: Record<string, Record<string, unknown>> = {
    ...usualCredentials(BEFORE),
    "rounds-signing": signing("keyset", [BEFORE], { maxTokenAge: "10m" }),
    "rounds-turso": tokenCredential([BEFORE]),
  };
  for (const name of HELD) credentials[name] = { ...credentials[name], holders: [LEAVER, STAYER] };
  credentials["partner-key"] = {
    ...{ kind: "random", length: 40, generations: [NOW], holders: [STAYER] },
    deliver: [{ worker: "rounds-api", as: "PARTNER_KEY" }],
  };
  scene = await startScene({
    needs: ["postgres", "turso", "workers"],
    credentials,
    worker: { settle: "0s", answers: 3 },
    cloud: { cloudflare: { scripts: { "rounds-api": { vars: { TOKEN_TTL_SECONDS: "600" } } } } },
  });
  scene.edit(["rollover:audit"], { file });
  scene.edit(["rollover:policy"], { maxAge: { default: "3650d", turso: "25d" }, overlap: "8d" });
  const certificate = makeCertificate(folder);
  scene.stack.options.env = {
    ...{ GITHUB_ACTOR: "octocat", GITHUB_SHA: "c0ffee", GITHUB_RUN_ID: "42" },
    NODE_EXTRA_CA_CERTS: certificate.file,
  };
  channels = await startChannels(scene, certificate);
  await must(scene.stack.up());
  await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
  remember();
  copies.push(await copy());
  for (const name of HELD) scene.generations(name, [NOW, BEFORE]);
  scene.edit(["rollover:credentials", "rounds-db", "reason"], "a laptop was lost");
  scene.edit(["rollover:credentials", "rounds-db", "ticket"], "OPS-12");
  await must(scene.stack.up());
  remember();
  copies.push(await copy());
  session = await openSession(secretOf(scene, "DATABASE_URL"));
});

afterAll(async () => {
  sampled.stop();
  await session?.end();
  await channels.stop();
  await scene.end();
  fs.rmSync(folder, { recursive: true, force: true });
  fs.rmSync(path.join(CHECKOUT, path.dirname(file)), { recursive: true, force: true });
});

it("before, everything that the leaver copied works, the previous generations too", async () => {
  expect(await whatWorks()).toEqual({
    logins: ["rounds_20260501 as rounds_owner", "rounds_20260801 as rounds_owner"],
    session: "open",
    sessions: [200, 200],
    tokens: ["200", "200"],
    forged: ["200", "200"],
    turso: [200, 200],
  });
});

it("the command prints what it drops, what only an invalidation ends, and what nobody can end", async () => {
  const who = ["--holder", LEAVER, "--reason", "left", "--ticket", "OPS-7"];
  const { stdout, stderr } = await rotate(...who);
  [, stamp = ""] = /rounds-db: (\S+) is the only generation from the next update on/.exec(stderr) ?? [];
  expect(stamp).toMatch(/^\d{4}-\d\d-\d\d$/);
  for (const name of HELD) expect(stderr).toContain(`${name}: ${stamp} is the only generation from the next update on`);
  expect(stdout).toContain(`+      generation: "${stamp}"`);
  expect(stderr).not.toContain("partner-key");
  expect(stderr).toContain("Only an invalidation ends the old tokens of rounds-turso");
  expect(stderr.match(/A roll does not end this: \S+,/g)).toEqual(["A roll does not end this: session-key,"]);
  const commands = [...stderr.matchAll(/^ {2}(npm run rotate -- --revoke .+)$/gm)].map(([, text = ""]) => text);
  expect(commands).toHaveLength(1);
  [command = ""] = commands;
  expect(command).toContain("--revoke group/default --reason 'left' --ticket 'OPS-7'");

  const text = fs.readFileSync(scene.configFile, "utf8");
  expect(text).not.toContain(LEAVER);
  await expect(rotate(...who)).rejects.toThrow(`"${LEAVER}" is no holder of a credential of this stack`);
  expect(fs.readFileSync(scene.configFile, "utf8")).toBe(text);
});

it("one update: all of it is refused but the Turso tokens, which are listed as debt", async () => {
  const before = (await audited()).length;
  scene.edit(["rollover:notify", "notice"], "1h");
  channels.since();
  await must(scene.stack.up());
  remember();
  expect(channels.since()).toEqual([
    "Rollover local: an update begins: rounds-db, rounds-signing, rounds-turso and 1 more",
    "Rollover local: an update is done: rounds-db, rounds-signing, rounds-turso and 1 more",
  ]);
  expect(channels.mail.mails.at(-1)?.text).toContain(`${NOW}, ${BEFORE} retired at the end of this update`);
  expect(await whatWorks()).toEqual({
    logins: ["28P01", "28P01"],
    session: "57P01",
    sessions: [401, 401],
    tokens: ["401 unknown-key", "401 unknown-key"],
    forged: ["401 unknown-key", "401 unknown-key"],
    turso: [200, 200],
  });
  expect(kept()).toEqual(["PARTNER_KEY", "ROLLOVER_PROBE_TOKEN"]);
  await consumersWork();

  const { credentials, expires } = (await scene.stack.outputs()) as {
    credentials: Record<string, { holders?: string[] }>;
    expires: Record<string, Record<string, string>>;
  };
  for (const name of [...HELD, "partner-key"]) expect(credentials[name]?.holders).toEqual([STAYER]);
  for (const old of [NOW, BEFORE])
    expect(Date.parse(expires["rounds-turso"]?.[old] ?? "")).toBeGreaterThan(Date.now() + 29 * 86_400_000);
  expect(await leftToDo()).toEqual({
    outcome: "nothing",
    debts: [
      expect.stringContaining(`rounds-turso: the token ${BEFORE} is retired and works until `),
      expect.stringContaining(`rounds-turso: the token ${NOW} is retired and works until `),
    ],
  });

  const records = (await audited()).slice(before);
  const change = `${NOW},${BEFORE}>${stamp}`;
  expect(
    records
      .filter(({ result }) => result === "done")
      .map(short)
      .sort(),
  ).toEqual(
    [
      ...HELD.flatMap((name) => ["announce", "deliver", "complete"].map((step) => `${name} ${step} ${change}`)),
      ...["rounds-db", "rounds-turso"].map((name) => `${name} mint >${stamp}`),
      ...[NOW, BEFORE].map((old) => `rounds-db retire ${old}>`),
    ].sort(),
  );
  expectWhy(records);
});

it("the printed command and one more update end the Turso tokens too", async () => {
  const before = (await audited()).length;
  const { stderr } = await shell(command);
  expect(stderr).toContain("group default: every token of it and of its database dies with the next update");
  const { invalidations } = await plan();
  expect(invalidations).toMatchObject([{ kind: "group", name: "default" }]);
  expect(invalidations[0]?.retired.map((token) => token.stamp).sort()).toEqual([BEFORE, NOW]);
  await must(scene.stack.up());
  remember();
  expect(channels.since()).toEqual([
    "Rollover local: an update begins: group/default",
    "Rollover local: an update is done: group/default",
  ]);
  expect((await whatWorks()).turso).toEqual([401, 401]);
  expect(await leftToDo()).toEqual({ outcome: "nothing", debts: [] });
  expect(kept()).toEqual(["PARTNER_KEY", "ROLLOVER_PROBE_TOKEN"]);
  await consumersWork();

  const records = (await audited()).slice(before);
  const steps = records.filter(({ result }) => result === "done").map(short);
  for (const step of [/^group\/default invalidate /, /^rounds-turso mint /, /^rounds-turso deliver /])
    expect(steps.filter((one) => step.test(one))).toHaveLength(1);
  expectWhy(records);
});

describe("the report", () => {
  it("tells what happened, as JSON in the last line", async () => {
    const run = await report("--json");
    expect(run.code, run.stderr).toBe(0);
    const { stack, audit, summary, credentials, changes, policy } = lastLine(run.stdout) as Report;
    expect({ stack, audit }).toMatchObject({ stack: "local", audit: { state: "whole" } });
    expect(policy).toMatchObject({ overlap: "8d", warnBefore: "14d", enforce: false, freeze: [] });
    expect(summary).toMatchObject({
      ...{ credentials: 5, liveGenerations: 5, overdue: 0, notAttested: 0, debts: 0 },
      ...{ rotated: 10, failed: 0, withoutOutcome: 0 },
    });
    const db = credentials.find(({ name }) => name === "rounds-db");
    expect(db).toMatchObject({
      ...{ kind: "postgres", change: "overlaps", age: { maxDays: 3650, status: "fine", stale: [] } },
      generations: [
        { stamp, place: "current", madeBy: "audit", proof: { passed: true } },
        { stamp: NOW, place: "gone", madeBy: "audit", proof: { passed: true }, end: "refused when tried" },
        { stamp: BEFORE, place: "gone", madeBy: "audit", proof: { passed: true }, end: "refused when tried" },
      ],
      consumers: [{ name: "rounds-api", asked: true, holds: [stamp], last: { result: "done", attested: true } }],
    });
    const who = { actor: "octocat", commit: "c0ffee" };
    expect(changes.filter(({ target }) => target === "rounds-db")).toMatchObject([
      {
        what: `roll ${NOW} → ${stamp}; retirement of ${NOW}, ${BEFORE}`,
        rotated: true,
        reason: "left",
        ticket: "OPS-7",
        ...who,
        result: "done",
      },
      { what: `roll ${BEFORE} → ${NOW}`, rotated: true, reason: "a laptop was lost", ticket: "OPS-12", ...who },
      { what: `first record of ${BEFORE}`, rotated: false, result: "done" },
    ]);
  });

  it("tells it as Markdown, and as a page of its own", async () => {
    const markdown = await reportHere();
    expect(markdown.code, markdown.stderr).toBe(0);
    expect(markdown.stdout).toMatch(/^# Rotation evidence for local\n/);
    const roll = `roll ${BEFORE} → ${NOW} \\| yes \\| – \\| done \\| octocat \\| a laptop was lost`;
    expect(markdown.stdout).toMatch(new RegExp(roll));
    const page = await reportHere("--format", "html");
    expect(page.code, page.stderr).toBe(0);
    expect(page.stdout).toMatch(/^<!doctype html>/);
    expect(page.stdout.match(/<g class="bar /g)).toHaveLength(13);
  });

  it("does without an audit where it is told to, and says so", async () => {
    const run = await reportHere("--no-audit", "--json");
    const { audit, changes, credentials } = lastLine(run.stdout) as Report;
    expect({ code: run.code, audit, changes }).toEqual({ code: 0, audit: { state: "none" }, changes: [] });
    expect(credentials.find(({ name }) => name === "rounds-db")?.generations).toMatchObject([
      { stamp, place: "current", made: stamp, madeBy: "stamp" },
    ]);
  });

  it("verifies the audit, and names the row that somebody changed", async () => {
    const whole = await reportHere("--verify", "--json");
    expect(whole.code, whole.stderr).toBe(0);
    const found = lastLine(whole.stdout) as Verified;
    if (!found.ok) throw new Error(found.why);
    expect((await reportHere("--verify", "--head", found.head)).stdout).toBe(
      `The audit is whole: ${found.rows} rows, head ${found.head}\n`,
    );
    const audit = path.join(CHECKOUT, file);
    const text = fs.readFileSync(audit, "utf8");
    const lines = text.trimEnd().split("\n");
    const changed = lines.map((line, index) => (index === 2 ? line.replace("octocat", "nobody") : line));
    try {
      fs.writeFileSync(audit, `${changed.join("\n")}\n`);
      const tampered = await reportHere("--verify");
      expect(tampered).toMatchObject({ code: 1 });
      expect(tampered.stdout).toMatch(new RegExp(`^The audit is broken at row 3 of ${found.rows}: `));
      const told = await reportHere("--json");
      expect(lastLine(told.stdout)).toMatchObject({ audit: { state: "broken", seq: 3 } });
      fs.writeFileSync(audit, `${lines.slice(0, -2).join("\n")}\n`);
      expect(await reportHere("--verify")).toMatchObject({ code: 0 });
      expect(await reportHere("--verify", "--head", found.head)).toMatchObject({ code: 1 });
      fs.writeFileSync(audit, "");
      const emptied = await reportHere("--verify");
      expect(emptied).toMatchObject({ code: 1 });
      expect(emptied.stdout).toContain("it holds no row, and the stack has 5 credentials");
      fs.rmSync(audit);
      const missing = await reportHere("--verify");
      expect(missing).toMatchObject({ code: 1, stdout: "" });
      expect(missing.stderr).toContain(`there is no audit file ${file}`);
      expect(await reportHere("--verify", "--head", "0".repeat(64))).toMatchObject({ code: 0 });
    } finally {
      fs.writeFileSync(audit, text);
    }
  });

  it("refuses, with what to do, where it cannot read what it is to tell", async () => {
    const config = fs.readFileSync(scene.configFile, "utf8");
    const elsewhere = { host: "127.0.0.1", port: 1, database: "audit", username: "a", sslmode: "disable" };
    try {
      scene.edit(["rollover:audit"], elsewhere);
      const table = await reportHere();
      expect(table).toMatchObject({ code: 1, stdout: "" });
      expect(table.stderr).toMatch(/PGUSER and PGPASSWORD .*--no-audit/);
      scene.edit(["rollover:audit"], { file: "/etc/passwd" });
      expect(await reportHere("--verify")).toMatchObject({ code: 1, stdout: "" });
      scene.edit(["rollover:audit"], undefined);
      expect((await reportHere("--verify")).stderr).toContain("rollover:audit is not set");
    } finally {
      fs.writeFileSync(scene.configFile, config);
    }
  });
});

it("no file, record, message, state or output holds a secret", async () => {
  // Secret only because they stand beside a canary.
  const isPublic = (name: string) => /\.canaries\..*\.(on|tag)$/.test(name);
  for (const secret of await secretsOf(scene, ["rounds-api"]))
    if (secret.value.length >= 16 && !isPublic(secret.name)) secrets.set(secret.value, secret);
  for (const [value, name] of channels.secrets) secrets.set(value, { name, value });
  for (const token of scene.cloud.turso.tokensMinted()) secrets.set(token, { name: "a Turso token", value: token });
  for (const { name, value } of [...secrets.values()].filter(({ name }) => name.endsWith("JWT_KEYS")))
    for (const { k } of (JSON.parse(value) as { keys: { k: string }[] }).keys)
      secrets.set(k, { name: `a key of ${name}`, value: k });
  expect(secrets.size).toBeGreaterThan(20);
  const places = [
    ...placesOf(scene, sampled.seen),
    { name: "the audit", files: [path.join(CHECKOUT, file)] },
    { name: "what the commands printed", text: printed },
    { name: "mails", text: channels.mail.mails.map(({ source, text }) => source + text).join("\n") },
    { name: "the chat", text: channels.posts.join("\n") },
    { name: "Postgres's log", files: [scene.cloud.postgres.logFile] },
  ];
  expect(scanForLeaks({ secrets: [...secrets.values()], places })).toEqual([]);
});

/** All that the Worker holds now, and a token that it signs. */
async function copy() {
  return { secrets: held(scene).secrets, token: await newToken(scene) };
}

/** What the leaver still gets with what they copied. Sessions and one token a key are made up, with the copied keys. */
async function whatWorks() {
  const copied = (name: string) => copies.map(({ secrets: { [name]: value = "" } }) => value);
  const forged = copied("JWT_KEYS").map((keys) => sign(signingKeys(keys), ROUND, { ttlSeconds: 600 }));
  return {
    logins: await Promise.all(copied("DATABASE_URL").map(tryLogin)),
    session: session?.state(),
    sessions: await Promise.all(copied("SESSION_KEY").map(sessionSignedWith)),
    tokens: await Promise.all(copies.map(({ token }) => shown(scene, token))),
    forged: await Promise.all(forged.map(async (token) => shown(scene, await token))),
    turso: await Promise.all(copied("TURSO_AUTH_TOKEN").map((token) => statusOf(scene, token))),
  };
}

const ROUND = { rid: "made-up", idx: 0, total: 10, seed: "", filtersHash: "", filtersKey: "{}", ver: 1 };

async function sessionSignedWith(key: string): Promise<number> {
  const id = "made-up";
  const headers = { "x-session": `${id}.${createHmac("sha256", key).update(id).digest("hex")}` };
  return (await fetch(`${scene.cloud.workerUrl("rounds-api")}session`, { headers })).status;
}

async function consumersWork(): Promise<void> {
  expect(await servedAs(scene)).toBe(`rounds_${stamp.replaceAll("-", "")}`);
  expect(await sessionSignedWith(secretOf(scene, "SESSION_KEY"))).toBe(200);
  expect(await shown(scene, await newToken(scene))).toBe("200");
  expect(await workerSays(scene)).toMatchObject({ ok: true });
}

/** The Worker's secrets whose value somebody copied. */
function kept(): string[] {
  const { secrets: now } = held(scene);
  const old = new Set(copies.flatMap((one) => Object.values(one.secrets)));
  return Object.keys(now)
    .filter((name) => old.has(now[name] ?? ""))
    .sort();
}

/** What the Worker holds: a secret that an update ends is known to nobody later. */
function remember(): void {
  for (const [name, value] of Object.entries(held(scene).secrets)) {
    if (name === "ROLLOVER_GENERATIONS") continue;
    secrets.set(value, { name, value });
    const password = URL.canParse(value) ? decodeURIComponent(new URL(value).password) : "";
    if (password !== "") secrets.set(password, { name: `${name}, its password`, value: password });
  }
}

function rotate(...args: string[]) {
  const all = ["--require", "tsx/cjs", "operations/rotate.ts", ...args, "--config-file", scene.configFile];
  return run(process.execPath, all);
}

/** As somebody does who copies the line. */
function shell(line: string) {
  return run("sh", ["-c", line]);
}

async function run(program: string, args: string[]) {
  const env = { ...process.env };
  delete env["PULUMI_STACK"];
  const result = await promisify(execFile)(program, args, { cwd: CHECKOUT, env, timeout: 60_000 });
  printed += result.stdout + result.stderr;
  return result;
}

async function plan(): Promise<Plan> {
  const { plan, markdown, code } = await planOf(scene, new Date().toISOString());
  printed += JSON.stringify(plan) + markdown;
  expect(code).toBe(0);
  return plan;
}

/** As the plan of no change has it. */
async function leftToDo(): Promise<{ outcome: string; debts: string[] }> {
  const { outcome, debts } = await plan();
  return { outcome, debts: debts.map(({ name, what }) => `${name}: ${what}`).sort() };
}

const forReport = (args: string[]) => ["--stack", "local", "--config-file", scene.configFile, ...args];

/** The command as a user starts it. */
async function report(...args: string[]) {
  const ran = await runCommand(scene, "report", forReport(args));
  printed += ran.stdout + ran.stderr;
  return ran;
}

/** The same by its own code in this process. */
async function reportHere(...args: string[]) {
  const ran = await runHere(scene, () => reportCommand(forReport(args), new Date()));
  printed += ran.stdout + ran.stderr;
  return ran;
}

function lastLine(stdout: string): unknown {
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
}

async function audited(): Promise<AuditRecord[]> {
  const rows = await readAudit({ file, required: true }, CHECKOUT, {});
  expect(verifyChain(rows)).toEqual({ ok: true, head: rows.at(-1)?.hash });
  return rows.map(({ record }) => record);
}

const short = ({ credential, step, from, to }: AuditRecord): string =>
  `${credential} ${step} ${from.join()}>${to.join()}`;

/** Each step of it says who, why and under which ticket. */
function expectWhy(records: AuditRecord[]): void {
  const why = { actor: "octocat", reason: "left", ticket: "OPS-7", commit: "c0ffee", error: "" };
  for (const record of records) expect(record).toMatchObject(why);
  expect(new Set(records.map(({ update }) => update)).size).toBe(1);
}
