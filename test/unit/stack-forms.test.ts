// Proves what `npm run rotate` makes of forms of a stack file that Pulumi reads: keys without a namespace are refused, values that
// are encrypted stop only who needs them, and an anchor may be used as often as one likes. That Pulumi reads these forms so is
// from its source, not proven here.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { main } from "../../operations/rotate";
import { readStackFile } from "../../operations/stack-file/read";

const POLICY = "  rollover:policy: { maxAge: { default: 60d }, enforce: true }\n";
const KEY = "{ kind: random, generations: [2020-01-01], holders: [a@example.com] }";
const DUE = ["--due"];
const HOLDER = ["--holder", "a@example.com", "--reason", "left"];
const ROLL = ["key"];

let dir = "";
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "stack-forms-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true });
});

/** The command on a file of this config, on 2026-11-20. `isKept`: the file is what it was. */
async function rotated(config: string, args: string[]) {
  const file = path.join(dir, "Pulumi.prod.yaml");
  const given = `config:\n${config}`;
  fs.writeFileSync(file, given);
  const said = { out: "", errors: "" };
  const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => ((said.out += String(text)), true));
  const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => ((said.errors += String(text)), true));
  try {
    const code = await main([...args, "--config-file", file], new Date("2026-11-20T12:00:00Z"));
    const text = fs.readFileSync(file, "utf8");
    return { code, ...said, text, isKept: text === given };
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

describe("a setting without its namespace, which Pulumi gives the project's", () => {
  it.each([
    ["credentials", DUE, `${POLICY}  credentials: { key: ${KEY} }\n`],
    ["policy", DUE, `  rollover:credentials: { key: ${KEY} }\n  policy: { maxAge: { default: 60d } }\n`],
    ["policy", HOLDER, `  rollover:credentials: { key: ${KEY} }\n  policy: { maxAge: { default: 60d } }\n`],
    ["policy", ROLL, `  rollover:credentials: { key: ${KEY} }\n  policy: { maxAge: { default: 60d } }\n`],
    ["alertWebhook", ROLL, `  rollover:credentials: { key: ${KEY} }\n  alertWebhook: { secure: v1:cipher }\n`],
    ["rollover:config:credentials", DUE, `${POLICY}  rollover:config:credentials: { key: ${KEY} }\n`],
  ])("%s is refused by %j", async (key, args, config) => {
    const { code, out, errors, isKept } = await rotated(config, args);
    expect({ code, out, isKept }).toEqual({ code: 1, out: "", isKept: true });
    const name = key.replace("rollover:config:", "");
    expect(errors).toContain(`config["${key}"]\n  `);
    expect(errors).toContain(
      `; it is not read here\n  allowed: \`rollover:${name}\`\n  do: write \`rollover:${name}\`\n`,
    );
    expect(errors).not.toContain("cipher");
  });

  it("is named beside everything else that is wrong", async () => {
    const config = `  policy: {}\n  turso: {}\n  rollover:credentials: { key: { kind: random, generations: [today] } }\n`;
    const { errors } = await rotated(config, DUE);
    expect(errors).toContain("The stack's config has 3 problems.\n");
    for (const where of ['config["policy"]', 'config["turso"]', "rollover:credentials.key.generations[0]"])
      expect(errors).toContain(`${where}\n`);
  });

  it("is nothing to us where it is none of ours", async () => {
    const config = `${POLICY}  region: eu\n  other:policy: {}\n  rollover:credentials: { key: ${KEY} }\n`;
    expect(await rotated(config, DUE)).toMatchObject({ code: 0, isKept: false });
  });
});

describe("an encrypted value", () => {
  const EMAIL = "host: smtp.example.com, from: a@example.com, to: [b@example.com]";
  const NOTIFY = `  rollover:notify: { email: { ${EMAIL}, username: { secure: v1:cipher } } }\n`;
  const SMTP = "  rollover:smtpPassword: { secure: v1:cipher }\n";
  const SERVER = "  rollover:postgres: { host: db.example.com, username: admin }\n";
  const DB =
    "{ kind: postgres, database: { secure: v1:cipher }, url: { secure: v1:cipher }, generations: [2026-11-19] }";
  const stack = (key: string, rest = "") =>
    `${NOTIFY}${SMTP}${SERVER}${rest}  rollover:credentials:\n    key: ${key}\n    db: ${DB}\n`;

  it.each([[DUE], [HOLDER], [ROLL]])("that nobody needs stops nothing: %j", async (args) => {
    const { errors, text } = await rotated(stack(KEY, POLICY), args);
    expect(text, errors).toContain('"2026-11-20"');
    expect(readStackFile(text, []).credentials.map(({ name }) => name)).toEqual(["key", "db"]);
  });

  it.each([
    ["the policy, for a holder", HOLDER, stack(KEY, "  rollover:policy: { secure: v1:cipher }\n")],
    ["Turso, for what is due", DUE, stack(KEY, `${POLICY}  rollover:turso: { secure: v1:cipher }\n`)],
    [
      "what to notify, for what is due",
      DUE,
      stack(KEY, POLICY).replace(NOTIFY, "  rollover:notify: { secure: v1:c }\n"),
    ],
  ])("stops nothing in %s", async (_what, args, config) => {
    const { errors, text } = await rotated(config, args);
    expect(text, errors).toContain('"2026-11-20"');
  });

  it.each([
    ["credentials.key", DUE, stack("{ secure: v1:cipher }", POLICY)],
    ["credentials.key.kind", DUE, stack(KEY.replace("random", "{ secure: v1:cipher }"), POLICY)],
    ["credentials.key.generations", DUE, stack(KEY.replace("[2020-01-01]", "{ secure: v1:cipher }"), POLICY)],
    ["credentials.key.generations[0]", DUE, stack(KEY.replace("2020-01-01", "{ secure: v1:cipher }"), POLICY)],
    ["credentials.key.maxAge", DUE, stack(KEY.replace("kind", "maxAge: { secure: v1:cipher }, kind"), POLICY)],
    ["credentials.key.holders[0]", HOLDER, stack(KEY.replace("a@example.com", "{ secure: v1:cipher }"))],
    ["policy", DUE, stack(KEY, "  rollover:policy: { secure: v1:cipher }\n")],
    ["policy.maxAge.default", DUE, stack(KEY, POLICY.replace("60d", "{ secure: v1:cipher }"))],
    [
      "credentials.key.database",
      HOLDER,
      stack(KEY.replace("random", "turso, expiration: 90d, database: { secure: v1:cipher }")),
    ],
    [
      "turso.databases.rounds.group",
      HOLDER,
      stack(KEY, "  rollover:turso: { organization: acme, databases: { rounds: { group: { secure: v1:cipher } } } }\n"),
    ],
  ])("that is needed is refused, and nothing else is said of it: %s", async (where, args, config) => {
    const { code, errors, isKept } = await rotated(config, args);
    expect({ code, isKept }).toEqual({ code: 1, isKept: true });
    expect(errors).toContain(`rollover:${where}\n  is stored encrypted, and only plain values can be read here`);
    expect(errors.match(/rollover:/g), errors).toHaveLength(1);
    expect(errors).not.toContain("cipher");
  });

  it("hides no problem of a key whose name begins like its own", async () => {
    const config = stack(KEY).replace("username: {", "user: {");
    expect((await rotated(config, ROLL)).errors).toContain("rollover:notify.email.username\n");
  });

  it("is not what only looks like one", async () => {
    const config = stack(KEY).replace("username: { secure: v1:cipher }", "secure: true, username: { secure: 1 }");
    expect((await rotated(config, ROLL)).errors).toContain("rollover:notify.email.username\n");
  });
});

describe("an anchor that is used 102 times", () => {
  const keys = Array.from({ length: 102 }, (_, n) => `    key${n}: { <<: *key, kind: random, deliver: *none }\n`);
  const file = (first: string) =>
    `${POLICY}  rollover:postgres: { host: db.example.com, username: admin }\n` +
    "  rollover:credentials:\n" +
    `    key: { kind: random, generations: [2020-01-01], holders: [a@example.com], deliver: &none [] }\n` +
    `    other: &key { kind: random, generations: [2026-11-19], length: &length 48 }\n${first}${keys.join("")}`;

  it.each([
    [DUE, ["key"]],
    [HOLDER, ["key"]],
    [ROLL, ["key"]],
    [["wide", "--reason", "x"], ["wide"]],
  ])("is edited by %j", async (args, edited) => {
    const checks = `[&check SELECT 1, ${Array.from({ length: 102 }, () => "*check").join(", ")}]`;
    const wide = `    wide: { kind: postgres, generations: [2026-11-19], checks: ${checks} }\n`;
    const { errors, text } = await rotated(file(wide), args);
    const { credentials } = readStackFile(text);
    const rolled = credentials.filter(({ generations }) => generations[0] === "2026-11-20");
    expect(
      rolled.map(({ name }) => name),
      errors,
    ).toEqual(edited);
  });
});
