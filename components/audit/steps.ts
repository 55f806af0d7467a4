/**
 * What a call of a provider means for credentials. Pure. Of a resource's properties only public ones are picked, each by its
 * name: no secret is looked at.
 */
import type { Inputs as SecretSet, Outputs as SecretSetState } from "../cloudflare/worker-secret-set.provider";
import type { Outputs as FileState } from "../file/env-file.provider";
import { changesOf } from "../notify/changes";
import type { Inputs as Framing } from "../notify/completion.provider";
import type { Inputs as LoginInputs } from "../postgres/postgres-login.provider";
import type { Stamp } from "../rotation/model";
import type { Kind } from "../thin";
import { begins, targetOf } from "../turso/targets";
import type { Inputs as InvalidationInputs, Outputs as InvalidationState } from "../turso/turso-invalidation.provider";
import type { Inputs as SettingsInputs } from "../turso/turso-settings.provider";
import type { Inputs as TokenInputs, Outputs as TokenState } from "../turso/turso-token.provider";
import type { Inputs as KeyInputs, Outputs as KeyState } from "../vault/vault-key.provider";
import type { AuditRecord } from "./record";

export type Call = "create" | "update" | "delete";

/** A record as far as the call alone says it; `attested` and `proven` are what its success shows. */
export type Step = Pick<
  AuditRecord,
  "credential" | "step" | "from" | "to" | "consumer" | "attested" | "proven" | "expires"
>;

type Props = Record<string, unknown>;

/**
 * The steps of one call, in the order of the credentials.
 *
 * @param olds What state holds; undefined for `create`.
 * @param news The inputs; for `delete` what state holds.
 */
export function stepsOf(kind: Kind, call: Call, olds: Props | undefined, news: Props): Step[] {
  switch (kind) {
    case "PostgresLogin":
      return ofLogin(call, olds as LoginInputs | undefined, news as unknown as LoginInputs);
    case "TursoToken":
      return ofToken(call, olds as TokenState | undefined, news as unknown as TokenInputs);
    case "TursoInvalidation":
      if (call === "delete") return [];
      return ofInvalidation(olds as InvalidationState | undefined, news as unknown as InvalidationInputs);
    case "TursoSettings":
      return call === "delete" ? [] : [step(nameOf((news as unknown as SettingsInputs).target), "settings")];
    case "VaultKey":
      return ofKey(call, olds as KeyState | undefined, news as unknown as KeyInputs);
    case "WorkerSecretSet":
      return ofSecrets(call, olds as SecretSetState | undefined, news as unknown as SecretSet);
    case "EnvFile":
      return ofFile(call, olds, news as unknown as FileState);
    case "Announcement":
      return call === "delete" ? [] : framed("announce", olds as Framing | undefined, news as unknown as Framing);
    case "Completion":
      return call === "delete" ? [] : framed("complete", olds as Framing | undefined, news as unknown as Framing);
    case "PostgresLoginClaim":
    case "WorkerDelivery":
    case "TursoCanary":
    case "TursoOutcome":
      return [];
  }
}

export function step(credential: string, name: Step["step"], more: Partial<Step> = {}): Step {
  const nothing = { from: [], to: [], consumer: "", attested: false, proven: false, expires: "" };
  return { credential, step: name, ...nothing, ...more };
}

function ofLogin(
  call: Call,
  olds: LoginInputs | undefined,
  { credential, madeBy, mode, current }: LoginInputs,
): Step[] {
  const stamp = stampOf(madeBy);
  if (call === "delete") return mode === "inPlace" ? [] : [step(credential, "retire", { from: [stamp] })];
  if (mode === "adopted") return [];
  if (call === "create") return [step(credential, "mint", { to: [stamp], proven: true })];
  return current && olds?.current === false ? [step(credential, "prove", { to: [stamp], proven: true })] : [];
}

/** Of the resource that made a login, named `rounds-db@2026-11-20`, or `rounds-db@adopted`. */
export function stampOf(madeBy: string): string {
  return madeBy.slice(madeBy.lastIndexOf("@") + 1);
}

function ofToken(call: Call, olds: TokenState | undefined, { credential, stamp, ...news }: TokenInputs): Step[] {
  if (call === "delete") return [step(credential, "retire", { from: [stamp] })];
  const isWanted = news.place === "current" || (news.place === "previous" && news.readOnly === "");
  if (!isWanted) return [];
  const isDead = olds && (olds.under.mark !== news.mark || olds.under.readOnly !== news.readOnly || olds.lost);
  if (!olds || isDead || olds.tag === "") return [step(credential, "mint", { to: [stamp], proven: true })];
  const becomes = news.place === "current" && olds.place !== "current";
  return becomes || !olds.proven ? [step(credential, "prove", { to: [stamp], proven: true })] : [];
}

function ofInvalidation(olds: InvalidationState | undefined, { asked }: InvalidationInputs): Step[] {
  return Object.entries(asked).flatMap(([key, now]) => {
    const was = olds?.done[key] ?? { stamp: "", readOnly: "", outlived: [] };
    if (!begins(now, was) && was.outlived.length === 0) return [];
    // An incident has no stamp of its own.
    return [step(nameOf(targetOf(key)), "invalidate", { from: listOf(was.stamp), to: listOf(now.stamp) })];
  });
}

/** Of a Turso target. */
export function nameOf({ kind, name }: { kind: string; name: string }): string {
  return `${kind}/${name}`;
}

function ofKey(call: Call, olds: KeyState | undefined, { credential, stamp, restore = false }: KeyInputs): Step[] {
  const isWritten = call === "create" ? !restore : call === "update" && (olds?.drift.length ?? 0) > 0;
  return isWritten ? [step(credential, "back up", { to: [stamp] })] : [];
}

function ofSecrets(call: Call, olds: SecretSetState | undefined, news: SecretSet): Step[] {
  const [was, now] = [marksOf(olds?.generations), marksOf(news.generations)];
  const consumer = news.worker;
  const attested = news.probe !== "";
  if (call === "delete")
    return [...now].map(([credential, { stamps }]) => step(credential, "withdraw", { from: stamps, consumer }));
  const names = [...new Set([...now.keys(), ...was.keys()])].sort();
  const changed = names.filter((name) => was.get(name)?.text !== now.get(name)?.text);
  // Nothing minted: what a refresh missed, or under which names and to which account it goes.
  const isElse = olds && (olds.drift.length > 0 || olds.delivery !== news.delivery);
  return (changed.length === 0 && isElse ? names : changed).map((credential) => {
    const [from, to] = [was.get(credential)?.stamps ?? [], now.get(credential)?.stamps ?? []];
    return to.length === 0
      ? step(credential, "withdraw", { from, consumer })
      : step(credential, "deliver", { from, to, consumer, attested });
  });
}

/** By credential, its stamps, and a text of stamps and tags; of the public report that is delivered with the secrets. */
function marksOf(generations = "{}"): Map<string, { stamps: string[]; text: string }> {
  const report = JSON.parse(generations) as Record<string, { stamp: string; tag: string }[]>;
  return new Map(
    Object.entries(report).map(([credential, list]) => [
      credential,
      { stamps: list.map(({ stamp }) => stamp), text: list.map(({ stamp, tag }) => `${stamp}=${tag}`).join() },
    ]),
  );
}

/** A state of before does not say whose lines the file holds. */
function ofFile(
  call: Call,
  olds: Partial<FileState> | undefined,
  { file: consumer, generations }: Pick<FileState, "file" | "generations">,
): Step[] {
  const read = (text = "{}") => JSON.parse(text) as Record<string, Stamp[]>;
  if (call === "delete") {
    const held = Object.entries(read(generations));
    if (held.length === 0) return [step("", "withdraw", { consumer })];
    return held.map(([name, from]) => step(name, "withdraw", { from, consumer }));
  }
  const [was, now] = [read(olds?.generations), read(generations)];
  const names = [...new Set([...Object.keys(now), ...Object.keys(was)])].sort();
  const changed = names.filter((name) => was[name]?.join() !== now[name]?.join());
  // Nothing new: what a refresh missed, or under which names it goes.
  return (changed.length === 0 ? names : changed).map((name) => {
    const [from, to] = [was[name] ?? [], now[name] ?? []];
    return step(name, to.length === 0 ? "withdraw" : "deliver", { from, to, consumer });
  });
}

function framed(name: "announce" | "complete", olds: Framing | undefined, news: Framing): Step[] {
  const changes = changesOf(olds?.stamps ?? {}, news.stamps, () => ({}));
  return changes.map(({ credential, from, to }) => step(credential, name, { from, to }));
}

function listOf(stamp: string): string[] {
  return stamp === "" ? [] : [stamp];
}
