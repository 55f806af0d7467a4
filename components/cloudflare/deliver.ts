/** Hands a Worker its set of secrets, in one call, and waits until the Worker says that it holds it. */
import { setTimeout as pause } from "node:timers/promises";
import { type CloudflareApi, CloudflareError, type SecretChanges, type Versions } from "./api";
import { attest, describe, type Generations, generationsName, probeTokenName, type Report } from "./attest";
import { type Activations, activationsOf, type Prepared, reportWith } from "./keyset-steps";
import type { Inputs, Outputs } from "./worker-secret-set.provider";

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

/**
 * One call for the whole set, then attestation; before it, where a keyset gets a new primary, the same for the set that announces
 * it. Where something of before is no longer live, the wait for every edge location follows.
 *
 * @returns What the Worker signs with now.
 */
export async function deliver(
  api: CloudflareApi,
  news: Inputs,
  olds?: Outputs,
  { announced, signed }: Prepared = { announced: undefined, signed: {} },
): Promise<Activations> {
  if (announced) {
    const set = { ...news, ...announced };
    const soFar = activationsOf(set, olds, new Date(), signed);
    await push(api, { ...set, generations: reportWith(set.generations, news, soFar) });
    await pause(Math.max(...Object.values(news.keysets).map(({ settleMs }) => settleMs)));
  }
  const begun = new Date();
  const unwanted = [...Object.keys(olds?.secrets ?? {}), ...news.touched].filter(
    (name) => !Object.hasOwn(news.secrets, name),
  );
  const present = unwanted.length > 0 ? await api.listSecrets(news.script) : [];
  const dropped = unwanted.filter((name) => present.includes(name)).map((name) => [name, null]);
  const set = { ...news, generations: reportWith(news.generations, news, activationsOf(news, olds, begun, signed)) };
  await push(api, set, Object.fromEntries(dropped) as SecretChanges);
  if (olds && losesGeneration(olds, news)) await pause(news.settleMs);
  // Attested only now: until then another isolate may have signed with the key of before.
  return activationsOf(news, olds, begun, signed);
}

/** Hands over one set, and waits until it is attested. */
export async function push(api: CloudflareApi, set: Inputs, more: SecretChanges = {}): Promise<void> {
  const before = await requireDeployed(api, set);
  const changes = { ...set.secrets, [generationsName]: set.generations, [probeTokenName]: set.token, ...more };
  await api.changeSecrets(set.script, changes, () => tookEffect(api, set, before));
  await attestDelivery(api, set);
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
export function reports(news: Inputs): (report: Report) => boolean {
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
