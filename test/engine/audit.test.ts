// Proves, on the real engine, that each step of a roll leaves its records with who, why and one id of the update; that a failed
// and a killed update leave theirs and the next one goes on; that an audit that cannot be written stops an update before a login
// is made where config requires it, and only warns where not; that an audit adds no change of its own (G1) and holds no
// secret (G7). Not proven here: who may do what to the table (test/provider/audit-table.test.ts).
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readAudit, verifyChain } from "../../components/audit/read";
import type { AuditRecord } from "../../components/audit/record";
import type { Audit } from "../../components/rotation/model";
import { type AuditDatabase, startAudit } from "../provider/audits";
import { startCrashes } from "../../local/crash";
import { placesOf, sampleArguments, scanForLeaks, type Secret, secretsOf } from "../../local/leaks";
import { must, type Scene, startScene } from "../../local/scene";
import { loginsLike, secretOf, settled, tryLogin, usualCredentials } from "./rounds";

const CHECKOUT = path.resolve(__dirname, "../..");
const SCRIPTS = ["rounds-api"];

let scene: Scene;
let table: AuditDatabase;
let sampled: ReturnType<typeof sampleArguments>;
const secrets = new Map<string, Secret>();
const folder = `tmp/audit-${randomBytes(4).toString("hex")}`;
const file: Audit = { file: `${folder}/local.jsonl`, required: true };
let counter = 1;
let live = "2026-11-20";

beforeAll(async () => {
  scene = await startScene({
    needs: ["postgres", "workers"],
    credentials: usualCredentials(live),
    worker: { settle: "0s", answers: 3 },
  });
  scene.edit(["rollover:credentials", "rounds-db", "quiet"], "50ms");
  scene.stack.options.env = { GITHUB_ACTOR: "octocat", GITHUB_SHA: "c0ffee", GITHUB_RUN_ID: "42" };
  table = await startAudit(scene.cloud.postgres);
  sampled = sampleArguments();
  scene.edit(["rollover:audit"], settingsOf(table));
  await scene.stack.setConfig("auditPassword", table.writer.password, { secret: true });
  await must(scene.stack.up());
  await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
});

afterAll(async () => {
  sampled.stop();
  await scene.end({ changes: "the last update destroyed everything" });
  fs.rmSync(path.join(CHECKOUT, folder), { recursive: true, force: true });
});

function settingsOf({ audit: { server } }: AuditDatabase, over: Record<string, unknown> = {}): Record<string, unknown> {
  const { host, port, database, username, sslmode } = server;
  return { host, port, database, username, sslmode, ...over };
}

/** Gives `rounds-db` one new stamp, so that one update mints, delivers and retires; `session-key` stays as it is. */
function roll(): { from: string; to: string } {
  counter += 1;
  const [from, to] = [live, `2026-11-20.${counter}`];
  scene.generations("rounds-db", [to]);
  live = to;
  return { from, to };
}

const tableRows = () => readAudit(table.audit, "", table.reader);

/** What was recorded since `before` rows, in few words. */
async function since(before: number, read = tableRows): Promise<AuditRecord[]> {
  const rows = await read();
  expect(verifyChain(rows)).toEqual({ ok: true, head: rows.at(-1)?.hash });
  return rows.slice(before).map(({ record }) => record);
}

const short = ({ credential, step, result, from, to }: AuditRecord): string =>
  `${credential} ${step} ${result} ${from.join()}>${to.join()}`;

/** A secret that an update retires is known to nobody later. */
async function collect(): Promise<void> {
  for (const secret of await secretsOf(scene, SCRIPTS)) secrets.set(secret.value, secret);
}

function stepsOfRoll({ from, to }: { from: string; to: string }): string[] {
  return [
    `rounds-db announce begun ${from}>${to}`,
    `rounds-db announce done ${from}>${to}`,
    `rounds-db mint begun >${to}`,
    `rounds-db mint done >${to}`,
    `rounds-db deliver begun ${from}>${to}`,
    `rounds-db deliver done ${from}>${to}`,
    `rounds-db complete done ${from}>${to}`,
    `rounds-db retire begun ${from}>`,
    `rounds-db retire done ${from}>`,
  ];
}

describe("in a table", () => {
  it("a first update is recorded, and the next one has nothing to do and records nothing", async () => {
    const records = await since(0);
    expect(records.filter(({ step }) => step === "mint").map(short)).toEqual([
      "rounds-db mint begun >2026-11-20",
      "rounds-db mint done >2026-11-20",
    ]);
    expect(records.filter(({ step, result }) => step === "deliver" && result === "done").map(short)).toEqual([
      "rounds-db deliver done >2026-11-20",
      "session-key deliver done >2026-11-20",
    ]);
    await settled(scene);
    await must(scene.stack.up(["--expect-no-changes"]));
    expect(await since(records.length)).toEqual([]);
    await collect();
  });

  it("a roll leaves each step, with who, why, from which commit, and one id of the update", async () => {
    const before = (await tableRows()).length;
    const change = roll();
    scene.edit(["rollover:credentials", "rounds-db", "reason"], "a laptop was lost: Überprüfung");
    scene.edit(["rollover:credentials", "rounds-db", "ticket"], "OPS-12");
    await must(scene.stack.up());
    const records = await since(before);
    expect(records.map(short)).toEqual(stepsOfRoll(change));
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
    expect(records.filter(({ result }) => result === "begun").some(({ attested, proven }) => attested || proven)).toBe(
      false,
    );
    await collect();
  });

  it("a delivery that fails is recorded as failed, and the next update goes on", async () => {
    const before = (await tableRows()).length;
    const change = roll();
    scene.cloud.cloudflare.faults.set([{ kind: "status", status: 403, match: { method: "PATCH" }, times: 50 }]);
    expect((await scene.stack.up()).code).not.toBe(0);
    scene.cloud.cloudflare.faults.set([]);
    const failed = await since(before);
    expect(failed.map(short)).toEqual([
      ...stepsOfRoll(change).slice(0, 5),
      `rounds-db deliver failed ${change.from}>${change.to}`,
    ]);
    expect(failed.at(-1)).toMatchObject({ attested: false });
    expect(failed.at(-1)?.error).toMatch(/Cloudflare/);
    await must(scene.stack.up());
    expect((await since(before + 6)).map(short)).toEqual(stepsOfRoll(change).slice(4));
    await collect();
  });

  it.each(["engine", "provider"] as const)(
    "kill -9 of the %s while a delivery hangs leaves its beginning",
    async (victim) => {
      const before = (await tableRows()).length;
      const change = roll();
      const crashes = await startCrashes(scene);
      try {
        await crashes.kill(victim, { at: 0, label: "PATCH secrets-bulk", phase: "before" });
        expect((await since(before)).map(short)).toEqual(stepsOfRoll(change).slice(0, 5));
        await crashes.recover(victim);
      } finally {
        await crashes.stop();
      }
      const [first, ...rest] = await since(before + 5);
      expect([first, ...rest].flatMap((record) => (record ? [short(record)] : []))).toEqual(
        stepsOfRoll(change).slice(4),
      );
      await settled(scene);
      await collect();
    },
  );

  it("a dead audit stops an update before anything is announced or a login is made, where it is required", async () => {
    const before = (await tableRows()).length;
    const logins = await loginsLike(scene, "rounds_2");
    const url = secretOf(scene, "DATABASE_URL");
    roll();
    scene.edit(["rollover:audit"], settingsOf(table, { port: 9 }));
    const { code, stdout, stderr } = await scene.stack.up();
    expect(code).not.toBe(0);
    expect(stdout + stderr).toMatch(
      /not begun, since its audit record could not be written: announce rounds-db\. No credential was touched\..*ECONNREFUSED.*set rollover:audit\.required to false/,
    );
    expect(await loginsLike(scene, "rounds_2")).toEqual(logins);
    expect(secretOf(scene, "DATABASE_URL")).toBe(url);
    expect(await tryLogin(url)).toMatch(/ as rounds_owner$/);

    scene.edit(["rollover:audit"], settingsOf(table, { port: 9, required: false }));
    const { stdout: said, stderr: warned } = await must(scene.stack.up());
    expect(said + warned).toMatch(/no audit record that this began: mint rounds-db\. .*ECONNREFUSED/);
    expect(said + warned).toMatch(/no audit record of how this ended: retire rounds-db\. .*ECONNREFUSED/);
    expect(secretOf(scene, "DATABASE_URL")).not.toBe(url);
    expect(await since(before)).toEqual([]);
    scene.edit(["rollover:audit"], settingsOf(table));
    await settled(scene);
    await collect();
  });
});

describe("in a file", () => {
  const read = () => readAudit(file, CHECKOUT, {});

  it("a roll and a failed delivery leave the same records", async () => {
    scene.edit(["rollover:audit"], { file: file.file });
    const first = roll();
    await must(scene.stack.up());
    expect((await since(0, read)).map(short)).toEqual(stepsOfRoll(first));
    const second = roll();
    scene.cloud.cloudflare.faults.set([{ kind: "status", status: 403, match: { method: "PATCH" }, times: 50 }]);
    expect((await scene.stack.up()).code).not.toBe(0);
    scene.cloud.cloudflare.faults.set([]);
    expect((await since(9, read)).map(short)).toEqual([
      ...stepsOfRoll(second).slice(0, 5),
      `rounds-db deliver failed ${second.from}>${second.to}`,
    ]);
    await must(scene.stack.up());
    await settled(scene);
    expect((await since(15, read)).map(short)).toEqual(stepsOfRoll(second).slice(4));
    await collect();
  });

  it("the end of everything is recorded, where the last update recorded", async () => {
    const before = (await read()).length;
    await must(scene.stack.destroy());
    const records = (await since(before, read)).filter(({ result }) => result === "done");
    expect(records.map(short)).toEqual([
      `rounds-db withdraw done ${live}>`,
      "session-key withdraw done 2026-11-20>",
      `rounds-db retire done ${live}>`,
    ]);
    expect(new Set(records.map(({ stack }) => stack))).toEqual(new Set(["local"]));
  });
});

it("no record, file, state, transcript or log holds a secret", async () => {
  const rows = await table.sql("SELECT * FROM rollover_audit");
  secrets.set(table.writer.password, { name: "the audit's password", value: table.writer.password });
  // Each login's password and URL, the session key, the probe's and the API's token.
  expect(secrets.size).toBeGreaterThanOrEqual(14);
  const places = [
    ...placesOf(scene, sampled.seen),
    { name: "the table", text: JSON.stringify(rows) },
    { name: "the file", files: [path.join(CHECKOUT, folder)] },
    { name: "Postgres's log", files: [scene.cloud.postgres.logFile] },
  ];
  expect(rows.length).toBeGreaterThan(30);
  expect(scanForLeaks({ secrets: [...secrets.values()], places })).toEqual([]);
});
