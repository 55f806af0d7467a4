/** Turso's part of the plan as Markdown. */
import type { Invalidation, RetiredToken } from "./turso";
import { code, few, plain, REASON } from "./words";

/** One target: what dies, who fails until when, and in which order. */
export function invalidationLines(one: Invalidation): string {
  const { kind, name, stamp, incident, databases, credentials, retired, failed } = one;
  const title = `**${kind} ${code(name)}**`;
  const own = databases.filter(({ collateral }) => !collateral).map((database) => code(database.name));
  const others = databases.filter(({ collateral }) => collateral).map((database) => code(database.name));
  const told = [...new Set(credentials.flatMap(({ consumers }) => consumers.map((to) => code(to.name))))].sort();
  const names = credentials.map((credential) => {
    const to = credential.consumers.map((consumer) => `${code(consumer.name)} as ${code(consumer.as)}`);
    const mark = credential.collateral ? " (collateral)" : "";
    return `${code(credential.name)}${mark}, ${to.length > 0 ? `held by ${to.join(" and ")}` : "held by no consumer"}`;
  });
  const isBlocked = incident !== undefined && incident.phase !== "ends";
  const lines =
    stamp === undefined
      ? []
      : [
          `kills every token of ${kind === "group" ? `the group and of its databases ${own.join(", ") || "(none declared)"}` : "the database"}, those that Rollover did not mint too; it cannot be undone`,
          ...(kind === "database"
            ? [
                `collateral: the group ${code(one.group)}${others.length === 0 ? "" : ` and its databases ${others.join(", ")}`}, whose tokens are taken for dead and minted again`,
              ]
            : []),
          ...names.map((text) => `dies and is minted again: ${text}`),
          ...few(retired.map((token) => `dies for good: ${code(token.name)} ${token.stamp}, which is retired`)),
          told.length > 0
            ? `an outage: these fail from then until each is delivered to: ${told.join(", ")}`
            : "no consumer of this stack holds one of them",
          `order: invalidate → ${isBlocked ? "block writes → " : ""}mint → prove → deliver`,
        ];
  const header =
    stamp === undefined ? "nothing is invalidated" : `invalidated ${stamp === "" ? "for its incident" : `by ${stamp}`}`;
  return [
    `${title}: ${header}`,
    ...[
      ...lines,
      ...incidentLines(one),
      ...(failed === undefined ? [] : [`the last update failed at it: ${plain(failed)}`]),
    ].map((line) => `- ${line}`),
  ].join("\n");
}

/** An incident of a database is of its own tokens and writes alone; the rest of its group is minted again as it was. */
function incidentLines({ kind, incident, databases, credentials }: Invalidation): string[] {
  if (!incident) return [];
  const { phase, reason, readOnly } = incident;
  const own = credentials.filter(({ collateral }) => !collateral).map((one) => code(one.name));
  const declared = databases.filter(({ collateral }) => !collateral).map((one) => code(one.name));
  const blocked =
    kind === "group" ? `every database of the group (declared: ${declared.join(", ")})` : declared.join(", ");
  const why = reason === "" ? "" : ` (${code(reason, REASON)})`;
  const ending =
    "writes are given back as config declares them, else as they were before it, and tokens with their own rights are minted, proven and delivered";
  if (phase === "ends")
    return [
      `the incident${why} ends: ${ending}${own.length === 0 ? "" : `: ${own.join(", ")}`}`,
      `its read-only tokens work until they expire, ${readOnly} after they were minted, or are invalidated`,
    ];
  return [
    `the incident${why} ${phase}: writes are blocked in ${blocked}`,
    `delivered in place of ${own.join(", ") || "its tokens"}: a token that only reads, for ${readOnly}; previous generations are not minted again`,
    `ending it (taking \`incident\` out): ${ending}`,
  ];
}

/** Those that work are debts. */
export function retiredLines({ name, stamp, expires, state, isDead }: RetiredToken): string[] {
  if (state === "works") return [];
  const why = isDead ? "was invalidated, or never minted" : `expired at ${expires} by this clock`;
  const what =
    state === "expired" ? "it may be taken out of `retired` a day later" : "it may be taken out of `retired`";
  return [`${code(name)} ${stamp}: ${why}; ${what}`];
}
