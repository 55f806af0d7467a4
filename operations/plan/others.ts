/** Resources that are no credential and no delivery: a change of them is told too, so that nothing changes unseen. */
import { z } from "zod";
import { LONGEST_WAIT_MS, waitOf } from "../../components/notify/announcement.provider";
import { formatDuration } from "../../components/rotation/duration";
import { kindOf, nameOf, type Step } from "./shapes";

export interface Other {
  op: "create" | "update" | "replace" | "delete";
  /** In words where its type says little. */
  kind: string;
  name: string;
  /** Taken out of state and left where it is. */
  kept: boolean;
  /** What its deletion takes along, or that of the old one where it is replaced. */
  loss?: string;
  /** What it is, in place of all that. */
  says?: string;
}

/** What the plan tells in other words, as a credential or as a consumer. */
const INTERNAL = new Set([
  ...["RandomPassword", "RandomId", "VaultKey", "PostgresLoginClaim", "PostgresLogin"],
  ...["WorkerDelivery", "WorkerSecretSet", "EnvFile"],
  ...["TursoCanary", "TursoInvalidation", "TursoToken", "TursoOutcome"],
]);

const WORDS: Record<string, string> = {
  WorkersScript: "Worker code, variables and limits",
  Ruleset: "Rate limits of the zone",
};

const LOSSES: Record<string, Record<string, string>> = {
  delete: {
    Database: "with all of its data",
    WorkersScript: "the Worker stops answering",
    Ruleset: "its routes are not limited any more",
  },
  // A new one is made, and the old one goes.
  replace: {
    Database: "with all of its data",
    WorkersScript: "the script under its old name goes, with its secrets",
  },
};

export function describeOthers(steps: Step[]): Other[] {
  return steps.flatMap((step): Other[] => {
    const { op, urn, oldState } = step;
    const kind = kindOf(urn);
    const isOurs = INTERNAL.has(kind) || (typeOf(urn).startsWith("rollover:") && !urn.includes("$"));
    const known = (["create", "update", "replace", "delete"] as const).find((one) => one === op);
    if (!known || isOurs || urn.includes("::pulumi:")) return [];
    const says = sayingOf(step);
    if (says === "") return [];
    if (says !== undefined) return [{ op: known, kind, name: nameOf(urn), kept: false, says }];
    const kept = op === "delete" && (oldState?.retainOnDelete === true || kind === "TursoSettings");
    // The server keeps an old one that is replaced as it keeps one that is deleted.
    const loss = oldState?.retainOnDelete === true || kept ? undefined : LOSSES[op]?.[kind];
    return [{ op: known, kind: WORDS[kind] ?? kind, name: nameOf(urn), kept, ...(loss === undefined ? {} : { loss }) }];
  });
}

/** Of a component itself `rollover:...`: its project may have that name too. */
function typeOf(urn: string): string {
  return urn.split("::")[2] ?? "";
}

/** What is no resource to a reviewer but something that happens; "" for nothing, undefined where the kind is another one. */
function sayingOf(step: Step): string | undefined {
  const isGone = step.op === "delete";
  switch (kindOf(step.urn)) {
    case "Announcement":
      return isGone ? "updates are announced no longer" : announced(step);
    case "Completion":
      return isGone ? "" : "when everything is delivered, that is told";
    case "Command":
      return isGone ? "" : hook(step);
    default:
      return undefined;
  }
}

const announcement = z.object({
  stamps: z.record(z.string(), z.string()),
  urgent: z.array(z.string()),
  single: z.array(z.string()).default([]),
  noticeMs: z.int().nonnegative(),
});

function announced({ op, oldState, newState }: Step): string {
  const text = "before anything else, the update is announced";
  const [was, is] = [oldState, newState].map((one) => announcement.safeParse(one?.inputs).data);
  if (!is || op !== "update" || is.noticeMs === 0) return text;
  if (is.noticeMs > LONGEST_WAIT_MS)
    return `${text}; it does not wait: \`npm run notice\` tells of it ${formatDuration(is.noticeMs)} ahead`;
  const waitMs = waitOf({ stamps: was?.stamps ?? {} }, is);
  return waitMs === 0 ? `${text}; as an emergency it does not wait` : `${text}, and waits ${formatDuration(waitMs)}`;
}

/** As components/command/after-roll.ts writes it: the program alone stands in the text that is run. */
function hook({ urn, newState }: Step): string {
  const create = newState?.inputs["create"];
  const [, program] = /\bexec (\.\/[A-Za-z0-9_./-]+)(?: |$)/.exec(typeof create === "string" ? create : "") ?? [];
  return `runs \`${program ?? "its program"}\` once \`${nameOf(urn)}\` is delivered; what that does is not known here, and cannot be undone`;
}
