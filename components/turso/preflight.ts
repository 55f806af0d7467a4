/** Looks before anything changes, in the preview too: what the API can tell of the platform token and of every name in config. */
import type * as pulumi from "@pulumi/pulumi";
import { missingScopes, type TursoApi, TursoError } from "./api";
import { type Targets, whereOf } from "./targets";

type Failures = pulumi.dynamic.CheckFailure[];

/** Every problem, each as a failed property; one that is everybody's is told once. */
export async function preflight(api: TursoApi, targets: Targets, needs: string[]): Promise<Failures> {
  const token = await scopeFailures(api, needs);
  if (token.some(({ property }) => property === "organization")) return token; // nothing else can be asked then
  const lookups = [
    ...targets.groups.map((name) => looked("groups", api.group(name))),
    ...Object.entries(targets.databases).map(([name, group]) => looked("databases", databaseIn(api, name, group))),
  ];
  const found = (await Promise.all(lookups)).flatMap((problem) => problem ?? []);
  // One that cannot be told now must not keep all the others from being invalidated.
  const problems = found.filter(({ fault }) => fault !== "unavailable" && fault !== "rate-limited");
  const [first, ...rest] = problems;
  // A wrong organisation, or a token that may read nothing, is one mistake.
  const isShared = first?.fault === "not-found" || first?.fault === "forbidden";
  if (first && rest.length > 0 && problems.length === lookups.length && isShared) {
    const isSame = rest.every(({ fault }) => fault === first.fault);
    const reason = `${first.reason} (so it is with all ${lookups.length} groups and databases that config names)`;
    if (isSame) return [...token, { property: first.property, reason }];
  }
  return [...token, ...problems.map(({ property, reason }) => ({ property, reason }))];
}

/** Whether the platform token works (property `organization`) and has the scopes that can be told (property `needs`). */
export async function scopeFailures(api: TursoApi, needs: string[]): Promise<Failures> {
  let missing: string[] = [];
  const refused = await looked(
    "organization",
    (async () => {
      await api.validate();
      const scopes = await api.ownScopes();
      missing = scopes === undefined ? [] : missingScopes(scopes, needs);
    })(),
  );
  if (refused) return [{ property: refused.property, reason: refused.reason }];
  if (missing.length === 0) return [];
  const names = missing.map((scope) => `\`${scope}\``).join(", ");
  const reason = `the platform token lacks the scope ${names}; mint one that has it and set it with \`pulumi config set --secret tursoApiToken\``;
  return [{ property: "needs", reason }];
}

interface Problem {
  property: string;
  reason: string;
  fault: TursoError["fault"];
}

async function looked(property: string, work: Promise<unknown>): Promise<Problem | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (!(error instanceof TursoError)) throw error;
    return { property, reason: error.message, fault: error.fault };
  }
}

async function databaseIn(api: TursoApi, name: string, group: string): Promise<void> {
  const found = await api.database(name);
  if (found.group === group) return;
  throw new TursoError(
    "rejected",
    `the database ${name} is in the group ${found.group}, but ${whereOf({ kind: "database", name })}.group is ${group}. Correct it: who shares a group shares each invalidation.`,
  );
}
