/** Resources that are no credential and no delivery: a change of them is told too, so that nothing changes unseen. */
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
  return steps.flatMap(({ op, urn, oldState }) => {
    const kind = kindOf(urn);
    const isOurs = INTERNAL.has(kind) || (urn.includes("::rollover:") && !urn.includes("$"));
    const known = (["create", "update", "replace", "delete"] as const).find((one) => one === op);
    if (!known || isOurs || urn.includes("::pulumi:")) return [];
    const kept = op === "delete" && (oldState?.retainOnDelete === true || kind === "TursoSettings");
    // The server keeps an old one that is replaced as it keeps one that is deleted.
    const loss = oldState?.retainOnDelete === true || kept ? undefined : LOSSES[op]?.[kind];
    return [{ op: known, kind: WORDS[kind] ?? kind, name: nameOf(urn), kept, ...(loss === undefined ? {} : { loss }) }];
  });
}
