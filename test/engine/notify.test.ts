// Proves on the real engine, with a real mail server (STARTTLS) and a real webhook: an update is told before anything changes and
// when all is delivered, once; a notice waits and an emergency does not; a failure is told; `required` stops an update before it mints;
// and the after-roll program runs after attestation, gets the secret by environment alone, and a failing one leaves the old generation
// working. Nothing told or printed holds a secret. Not proven here: each channel's own failures (test/provider/{smtp,notify}.test.ts).
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Service, startService } from "../../local/cloud/faults";
import { type MailServer, makeCertificate, startMailServer } from "../../local/cloud/smtp";
import { placesOf, sampleArguments, scanForLeaks, secretsOf } from "../../local/leaks";
import { must, type Scene, startScene } from "../../local/scene";
import { held, loginsLike, secretOf, servedAs, settled, tryLogin, usualCredentials } from "./rounds";
import { tokenCredential } from "./tokens";

const PASSWORD = "smtp-password-0123456789";
const PROGRAM = "./test/fixtures/after-roll/hook.mjs";
const HOOK_PATH = "/services/T0AAAAAAA/B0BBBBBBB/hook-secret-0123456789";

interface Run {
  at: number;
  user: string;
  env: Record<string, string>;
  args: string[];
}

let scene: Scene;
let mail: MailServer;
let hook: Service;
/** What the chat was told. */
const posts: string[] = [];
/** How much of it was looked at. */
let told = 0;
/** Where the program writes what it was given. */
let folder: string;
let sampled: ReturnType<typeof sampleArguments>;
const secrets = new Map([
  [PASSWORD, "the mail server's password"],
  [HOOK_PATH, "the webhook's path"],
]);

beforeAll(async () => {
  sampled = sampleArguments();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-hook-"));
  const { ["rounds-db"]: login, ...others } = usualCredentials("2026-11-20");
  const credentials = {
    ...others,
    "rounds-db": { ...login, afterRoll: PROGRAM },
    "rounds-turso": tokenCredential(["2026-11-20"]),
  };
  scene = await startScene({
    needs: ["postgres", "turso", "workers"],
    credentials,
    worker: { settle: "0s", answers: 3, within: "2s" },
  });
  const certificate = makeCertificate(folder);
  mail = await startMailServer({ user: "rollover", password: PASSWORD, certificate });
  hook = await startService(
    (_request, _url, body) => {
      posts.push((JSON.parse(body) as { text: string }).text);
      return Promise.resolve({ status: 200, body: "ok" });
    },
    () => "refused",
  );
  const users = { username: "rollover", from: "rollover@example.com", to: ["ops@example.com"] };
  scene.edit(["rollover:notify"], { email: { host: "127.0.0.1", port: mail.port, ...users } });
  await scene.stack.setConfig("smtpPassword", PASSWORD, { secret: true });
  await scene.stack.setConfig("alertWebhook", `http://127.0.0.1:${hook.port}${HOOK_PATH}`, { secret: true });
  const given = { HOOK_DIR: folder, HOOK_URL: scene.cloud.workerUrl("rounds-api"), PULUMI_ACCESS_TOKEN: "" };
  scene.stack.options.env = { ...given, NODE_EXTRA_CA_CERTS: certificate.file };
});
afterAll(async () => {
  sampled.stop();
  await mail.stop();
  await hook.stop();
  await scene.end();
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Subjects of what both channels were told since the last look; a message of one channel alone fails. */
function since(): string[] {
  const subjects = mail.mails.slice(told).map(({ headers }) => headers["subject"] ?? "");
  expect(posts.slice(told).map((text) => text.split("\n")[0])).toEqual(subjects);
  told = mail.mails.length;
  return subjects;
}

function runs(): Run[] {
  const file = path.join(folder, "runs.jsonl");
  if (!fs.existsSync(file)) return [];
  const lines = fs.readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Run);
}

async function collect(): Promise<void> {
  const found = await secretsOf(scene, ["rounds-api"]);
  // Secret only because the program's environment is secret as a whole, and so is what an invalidation tries tokens by.
  const isPublic = (name: string) => /\.ROLLOVER_(STACK|CREDENTIAL|STAMP)$|\.canaries\..*\.(on|tag)$/.test(name);
  for (const { name, value } of found) if (!isPublic(name)) secrets.set(value, name);
}

/** Runs to its failure; what was printed. */
async function fails(): Promise<string> {
  const { code, stdout, stderr } = await scene.stack.up();
  expect(code, stdout).not.toBe(0);
  return stdout + stderr;
}

const changes = () => scene.cloud.cloudflare.calls.filter(({ method }) => method !== "GET");

describe("an update", () => {
  it("that is the first is told before anything is there, in one line, and the program runs", async () => {
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    expect(since()).toEqual(["Rollover local: is watched from now on: 3 credentials"]);
    const [begin] = mail.mails;
    const delivered = changes().map(({ at }) => at);
    expect(delivered.length).toBeGreaterThan(0);
    expect(begin?.at).toBeLessThanOrEqual(Math.min(...delivered));
    expect([begin?.tls, begin?.user]).toEqual([true, "rollover"]);
    expect(runs()).toHaveLength(1);
    await collect();
  });

  it("that changes nothing tells nobody and runs nothing; nor does a preview", async () => {
    await must(scene.stack.up());
    scene.edit(["rollover:notify", "notice"], "2s");
    await settled(scene);
    scene.generations("rounds-db", ["2026-11-21", "2026-11-20"]);
    await must(scene.stack.preview());
    expect([since(), runs().length]).toEqual([[], 1]);

    const afterRoll = ["rollover:credentials", "rounds-db", "afterRoll"];
    scene.edit(afterRoll, "./no-such-program.sh");
    const { code, stdout, stderr } = await scene.stack.preview();
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("afterRoll of rounds-db: ./no-such-program.sh is not there; ");
    scene.edit(afterRoll, PROGRAM);
  });

  it("that cannot be announced though it is required stops before anything is minted", async () => {
    scene.edit(["rollover:notify", "required"], true);
    mail.mood("refuse");
    hook.faults.set([{ kind: "status", status: 500, times: 1000 }]);
    const before = [held(scene), await loginsLike(scene, "rounds")];
    const text = await fails();
    expect(text).toContain("the update was not begun, since it could not be announced");
    expect(text).toContain("- the webhook answered status 500");
    expect(text).toContain("- the mail server did not take the mail (EMESSAGE, status 554)");
    expect([held(scene), await loginsLike(scene, "rounds")]).toEqual(before);
    // A Worker that loses its last credential waits for no credential that was announced. Time enough to withdraw it meanwhile.
    const kept = fs.readFileSync(scene.configFile);
    hook.faults.set([{ kind: "hang", times: 1000 }]);
    scene.edit(["rollover:credentials"], {});
    expect(await fails()).toContain("the update was not begun, since it could not be announced");
    expect(held(scene)).toEqual(before[0]);
    fs.writeFileSync(scene.configFile, kept);
    mail.mood("accept");
    hook.faults.set([]);
    scene.edit(["rollover:notify", "required"], undefined);
    expect(since()).toEqual([]);
  });

  it("waits for the notice, and the program gets the attested value by its environment alone", async () => {
    scene.edit(["rollover:credentials", "rounds-db", "reason"], "somebody left");
    scene.edit(["rollover:credentials", "rounds-db", "ticket"], "OPS-12");
    const before = changes().length;
    await must(scene.stack.up());
    expect(since()).toEqual([
      "Rollover local: an update begins in 2s: rounds-db",
      "Rollover local: an update is done: rounds-db",
    ]);
    const [begin, done] = mail.mails.slice(-2);
    expect(begin?.text).toBe(
      [
        "Stack local: an update begins in 2s.",
        "- rounds-db: 2026-11-20 -> 2026-11-21, 2026-11-20",
        "  2026-11-21 is current",
        "  2026-11-20 still accepted; 2026-11-20 is retired next",
        "  reason: somebody left",
        "  ticket: OPS-12",
      ].join("\n"),
    );
    const delivered = changes()
      .slice(before)
      .map(({ at }) => at);
    expect(Math.min(...delivered) - (begin?.at ?? 0)).toBeGreaterThanOrEqual(2000);
    expect(done?.at).toBeGreaterThanOrEqual(Math.max(...delivered));

    expect(runs()).toHaveLength(2);
    expect(done?.at).toBeGreaterThanOrEqual(runs()[1]?.at ?? Infinity);
    const { env, user, args } = runs()[1] ?? { env: {}, user: "", args: [""] };
    expect(args).toEqual([]);
    expect(user).toBe("rounds_20261121");
    expect(env).toMatchObject({
      ...{ ROLLOVER_STACK: "local", ROLLOVER_CREDENTIAL: "rounds-db", ROLLOVER_STAMP: "2026-11-21" },
      ROLLOVER_VALUE: secretOf(scene, "DATABASE_URL"),
    });
    for (const name of ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_ACCESS_TOKEN"])
      expect(env).not.toHaveProperty(name);
    await collect();
    await settled(scene);
    scene.edit(["rollover:notify", "notice"], undefined);
  });

  it("whose program fails, fails with the old generation still working; the next one runs it again", async () => {
    const old = secretOf(scene, "DATABASE_URL");
    fs.writeFileSync(path.join(folder, "fail"), "");
    // Both old ones would be withdrawn by the same update.
    scene.generations("rounds-db", ["2026-11-22"]);
    const text = await fails();
    expect(text).toContain("exit status 7");
    await collect();
    expect(since()).toEqual(["Rollover local: an update begins: rounds-db"]);
    expect(await servedAs(scene)).toBe("rounds_20261122");
    expect(await tryLogin(old)).toBe("rounds_20261121 as rounds_owner");
    expect(runs().map(({ env }) => env["ROLLOVER_STAMP"])).toEqual(["2026-11-20", "2026-11-21", "2026-11-22"]);

    fs.rmSync(path.join(folder, "fail"));
    await must(scene.stack.up());
    expect(since()).toEqual(["Rollover local: an update is done: rounds-db"]);
    expect(
      runs()
        .map(({ env }) => env["ROLLOVER_STAMP"])
        .slice(2),
    ).toEqual(["2026-11-22", "2026-11-22"]);
    expect(await tryLogin(old)).toMatch(/^28/);
    await settled(scene);
    expect(runs()).toHaveLength(4);
  });

  it("that cannot deliver says so to both, and ends when it can", async () => {
    scene.generations("session-key", ["2026-11-22", "2026-11-20"]);
    scene.cloud.cloudflare.faults.set([{ match: { method: "PATCH" }, kind: "status", status: 500, times: 1000 }]);
    await fails();
    scene.cloud.cloudflare.faults.set([]);
    expect(since()).toEqual([
      "Rollover local: an update begins: session-key",
      "Rollover local: an update failed at step deliver: session-key",
    ]);
    expect(mail.mails.at(-1)?.text).toContain("status 500, code 10013: the API failed; run the update again");
    await must(scene.stack.up());
    expect(since()).toEqual(["Rollover local: an update is done: session-key"]);
    expect(runs()).toHaveLength(4);
  });

  it("of an emergency does not wait for the longest notice: an off-boarding, an invalidation", async () => {
    scene.edit(["rollover:notify", "notice"], "1h");
    scene.generations("session-key", ["2026-11-23"]);
    await must(scene.stack.up());
    expect(since()).toEqual([
      "Rollover local: an update begins: session-key",
      "Rollover local: an update is done: session-key",
    ]);
    expect(mail.mails.at(-1)?.text).toContain("2026-11-22, 2026-11-20 retired at the end of this update");
    await collect();
    scene.edit(["rollover:turso", "databases", "rounds", "invalidated"], "2026-11-22");
    await must(scene.stack.up());
    expect(since()).toEqual([
      "Rollover local: an update begins: database/rounds",
      "Rollover local: an update is done: database/rounds",
    ]);
    await collect();
  });
});

it("told, printed and kept no secret anywhere", async () => {
  await collect();
  const values = runs().map(({ env }) => env["ROLLOVER_VALUE"] ?? "");
  for (const value of values) secrets.set(value, "what the program was given");
  expect(secrets.size).toBeGreaterThan(8);
  const leaks = scanForLeaks({
    secrets: [...secrets].map(([value, name]) => ({ name, value })),
    places: [
      ...placesOf(scene, sampled.seen),
      { name: "mails", text: mail.mails.map(({ source, text }) => source + text).join("\n") },
      { name: "the chat", text: posts.join("\n") },
    ],
  });
  expect(leaks).toEqual([]);
});
