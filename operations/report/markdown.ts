/** The report as Markdown. Whatever others wrote, such as a reason, stays text: it is neither markup nor a mention. */
import { code, escape, quiet } from "../plan/words";
import type { Report } from "./model";
import { auditText, moment, numbersOf, type Cell, type Table, tablesOf } from "./tables";

export function toMarkdown(report: Report): string {
  const { stack, at, audit, policy } = report;
  const numbers = numbersOf(report).map(({ label, value, tone }) => {
    const text = `${label}: ${value}`;
    return tone === undefined ? text : `**${text}**`;
  });
  const lines = [
    `# Rotation evidence for ${text(stack)}`,
    "",
    `Made ${moment(at)}; times are UTC. ${text(auditText(report))}`,
    ...(audit.state === "whole" ? ["", `Head of the chain: \`${audit.head}\``] : []),
    ...(policy ? ["", text(policyText(policy))] : []),
    "",
    numbers.join(" · "),
    ...tablesOf(report).flatMap(section),
  ];
  return `${lines.join("\n")}\n`;
}

export function policyText({ warnBefore, overlap, enforce, freeze }: NonNullable<Report["policy"]>): string {
  const frozen = freeze.map(({ from, to, reason }) => `${from} to ${to}${reason === undefined ? "" : ` (${reason})`}`);
  return [
    `Policy: rolled within ${warnBefore} before it is due, overlap ${overlap}`,
    enforce ? ", enforced" : ", not enforced",
    frozen.length === 0 ? "." : `; nothing rolls ${frozen.join(", ")}.`,
  ].join("");
}

function section({ title, note, columns, rows, empty }: Table): string[] {
  const head = ["", `## ${title}`, ""];
  if (rows.length === 0) return [...head, empty];
  return [
    ...head,
    ...(note === undefined ? [] : [text(note), ""]),
    `| ${columns.join(" | ")} |`,
    `|${" --- |".repeat(columns.length)}`,
    ...rows.map((row) => `| ${row.map(cell).join(" | ")} |`),
  ];
}

function cell({ text: shown, tone, code: isCode }: Cell): string {
  if (isCode) return code(shown, Infinity); // evidence is not cut
  return tone === "bad" ? `**${text(shown)}**` : text(shown);
}

/** On one line, with nothing in it that Markdown, HTML, GitHub or a terminal reads. */
export function text(plain: string): string {
  return escape(quiet(plain).replace(/ +/g, " "));
}
