// Proves, over the wire of the local cloud, that no secret is left on a Worker by a delivery that failed and was taken back, that
// a Worker of another account is not taken for gone, that no empty secret is delivered, and that a delivery waits for the edge only
// where something is withdrawn by the same update. It does not prove attestation (attest.test.ts) or the engine's order.
import { afterAll, beforeAll, expect, it } from "vitest";
import { CloudflareApi } from "../../components/cloudflare/api";
import type { Inputs as Intent, Outputs as Intended } from "../../components/cloudflare/worker-delivery.provider";
import { workerDelivery } from "../../components/cloudflare/worker-delivery.provider";
import type { Inputs, Outputs } from "../../components/cloudflare/worker-secret-set.provider";
import { workerSecretSet } from "../../components/cloudflare/worker-secret-set.provider";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { bulk } from "../../local/cloud/client";

const script = "rounds-api";
let cf: LocalCloudflare;

beforeAll(async () => {
  cf = await startCloudflare({ scripts: { [script]: {} } });
});
afterAll(() => cf.stop());

const api = (accountId = cf.accountId) => new CloudflareApi({ accountId, apiUrl: cf.apiUrl }, cf.token);
const secretSet = (account?: string) =>
  workerSecretSet(
    api(account),
    [],
    () => undefined,
    () => Promise.resolve(),
  );
const names = () => Object.keys(cf.state(script).secrets).sort();

function delivery(intended: Intended, secrets: Record<string, string>): Inputs {
  const { delivery: nonce, touched } = intended;
  const generations = JSON.stringify({ "session-key": [{ stamp: "2026-11-20", tag: nonce }] });
  const waits = { answers: 1, withinMs: 2000, settleMs: 0, settles: ["rounds-db"] };
  // Without a probe: what is looked at here is what Cloudflare lists.
  const at = { worker: script, script, accountId: cf.accountId, probe: "", token: "probe-token" };
  return { ...at, ...waits, secrets, generations, delivery: nonce, touched, keysets: {}, signers: {}, verifiers: {} };
}

async function intend(olds: Intended | undefined, wanted: string[]): Promise<Intended> {
  const provider = workerDelivery(api(), []);
  const news: Intent = { worker: script, script, intent: wanted.join(), names: wanted };
  const done = olds ? await provider.update?.(script, olds, news) : await provider.create(news);
  return done?.outs as Intended;
}

it("deletes what a failed delivery left when its edit is taken back", async () => {
  const first = await intend(undefined, ["A"]);
  const olds = (await secretSet().create(delivery(first, { A: "a" }))).outs as Outputs;
  // The edit adds NEW; its call takes effect, and then nobody records it.
  const second = await intend(first, ["A", "NEW"]);
  expect((await bulk(cf, { NEW: "left behind" })).status).toBe(200);
  expect(names()).toContain("NEW");

  const third = await intend(second, ["A"]);
  const outs = (await secretSet().update?.(script, olds, delivery(third, { A: "a" })))?.outs as Outputs;
  expect(names()).toEqual(["A", "ROLLOVER_GENERATIONS", "ROLLOVER_PROBE_TOKEN"]);
  // What somebody else sets later under that name is theirs.
  expect((await bulk(cf, { NEW: "somebody else's" })).status).toBe(200);
  const fourth = await intend(third, ["A"]);
  await secretSet().update?.(script, outs, delivery(fourth, { A: "b" }));
  expect(names()).toContain("NEW");
  await secretSet().delete?.(script, outs);
  expect(names()).toEqual(["NEW"]);
});

it("sweeps the first delivery of a Worker that was never recorded, and no name of somebody else's", async () => {
  const intended = await intend(undefined, ["NEW"]);
  await workerDelivery(api(), []).delete?.(script, intended);
  expect(names()).toEqual(["NEW"]);

  expect((await bulk(cf, { NEW: "x", ROLLOVER_GENERATIONS: "{}", ROLLOVER_PROBE_TOKEN: "t" })).status).toBe(200);
  await workerDelivery(api(), [script]).delete?.(script, intended);
  expect(names()).toEqual(["NEW", "ROLLOVER_GENERATIONS", "ROLLOVER_PROBE_TOKEN"]);
  await workerDelivery(api(), []).delete?.(script, intended);
  expect(names()).toEqual([]);
});

it("refuses to take a Worker of another account for gone", async () => {
  const intended = await intend(undefined, ["A"]);
  const outs = (await secretSet().create(delivery(intended, { A: "a" }))).outs as Outputs;
  const other = secretSet("f".repeat(32));
  const refusal = new RegExp(
    `is in the account ${cf.accountId}, but rollover:cloudflare names f+\\. It was left as it is`,
  );
  await expect(other.delete?.(script, outs)).rejects.toThrow(refusal);
  await expect(other.read?.(script, outs)).rejects.toThrow(refusal);
  expect(names()).toEqual(["A", "ROLLOVER_GENERATIONS", "ROLLOVER_PROBE_TOKEN"]);
  expect(await other.diff?.(script, outs, { ...outs, accountId: "f".repeat(32) })).toMatchObject({
    replaces: ["accountId"],
  });
});

it("refuses an empty secret, and names no property whose value would be printed", async () => {
  const intended = await intend(undefined, ["A", "B"]);
  const check = async (secrets: Record<string, string>) => {
    const news = delivery(intended, secrets);
    return (await secretSet().check?.(news, news))?.failures;
  };
  expect(await check({ A: "a", B: "" })).toEqual([
    { property: "worker", reason: `B for the Worker ${script} is empty; run the update again, without --target` },
  ]);
  expect(await check({ A: "a", B: "b" })).toEqual([]);
});

it("waits for the edge where a generation is withdrawn that is in `settles`, and for no other", async () => {
  const holding = (nonce: string, tags: Record<string, string[]>, settleMs: number): Inputs => {
    const generations = Object.entries(tags).map(([name, list]) => [
      name,
      list.map((tag) => ({ stamp: "2026-11-20", tag })),
    ]);
    const base = delivery({ ...intended, delivery: nonce }, { A: nonce });
    return { ...base, settleMs, generations: JSON.stringify(Object.fromEntries(generations)) };
  };
  const intended = await intend(undefined, ["A"]);
  const [long, short] = [600_000, 1500];
  const first = holding("1", { "rounds-db": ["new", "old"], "rounds-turso": ["dead"] }, long);
  let olds = (await secretSet().create(first)).outs as Outputs;
  const update = async (news: Inputs): Promise<number> => {
    const begun = performance.now();
    olds = (await secretSet().update?.(script, olds, news))?.outs as Outputs;
    return performance.now() - begun;
  };
  const tokenOnly = holding("2", { "rounds-db": ["new", "old"], "rounds-turso": ["fresh"] }, long);
  expect(await update(tokenOnly)).toBeLessThan(10_000);
  const added = holding("3", { "rounds-db": ["newer", "new", "old"], "rounds-turso": ["fresh"] }, long);
  expect(await update(added)).toBeLessThan(10_000);
  const withdrawn = holding("4", { "rounds-db": ["newer", "new"], "rounds-turso": ["fresh"] }, short);
  expect(await update(withdrawn)).toBeGreaterThanOrEqual(short - 5);
  // A credential that is delivered no more is withdrawn as well, though nothing lists it by now.
  const gone = { ...holding("5", { "rounds-turso": ["fresh"] }, short), settles: [] };
  expect(await update(gone)).toBeGreaterThanOrEqual(short - 5);
}, 60_000);
