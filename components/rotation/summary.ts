/** What a stack says of itself: its outputs, and the stamps whose change an update is announced and recorded by. Pure; nothing is secret. */
import { formatDuration } from "./duration";
import type { Credential, StackModel } from "./model";
import { maxAgeOf } from "./policy";

/** By credential. */
export function summariesOf(stack: StackModel) {
  return Object.fromEntries(stack.credentials.map((credential) => [credential.name, summarise(credential, stack)]));
}

/** As the operator commands read it; undefined where the stack has none. */
export function policyOf({ policy }: StackModel) {
  if (!policy) return undefined;
  const { warnBeforeMs, overlapMs, enforce, freeze } = policy;
  return { warnBefore: formatDuration(warnBeforeMs), overlap: formatDuration(overlapMs), enforce, freeze };
}

/** By credential its live stamps, and by Turso target what its tokens are killed by, each as one text. */
export function stampsOf({ credentials, turso }: StackModel): Record<string, string> {
  const { groups = [], databases = [] } = turso ?? {};
  const targets = [
    ...groups.map((group) => ({ ...group, key: `group/${group.name}` })),
    ...databases.map((database) => ({ ...database, key: `database/${database.name}` })),
  ];
  return Object.fromEntries([
    ...credentials.map((credential) => {
      // Its own name may hold a comma, and it has no stamp.
      const adopted = credential.kind === "postgres" && credential.adopted !== undefined ? ["adopted"] : [];
      return [credential.name, [...credential.generations, ...adopted].join()] as const;
    }),
    ...targets.flatMap(({ key, invalidated, incident }) => {
      const marks = [...(invalidated === undefined ? [] : [invalidated]), ...(incident ? ["incident"] : [])];
      return marks.length === 0 ? [] : [[key, marks.join()] as const];
    }),
  ]);
}

/** Credentials whose change must not wait for a notice: what an older key signed is being refused. */
export function urgentIn({ credentials }: StackModel): string[] {
  return credentials.flatMap((credential) => ("atOnce" in credential && credential.atOnce ? [credential.name] : []));
}

/** Credentials whose every roll drops what was live; it is no sign of an emergency, and breaks at once, so the notice is needed most. */
export function singleIn({ credentials }: StackModel): string[] {
  return credentials.flatMap((credential) =>
    credential.single === true || (credential.kind === "postgres" && credential.inPlace) ? [credential.name] : [],
  );
}

function summarise(credential: Credential, stack: StackModel) {
  const { kind, generations, deliver: to, reason, ticket, holders } = credential;
  const probed = new Set(stack.workers.filter(({ probe }) => probe !== undefined).map(({ name }) => name));
  const maxAge = maxAgeOf(credential, stack.policy);
  return {
    kind,
    current: generations[0],
    live: generations,
    ...(credential.kind === "turso" ? { retired: credential.retired } : {}),
    ...("maxTokenAgeMs" in credential ? { maxTokenAge: formatDuration(credential.maxTokenAgeMs) } : {}),
    change: breaksAtOnce(credential) ? "breaks at once" : "overlaps",
    consumers: to.map(({ worker, file, as }) =>
      worker === undefined ? { file, as, attested: false } : { worker, as, attested: probed.has(worker) },
    ),
    ...(maxAge === undefined ? {} : { maxAge: formatDuration(maxAge) }),
    ...(reason === undefined ? {} : { reason }),
    ...(ticket === undefined ? {} : { ticket }),
    ...(holders === undefined ? {} : { holders }),
  };
}

function breaksAtOnce(credential: Credential): boolean {
  switch (credential.kind) {
    case "postgres":
      return credential.inPlace;
    case "turso":
      return false;
    case "signing-keyset":
    case "encryption-keyset":
      return credential.atOnce;
    case "random":
      return credential.deliver.some(({ previousAs }) => previousAs === undefined);
  }
}
