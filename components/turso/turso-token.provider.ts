import { randomBytes } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import type { Stamp, TursoCredential, TursoTarget } from "../rotation/model";
import { isUnknown } from "../thin.provider";
import { type TursoApi, TursoError } from "./api";
import { askToken, expiryOf, proveToken, TokenProofError } from "./data";
import { scopeFailures } from "./preflight";
import { whereOf } from "./targets";
import { proofUrl } from "./turso-canary.provider";

export interface Inputs {
  credential: string;
  stamp: Stamp;
  /** `retired`: no longer delivered, kept until its token is refused. */
  place: "current" | "previous" | "retired";
  organization: string;
  target: TursoTarget;
  group: string;
  /** The database on which a group's token is tried; empty: one that Turso lists. */
  proveOn: string;
  /** Read when a token is minted, and by nothing else. */
  minting: Pick<TursoCredential, "authorization" | "expiration" | "permissions" | "attach">;
  /** Of the last invalidation of its group: a token that was minted under another one is minted again. */
  mark: string;
  /** During an incident how long a read-only token works; else empty. */
  readOnly: string;
  writesBlocked: boolean;
}

/** A token that another one replaced, and that may work on. */
interface Replaced {
  jwt: string;
  expires: string;
}

export interface Outputs extends Inputs {
  /** Secret; empty for a stamp that was retired before it was minted here. */
  jwt: string;
  /** Random and public. */
  tag: string;
  /** ISO date and time, or `never`. */
  expires: string;
  /** Where it is used. */
  url: string;
  /** Whether it was used for real. */
  proven: boolean;
  /** What `mark` and `readOnly` were when it was minted. */
  under: { mark: string; readOnly: string };
  /** Secret. */
  replaced: Replaced[];
  replacedExpire: string[];
  /** Why it could not be minted again after an invalidation; what consumers hold is dead then. */
  failure: string;
}

/** CRUD of a Turso token; see components/turso/turso-token.ts. */
export function tursoToken(
  api: TursoApi,
  abandon: readonly string[],
  warn: (line: string) => void,
): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  return {
    /** A wrong platform token, a missing scope or an unknown name stops the preview. Only for a new one: the canaries' check sees to invalidations. */
    async check(olds, news) {
      if (isUnknown(news) || news.place === "retired" || "stamp" in olds) return { inputs: news };
      const { kind, name } = news.target;
      const failures = await scopeFailures(api, ["read", `${kind === "group" ? "group" : "db"}:mint-token`]);
      if (failures.length > 0) return { inputs: news, failures };
      try {
        await (kind === "group" ? api.group(name) : api.database(name));
        return { inputs: news };
      } catch (error) {
        if (!(error instanceof TursoError)) throw error;
        return { inputs: news, failures: [{ property: "target", reason: error.message }] };
      }
    },

    diff(_id, olds, news) {
      const isOther = olds.target.kind !== news.target.kind || olds.target.name !== news.target.name;
      const replaces = isOther || olds.organization !== news.organization ? ["target"] : [];
      const follows = (["place", "mark", "readOnly"] as const).some((key) => olds[key] !== news[key]);
      return Promise.resolve({
        changes: replaces.length > 0 || follows || !olds.proven || olds.failure !== "" || isLost(olds, news),
        replaces,
      });
    },

    async create(news) {
      const outs = { ...news, ...nothing, under: underOf(news) };
      const id = `${news.credential}@${news.stamp}`;
      if (news.place === "retired") return { id, outs: { ...outs, proven: true } };
      const minted = { ...outs, ...(await mint(api, news)) };
      try {
        await prove(minted);
        return { id, outs: { ...minted, proven: true } };
      } catch (error) {
        // It works from now on, so state must know it: Pulumi keeps what an error with an id carries, and `update` tries again.
        const message = error instanceof Error ? error.message : "it was not proven";
        throw Object.assign(new Error(message), { id, properties: minted, reasons: [message] });
      }
    },

    async update(_id, olds, news) {
      const outs = { ...olds, ...news, ...(await stillWorking(olds.replaced, olds.url)) };
      if (news.place === "retired") return { outs: { ...outs, proven: true, failure: "" } };
      const isOutdated = olds.under.mark !== news.mark || (olds.under.readOnly === "") !== (news.readOnly === "");
      if (isOutdated || isLost(olds, news)) return { outs: await again(api, olds, outs) };
      if (olds.proven && (news.place !== "current" || olds.place === "current"))
        return { outs: { ...outs, failure: "" } };
      // Becomes current again, or was minted by an update that could not prove it.
      const state = olds.proven ? "works" : await askToken(olds.url, olds.jwt);
      if (state === "refused") return { outs: await again(api, olds, outs) };
      await prove(outs);
      return { outs: { ...outs, proven: true, failure: "" } };
    },

    async read(id, props) {
      if (!props) return {};
      const state = props.jwt === "" ? "refused" : await askToken(props.url, props.jwt);
      // A live token that is refused is lost: the next update mints it again. A retired one is what `retired` waits for.
      const jwt = state === "refused" && props.place !== "retired" ? "" : props.jwt;
      return { id, props: { ...props, jwt, ...(await stillWorking(props.replaced, props.url)) } };
    },

    async delete(_id, props) {
      const held = [...(props.jwt === "" ? [] : [{ jwt: props.jwt, expires: props.expires }]), ...props.replaced];
      const asked = await Promise.all(held.map(async (one) => ({ ...one, state: await askToken(props.url, one.jwt) })));
      const left = asked.filter(({ state }) => state !== "refused");
      if (left.length === 0 || (await isGone(api, props.target))) return;
      const worst = left.find(({ state }) => state === "works") ?? left[0];
      const name = `${props.credential}@${props.stamp}`;
      if (abandon.includes(props.credential)) {
        warn(
          `abandoned: the token ${name} works until ${worst?.expires}; config lists ${props.credential} under abandon`,
        );
        return;
      }
      const found =
        worst?.state === "works"
          ? `still works, until ${worst.expires}`
          : `could not be asked whether it works (${typeof worst?.state === "object" ? worst.state.unknown : ""}); it expires ${worst?.expires}`;
      throw new TursoError(
        "rejected",
        `the token ${name} ${found}. Turso cannot revoke one token alone. Either put ${props.stamp} back under \`retired\` of ${props.credential} and wait until it has expired, ` +
          `or invalidate every token of its group: set ${whereOf({ kind: "group", name: props.group })}.invalidated to today's stamp.`,
      );
    },
  };
}

const nothing = {
  jwt: "",
  tag: "",
  expires: "",
  url: "",
  proven: false,
  replaced: [],
  replacedExpire: [],
  failure: "",
};

/** Whether a token that is to work was never minted here, or was found refused. */
function isLost(olds: Outputs, news: Inputs): boolean {
  return olds.jwt === "" && isWanted(news);
}

/** During an incident the current generation alone is to work. */
function isWanted({ place, readOnly }: Inputs): boolean {
  return place === "current" || (place === "previous" && readOnly === "");
}

function underOf({ mark, readOnly }: Inputs): Outputs["under"] {
  return { mark, readOnly };
}

/** What is minted now: during an incident nothing but a read-only token. */
function mintingOf({ minting, readOnly }: Inputs): Inputs["minting"] {
  if (readOnly === "") return minting;
  return { authorization: "read-only", expiration: readOnly, permissions: [], attach: [] };
}

async function mint(api: TursoApi, news: Inputs) {
  const url = await proofUrl(api, news.target, news.proveOn === "" ? undefined : news.proveOn);
  const { expiration, ...minting } = mintingOf(news);
  const jwt = await api.mintToken(news.target, { expiration, ...minting });
  const seconds = expiryOf(jwt);
  const expires = seconds === undefined ? "never" : new Date(seconds * 1000).toISOString();
  return { jwt, url, expires, tag: randomBytes(8).toString("hex"), under: underOf(news) };
}

/** Uses the token with the access that it claims. */
async function prove(outs: Outputs): Promise<void> {
  const { authorization, permissions, expiration } = mintingOf({ ...outs, readOnly: outs.under.readOnly });
  const name = `${outs.credential}@${outs.stamp}`;
  try {
    if (expiration !== "never" && outs.expires === "never")
      throw new TokenProofError("access", `it never expires, though ${expiration} was asked for`);
    await proveToken(outs.url, outs.jwt, { authorization, permissions }, { writesBlocked: outs.writesBlocked });
  } catch (error) {
    if (!(error instanceof TokenProofError)) throw error;
    throw new TokenProofError(
      error.fault,
      `the token ${name} was not proven, so nothing was delivered: ${error.message}`,
    );
  }
}

/**
 * Mints again after an invalidation, for the current generation alone while an incident lasts. A failure is recorded, not thrown: the
 * consumers of this token may hold others that are minted already, and must get those.
 */
async function again(api: TursoApi, olds: Outputs, outs: Outputs): Promise<Outputs> {
  if (!isWanted(outs)) return { ...outs, proven: true, failure: "" };
  let minted: Outputs | undefined;
  try {
    minted = { ...outs, ...(await mint(api, outs)) };
    await prove(minted);
  } catch (error) {
    // Without a token that was proven before there is nothing that consumers could keep.
    if (olds.jwt === "" || !olds.proven || !(error instanceof TursoError || error instanceof TokenProofError))
      throw error;
    const unproven = minted ? [{ jwt: minted.jwt, expires: minted.expires }] : [];
    const rest = await stillWorking([...outs.replaced, ...unproven], outs.url);
    return { ...outs, ...rest, failure: `${outs.credential}@${outs.stamp}: ${error.message}` };
  }
  const before = olds.jwt === "" ? [] : [{ jwt: olds.jwt, expires: olds.expires }];
  const rest = await stillWorking([...outs.replaced, ...before], minted.url);
  return { ...minted, proven: true, failure: "", ...rest };
}

/** Without those that are refused by now: they are no debt. */
async function stillWorking(list: Replaced[], url: string): Promise<Pick<Outputs, "replaced" | "replacedExpire">> {
  const states = await Promise.all(list.map(({ jwt }) => askToken(url, jwt)));
  const replaced = list.filter((_, index) => states[index] !== "refused");
  return { replaced, replacedExpire: replaced.map(({ expires }) => expires) };
}

/** Whether its database or group is no more, and every token of it with it. */
async function isGone(api: TursoApi, { kind, name }: TursoTarget): Promise<boolean> {
  try {
    await (kind === "group" ? api.group(name) : api.database(name));
    return false;
  } catch (error) {
    if (error instanceof TursoError && error.fault === "not-found") return true;
    return false;
  }
}
