// Proves that `npm run alerts` prints, from a stack file, rules that Prometheus's own promtool takes, and that each of them fires on
// data that crosses its limit and not on data below it; that their texts hold no secret, and what is refused with which exit code.
// Not that a Worker counts in this way (test/unit/jws.test.ts), nor that a Prometheus in service sees every isolate.
// Where there is no promtool, only the text is compared (test/golden/alerts.yaml), and the test's output says so.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { JwsMetrics } from "../../components/jws/metrics";
import { watched } from "../../operations/alerts/read";
import { ruleFile } from "../../operations/alerts/rules";
import { findPromtool, promtool, type Promtool } from "../support/promtool";
import { ALONE, CASES as STEADY, PAIR, promtoolTests, STACK } from "./alerts-fixture";
import { OUTAGES } from "./alerts-outages";

const ROOT = path.resolve(__dirname, "../..");
const GOLDEN = path.join(ROOT, "test/golden/alerts.yaml");
const CASES = [...STEADY, ...OUTAGES];
const SCOPE = { stack: "prod", job: "api" };

interface RuleFile {
  groups: { rules: { alert: string; expr: string; for?: string; labels: object; annotations: object }[] }[];
}

const rulesOf = (text: string) => (parse(text) as RuleFile).groups.flatMap(({ rules }) => rules);
const madeOf = (stack: string, scope = {}) => ruleFile(watched(stack), scope);
const keyset = (settings: string) => `config:\n  rollover:credentials:\n    k: { kind: signing-keyset, ${settings} }\n`;

describe("the rules", () => {
  it("are those of the golden file", async () => {
    await expect(madeOf(STACK, SCOPE)).toMatchFileSnapshot(GOLDEN);
  });

  it("each have a severity, a summary and what to do, and nothing secret", () => {
    const text = madeOf(STACK, SCOPE);
    const rules = rulesOf(text);
    expect(new Set(rules.map(({ alert }) => alert))).toEqual(new Set(CASES.map(({ alert }) => alert)));
    for (const { labels, annotations } of rules) {
      expect(labels).toMatchObject({
        severity: expect.stringMatching(/^(critical|warning)$/) as string,
        stack: "prod",
      });
      expect(Object.keys(annotations)).toEqual(["summary", "description"]);
    }
    expect(text).not.toMatch(/marker|secure|ciphertext|postgres/);
  });

  it("know no refused token of a dropped key where tokens do not name theirs", () => {
    const names = (stack: string) => rulesOf(madeOf(stack)).map(({ alert }) => alert);
    expect(names(PAIR)).toEqual(expect.arrayContaining(["OldKeyShare", "RetiredKeyAccepted"]));
    expect(names(ALONE)).not.toContain("OldKeyShare");
    expect(names(PAIR)).not.toContain("RetiredKeyPresented");
  });

  it("have no share of old keys where there is one key, and know a retired one", () => {
    const names = rulesOf(madeOf(keyset('maxTokenAge: 1h, generation: "2026-11-20"'))).map(({ alert }) => alert);
    expect(names).not.toContain("OldKeyShare");
    expect(names).toContain("RetiredKeyAccepted");
  });

  it("wait until every token of an older key must have expired", () => {
    const [rule] = rulesOf(madeOf(keyset('maxTokenAge: 61s, generations: ["2026-11-20", "2026-08-01"]'))).filter(
      ({ alert }) => alert === "OldKeyShare",
    );
    expect(rule?.for).toBe("12m");
  });

  it("ask for what a Worker counts, by the labels and words that it uses", () => {
    const metrics = new JwsMetrics();
    metrics.verified({ kid: undefined, isPrimary: true }, 0);
    metrics.verified({ kid: undefined, isPrimary: false }, 0);
    metrics.rateLimited("GET /v1/manifest");
    metrics.requestTook("GET /v1/manifest", 3000);
    const said = metrics.prometheus();
    const asked = rulesOf(madeOf(STACK)).flatMap(({ expr }) => expr.match(/\w+_(total|bucket)/g) ?? []);
    expect(new Set(asked).size).toBe(4);
    for (const name of asked) expect(said).toMatch(new RegExp(`^${name}\\{`, "m"));
    for (const label of ["primary", "other"]) expect(said).toContain(`token_verifications_total{kid="${label}"} 1`);
    expect(said).toContain('token_verification_failures_total{reason="unknown-key"} 0');
    expect(said).toContain('api_request_duration_seconds_bucket{route="GET /v1/manifest",le="2.5"} 0');
  });

  it("take their limits from rollover:alerts", () => {
    const limits = "dailyVerificationFailures: 0, verificationFailureRatio: 0.07, oldKeyRatio: 0.5";
    const own = `${STACK}  rollover:alerts: { ${limits}, latencyP99: 2s, dailyRateLimited: 7 }\n`;
    const limit = Object.fromEntries(
      rulesOf(madeOf(own)).map(({ alert, expr }) => [alert, /> (\S+)$/.exec(expr)?.[1]]),
    );
    expect(limit).toEqual({
      TokenVerificationFailuresDaily: "0",
      TokenVerificationFailureRatio: "0.07",
      OldKeyShare: "0.5",
      RetiredKeyAccepted: "0",
      RetiredKeyPresented: "0",
      ApiRequestLatency: "2",
      RateLimitExceededDaily: "7",
    });
    expect(madeOf(own)).toContain("more than 7 %");
  });
});

describe("promtool", { timeout: 200_000 }, () => {
  let dir = "";
  let tool: Promtool | undefined;
  beforeAll(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "alerts-"));
    fs.writeFileSync(path.join(dir, "rules.yaml"), madeOf(STACK, SCOPE));
    tool = await findPromtool((line) =>
      process.stderr.write(`alerts.test.ts: ${line}; compared with the golden file only\n`),
    );
  }, 300_000);
  afterAll(() => {
    fs.rmSync(dir, { recursive: true });
  });

  /** Where there is no promtool, the rules are at least those that it took when the golden file was made. */
  async function verdict(args: string[]): Promise<{ code: number; said: string } | undefined> {
    if (tool === undefined) {
      expect(fs.readFileSync(path.join(dir, "rules.yaml"), "utf8")).toBe(fs.readFileSync(GOLDEN, "utf8"));
      return undefined;
    }
    const { code, stdout, stderr } = await promtool(tool, args);
    return { code, said: stdout + stderr };
  }
  async function tested(text: string): Promise<{ code: number; said: string } | undefined> {
    const file = path.join(dir, "tests.yaml");
    fs.writeFileSync(file, text);
    return verdict(["test", "rules", file]);
  }

  it("is missed with a reason where there is neither it nor Debian", async () => {
    const said: string[] = [];
    expect(await findPromtool((line) => said.push(line), { path: "", cache: path.join(dir, "none") })).toBeUndefined();
    expect(said).toEqual([
      "no promtool: there is none on the PATH, and this is no Debian. Install Prometheus, so that promtool is on the PATH",
    ]);
  });

  it("takes the rules", async () => {
    const result = await verdict(["check", "rules", "--lint=all", "--lint-fatal", path.join(dir, "rules.yaml")]);
    if (result) expect([result.code, result.said]).toEqual([0, expect.stringContaining("SUCCESS: 8 rules found")]);
  });

  it.each([
    ["a job with quotes and a brace", STACK, { job: 'a "b" {c}\\' }],
    ["no job and no stack", STACK, {}],
    ["no keyset at all", "config: {}\n", {}],
    ["keys without kids alone", PAIR, {}],
  ])("takes those with %s", async (_what, stack, scope) => {
    const file = path.join(dir, "other.yaml");
    fs.writeFileSync(file, madeOf(stack, scope));
    const result = await verdict(["check", "rules", "--lint=all", "--lint-fatal", file]);
    if (result) expect([result.code, result.said]).toEqual([0, expect.stringContaining("SUCCESS")]);
  });

  it.each(CASES.map((one) => [`${one.alert}: ${one.what}`, one] as const))("%s", async (_name, one) => {
    fs.writeFileSync(path.join(dir, "own.yaml"), madeOf(one.stack ?? STACK, SCOPE));
    const result = await tested(promtoolTests("own.yaml", [one]));
    if (result) expect(result).toEqual({ code: 0, said: expect.stringContaining("SUCCESS") as string });
  });

  it.each(["Daily", "now"])(
    "says no to each opposite expectation, so that its yes means something (%s)",
    async (when) => {
      const some = CASES.filter(
        ({ alert, stack }) => stack === undefined && alert.endsWith("Daily") === (when === "Daily"),
      );
      const result = await tested(promtoolTests("rules.yaml", some, true));
      const expectations = some.flatMap(({ fires = [], silent = [] }) => [...fires, ...silent]);
      if (result) expect([result.code, result.said.match(/got:/g)?.length]).toEqual([1, expectations.length]);
    },
  );

  it("fills the texts", async () => {
    const [one] = CASES.filter(({ what }) => what.startsWith("25 %"));
    const series = Object.entries(one?.series ?? {}).map(([name, values]) => ({ series: name, values }));
    const alert = {
      exp_labels: { severity: "warning", stack: "prod", credential: "rounds-signing" },
      exp_annotations: {
        summary: "25% of the tokens of rounds-signing are signed with an older key than 2026-11-20.2, more than 20 %",
        description:
          "Prolong the overlap: leave 2026-11-20 and 2026-08-01 in generations of rollover:credentials.rounds-signing. " +
          "Tokens live 2m, so somebody still signs with an older key: compare the probes of its Workers, and look for a " +
          "client or a cache that hands out old tokens.",
      },
    };
    const alerts = [{ eval_time: "20m", alertname: "OldKeyShare", exp_alerts: [alert] }];
    const tests = [{ interval: "1m", input_series: series, alert_rule_test: alerts }];
    // JSON is YAML.
    const result = await tested(JSON.stringify({ rule_files: ["rules.yaml"], evaluation_interval: "1m", tests }));
    if (result) expect(result).toEqual({ code: 0, said: expect.stringContaining("SUCCESS") as string });
  });
});

describe("npm run alerts", { timeout: 60_000 }, () => {
  let dir = "";
  beforeAll(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "alerts-"));
    fs.writeFileSync(path.join(dir, "Pulumi.prod.yaml"), STACK);
    const bad = '  rollover:alerts: { oldKeyRatio: 20, hookUrl: "https://hook-secret" }\n';
    fs.writeFileSync(path.join(dir, "Pulumi.bad.yaml"), STACK.replace("maxTokenAge: 120s", "maxTokenAge: 120") + bad);
    fs.writeFileSync(path.join(dir, "Pulumi.no.yaml"), "config: [hook-secret");
    fs.writeFileSync(path.join(dir, "Pulumi.hidden.yaml"), "config:\n  rollover:credentials: { secure: v1:cipher }\n");
  });
  afterAll(() => {
    fs.rmSync(dir, { recursive: true });
  });
  const run = (...args: string[]) => {
    const env = { ...process.env };
    delete env.PULUMI_STACK;
    const all = ["--require", "tsx/cjs", path.join(ROOT, "operations/alerts.ts"), ...args, "--cwd", dir];
    return spawnSync(process.execPath, all, { cwd: ROOT, encoding: "utf8", timeout: 60_000, env });
  };

  it("prints the rules on standard output and nothing else", () => {
    const result = run("--stack", "acme/rollover/prod", "--job", "api");
    expect([result.status, result.stderr]).toEqual([0, ""]);
    expect(result.stdout).toBe(madeOf(STACK, SCOPE));
  });

  it("reads a file by its name", () => {
    const result = run("--config-file", "Pulumi.prod.yaml", "--job", "api");
    expect([result.status, result.stdout]).toEqual([0, madeOf(STACK, { job: "api" })]);
  });

  it.each([
    ["no stack", [], 2, ["name the stack: --stack S, or --config-file FILE"]],
    ["an unknown option", ["--stak", "prod"], 2, ["unknown option"]],
    ["a job of two lines", ["--stack", "prod", "--job", "a\nb"], 2, ["--job is no name of a scrape job"]],
    ["a missing file", ["--stack", "nowhere"], 1, ["Pulumi.nowhere.yaml cannot be read (ENOENT)"]],
    ["a file that is no YAML", ["--stack", "no"], 1, ["the stack file is no YAML"]],
    [
      "several wrong settings at once",
      ["--stack", "bad"],
      1,
      ["rollover:alerts.oldKeyRatio", "rollover:alerts.hookUrl", "rollover:credentials.rounds-signing.maxTokenAge"],
    ],
    ["encrypted credentials", ["--stack", "hidden"], 1, ["rollover:credentials\n  is stored encrypted"]],
  ])("says what is wrong with %s, and prints no rule", (_what, args, status, messages) => {
    const result = run(...args);
    expect([result.status, result.stdout]).toEqual([status, ""]);
    for (const message of messages) expect(result.stderr).toContain(message);
    expect(result.stderr).not.toMatch(/hook-secret|cipher/);
  });
});
