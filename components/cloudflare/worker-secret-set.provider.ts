import { setTimeout as pause } from "node:timers/promises";
import type * as pulumi from "@pulumi/pulumi";
import { isUnknown, sameInputs, type Warn } from "../thin.provider";
import { type CloudflareApi, CloudflareError } from "./api";
import { attest, askProbe, generationsName, probeTokenName } from "./attest";
import { deliver, push, reports, requireDeployed } from "./deliver";
import type { Delivered, KeysetInputs, KeysetOutputs } from "./keyset-step";
import { prepareKeysets } from "./keyset-steps";

export interface Inputs extends KeysetInputs {
  script: string;
  /** The account that the script is in. */
  accountId: string;
  /** Names that this or the last delivery had or was to have; those that are no longer in it are deleted. */
  touched: string[];
  answers: number;
  withinMs: number;
  /** Credentials whose generations are withdrawn by the update that stops delivering them. */
  settles: string[];
  /** Changes whenever something else is to be delivered; in state before the delivery begins (see worker-secrets.ts). */
  delivery: string;
}

export interface Outputs extends Inputs, KeysetOutputs {
  /** What a refresh found other than delivered; empty when all is as it should be. */
  drift: string[];
}

/** Inputs that say how to deliver, or how to ask: another value of one delivers nothing. */
const knobs: readonly string[] = [
  "answers",
  "withinMs",
  "settleMs",
  "settles",
  "worker",
  "keysets",
  "signers",
  "verifiers",
] satisfies (keyof Inputs)[];

const limits = { operations: 100, bytes: 5 * 1024 };

/** CRUD of a Worker's secrets; see components/cloudflare/worker-secrets.ts. */
export function workerSecretSet(
  api: CloudflareApi,
  abandon: readonly string[],
  warn: Warn,
  /** Told of each key that could not be dropped. */
  alert: (line: string) => Promise<void>,
): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  return {
    check: (_olds, news) => Promise.resolve({ inputs: news, failures: isUnknown(news) ? [] : checkSizes(news) }),

    diff(_id, olds, news) {
      const replaces = (["script", "accountId"] as const).filter((key) => olds[key] !== news[key]);
      return Promise.resolve({
        changes: replaces.length > 0 || olds.drift.length > 0 || !sameInputs(olds, news),
        replaces,
      });
    },

    async create(news) {
      const activations = await deliver(api, news);
      return { id: news.script, outs: { ...news, drift: [], activations } };
    },

    async update(_id, recorded, news) {
      // States of before there were keysets have none of these.
      const { keysets = {}, activations = {} } = recorded as Partial<Outputs>;
      const olds = { ...recorded, keysets, activations };
      const delivered = Object.fromEntries(Object.entries(news).filter(([key]) => !knobs.includes(key)));
      const same = olds.drift.length === 0 && sameInputs(olds, delivered);
      if (same) return { outs: { ...news, drift: [], activations: olds.activations } };
      const handOver = (set: Delivered) => push(api, { ...news, ...set });
      const prepared = await prepareKeysets(news, olds, handOver).catch(async (error: unknown) => {
        if (error instanceof CloudflareError) await alert(`Worker ${news.worker}: ${error.message}`);
        throw error;
      });
      return { outs: { ...news, drift: [], activations: await deliver(api, news, olds, prepared) } };
    },

    async read(id, props) {
      if (!props) return {};
      requireAccount(api, props);
      const names = await api.listSecrets(props.script).catch((error: unknown) => {
        if (error instanceof CloudflareError && error.fault === "not-found") return undefined;
        throw error;
      });
      if (!names) return {};
      const missing = [...Object.keys(props.secrets), generationsName, probeTokenName].filter(
        (name) => !names.includes(name),
      );
      const drift = missing.map((name) => `${name} is missing`);
      if (props.probe !== "" && drift.length === 0) {
        const report = await askProbe({ url: props.probe, token: props.token });
        if (!reports(props)(report)) drift.push("the probe reports other generations");
      }
      return { id, props: { ...props, drift } };
    },

    async delete(_id, props) {
      if (abandon.includes(props.worker)) {
        warn(`abandoned: the Worker ${props.worker} keeps its secrets; config lists it under abandon`, "left behind");
        return;
      }
      await withdraw(api, props);
    },
  };
}

/** Named by a public property: with a failure the engine prints the value of the property, in clear, also of a secret one. */
function checkSizes(news: Inputs): pulumi.dynamic.CheckFailure[] {
  const names = Object.keys(news.secrets).length + 2;
  const tooMany = names > limits.operations;
  const tooLong = Object.entries({ ...news.secrets, [generationsName]: news.generations }).filter(
    ([, text]) => Buffer.byteLength(text) > limits.bytes,
  );
  // What is not known yet is delivered as no text: whoever reads it fails, and nothing says why.
  const empty = Object.keys(news.secrets).filter((name) => news.secrets[name] === "");
  return [
    ...empty.map((name) => ({
      property: "worker",
      reason: `${name} for the Worker ${news.worker} is empty; run the update again, without --target`,
    })),
    ...(tooMany
      ? [
          {
            property: "worker",
            reason: `${names} secrets for the Worker ${news.worker}; ${limits.operations} can be changed in one call`,
          },
        ]
      : []),
    ...tooLong.map(([name, text]) => ({
      property: "worker",
      reason: `${name} for the Worker ${news.worker} has ${Buffer.byteLength(text)} bytes; a secret takes ${limits.bytes}`,
    })),
  ];
}

/** Another account's script of that name says nothing of this one. */
function requireAccount(api: CloudflareApi, { worker, accountId }: { worker: string; accountId: string }): void {
  if (accountId === api.accountId) return;
  throw new CloudflareError(
    "rejected",
    `the Worker ${worker} is in the account ${accountId}, but rollover:cloudflare names ${api.accountId}. It was left as it is. ` +
      "Name the old account again and run the update, or list the Worker under rollover:abandon to leave it behind.",
  );
}

/** Takes every name away, and waits until the probe knows its token no more: then no isolate that was asked holds anything. */
async function withdraw(api: CloudflareApi, props: Outputs): Promise<void> {
  requireAccount(api, props);
  if (!(await removeSecrets(api, props, Object.keys(props.secrets)))) return;
  if (props.probe !== "") {
    const short = await attest({ url: props.probe, token: props.token }, (report) => "unknownToken" in report, props);
    if (short)
      throw new CloudflareError(
        "unavailable",
        `the Worker ${props.worker} still answers the probe after its secrets were deleted; run it again`,
      );
  }
  await pause(props.settleMs);
}

/**
 * Deletes the named secrets and the two of Rollover's own. Where neither of those two is there, nothing of Rollover's is, and
 * names that happen to be alike are left alone.
 *
 * @returns false if there is no such script, and so no consumer.
 */
export async function removeSecrets(
  api: CloudflareApi,
  at: { worker: string; script: string },
  names: string[],
): Promise<boolean> {
  const own = [generationsName, probeTokenName];
  const ours = async () => {
    const present = await api.listSecrets(at.script);
    return own.some((name) => present.includes(name))
      ? [...names, ...own].filter((name) => present.includes(name))
      : [];
  };
  try {
    const present = await ours();
    if (present.length === 0) return true;
    await requireDeployed(api, at);
    const changes = Object.fromEntries(present.map((name) => [name, null]));
    await api.changeSecrets(at.script, changes, async () => (await ours()).length === 0);
    return true;
  } catch (error) {
    if (error instanceof CloudflareError && error.fault === "not-found") return false;
    throw error;
  }
}
