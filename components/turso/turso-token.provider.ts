import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import type { Stamp, TursoCredential, TursoTarget } from "../rotation/model";
import { isUnknown, type Warn } from "../thin.provider";
import { type TursoApi, TursoError } from "./api";
import { askToken, expiryOf, proveToken, TokenProofError } from "./data";
import { scopeFailures } from "./preflight";
import { isGone, type Replaced, stateOf, stillWorking } from "./live-tokens";
import { whereOf } from "./targets";
import { proofPlace } from "./turso-canary.provider";

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
  /** Whether a refresh found it refused, though it is to work: the next update mints another. */
  lost: boolean;
  /** What it was minted under and with. */
  under: Pick<Inputs, "mark" | "readOnly" | "minting">;
  /** One that was minted after an invalidation and not proven yet, if there is one: tried again before another is minted. Secret. */
  unproven: Minted[];
  /** Secret. */
  replaced: Replaced[];
  replacedExpire: string[];
  /** Why it could not be minted again after an invalidation; what consumers hold is dead then. */
  failure: string;
}

/** What minting gives. */
type Minted = Pick<Outputs, "jwt" | "url" | "expires" | "tag" | "lost" | "under">;

/** CRUD of a Turso token; see components/turso/turso-token.ts. */
export function tursoToken(
  api: TursoApi,
  abandon: readonly string[],
  warn: Warn,
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
        changes: replaces.length > 0 || follows || !olds.proven || olds.failure !== "" || isMissing(olds, news),
        replaces,
      });
    },

    async create(news) {
      const outs = { ...news, ...nothing, under: underOf(news) };
      const id = `${news.credential}@${news.stamp}`;
      if (news.place === "retired") return { id, outs: { ...outs, proven: true } };
      const minted = { ...outs, ...(await mint(api, news)) };
      try {
        await prove(api, minted);
        return { id, outs: { ...minted, proven: true } };
      } catch (error) {
        throw keepUnproven(error, id, minted);
      }
    },

    async update(id, olds, news) {
      const outs = { ...olds, ...news, ...(await stillWorking(olds.replaced, olds.url)) };
      if (news.place === "retired") return { outs: { ...outs, proven: true, lost: false, failure: "" } };
      const { under } = olds;
      if (under.mark !== news.mark || under.readOnly !== news.readOnly || isMissing(olds, news))
        return { outs: await again(api, id, olds, outs) };
      if (olds.proven && (news.place !== "current" || olds.place === "current"))
        return { outs: { ...outs, failure: "" } };
      // Becomes current again, or was minted by an update that could not prove it.
      const state = olds.proven ? "works" : await askToken(olds.url, olds.jwt);
      if (state === "refused") return { outs: await again(api, id, olds, outs) };
      await prove(api, outs);
      return { outs: { ...outs, proven: true, failure: "" } };
    },

    async read(id, props) {
      if (!props) return {};
      // Retired tokens are to be refused, and that alone is what they wait for.
      const lost = isWanted(props) && props.jwt !== "" && (await stateOf(api, props, props.jwt)) === "refused";
      return { id, props: { ...props, lost, ...(await stillWorking(props.replaced, props.url)) } };
    },

    async delete(_id, props) {
      const held = [...withOld(props).replaced, ...props.unproven];
      const asked = await Promise.all(held.map(async (one) => ({ ...one, state: await stateOf(api, props, one.jwt) })));
      const left = asked.filter(({ state }) => state !== "refused");
      const isOpen = left.every(({ state }) => state !== "works");
      if (left.length === 0 || (isOpen && (await isGone(api, props)))) return;
      const worst = left.find(({ state }) => state === "works") ?? left[0];
      const name = `${props.credential}@${props.stamp}`;
      if (abandon.includes(props.credential)) {
        warn(
          `abandoned: the token ${name} works until ${worst?.expires}; config lists ${props.credential} under abandon`,
          "left behind",
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
          `or invalidate every token of its group: set ${whereOf({ kind: "group", name: props.group })}.invalidated to today's stamp. ` +
          `To leave it behind for as long as it works, list ${props.credential} under rollover:abandon.`,
      );
    },
  };
}

/** How long a place may take to learn the key of a token that was minted just now. */
const lateKeyMs = 10_000;

const nothing = {
  jwt: "",
  tag: "",
  expires: "",
  url: "",
  proven: false,
  lost: false,
  unproven: [],
  replaced: [],
  replacedExpire: [],
  failure: "",
};

/** Whether a token that is to work was never minted here, or was found refused. */
function isMissing(olds: Outputs, news: Inputs): boolean {
  return (olds.jwt === "" || olds.lost) && isWanted(news);
}

/** During an incident the current generation alone is to work. */
function isWanted({ place, readOnly }: Inputs): boolean {
  return place === "current" || (place === "previous" && readOnly === "");
}

/** What is minted now: during an incident nothing but a read-only token. */
function mintingOf({ minting, readOnly }: Pick<Inputs, "minting" | "readOnly">): Inputs["minting"] {
  if (readOnly === "") return minting;
  return { authorization: "read-only", expiration: readOnly, permissions: [], attach: [] };
}

function underOf({ mark, readOnly, minting }: Inputs): Outputs["under"] {
  return { mark, readOnly, minting };
}

function placeOf(api: TursoApi, { target, proveOn }: Inputs) {
  return proofPlace(api, target, proveOn === "" ? undefined : proveOn);
}

async function mint(api: TursoApi, news: Inputs): Promise<Minted> {
  const { url } = await placeOf(api, news);
  const jwt = await api.mintToken(news.target, mintingOf(news));
  const seconds = expiryOf(jwt);
  const expires = seconds === undefined ? "never" : new Date(seconds * 1000).toISOString();
  return { jwt, url, expires, tag: randomBytes(8).toString("hex"), lost: false, under: underOf(news) };
}

/** Uses the token with the access that it was minted with. While writes are blocked there, whoever did it, by reading alone. */
async function prove(api: TursoApi, outs: Outputs): Promise<void> {
  const { authorization, permissions, expiration } = mintingOf(outs.under);
  const name = `${outs.credential}@${outs.stamp}`;
  try {
    if (expiration !== "never" && outs.expires === "never")
      throw new TokenProofError("access", `it never expires, though ${expiration} was asked for`);
    const { writesBlocked } = await placeOf(api, outs);
    const until = performance.now() + lateKeyMs;
    for (;;) {
      try {
        await proveToken(outs.url, outs.jwt, { authorization, permissions }, { writesBlocked });
        return;
      } catch (error) {
        const isLate = error instanceof TokenProofError && error.fault === "refused" && performance.now() < until;
        if (!isLate) throw error;
        await pause(100);
      }
    }
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
async function again(api: TursoApi, id: string, olds: Outputs, outs: Outputs): Promise<Outputs> {
  if (!isWanted(outs)) return { ...outs, proven: true, failure: "" };
  const [tried] = olds.unproven.filter(({ under }) => isDeepStrictEqual(under, underOf(outs)));
  const others = olds.unproven.filter((one) => one !== tried).map(({ jwt, expires }) => ({ jwt, expires }));
  let minted: Minted | undefined;
  try {
    minted = tried ?? (await mint(api, outs));
    await prove(api, { ...outs, ...minted });
  } catch (error) {
    if (!(error instanceof TursoError || error instanceof TokenProofError)) throw error;
    // Without a token that was proven before there is nothing that consumers could keep.
    if (olds.jwt === "" || !olds.proven)
      throw minted ? keepUnproven(error, id, { ...outs, ...minted, ...withOld(olds, others), unproven: [] }) : error;
    const isRefused = error instanceof TokenProofError && error.fault === "refused";
    const rest = await stillWorking([...outs.replaced, ...others], outs.url);
    const failure = `${outs.credential}@${outs.stamp}: ${error.message}`;
    const unproven = minted && !isRefused ? [minted] : [];
    const replacedExpire = [...rest.replacedExpire, ...unproven.map(({ expires }) => expires)];
    return { ...outs, ...rest, replacedExpire, unproven, failure };
  }
  const rest = await stillWorking(withOld(olds, others).replaced, minted.url);
  return { ...outs, ...minted, proven: true, unproven: [], failure: "", ...rest };
}

/** The token of before among the replaced ones. */
function withOld(
  { jwt, expires, replaced }: Outputs,
  others: Replaced[] = [],
): Pick<Outputs, "replaced" | "replacedExpire"> {
  const all = [...replaced, ...(jwt === "" ? [] : [{ jwt, expires }]), ...others];
  return { replaced: all, replacedExpire: all.map((one) => one.expires) };
}

/** It works from now on, so state must know it: Pulumi keeps what an error with an id carries, and the next update tries it again. */
function keepUnproven(error: unknown, id: string, minted: Outputs): Error {
  const message = error instanceof Error ? error.message : "it was not proven";
  return Object.assign(new Error(message), { id, properties: { ...minted, proven: false }, reasons: [message] });
}
