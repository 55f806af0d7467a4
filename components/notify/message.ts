/** The texts of messages: plain, for a chat and for mail alike, and without anything that either would take for its own. */
import { formatDuration } from "../rotation/duration";
import type { Change, Message } from "./notifier";

/** More names than these are counted. */
const NAMED = 3;
/** A header's line: https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1 , less what a mailer puts before it. */
const LONGEST_SUBJECT = 150;

/** One line: which stack, what happens, to which credentials. */
export function subjectOf(message: Message): string {
  const text = `${["Rollover", message.stack].join(" ").trim()}: ${headline(message)}${named(message.changes)}`;
  const line = oneLine(text);
  return line.length > LONGEST_SUBJECT ? `${line.slice(0, LONGEST_SUBJECT - 1)}…` : line;
}

/** What happens, each credential with its stamps, why, and what to expect of it. */
export function bodyOf(message: Message): string {
  const lines = [
    `Stack ${message.stack === "" ? "(unknown)" : message.stack}: ${lead(message)}`,
    ...(message.text === undefined ? [] : [message.text]),
    ...message.changes.flatMap((change) => describe(change, message.event)),
    ...(message.event === "failed"
      ? ["Correct the cause and run `pulumi up` again: it does only what is missing."]
      : []),
  ];
  return lines.map(oneLine).join("\n");
}

function headline({ event, noticeMs = 0, step, watched }: Message): string {
  switch (event) {
    case "begin":
      if (watched !== undefined) return `is watched from now on: ${watched} credential${watched === 1 ? "" : "s"}`;
      return noticeMs > 0 ? `an update begins in ${formatDuration(noticeMs)}` : "an update begins";
    case "done":
      return "an update is done";
    case "failed":
      return step === undefined ? "an update failed" : `an update failed at step ${step}`;
    case "debt":
      return "something is owed";
  }
}

function lead(message: Message): string {
  return message.event === "debt"
    ? "an old credential may still work, and is still to be revoked."
    : `${headline(message)}.`;
}

function named(changes: Change[]): string {
  if (changes.length === 0) return "";
  const names = changes.slice(0, NAMED).map(({ credential }) => credential);
  const more = changes.length > NAMED ? ` and ${changes.length - NAMED} more` : "";
  return `: ${names.join(", ")}${more}`;
}

function describe(change: Change, event: Message["event"]): string[] {
  const { credential, from, to, reason, ticket } = change;
  const stamps = from.length + to.length === 0 ? "" : `: ${list(from)} -> ${list(to)}`;
  const why = [
    ...(reason === undefined ? [] : [`reason: ${reason}`]),
    ...(ticket === undefined ? [] : [`ticket: ${ticket}`]),
  ];
  const expected = event === "begin" || event === "done" ? expect(change) : [];
  return [`- ${credential}${stamps}`, ...[...expected, ...why].map((line) => `  ${line}`)];
}

/** What becomes of each stamp. */
function expect(change: Change): string[] {
  const { credential, from, to } = change;
  if (credential.includes("/")) return expectOfTarget(from, to);
  const [current, ...others] = to;
  const gone = from.filter((stamp) => !to.includes(stamp));
  const back = current !== from[0] && from.includes(current ?? "");
  return [
    ...(current === undefined ? [] : [back ? `${current} is current again` : `${current} is current`]),
    ...(others.length === 0 ? [] : [`${others.join(", ")} still accepted; ${others.at(-1) ?? ""} is retired next`]),
    ...(gone.length === 0 ? [] : [`${gone.join(", ")} ${endOf(change)}`]),
  ];
}

/** What becomes of those that are live no longer. */
function endOf({ kind, inPlace, abandoned }: Change): string {
  if (abandoned) return "left behind, and may still work";
  if (inPlace) return "stops working at once, before the new one is delivered";
  // Config declares it no longer, so it may be a token, or a login that goes on.
  if (kind === undefined) return "withdrawn at the end of this update, where that is possible";
  // Turso revokes no token alone.
  if (kind === "turso") return "no longer delivered; works until it expires or is invalidated";
  return "retired at the end of this update";
}

/** Of a Turso target: its marks are the stamp of an invalidation, and `incident` while one is declared. */
function expectOfTarget(from: string[], to: string[]): string[] {
  const isOver = from.includes("incident") && !to.includes("incident");
  return [
    ...(to.every((mark) => from.includes(mark)) ? [] : ["every token that it had stops working at once"]),
    ...(to.includes("incident") ? ["an incident: writes are blocked, and read-only tokens are delivered"] : []),
    ...(isOver ? ["the incident is over: tokens are delivered as config declares them"] : []),
  ];
}

function list(stamps: string[]): string {
  return stamps.length === 0 ? "none" : stamps.join(", ");
}

/** A line end would begin another header or a line of its own; a character without a form could hide what follows it. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trimEnd();
}
