/** The plan as Markdown for a pull-request comment. */
import type { ConsumerPlan } from "./consumers";
import type { CredentialPlan, Other, Plan } from "./describe";

/** Stands first in the comment, so that the next run finds it and edits it in place. */
export function markerOf(stack: string): string {
  return `<!-- rollover-plan: ${stack} -->`;
}

export function toMarkdown(plan: Plan): string {
  const { credentials, consumers, others, debts, abandoned, errors } = plan;
  const parts = [
    markerOf(plan.stack),
    `## Rollover plan for ${code(plan.stack)}`,
    headline(plan),
    ...section("Errors", errors.map(fenced)),
    ...(credentials.length > 0
      ? [table(["Credential", "What happens", "What keeps working"], credentials.map(row))]
      : []),
    ...list(
      "Breaks at once",
      credentials.flatMap(({ name, breaksAtOnce }) =>
        breaksAtOnce === undefined ? [] : [`${code(name)}: ${breaksAtOnce}`],
      ),
    ),
    ...list("Stops working, and cannot be undone", credentials.flatMap(withdrawn)),
    ...section(
      "Consumers",
      consumers.length > 0 ? [table(["Consumer", "Change", "Attested"], consumers.map(consumerRow))] : [],
    ),
    ...list("Other resources", others.map(otherLine)),
    ...list(
      "Debts: old credentials that still work, or may",
      debts.map(({ name, what }) => `${code(name)}: ${what}`),
    ),
    ...list("Left behind by `abandon`", abandoned.map(code)),
  ];
  return `${parts.join("\n\n")}\n`;
}

function headline({ outcome, credentials, consumers, debts }: Plan): string {
  if (outcome === "failed") return "**The preview failed; nothing was changed.**";
  const atOnce = credentials.filter(({ breaksAtOnce }) => breaksAtOnce !== undefined).length;
  const silent = consumers.filter(({ attested }) => !attested).length;
  const said = [
    outcome === "nothing"
      ? "Nothing changes."
      : `${count(credentials.length, "credential")} and ${count(consumers.length, "consumer")} change.`,
    ...(atOnce > 0 ? [`${atOnce} without overlap.`] : []),
    ...(silent > 0 ? [`${count(silent, "consumer")} not attested.`] : []),
    ...(debts.length > 0 ? [`${count(debts.length, "standing debt")}.`] : []),
  ];
  return `**${said.join(" ")}**`;
}

function row({ name, kind, actions, from, to, mints, keeps, withdraws }: CredentialPlan): string[] {
  const texts = actions.map((action) => {
    switch (action) {
      case "rolls":
      case "rolls back":
        return `**${action}** ${from ?? ""} → ${to ?? ""}`;
      case "first delivery":
        return `**first delivery** of ${to ?? ""}`;
      case "adds":
        return `**adds** ${mints.filter((stamp) => stamp !== to).join(", ")}`;
      case "retires":
        return `**retires** ${withdraws.map(({ stamp }) => stamp).join(", ")}`;
      case "removed":
      case "delivery changes":
        return `**${action}**`;
    }
  });
  return [
    `${code(name)} (${kind})`,
    texts.join("; "),
    [...(to === undefined ? [] : [to]), ...keeps].join(", ") || "nothing",
  ];
}

function withdrawn({ name, withdraws }: CredentialPlan): string[] {
  return withdraws.map(({ stamp, when }) => `${code(name)} ${stamp}: ${when}`);
}

function consumerRow({ worker, change, credentials, attested }: ConsumerPlan): string[] {
  const stamps = credentials.map(({ name, from, to }) => {
    if (from !== undefined && from === to) return `${code(name)} ${to}, with other previous ones`;
    return `${code(name)} ${from ?? "nothing"} → ${to ?? "nothing"}`;
  });
  const text = stamps.length > 0 ? stamps.join(", ") : change === "delivered" ? "the same values again" : "";
  return [code(worker), text === "" ? change : `${change}: ${text}`, attested ? "yes" : "**not attested**"];
}

function otherLine({ op, kind, name, kept }: Other): string {
  const drops = op === "delete" && kind === "Database" && !kept ? ", **with all of its data**" : "";
  return kept ? `${kind} ${code(name)}: leaves the stack, stays on the server` : `${kind} ${code(name)}: ${op}${drops}`;
}

function section(title: string, body: string[]): string[] {
  return body.length > 0 ? [`### ${title}`, ...body] : [];
}

function list(title: string, lines: string[]): string[] {
  return section(title, lines.length > 0 ? [lines.map((line) => `- ${line}`).join("\n")] : []);
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** Names come from a pull request: in code they can neither mention anybody nor end a table cell. */
function code(text: string): string {
  return `\`${text.replace(/[`|\r\n]/g, " ")}\``;
}

/** A fence that the text itself cannot close. */
function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}
