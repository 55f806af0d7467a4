/** The parts of the plan about why, who and when, as Markdown: the stack file's diff, policy, sessions, permissions. */
import type { Edit, Why } from "./base";
import type { Note } from "./debts";
import type { PolicyPlan } from "./policy";
import type { LoginSessions, Session } from "./sessions";
import { code, count, cut, few, plain, REASON, roomy } from "./words";

/** One block an edit of stamps, one line for each other. Nothing in a fence is anybody's text but stamps. */
export function whyLines({ base, unknown, edits }: Why): string[] {
  if (unknown !== undefined) return [`Not told: ${plain(unknown)}.`];
  const stamps = edits.filter(({ from, to }) => from.length + to.length > 0);
  const rest = edits.filter((edit) => !stamps.includes(edit));
  const lines = rest.map((edit) => `- ${nameAndReason(edit)}${settingsOf(edit) || valueOf(edit)}`);
  return [
    edits.length > 0
      ? `The stack file against ${code(base ?? "")}:`
      : `The stack file is what it was at ${code(base ?? "")}: what changes was changed elsewhere, or is left from an update that failed.`,
    ...roomy(stamps.map(stampBlock), inDiff),
    ...(lines.length > 0 ? [roomy(lines, (n) => `- ${inDiff(n)}`).join("\n")] : []),
  ];
}

function inDiff(n: number): string {
  return `and ${n} more, which the stack file's own diff shows`;
}

function stampBlock(edit: Edit): string {
  const lines = [...edit.from.map((text) => `- ${fewStamps(text)}`), ...edit.to.map((text) => `+ ${fewStamps(text)}`)];
  return `${nameAndReason(edit)}${settingsOf(edit)}\n\`\`\`diff\n${lines.join("\n")}\n\`\`\``;
}

/** Of a list; one in another, however deep, is no config. */
function fewStamps(text: string): string {
  return cut(few(text.split(", ")).join(", "), 600);
}

function nameAndReason({ name, change, reason, ticket }: Edit): string {
  const said = [
    ...(reason === undefined ? [] : [`reason ${code(reason, REASON)}`]),
    ...(ticket === undefined ? [] : [`ticket ${code(ticket)}`]),
  ];
  return `${code(name)}${change === "changed" ? "" : `, ${change}`}${said.length > 0 ? `, ${said.join(", ")}` : ""}`;
}

function settingsOf({ settings }: Edit): string {
  return settings.length > 0
    ? `; also changed, values not shown: ${few(settings.map((name) => code(name))).join(", ")}`
    : "";
}

function valueOf({ change, reason, ticket }: Edit): string {
  return change === "changed" && reason === undefined && ticket === undefined ? ": changed, value not shown" : "";
}

/** Each a line; empty where all is well. */
export function policyLines(policy: PolicyPlan): string[] {
  const { enforce, overdue, overdueBefore, weaker, soon, stale, freeze, lint } = policy;
  const of = (word: string, notes: Note[]) => notes.map(({ name, what }) => `${word}${code(name)}: ${plain(what)}`);
  const passes = enforce ? "**overdue, so this check fails:** " : "**overdue** (not enforced): ";
  return [
    ...grouped("**weaker with this change**: ", weaker),
    ...of("**overdue by the policy before this change, so this check fails:** ", overdueBefore),
    ...of(
      passes,
      overdue.filter((one) => !overdueBefore.some(({ name }) => name === one.name)),
    ),
    ...grouped("**freeze**: ", freeze),
    ...of("overlap over: ", stale),
    ...of("due soon: ", soon),
    ...of("", lint),
  ];
}

/** One line for all of whom the same is said. */
function grouped(word: string, notes: Note[]): string[] {
  const said = [...new Set(notes.map(({ what }) => what))];
  return said.map((text) => {
    const names = notes.filter(({ what }) => what === text).map(({ name }) => code(name));
    return `${word}${few(names).join(", ")}: ${plain(text)}`;
  });
}

/** One line a login. */
export function sessionLine({ name, stamp, login, sessions, unknown }: LoginSessions): string {
  const of = `${code(name)} ${plain(stamp)}, login ${code(login)}`;
  if (unknown !== undefined) return `${of}: its sessions could not be asked for: ${plain(unknown)}`;
  if (!sessions || sessions.length === 0) return `${of}: nobody is logged in by it now`;
  return `${of}: ${few(sessions.map(sessionText)).join(", ")}; they are ended, and while new ones begin the update refuses`;
}

function sessionText({ application, address, count: n }: Session): string {
  const who = application === "" ? "a client without a name" : code(application ?? "");
  if (application === undefined) return `${count(n, "session")} that the admin may not look at`;
  return `${count(n, "session")} of ${who}${address === undefined ? "" : ` from ${code(address)}`}`;
}
