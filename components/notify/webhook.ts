/** Tells people that a gate has failed, by one message to a chat's incoming webhook. */
import { setTimeout as pause } from "node:timers/promises";
import { isLoopbackHost } from "../rotation/url";

const TIMEOUT_MS = 10_000;
const RETRY_AFTER_MS = 250;
/** Slack asks for no more; it cuts what is longer than 40,000: https://docs.slack.dev/reference/methods/chat.postMessage */
const LONGEST = 4000;
const SET = "`pulumi config set --secret alertWebhook`";

/**
 * Posts `{"text": ...}`, the form of Slack's incoming webhooks, which other chats take too:
 * https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks . Never throws: what failed is why somebody is
 * told, and must not be hidden by a message that did not arrive. After a broken connection it asks once more, so a
 * message may arrive twice. It follows no redirect: who has the address can post, so it goes where config says only.
 *
 * @param url A secret: whoever knows it can post. https, or http on loopback.
 * @param text Plain, without any secret; cut after 4,000 characters.
 * @param timeoutMs For both attempts together.
 * @returns Undefined where the message was taken, else why not, without any part of the address.
 */
export async function postAlert(url: string, text: string, timeoutMs = TIMEOUT_MS): Promise<string | undefined> {
  const problem = addressProblem(url);
  if (problem !== undefined) return `the webhook's address ${problem}; set it with ${SET}`;
  const signal = AbortSignal.timeout(timeoutMs);
  const late = `the webhook did not answer within ${timeoutMs} ms`;
  for (const last of [false, true]) {
    try {
      return await attempt(url, text, signal);
    } catch (error) {
      if (signal.aborted) return late;
      const code = codeOf(error);
      if (code === undefined) return `the webhook answered with a redirect, or not in HTTP; check its address (${SET})`;
      if (last) return `the webhook could not be reached (${code}); check its address (${SET}) and the network`;
    }
    await pause(RETRY_AFTER_MS);
  }
  return late;
}

async function attempt(url: string, text: string, signal: AbortSignal): Promise<string | undefined> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text: plain(text) }),
    redirect: "error",
    signal,
  });
  // Slack's answer is a word that says no more than the status; another server's may quote the address.
  await response.body?.cancel();
  return response.ok ? undefined : `the webhook answered status ${response.status}: ${advice(response.status)}`;
}

function addressProblem(url: string): string | undefined {
  if (!URL.canParse(url)) return "is no URL";
  const { protocol, hostname, username, password } = new URL(url);
  if (username !== "" || password !== "") return "carries a user name or password";
  if (protocol === "https:" || (protocol === "http:" && isLoopbackHost(hostname))) return undefined;
  return "is not https";
}

/** Slack reads `<...>` as links and mentions, such as `<!channel>`. */
function plain(text: string): string {
  const cut = text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
  return cut.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function advice(status: number): string {
  if (status === 429) return "too many messages";
  if (status >= 500) return "it failed at its own end";
  return `it is revoked or wrong; make a new one at the chat's settings, and set it with ${SET}`;
}

/** `ECONNRESET` and the like: undefined where there was a connection, and what came over it was refused. */
function codeOf(error: unknown): string | undefined {
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  const code = typeof cause?.code === "string" ? cause.code : undefined;
  return code?.startsWith("HPE_") ? undefined : code;
}
