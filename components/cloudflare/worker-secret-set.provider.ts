import { setTimeout as pause } from "node:timers/promises";
import type * as pulumi from "@pulumi/pulumi";
import { isUnknown, sameInputs } from "../thin.provider";
import { type CloudflareApi, CloudflareError, type SecretChanges, type Versions } from "./api";
import { attest, askProbe, describe, type Generations, generationsName, probeTokenName, type Report } from "./attest";

export interface Inputs {
  worker: string;
  script: string;
  /** The account that the script is in. */
  accountId: string;
  /** Names that this or the last delivery had or was to have; those that are no longer in it are deleted. */
  touched: string[];
  /** Name to text; secret. */
  secrets: Record<string, string>;
  /** JSON of `Generations`: what the probe will report. Public. */
  generations: string;
  /** The probe's URL; empty where nothing is attested. */
  probe: string;
  /** The probe's bearer token; secret. */
  token: string;
  answers: number;
  withinMs: number;
  settleMs: number;
  /** Credentials whose generations are withdrawn by the update that stops delivering them. */
  settles: string[];
  /** Changes whenever something else is to be delivered; in state before the delivery begins (see worker-secrets.ts). */
  delivery: string;
}

export interface Outputs extends Inputs {
  /** What a refresh found other than delivered; empty when all is as it should be. */
  drift: string[];
}

const limits = { operations: 100, bytes: 5 * 1024 };

/** CRUD of a Worker's secrets; see components/cloudflare/worker-secrets.ts. */
export function workerSecretSet(
  api: CloudflareApi,
  abandon: readonly string[],
  warn: (line: string) => void,
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
      await deliver(api, news);
      return { id: news.script, outs: { ...news, drift: [] } };
    },

    async update(_id, olds, news) {
      const knobs: (keyof Inputs)[] = ["answers", "withinMs", "settleMs", "settles", "worker"];
      const delivered = Object.fromEntries(
        Object.entries(news).filter(([key]) => !knobs.includes(key as keyof Inputs)),
      );
      if (olds.drift.length > 0 || !sameInputs(olds, delivered)) await deliver(api, news, olds);
      return { outs: { ...news, drift: [] } };
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
        warn(`abandoned: the Worker ${props.worker} keeps its secrets; config lists it under abandon`);
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

/** An edit of secrets starts from the newest version: if that one is not deployed, the edit would deploy code that nobody released. */
export async function requireDeployed(
  api: CloudflareApi,
  { worker, script }: { worker: string; script: string },
): Promise<Versions> {
  const versions = await api.versions(script);
  if (versions.newest !== versions.deployed) {
    throw new CloudflareError(
      "undeployed",
      `the newest version of the Worker ${worker} (script ${script}) is ${versions.newest}, but ${versions.deployed ?? "no single version"} is deployed. ` +
        "A change of secrets would deploy the newest one: deploy it yourself, or upload the deployed code again, then run the update again.",
    );
  }
  return versions;
}

/** One call for the whole set, then attestation; where something of before is no longer live, then the wait for every edge location. */
async function deliver(api: CloudflareApi, news: Inputs, olds?: Inputs): Promise<void> {
  const before = await requireDeployed(api, news);
  const unwanted = [...Object.keys(olds?.secrets ?? {}), ...news.touched].filter((name) => !(name in news.secrets));
  const present = unwanted.length > 0 ? await api.listSecrets(news.script) : [];
  const dropped = unwanted.filter((name) => present.includes(name));
  const changes: SecretChanges = {
    ...news.secrets,
    [generationsName]: news.generations,
    [probeTokenName]: news.token,
    ...Object.fromEntries(dropped.map((name) => [name, null])),
  };
  await api.changeSecrets(news.script, changes, () => tookEffect(api, news, before));
  await attestDelivery(api, news);
  if (olds && losesGeneration(olds, news)) await pause(news.settleMs);
}

/**
 * After an open answer: whether the change took effect. Another version must be live, and the probe must report this delivery;
 * without a probe it is not known, and the same change is made again, which does no harm.
 */
async function tookEffect(api: CloudflareApi, news: Inputs, before: Versions): Promise<boolean> {
  if (news.probe === "" || (await api.versions(news.script)).deployed === before.deployed) return false;
  return (
    (await attest({ url: news.probe, token: news.token }, reports(news), { answers: 1, withinMs: news.withinMs })) ===
    undefined
  );
}

async function attestDelivery(api: CloudflareApi, news: Inputs): Promise<void> {
  if (news.probe === "") {
    await listed(api, news);
    return;
  }
  const short = await attest({ url: news.probe, token: news.token }, reports(news), news);
  if (!short) return;
  const expected = JSON.parse(news.generations) as Generations;
  const wrong = Object.keys(expected).filter((credential) => !holdsCredential(short.last, expected, credential));
  const said = wrong.map(
    (name) => `${name}: expected ${expected[name]?.[0]?.stamp} as current, it reports ${describe(short.last, name)}`,
  );
  throw new CloudflareError(
    "unavailable",
    `the Worker ${news.worker} did not attest its secrets within ${news.withinMs / 1000} s (${short.row} of ${news.answers} answers in a row): ${said.join("; ")}. ` +
      "Nothing was withdrawn: current and previous both work. See that its code answers the probe, then run the update again.",
  );
}

/** Without a probe: the names must show in the list, which lags behind a change by some seconds. */
async function listed(api: CloudflareApi, news: Inputs): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const names = await api.listSecrets(news.script);
    const missing = Object.keys(news.secrets).filter((name) => !names.includes(name));
    if (missing.length === 0) return;
    if (attempt === 6)
      throw new CloudflareError(
        "unavailable",
        `the Worker ${news.worker} does not list ${missing.join(", ")} after their delivery`,
      );
    await pause(100 * 2 ** attempt);
  }
}

/** Whether a report carries every delivered credential with this delivery's tags, current first. */
function reports(news: Inputs): (report: Report) => boolean {
  const expected = JSON.parse(news.generations) as Generations;
  return (report) => Object.keys(expected).every((credential) => holdsCredential(report, expected, credential));
}

function holdsCredential(report: Report, expected: Generations, credential: string): boolean {
  const tags = (generations: Generations) => generations[credential]?.map(({ tag }) => tag).join() ?? "";
  return "generations" in report && tags(report.generations) === tags(expected);
}

/** Whether a tag that was delivered is no longer, and the same update withdraws it. Waiting for anything else would only keep others waiting. */
function losesGeneration(olds: Inputs, news: Inputs): boolean {
  const { settles } = olds as Partial<Inputs>; // states of before it was recorded have none
  const tags = (json: string) =>
    Object.entries(JSON.parse(json) as Generations).flatMap(([credential, list]) =>
      settles === undefined || settles.includes(credential) ? list.map(({ tag }) => tag) : [],
    );
  const live = new Set(tags(news.generations));
  return tags(olds.generations).some((tag) => !live.has(tag));
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
