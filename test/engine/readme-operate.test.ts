// Proves that docs/policy.md, audit.md, notify.md and report.md are true where a reader would try them: settings, statements, commands
// and diffs are run as they stand, in a clone, on the real engine and real servers; a block that nothing runs fails; and that the end
// of everything is recorded where the last update recorded. Filled in are addresses, passwords, waits, today's stamps. Not proven: psql's own commands, TLS, GitHub (workflows.test.ts has what can be run of it).
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { type LocalCloud, startCloud } from "../../local/cloud";
import { type MailServer, startMailServer } from "../../local/cloud/smtp";
import { prepareEngine } from "../../local/engine";
import { shiftDays } from "../../local/engine/as-of";
import { readAudit } from "../../components/audit/read";
import { cloneInto, Reader, Readme } from "../support/readme";

const FILE = "Pulumi.prod.yaml";
const NAME = "rounds-db";
const UP = "pulumi up --stack prod";
const PASSWORD = "AuditPassw0rd0123456789";
const policyPage = new Readme("docs/policy.md");
const auditPage = new Readme("docs/audit.md");
const notifyPage = new Readme("docs/notify.md");
const reportPage = new Readme("docs/report.md");
const pages = [policyPage, auditPage, notifyPage, reportPage];
let dir: string;
let cloud: LocalCloud;
let mail: MailServer;
let reader: Reader;
/** The stamp of the roll. */
let rolled = "";

beforeAll(async () => {
  const engine = await prepareEngine();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-readme-operate-"));
  cloneInto(dir);
  cloud = await startCloud({ needs: ["postgres", "workers"] });
  mail = await startMailServer({ user: "rollover@example.com", password: PASSWORD });
  reader = new Reader(dir, engine, cloud);
  for (const key of ["turso", "vault"]) set([`rollover:${key}`], undefined);
  for (const name of ["rounds-signing", "rounds-turso"]) set(["rollover:credentials", name], undefined);
  reader.fillIn(FILE);
  set(["rollover:credentials", NAME, "quiet"], "300ms");
});
afterAll(async () => {
  await cloud.stop();
  await mail.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

it("a policy, an audit's table and a mail server are set up as the pages say", async () => {
  set(["rollover:policy"], settings(policyPage.take("yaml", /rollover:policy/), "rollover:policy"));
  const [psql] = auditPage.commands(/^psql/);
  const script = /-f (\S+)/.exec(psql ?? "")?.[1] ?? "";
  await cloud.postgres.query("CREATE DATABASE audit");
  await cloud.postgres.query(reader.read(script), undefined, "audit");
  const statements = auditPage.take("sql", /CREATE ROLE rollover_audit/);
  const login = (_line: string, name: string) => `ALTER ROLE ${name} PASSWORD '${PASSWORD}';`;
  await cloud.postgres.query(statements.replaceAll(/^\\password (\w+)$/gm, login), undefined, "audit");
  const { postgres } = cloud.config();
  const audit = settings(auditPage.take("yaml", /^rollover:audit/), "rollover:audit");
  set(["rollover:audit"], {
    ...(audit as object),
    ...{ host: postgres?.host, port: postgres?.port, sslmode: postgres?.sslmode },
  });
  const notify = settings(notifyPage.take("yaml", /rollover:notify/), "rollover:notify") as { email: object };
  set(["rollover:notify"], { ...notify, notice: "0s", email: { ...notify.email, host: "127.0.0.1", port: mail.port } });

  await reader.ok("pulumi stack init prod --secrets-provider passphrase");
  const { postgresPassword, cloudflareApiToken } = cloud.config().secrets;
  await reader.ok("pulumi config set --stack prod --secret postgresPassword", postgresPassword);
  await reader.ok("pulumi config set --stack prod --secret cloudflareApiToken", cloudflareApiToken);
  const [auditPassword] = auditPage.commands(/auditPassword/);
  await reader.ok(`${auditPassword ?? ""} --stack prod`, PASSWORD);
  await reader.ok("pulumi config set --stack prod --secret smtpPassword", PASSWORD);
  await reader.ok(UP);
  expect(mail.mails.map(({ headers }) => headers["subject"])).toEqual([
    expect.stringContaining("is watched from now on") as string,
  ]);
});

it("a roll with its reason runs the program of the page, is told by mail, and is recorded", async () => {
  notifyPage.take("yaml", /afterRoll/);
  set(["rollover:credentials", NAME, "afterRoll"], "./deploy.sh");
  // In place of Fly's command: what it is given, and by which way.
  const program = notifyPage
    .take("sh", /ROLLOVER_VALUE/)
    .replace("flyctl secrets import --app rounds", "tee imported.env");
  fs.writeFileSync(path.join(dir, "deploy.sh"), program, { mode: 0o755 });
  const [rotate] = policyPage.commands(/--ticket/);
  expect(bare(reader.changed(FILE, await reader.ok(rotate)))).toEqual(bare(policyPage.take("diff", /ticket/)));
  rolled = reader.today(FILE);
  await reader.ok(UP);
  expect(reader.read("imported.env")).toBe(`DATABASE_URL=${delivered()}\n`);
  expect(reader.read("deploy.log")).toContain(`${NAME} ${reader.today(FILE)}`);
  const texts = mail.mails.map(({ headers, text }) => `${headers["subject"] ?? ""}\n${text}`).join("\n");
  expect(texts).toContain("reason: laptop lost");
  expect(texts).toContain("ticket: OPS-12");
  expect(texts).not.toContain(delivered());
});

it("evidence is printed in each form, and the chain is whole, from the head that was noted on", async () => {
  const [text, page, ages, byReader] = [...reportPage.commands(/--format html/), ...reportPage.commands(/PGUSER/)];
  const as = `PGUSER=auditor PGPASSWORD=${PASSWORD}`;
  // Under TEST_TODAY the audit's server keeps the machine's clock: its rows may be years old.
  const all = (command = "") =>
    shiftDays() > 0 ? command.replace("--stack prod", "--stack prod --since 3650d") : command;
  expect(await reader.ok(`${as} ${all(text)}`)).toContain("laptop lost");
  await reader.ok(`export ${as}; ${page ?? ""}`);
  expect(reader.read("report.html")).toMatch(/^<!doctype html>/i);
  expect(await reader.ok(`export ${as}; ${ages ?? ""}`)).toContain(`"name": "${NAME}"`);
  expect(await reader.ok(all(byReader).replace("PGPASSWORD=...", `PGPASSWORD=${PASSWORD}`))).toContain("OPS-12");
  const [verify] = auditPage.commands(/--verify\n$/);
  const noted = /[0-9a-f]{64}/.exec(await reader.ok(`${as} ${verify ?? ""}`))?.[0] ?? "";
  const [later] = auditPage.commands(/--head/);
  await reader.ok(`export ${as} HEAD_OF_LAST_TIME=${noted}; ${later ?? ""}`);
  const [again, known] = reportPage.commands(/--verify/);
  await reader.ok(`${as} ${again ?? ""}`);
  await reader.ok(`${as} ${known ?? ""}`);
  // Without the login that may read there is no evidence, and no report that hides it.
  expect(await reader.fails(verify)).toContain("PGUSER");
});

it("somebody leaves: what was held is rolled, by the edit that the page shows", async () => {
  await reader.ok(`npm run rotate -- ${NAME} --retire --stack prod`);
  const [held] = Object.values(parse(policyPage.take("yaml", /holders/)) as Record<string, { holders: string[] }>);
  reader.edit(FILE, (document) => {
    const at = ["config", "rollover:credentials", NAME];
    document.setIn([...at, "generations"], document.createNode(["2026-11-20"], { flow: true }));
    document.setIn([...at, "holders"], document.createNode(held?.holders, { flow: true }));
  });
  const [leave] = policyPage.commands(/--holder/);
  expect(bare(reader.changed(FILE, await reader.ok(leave)))).toEqual(bare(policyPage.take("diff", /holders/)));
});

it("nothing is due on a day on which nothing is, and the pages have no other block", async () => {
  const [due] = policyPage.commands(/--due/);
  set(["rollover:credentials", "session-key", "generations"], [reader.today(FILE)]);
  const before = reader.read(FILE);
  expect(await reader.ok(due)).toContain("nothing is due");
  expect(reader.read(FILE)).toBe(before);
  expect(pages.flatMap((page) => page.untaken())).toEqual([]);
});

it("the end of everything is recorded, where the last update recorded", async () => {
  const { host, port } = cloud.postgres;
  const server = { host, port, database: "audit", username: "rollover_audit", superuser: false } as const;
  const audit = { required: true, server: { ...server, sslmode: "disable" as const } };
  const read = () => readAudit(audit, dir, { PGUSER: "auditor", PGPASSWORD: PASSWORD });
  const before = (await read()).length;
  await reader.ok("pulumi destroy --stack prod");
  const records = (await read()).slice(before).map(({ record }) => record);
  const done = records.filter(({ result }) => result === "done");
  expect(done.map(({ credential, step, from }) => `${credential} ${step} ${from.join()}`).sort()).toEqual(
    [
      ...[`${NAME} withdraw ${rolled},2026-11-20`, "session-key withdraw 2026-11-20,2026-08-01"],
      ...[`${NAME} retire ${rolled}`, `${NAME} retire 2026-11-20`],
    ].sort(),
  );
  expect(new Set(records.map(({ stack }) => stack))).toEqual(new Set(["prod"]));
});

/** Sets something below `config:` in the stack file; undefined takes it out. */
function set(at: string[], value: unknown): void {
  reader.edit(FILE, (document) => {
    if (value === undefined) document.deleteIn(["config", ...at]);
    else document.setIn(["config", ...at], document.createNode(value));
  });
}

/** What a page's block says of a key, with or without `config:` around it. */
function settings(block: string, key: string): unknown {
  const read = parse(block) as Record<string, unknown>;
  return ("config" in read ? (read["config"] as Record<string, unknown>) : read)[key];
}

/** The lines of a diff. This test's own edits write lists with spaces inside, and the keys of an entry in another order. */
function bare(diff: string): string[] {
  const lines = diff.split("\n").map((line) => line.replaceAll(/\s+|"/g, ""));
  return lines.sort();
}

function delivered(): string {
  return cloud.cloudflare.state("rounds-api").secrets["DATABASE_URL"] ?? "";
}
