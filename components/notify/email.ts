/** Submits one plain text mail to a server that config names. */
import { setTimeout as pause } from "node:timers/promises";
import type { Email } from "../rotation/model";
import { isLoopbackHost } from "../rotation/url";

/** Of each: connecting, the greeting, and a pause within what follows. */
const STEP_TIMEOUT_MS = 10_000;
/** Of both attempts together. */
const TIMEOUT_MS = 20_000;
const RETRY_AFTER_MS = 250;
const SET = "`pulumi config set --secret smtpPassword`";

/** nodemailer's codes for what broke before the server had an opinion: https://nodemailer.com/errors */
const BROKEN = new Set(["ECONNECTION", "ESOCKET", "EDNS"]);

const PLACE = "rollover:notify.email.host and .port";
const ADVICE: Record<string, string> = {
  EAUTH: `user or password was refused; check rollover:notify.email.username, and set the password with ${SET}`,
  ETLS: "TLS failed, or the certificate was not verified; check rollover:notify.email.host and .secure (true for port 465), and give Node the server's CA by NODE_EXTRA_CA_CERTS where it is a private one",
  EENVELOPE: "the sender, or every address, was refused; check rollover:notify.email.from and .to",
  EMESSAGE: "the message was refused; ask who runs the server",
  EPROTOCOL: `what answered is no mail server, or refused the connection; check ${PLACE}, and .secure (true for port 465)`,
  ETIMEDOUT: `it did not answer in time; check ${PLACE}, and the network`,
  EABORT: "it did not finish in time; ask who runs the server",
};
const UNREACHED = `it could not be reached; check ${PLACE}, and the network`;

/**
 * Mail submission: https://www.rfc-editor.org/rfc/rfc6409 . TLS is verified, and required off loopback. Never throws, as
 * `postAlert`. After a broken connection it tries once more, so a mail may arrive twice.
 *
 * @param timeoutMs For both attempts together.
 * @returns Undefined where the server took it for every address, else why not: a code, and nothing that the server said.
 */
export async function sendEmail(
  email: Email,
  password: string,
  subject: string,
  text: string,
  timeoutMs = TIMEOUT_MS,
): Promise<string | undefined> {
  const signal = AbortSignal.timeout(timeoutMs);
  for (const last of [false, true]) {
    try {
      return await attempt(email, password, subject, text, signal);
    } catch (error) {
      const { code, shown } = classify(error);
      if (last || signal.aborted || !BROKEN.has(code))
        return `the mail server did not take the mail (${shown}): ${ADVICE[code] ?? UNREACHED}`;
    }
    await pause(RETRY_AFTER_MS);
  }
  return undefined;
}

async function attempt(
  email: Email,
  password: string,
  subject: string,
  text: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  // Loaded by who sends a mail, not by every process that might.
  const { createTransport } = await import("nodemailer");
  const transport = createTransport(transportOf(email, password));
  const { from, to } = email;
  // It is no answer to anybody, and nobody's absence note should answer it: https://www.rfc-editor.org/rfc/rfc3834
  const headers = { "Auto-Submitted": "auto-generated" };
  const { rejected } = await transport.sendMail({ from, to, subject, text, headers, signal });
  if (rejected.length === 0) return undefined;
  return `${rejected.length} of the ${to.length} addresses of rollover:notify.email.to were refused; correct or remove them: ${rejected.join(", ")}`;
}

/** The settings of nodemailer: https://nodemailer.com/smtp */
export function transportOf({ host, port, secure, username }: Email, password: string) {
  return {
    host,
    port,
    secure,
    // On loopback there may be none; where it is offered it is used, and verified there too.
    requireTLS: !secure && !isLoopbackHost(host),
    ...(username !== undefined && { auth: { user: username, pass: password } }),
    ...{ connectionTimeout: STEP_TIMEOUT_MS, greetingTimeout: STEP_TIMEOUT_MS, socketTimeout: STEP_TIMEOUT_MS },
    ...{ dnsTimeout: STEP_TIMEOUT_MS, socketCloseTimeout: 0 },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  };
}

/** nodemailer's code, and what of its error may be shown: codes, since its message quotes the server. */
function classify(error: unknown): { code: string; shown: string } {
  const { code, originalCode, responseCode } = error as {
    code?: unknown;
    originalCode?: unknown;
    responseCode?: unknown;
  };
  const [own, below] = [codeOf(code) ?? "unknown", codeOf(originalCode)];
  const isTls = below !== undefined && /CERT|TLS|SSL|SIGNATURE|ISSUER|^EPROTO$/.test(below);
  return {
    code: isTls ? "ETLS" : own,
    shown: [below ?? own, ...(typeof responseCode === "number" ? [`status ${responseCode}`] : [])].join(", "),
  };
}

function codeOf(code: unknown): string | undefined {
  return typeof code === "string" && /^[A-Z0-9_]{2,60}$/.test(code) ? code : undefined;
}
