/** Both ways by which an update is told, as real servers: a mail server with STARTTLS and a login, and a webhook. */
import { expect } from "vitest";
import { type Service, startService } from "../../local/cloud/faults";
import { type Certificate, type MailServer, startMailServer } from "../../local/cloud/smtp";
import type { Scene } from "../../local/scene";

const PASSWORD = "smtp-password-0123456789";
const PATH = "/services/T0AAAAAAA/B0BBBBBBB/hook-secret-0123456789";

export interface Channels {
  mail: MailServer;
  hook: Service;
  /** What the chat was told. */
  posts: string[];
  /** What nobody may be told of them. */
  secrets: Map<string, string>;
  /** Subjects of what both were told since the last look; a message of one channel alone fails. */
  since(): string[];
  stop(): Promise<void>;
}

/** Named by the scene's stack file from now on. Its engine must trust the certificate. */
export async function startChannels(scene: Scene, certificate: Certificate): Promise<Channels> {
  const mail = await startMailServer({ user: "rollover", password: PASSWORD, certificate });
  const posts: string[] = [];
  const hook = await startService(
    (_request, _url, body) => {
      posts.push((JSON.parse(body) as { text: string }).text);
      return Promise.resolve({ status: 200, body: "ok" });
    },
    () => "refused",
  );
  const users = { username: "rollover", from: "rollover@example.com", to: ["ops@example.com"] };
  scene.edit(["rollover:notify"], { email: { host: "127.0.0.1", port: mail.port, ...users } });
  await scene.stack.setConfig("smtpPassword", PASSWORD, { secret: true });
  await scene.stack.setConfig("alertWebhook", `http://127.0.0.1:${hook.port}${PATH}`, { secret: true });
  let told = 0;
  return {
    mail,
    hook,
    posts,
    secrets: new Map([
      [PASSWORD, "the mail server's password"],
      [PATH, "the webhook's path"],
    ]),
    since() {
      const subjects = mail.mails.slice(told).map(({ headers }) => headers["subject"] ?? "");
      expect(posts.slice(told).map((text) => text.split("\n")[0])).toEqual(subjects);
      told = mail.mails.length;
      return subjects;
    },
    async stop() {
      await mail.stop();
      await hook.stop();
    },
  };
}
