/** Tells people of an update by every channel that config names. */
import type { Credential, Notify } from "../rotation/model";
import { sendEmail } from "./email";
import { bodyOf, subjectOf } from "./message";
import { postAlert } from "./webhook";

/** What an edit does to the live stamps of one credential, or to the invalidation stamp of `group/x` or `database/x`. */
export interface Change {
  credential: string;
  /** Current first; empty where nothing was live, or nothing is any more. */
  from: string[];
  to: string[];
  reason?: string;
  ticket?: string;
  /** Left out of a Turso target, and of what config declares no longer. */
  kind?: Credential["kind"];
  /** Postgres: its one role gets another password, and nothing has an overlap. */
  inPlace?: true;
  /** Config lists it under `abandon`: what leaves its stamps is not withdrawn. */
  abandoned?: true;
}

export interface Message {
  event: "begin" | "done" | "failed" | "debt";
  /** Empty where an old state does not say. */
  stack: string;
  changes: Change[];
  /** failed: the step that failed, such as `deliver`. */
  step?: string;
  /** failed and debt: the first line of the error, or what is owed; without any secret. */
  text?: string;
  /** begin: how long the update waits after this message. */
  noticeMs?: number;
  /** begin, in place of changes: how many credentials are told of from now on. */
  watched?: number;
}

export interface Notifier {
  /** Throws only where config says `required`, and never for `failed` and `debt`: the failure that they tell of must be seen. */
  tell(message: Message): Promise<unknown>;
}

export interface Channels extends Notifier {
  /** @returns How many channels took the message; 0 too where there is none. */
  tell(message: Message): Promise<number>;
}

/**
 * Sends each message by every channel, at the same time. It cannot tell whether anybody reads them. Each channel is given at
 * most two attempts and half a minute; after a broken connection a message may arrive twice.
 *
 * @param settings Undefined: nobody is told anything.
 * @param secrets Either may be empty. The webhook is used where it is set.
 * @param warn Is given one line for each channel that failed, without any secret.
 */
export function notifier(
  settings: Notify | undefined,
  secrets: { webhook: string; smtpPassword: string },
  warn: (line: string) => void,
): Channels {
  return {
    async tell(message) {
      if (settings === undefined) return 0;
      const [subject, body] = [subjectOf(message), bodyOf(message)];
      const { email, required } = settings;
      const attempts: Promise<string | undefined>[] = [];
      if (secrets.webhook !== "") attempts.push(postAlert(secrets.webhook, `${subject}\n${body}`));
      if (email) attempts.push(sendEmail(email, secrets.smtpPassword, subject, body));
      const failures = (await Promise.all(attempts)).filter((failure) => failure !== undefined);
      const hides = message.event === "failed" || message.event === "debt";
      if (failures.length > 0 && required && !hides) throw new Error(refusal(message.event, failures));
      for (const failure of failures) warn(`nobody was told "${subject}" this way: ${failure}`);
      return attempts.length - failures.length;
    },
  };
}

function refusal(event: Message["event"], failures: string[]): string {
  const what =
    event === "begin"
      ? "the update was not begun, since it could not be announced"
      : "the update's end could not be told";
  return [
    `rollover:notify.required is true, and ${what}:`,
    ...failures.map((failure) => `- ${failure}`),
    "Correct it and run the update again, or set rollover:notify.required to false to go on without telling anybody.",
  ].join("\n");
}
