/** The plan as Markdown for a pull-request comment. */
import type { ConsumerPlan } from "./consumers";
import type { Note } from "./debts";
import type { CredentialPlan, Plan, Withdrawal } from "./describe";
import type { Other } from "./others";
import type { Permission } from "./permissions";
import { invalidationLines, retiredLines } from "./turso-markdown";
import { policyLines, sessionLine, whyLines } from "./why-markdown";
import { code, count, few, plain, quiet, roomy } from "./words";

/** Stands first in the comment, so that the next run finds it and edits it in place. */
export function markerOf(stack: string): string {
  return `<!-- rollover-plan: ${stack} -->`;
}

export function toMarkdown(plan: Plan): string {
  const { credentials, consumers, others, invalidations, retired, warnings, findings, debts, abandoned, errors } = plan;
  const { why, policy, sessions, permissions, outcome } = plan;
  const isTold = why && (why.edits.length > 0 || outcome === "changes");
  const parts = [
    markerOf(plan.stack),
    `## Rollover plan for ${code(plan.stack)}`,
    headline(plan),
    ...section("Errors", errors.map(fenced)),
    ...list("Warnings", roomy(warnings.map(note))),
    ...list("Policy", policy ? roomy(policyLines(policy)) : []),
    ...section("Why", isTold ? whyLines(why) : []),
    ...section("Invalidations", invalidations.map(invalidationLines)),
    ...(credentials.length > 0
      ? [table(["Credential", "What happens", "What keeps working"], credentials.map(row))]
      : []),
    ...list(
      "Breaks at once",
      credentials.flatMap(({ name, breaksAtOnce }) =>
        breaksAtOnce === undefined ? [] : [`${code(name)}: ${plain(breaksAtOnce)}`],
      ),
    ),
    ...list(
      "Keys",
      credentials.flatMap(({ name, keys = [] }) => few(keys.map(plain)).map((text) => `${code(name)}: ${text}`)),
    ),
    ...list("Stops working, and cannot be undone", withdrawn(credentials, "for good")),
    ...list("Stops working, and its key stays in the backup", withdrawn(credentials, "backed up")),
    ...list("No longer delivered, and works on", withdrawn(credentials, "works on")),
    ...list("Sessions on logins that go", sessions.map(sessionLine)),
    ...section(
      "Consumers",
      consumers.length > 0 ? [table(["Consumer", "Change", "Attested"], consumers.map(consumerRow))] : [],
    ),
    ...list("Other resources", others.map(otherLine)),
    ...section("Permissions that it needs", permissions.length > 0 ? [permissionTable(permissions)] : []),
    ...list("Debts: old credentials that still work, or may", debts.map(note)),
    ...list("Retired tokens that no longer work", retired.flatMap(retiredLines)),
    ...list("Findings", findings.map(note)),
    ...list(
      "Left behind by `abandon`",
      abandoned.map((name) => code(name)),
    ),
  ];
  return `${parts.join("\n\n")}\n`;
}

function headline({ outcome, credentials, consumers, invalidations, debts, policy }: Plan): string {
  if (outcome === "failed") return "**The preview failed; nothing was changed.**";
  const atOnce = credentials.filter(({ breaksAtOnce }) => breaksAtOnce !== undefined).length;
  const dying = invalidations.filter(({ stamp }) => stamp !== undefined).length;
  const silent = consumers.filter(({ attested }) => !attested).length;
  const overdue = new Set([...(policy?.overdue ?? []), ...(policy?.overdueBefore ?? [])].map(({ name }) => name));
  const said = [
    outcome === "nothing"
      ? "Nothing changes."
      : `${count(credentials.length, "credential")} and ${count(consumers.length, "consumer")} change.`,
    ...(atOnce > 0 ? [`${atOnce} without overlap.`] : []),
    ...(dying > 0 ? [`${count(dying, "target")} invalidated: an outage until consumers are delivered to.`] : []),
    ...(silent > 0 ? [`${count(silent, "consumer")} not attested.`] : []),
    ...(overdue.size > 0 ? [`${overdue.size} overdue.`] : []),
    ...(debts.length > 0 ? [`${count(debts.length, "standing debt")}.`] : []),
  ];
  return `**${said.join(" ")}**`;
}

function row({ name, kind, actions, from, to, mints, keeps, withdraws, restores, clears }: CredentialPlan): string[] {
  const texts = actions.map((action) => {
    switch (action) {
      case "rolls":
      case "rolls back":
        return `**${action}** ${from ?? ""} → ${to ?? ""}`;
      case "first delivery":
        return `**first delivery** of ${to ?? ""}`;
      case "adds":
        return `**adds** ${few(mints.filter((stamp) => stamp !== to)).join(", ")}`;
      case "retires":
        return `**retires** ${few(withdraws.flatMap(({ stamp, replaced }) => (replaced ? [] : [stamp]))).join(", ")}`;
      case "brings back":
        return `**brings back** ${few(restores).join(", ")}`;
      case "clears":
        return `**clears** ${few(clears).join(", ")} from retired`;
      case "minted again":
        return "**minted again** under the same stamp";
      case "replaced":
        return "**replaced** under the same stamp";
      case "proven again":
        return "**proven again**: its `checks` are run as its owner";
      case "settings change":
      case "backup changes":
      case "removed":
      case "delivery changes":
        return `**${action}**`;
    }
  });
  return [
    `${code(name)} (${kind})`,
    texts.join("; "),
    few([...(to === undefined ? [] : [to]), ...keeps]).join(", ") || "nothing",
  ];
}

type Fate = "for good" | "backed up" | "works on";

function fateOf({ works, backup }: Withdrawal): Fate {
  return works ? "works on" : backup === undefined ? "for good" : "backed up";
}

function withdrawn(credentials: CredentialPlan[], fate: Fate): string[] {
  // What is refused is told among the warnings; then nothing else is withdrawn either.
  const going = credentials.filter(({ withdraws }) => withdraws.every(({ refused }) => refused === undefined));
  return going.flatMap(({ name, withdraws }) =>
    few(
      withdraws
        .filter((one) => fateOf(one) === fate)
        .map(({ stamp, when, backup }) => {
          const kept = backup === undefined ? "" : `; kept at ${code(backup)}`;
          return `${stamp}: ${plain(when)}${kept}`;
        }),
    ).map((line) => `${code(name)} ${line}`),
  );
}

function consumerRow({ worker, file, change, credentials, mintedAgain, attested }: ConsumerPlan): string[] {
  const stamps = credentials.map(({ name, from, to }) => {
    if (from !== undefined && from === to) return `${code(name)} ${to}, with other previous ones`;
    return `${code(name)} ${from ?? "nothing"} → ${to ?? "nothing"}`;
  });
  const all = [...stamps, ...mintedAgain.map((name) => `${code(name)} minted again`)];
  const text = all.length > 0 ? all.join(", ") : change === "delivered" ? "the same values again" : "";
  const consumer = worker === undefined ? `the file ${code(file ?? "")}` : code(worker);
  return [consumer, text === "" ? change : `${change}: ${text}`, attested ? "yes" : "**not attested**"];
}

function note({ name, what }: Note): string {
  return `${code(name)}: ${plain(what)}`;
}

function permissionTable(permissions: Permission[]): string {
  const cells = (texts: string[]) => few(texts.map((text) => code(text))).join(", ");
  return table(
    ["Who", "Needs", "To"],
    permissions.map(({ who, needs, steps }) => [who, cells(needs), cells(steps)]),
  );
}

function otherLine({ op, kind, name, kept, loss, says }: Other): string {
  if (says !== undefined) return plain(says);
  const drops = loss === undefined ? "" : `, **${loss}**`;
  const where = kind === "TursoSettings" ? "its settings stay as they are at Turso" : "stays on the server";
  return kept ? `${kind} ${code(name)}: leaves the stack, ${where}` : `${kind} ${code(name)}: ${op}${drops}`;
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

/** A fence that the text itself cannot close. */
function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text.split("\n").map(quiet).join("\n")}\n${fence}`;
}
