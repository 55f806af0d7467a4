// Proves what `rollover:audit`, `rollover:notify` and a credential's operating keys may hold, and how everything else is refused:
// where, why and what to do, without a secret. Does not prove that anybody is told or anything recorded.
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { ConfigError, type Problem } from "../../components/rotation/problem";
import { type Change, changed } from "./config-fixture";

const email = { host: "smtp.example.com", username: "rollover", from: "rollover@example.com", to: ["ops@example.com"] };
const table = { host: "audit.example.com", database: "audit", username: "rollover_audit" };

describe("settings of operating", () => {
  it("are taken with their defaults", () => {
    const stack = parseStack(
      changed({
        set: {
          audit: table,
          notify: { email },
          "credentials/rounds-db/holders": ["a@example.com", "b"],
          "credentials/rounds-db/maxAge": "30d",
          "credentials/rounds-db/reason": "left: {said} 'she'",
          "credentials/rounds-db/ticket": "OPS-12",
          "credentials/rounds-db/afterRoll": "./scripts/deploy.sh",
          "turso/groups/production/reason": "token in a log",
          "turso/databases/sandbox/ticket": "OPS-13",
        },
      }),
    );
    expect(stack.audit).toEqual({
      required: true,
      server: { ...table, port: 5432, sslmode: "verify-full", superuser: false },
    });
    expect(stack.notify).toEqual({ noticeMs: 0, required: false, email: { ...email, port: 587, secure: false } });
    expect(stack.credentials.find(({ name }) => name === "rounds-db")).toMatchObject({
      holders: ["a@example.com", "b"],
      maxAgeMs: 30 * 86_400_000,
      reason: "left: {said} 'she'",
      ticket: "OPS-12",
      afterRoll: "./scripts/deploy.sh",
    });
    expect(stack.turso?.groups[0]).toMatchObject({ name: "production", reason: "token in a log" });
    expect(stack.turso?.databases.find(({ name }) => name === "sandbox")).toMatchObject({ ticket: "OPS-13" });
  });

  it("send mail by port 465 where TLS comes first, and keep an audit in a file", () => {
    const stack = parseStack(
      changed({
        set: { audit: { file: "audit/prod.jsonl", required: false }, notify: { email: { ...email, secure: true } } },
      }),
    );
    expect(stack.audit).toEqual({ required: false, file: "audit/prod.jsonl" });
    expect(stack.notify?.email?.port).toBe(465);
  });

  it("need a chat or an address, and no password on loopback", () => {
    expect(parseStack(changed({ set: { notify: { notice: "1d" } } })).notify).toEqual({
      noticeMs: 86_400_000,
      required: false,
    });
    const local = { host: "127.0.0.1", from: email.from, to: email.to };
    const stack = parseStack(changed({ set: { notify: { email: local } }, missing: ["smtpPassword", "alertWebhook"] }));
    expect(stack.notify?.email?.username).toBeUndefined();
  });

  it.each<[string, Change, string, string, string]>([
    [
      "a file outside",
      { set: { audit: { file: "../x.jsonl" } } },
      "audit.file",
      "is not allowed",
      "inside the project",
    ],
    ["a file that is none", { set: { audit: { file: "x.txt" } } }, "audit.file", "is not allowed", ".jsonl"],
    ["an absolute file", { set: { audit: { file: "/x.jsonl" } } }, "audit.file", "is not allowed", "relative"],
    [
      "two places",
      { set: { audit: { file: "x.jsonl", host: "h" } } },
      "audit.host",
      "stands beside `file`",
      "one of the two",
    ],
    [
      "a password in the clear",
      { set: { audit: { ...table, password: "hunter2" } } },
      "audit.password",
      "plain text",
      "auditPassword",
    ],
    [
      "no password",
      { set: { audit: table }, missing: ["auditPassword"] },
      "auditPassword",
      "is not set",
      "as a secret",
    ],
    [
      "no TLS",
      { set: { audit: { ...table, sslmode: "disable" } } },
      "audit.sslmode",
      "the password of the audit's login goes",
      "verify-full",
    ],
    [
      "nobody to tell",
      { set: { notify: { notice: "5m" } }, missing: ["alertWebhook"] },
      "notify",
      "has nobody to tell",
      "alertWebhook",
    ],
    [
      "a webhook in the clear",
      { set: { notify: { webhook: "https://hooks.example.com/s3cret" } } },
      "notify.webhook",
      "plain text",
      "the secret alertWebhook",
    ],
    ["too long a notice", { set: { notify: { notice: "40d", email } } }, "notify.notice", "is out of range", "30d"],
    [
      "a mail password in the clear",
      { set: { notify: { email: { ...email, password: "hunter2" } } } },
      "notify.email.password",
      "plain text",
      "smtpPassword",
    ],
    [
      "no mail password",
      { set: { notify: { email } }, missing: ["smtpPassword"] },
      "smtpPassword",
      "is not set",
      "as a secret",
    ],
    [
      "no user off loopback",
      { set: { notify: { email: { ...email, username: undefined } } } },
      "notify.email.username",
      "is missing",
      "user",
    ],
    [
      "no addresses",
      { set: { notify: { email: { ...email, to: [] } } } },
      "notify.email.to",
      "names nobody",
      "ops@example.com",
    ],
    [
      "two addresses in one",
      { set: { notify: { email: { ...email, to: ["a@x.org, b@x.org"] } } } },
      "notify.email.to[0]",
      "is not allowed",
      "ops@example.com",
    ],
    [
      "a header in an address",
      { set: { notify: { email: { ...email, from: "a@x.org\nBcc: c@x.org" } } } },
      "notify.email.from",
      "is not allowed",
      "ops@example.com",
    ],
    [
      "arguments",
      { set: { "credentials/rounds-db/afterRoll": "./deploy.sh --all" } },
      "afterRoll",
      "is not allowed",
      "without arguments",
    ],
    [
      "a way out",
      { set: { "credentials/rounds-db/afterRoll": "./../deploy.sh" } },
      "afterRoll",
      "is not allowed",
      "inside the project",
    ],
    [
      "a program of the system",
      { set: { "credentials/rounds-db/afterRoll": "/bin/sh" } },
      "afterRoll",
      "is not allowed",
      "./deploy.sh",
    ],
    [
      "words of a shell",
      { set: { "credentials/rounds-db/afterRoll": "./a;rm" } },
      "afterRoll",
      "is not allowed",
      "./deploy.sh",
    ],
    [
      "two lines of reason",
      { set: { "credentials/rounds-db/reason": "a\nb" } },
      "reason",
      "is not allowed",
      "one line",
    ],
    [
      "a ticket with spaces",
      { set: { "credentials/rounds-db/ticket": "OPS 12" } },
      "ticket",
      "is not allowed",
      "OPS-12",
    ],
    [
      "holders as a text",
      { set: { "credentials/rounds-db/holders": "a@example.com" } },
      "holders",
      "is no list",
      "[ ]",
    ],
    [
      "a holder with a space",
      { set: { "credentials/rounds-db/holders": ["a b"] } },
      "holders[0]",
      "is not allowed",
      "without spaces",
    ],
    ["an age without a unit", { set: { "credentials/rounds-db/maxAge": 30 } }, "maxAge", "is no duration", "30s"],
  ])("refuse %s", (_what, change, where, what, help) => {
    const [problem, ...others] = problemsOf(change);
    expect(others).toEqual([]);
    expect(problem?.where).toMatch(new RegExp(`${where.replace(/[[\]]/g, "\\$&")}$`));
    expect(problem?.what).toContain(what);
    expect(`${problem?.allowed ?? ""} ${problem?.fix ?? ""}`).toContain(help);
    expect(JSON.stringify(problem)).not.toMatch(/hunter2|s3cret/);
  });
});

function problemsOf(change: Change): readonly Problem[] {
  try {
    parseStack(changed(change));
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}
