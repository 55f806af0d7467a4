// Proves, with a real mail server and a real webhook, that an update is told by both channels whichever of them is down, that only
// `required` lets a dead one stop an update, before it begins, that the first message lists nothing, and when an announcement waits. Providers are called directly.
// Not proven: that the engine calls them first and last (test/engine/operate.test.ts).
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { announcement, type Inputs } from "../../components/notify/announcement.provider";
import { completion } from "../../components/notify/completion.provider";
import { type Message, notifier } from "../../components/notify/notifier";
import type { Notify } from "../../components/rotation/model";
import { type Service, startService } from "../../local/cloud/faults";
import { type MailServer, SERVERS_WORD, startMailServer } from "../../local/cloud/smtp";

const PASSWORD = "smtp-password-0123456789";
const HOOK = "hook-secret-0123456789";
const rolled: Message = {
  ...{ event: "begin", stack: "prod" },
  changes: [{ credential: "rounds-db", from: ["2026-08-01"], to: ["2026-11-20"], reason: "<!channel>\r\nBcc: x@y.z" }],
};
const SUBJECT = "Rollover prod: an update begins: rounds-db";

let mail: MailServer;
let hook: Service;
let posts: string[];
let warnings: string[];

beforeEach(async () => {
  [posts, warnings] = [[], []];
  mail = await startMailServer({ user: "rollover", password: PASSWORD });
  hook = await startService(
    (_request, _url, body) => {
      posts.push((JSON.parse(body) as { text: string }).text);
      return Promise.resolve({ status: 200, body: "ok" });
    },
    () => SERVERS_WORD,
  );
});
afterEach(async () => {
  await mail.stop();
  await hook.stop();
});

function channels(more: Partial<Notify> = {}, password = PASSWORD) {
  const to = { username: "rollover", from: "rollover@example.com", to: ["ops@example.com"] };
  const email = { host: "127.0.0.1", port: mail.port, secure: false, ...to };
  const webhook = `http://127.0.0.1:${hook.port}/services/${HOOK}`;
  return notifier({ noticeMs: 0, required: false, email, ...more }, { webhook, smtpPassword: password }, (line) => {
    warnings.push(line);
  });
}
const webhookDown = () => {
  hook.faults.set([{ kind: "status", status: 500, times: 100 }]);
};
/** The error of a call that must fail. */
const errorOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "it did not fail",
    (error: unknown) => (error as Error).message,
  );

function expectNoSecret(text: string): void {
  for (const secret of [PASSWORD, HOOK, SERVERS_WORD, `:${hook.port}`]) expect(text).not.toContain(secret);
}

describe("a message", () => {
  it("goes by both channels, with no header, mention or line of a reason's making", async () => {
    expect(await channels().tell(rolled)).toBe(2);
    expect(warnings).toEqual([]);
    expect(mail.mails).toHaveLength(1);
    expect(mail.mails[0]?.headers).toMatchObject({ subject: SUBJECT, to: "ops@example.com" });
    expect(mail.mails[0]?.headers).not.toHaveProperty("bcc");
    expect(mail.mails[0]?.to).toEqual(["ops@example.com"]);
    expect(mail.mails[0]?.text.split("\n")).toContain("  reason: <!channel> Bcc: x@y.z");
    expect(posts).toHaveLength(1);
    expect(posts[0]).toContain(`${SUBJECT}\nStack prod: an update begins.\n- rounds-db: 2026-08-01 -&gt; 2026-11-20\n`);
    expect(posts[0]).toContain("reason: &lt;!channel&gt; Bcc: x@y.z");
    for (const text of [mail.mails[0]?.source ?? "", posts[0] ?? ""]) expectNoSecret(text);
  });

  it("goes by the one channel that is set, and by none where nobody is to be told", async () => {
    const warn = (line: string) => void warnings.push(line);
    const webhook = `http://127.0.0.1:${hook.port}/services/${HOOK}`;
    const one = notifier({ noticeMs: 0, required: true }, { webhook, smtpPassword: "" }, warn);
    expect(await one.tell(rolled)).toBe(1);
    expect([posts.length, mail.mails.length]).toEqual([1, 0]);
    expect(await notifier(undefined, { webhook, smtpPassword: PASSWORD }, warn).tell(rolled)).toBe(0);
    expect([posts.length, mail.mails.length, warnings.length]).toEqual([1, 0, 0]);
  });

  it.each([
    ["the webhook", () => Promise.resolve().then(webhookDown), /the webhook answered status 500/, [1, 0]],
    ["the mail server", () => mail.stop(), /the mail server did not take the mail \(ECONNREFUSED\)/, [0, 1]],
  ])("goes on with a warning where %s is down", async (_what, fails, text, [mails = 0, taken = 0]) => {
    await fails();
    expect(await channels().tell(rolled)).toBe(1);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(text);
    expectNoSecret(warnings.join());
    expect([mail.mails.length, posts.length]).toEqual([mails, taken]);
  });

  it("goes on with two warnings where both are down, one of them by a wrong password", async () => {
    webhookDown();
    expect(await channels({}, "wrong-0123456789").tell(rolled)).toBe(0);
    expect(warnings.sort()).toEqual([
      expect.stringMatching(/the mail server did not take the mail \(EAUTH, status 535\)/),
      expect.stringMatching(/the webhook answered status 500/),
    ]);
    expectNoSecret(warnings.join());
    expect(warnings.join()).not.toContain("wrong-0123456789");
  });

  it("that is required fails by one error that names each channel; one of a failure or debt never does", async () => {
    webhookDown();
    await mail.stop();
    const required = channels({ required: true });
    const error = await errorOf(required.tell(rolled));
    expect(error).toMatch(
      /^rollover:notify\.required is true, and the update was not begun, since it could not be announced:\n- the webhook answered status 500.*\n- the mail server did not take the mail \(ECONNREFUSED\).*\nCorrect it and run the update again/,
    );
    expectNoSecret(error);
    expect(await errorOf(required.tell({ ...rolled, event: "done" }))).toContain("the update's end could not be told");
    expect(warnings).toEqual([]);
    for (const event of ["failed", "debt"] as const) await required.tell({ ...rolled, event, text: "the cause" });
    expect(warnings).toHaveLength(4);
  });
});

describe("an announcement", () => {
  const inputs = (stamps: Record<string, string>, more: Partial<Inputs> = {}) => {
    return { stack: "prod", stamps, urgent: [], noticeMs: 400, ...more };
  };
  const before = inputs({ a: "2026-08-01", b: "2026-08-01" });
  const after = (more: Partial<Inputs> = {}, stamps: Record<string, string> = {}) =>
    inputs({ a: "2026-11-20,2026-08-01", b: "2026-08-01", ...stamps }, more);
  const provider = (told = channels()) => announcement(told, (line) => void warnings.push(line));
  const update = (news: Inputs, told = channels()) => provider(told).update?.("announcement", before, news);
  const waited = async (work: Promise<unknown> | undefined): Promise<boolean> => {
    const begun = performance.now();
    await work;
    expect(posts).toHaveLength(1);
    return performance.now() - begun >= 400;
  };

  it("tells what changes, then waits for the notice", async () => {
    expect(await waited(update(after()))).toBe(true);
    expect(posts[0]).toMatch(/^Rollover prod: an update begins in 400ms: a\n/);
    expect(Date.now() - (mail.mails[0]?.at ?? Infinity)).toBeGreaterThanOrEqual(395);
    expect(warnings).toEqual([
      "announced; waiting 400ms (rollover:notify.notice) before any credential changes. Ctrl-C ends the update when the wait is over, with nothing minted; a second Ctrl-C ends it at once",
    ]);
  });

  it.each<[string, Inputs]>([
    ["for an emergency", after({ urgent: ["a"] })],
    ["for an off-boarding", inputs({ a: "2026-11-20", b: "2026-08-01" })],
    ["for an invalidation", after({}, { "group/production": "2026-11-20" })],
    ["where the notice is longer than an hour", after({ noticeMs: 3_600_001 })],
    ["where there is no notice", after({ noticeMs: 0 })],
  ])("does not wait %s, and does not say so", async (_what, news) => {
    expect(await waited(update(news))).toBe(false);
    expect(posts[0]).toMatch(/^Rollover prod: an update begins: a/);
  });

  it("waits where another credential than the changed one is urgent", async () => {
    expect(await waited(update(after({ urgent: ["b"] })))).toBe(true);
  });

  it("of what nobody was told of before is one line, without a wait and without an end", async () => {
    const first = inputs({ ...before.stamps, "group/production": "2026-11-20" });
    expect(await waited(provider().create(first))).toBe(false);
    await completion(channels()).create({ stamps: first.stamps });
    const told = "is watched from now on: 2 credentials";
    expect(posts).toEqual([`Rollover prod: ${told}\nStack prod: ${told}.`]);
    expect(mail.mails).toHaveLength(1);
  });

  it("fails before any wait where it is required and nobody can be told", async () => {
    webhookDown();
    await mail.stop();
    const begun = performance.now();
    const error = await errorOf(Promise.resolve(update(after({ noticeMs: 60_000 }), channels({ required: true }))));
    expect(error).toContain("the update was not begun");
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  it("and a completion are told for other stamps only", async () => {
    const completes = completion(channels(), () => ({ ticket: "OPS-12" }));
    const diffs = async (news: Inputs) => [
      (await provider().diff?.("announcement", before, news))?.changes,
      (await completes.diff?.("completion", { stamps: before.stamps }, { stamps: news.stamps }))?.changes,
    ];
    expect(await diffs({ ...before, noticeMs: 0, urgent: ["a"] })).toEqual([false, false]);
    expect(await diffs({ ...before, stamps: { b: "2026-08-01", a: "2026-08-01" } })).toEqual([false, false]);
    expect(await diffs(after())).toEqual([true, true]);
    await completes.update?.("completion", before, after());
    expect(posts[0]).toMatch(/^Rollover prod: an update is done: a\n(.*\n)*- a: .*\n(.*\n)* {2}ticket: OPS-12$/);
  });
});
