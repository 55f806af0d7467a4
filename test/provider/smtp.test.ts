// Proves, over real sockets to a real mail server, that a mail arrives as it was written, by STARTTLS where there is any and only to
// a certificate that can be verified, and that every failure is one bounded line without a password or a word of the server's.
// Not proven: TLS from the first byte, and that STARTTLS is required off loopback beyond the setting that says so to nodemailer.
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, it } from "vitest";
import { sendEmail, transportOf } from "../../components/notify/email";
import type { Email } from "../../components/rotation/model";
import { type MailServer, makeCertificate, type Mood, SERVERS_WORD, startMailServer } from "../../local/cloud/smtp";

const PASSWORD = "smtp-password-0123456789";
const to = ["ops@example.com", "dev@example.com"];
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function server(options: Parameters<typeof startMailServer>[0] = {}): Promise<MailServer> {
  const started = await startMailServer({ user: "rollover", password: PASSWORD, ...options });
  stops.push(() => started.stop());
  return started;
}
const settings = (port: number): Email => ({
  ...{ host: "127.0.0.1", port, secure: false, username: "rollover", from: "rollover@example.com", to },
});
const send = (port: number, password = PASSWORD, timeoutMs?: number) =>
  sendEmail(settings(port), password, "Rollover prod: Ärger", "Stack prod: Ärger → weg\n- a: 1\n.\nend", timeoutMs);

function expectNoSecret(failure: string | undefined): void {
  expect(failure).toMatch(/^[^\n]+$/);
  for (const secret of [PASSWORD, Buffer.from(PASSWORD).toString("base64"), "wrong-", SERVERS_WORD, "rollover@"])
    expect(failure).not.toContain(secret);
}

it("submits one mail to every address, as it was written", async () => {
  const { port, mails, shown } = await server();
  expect(await send(port)).toBeUndefined();
  expect(mails).toHaveLength(1);
  expect(mails[0]).toMatchObject({ from: "rollover@example.com", to, user: "rollover", tls: false });
  expect(mails[0]?.text).toBe("Stack prod: Ärger → weg\n- a: 1\n.\nend");
  expect(mails[0]?.headers).toMatchObject({ to: to.join(", "), "auto-submitted": "auto-generated" });
  expect(mails[0]?.headers["subject"]).toMatch(/^=\?UTF-8\?/);
  expect(mails[0]?.source).not.toContain(PASSWORD);
  expect(shown).toEqual([PASSWORD]);
});

it("submits without a user where none is set", async () => {
  const relay = await startMailServer();
  stops.push(() => relay.stop());
  const anonymous = settings(relay.port);
  delete anonymous.username;
  expect(await sendEmail(anonymous, "", "Rollover prod: done", "body")).toBeUndefined();
  expect(relay.mails).toMatchObject([{ user: "", text: "body" }]);
});

it("requires STARTTLS off loopback, and never lets a certificate go unverified", () => {
  const options = transportOf({ ...settings(587), host: "smtp.example.com" }, PASSWORD);
  expect(options).toMatchObject({ requireTLS: true, secure: false });
  expect(options).not.toHaveProperty("tls");
  expect(options).not.toHaveProperty("ignoreTLS");
  expect(transportOf({ ...settings(465), host: "smtp.example.com", secure: true }, PASSWORD)).toMatchObject({
    ...{ requireTLS: false, secure: true },
  });
});

it("shows no password to a server whose certificate cannot be verified", async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-smtp-"));
  stops.push(() => {
    fs.rmSync(dir, { recursive: true });
  });
  const certificate = makeCertificate(dir);
  const { port, mails, shown } = await server({ certificate });
  const failure = await send(port);
  expect(failure).toMatch(/^the mail server did not take the mail \((ETLS|\w*CERT\w*)\): .*NODE_EXTRA_CA_CERTS/);
  expectNoSecret(failure);
  expect([mails, shown]).toEqual([[], []]);

  // The same server, for a process that has its certificate.
  const module = path.resolve(__dirname, "..", "..", "components", "notify", "email.ts");
  const script = `require("tsx/cjs"); const [settings, password] = JSON.parse(process.env.MAIL);
    require(${JSON.stringify(module)}).sendEmail(settings, password, "subject", "by TLS").then((said) => console.log(said));`;
  const env = {
    ...process.env,
    NODE_EXTRA_CA_CERTS: certificate.file,
    MAIL: JSON.stringify([settings(port), PASSWORD]),
  };
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], { env });
  expect(stdout).toBe("undefined\n");
  expect(mails).toMatchObject([{ tls: true, text: "by TLS" }]);
});

it("says that the password is wrong, without it, and tries once", async () => {
  const { port, mails, shown } = await server();
  const failure = await send(port, "wrong-0123456789");
  expect(failure).toBe(
    "the mail server did not take the mail (EAUTH, status 535): user or password was refused; check rollover:notify.email.username, and set the password with `pulumi config set --secret smtpPassword`",
  );
  expectNoSecret(failure);
  expect([mails, shown]).toEqual([[], ["wrong-0123456789"]]);
});

it.each<[Mood, string, number]>([
  ["refuse", "(EMESSAGE, status 554): the message was refused; ask who runs the server", 1],
  ["cut", "(ECONNRESET): it could not be reached; check rollover:notify.email.host and .port, and the network", 2],
])("a server in mood %s is one line", async (mood, text, connections) => {
  const mail = await server();
  mail.mood(mood);
  const failure = await send(mail.port);
  expect(failure).toBe(`the mail server did not take the mail ${text}`);
  expectNoSecret(failure);
  expect([mail.mails.length, mail.connections()]).toEqual([0, connections]);
});

it("tries once more after a broken connection", async () => {
  const mail = await server();
  mail.mood("cut-once");
  expect(await send(mail.port)).toBeUndefined();
  expect([mail.mails.length, mail.connections()]).toEqual([1, 2]);
});

it("names an address that was refused while the others got the mail", async () => {
  const mail = await server();
  mail.mood("refuse-some");
  const failure = await send(mail.port);
  expect(failure).toBe(
    "1 of the 2 addresses of rollover:notify.email.to were refused; correct or remove them: ops@example.com",
  );
  expect(mail.mails).toMatchObject([{ to: ["dev@example.com"] }]);
});

it.each<Mood>(["hang", "hang-late"])("waits for a server in mood %s no longer than it may", async (mood) => {
  const mail = await server();
  mail.mood(mood);
  const begun = performance.now();
  const failure = await send(mail.port, PASSWORD, 700);
  expect(performance.now() - begun).toBeLessThan(2500);
  expect(failure).toBe(
    "the mail server did not take the mail (EABORT): it did not finish in time; ask who runs the server",
  );
  expect(mail.connections()).toBe(1);
});

it("says that nobody listens, and that something else answers", async () => {
  const mail = await server();
  await mail.stop();
  const nobody = await send(mail.port);
  expect(nobody).toContain("(ECONNREFUSED): it could not be reached");
  expectNoSecret(nobody);

  const other = net.createServer(
    (socket) => void socket.on("error", () => undefined).end(`HTTP/1.1 400 ${SERVERS_WORD}\r\n\r\n`),
  );
  other.listen(0, "127.0.0.1");
  stops.push(() => other.close());
  await new Promise((resolve) => other.once("listening", resolve));
  const failure = await send((other.address() as net.AddressInfo).port);
  expect(failure).toContain("(EPROTOCOL): what answered is no mail server");
  expectNoSecret(failure);
});
