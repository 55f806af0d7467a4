// Proves that the plan tells the time at which the update's gate lets a key go, for what state has: both are asked of the same Workers.
// Not what the gate asks of Workers on top, which no plan can know (keyset-steps.test.ts), and not the texts around the time.
import { describe, expect, it } from "vitest";
import { gate } from "../../components/cloudflare/keyset-gate";
import {
  type KeysetInputs,
  type KeysetOutputs,
  type KeysetSpec,
  stepsOf,
} from "../../components/cloudflare/keyset-step";
import * as make from "./plan-fixture";
import * as keys from "./plan-keyset-fixture";
import { credentialOf, NAME, NOW, OLD, scene } from "./plan-keyset-fixture";

const AGO = (ms: number) => new Date(Date.now() - ms).toISOString();
const minute = 60_000;

/** ISO time at which the key OLD may go, by the plan and by the gate. */
async function timesOf(more: keys.HolderMore, was: Partial<KeysetSpec>, spec: Partial<KeysetSpec>): Promise<unknown[]> {
  const settings = { drainMs: 0, retireBelow: 1, ...more };
  const [before, after] = [was, spec].map((change) => ({ [NAME]: { ...keys.specOf(settings), ...change } }));
  const made = keys.holder("rounds-api", NAME, [NOW, OLD], settings);
  const worker = { ...made, inputs: { ...made.inputs, keysets: before } };
  const facts = scene({ before: [NOW, OLD], after: [NOW], workers: [] });
  const planned = credentialOf({
    ...facts,
    now: new Date(),
    steps: [...facts.steps, make.step("update", worker, { keysets: after })],
    state: { ...facts.state, resources: [...facts.state.resources, worker] },
  });
  const olds = { ...worker.outputs, keysets: before } as unknown as KeysetOutputs;
  const generations = JSON.stringify({ [NAME]: [{ stamp: NOW, tag: keys.tagOf(NOW) }] });
  const news = { ...olds, keysets: after, generations, signers: {}, verifiers: {} } as unknown as KeysetInputs;
  const [step] = stepsOf(news, olds);
  if (!step) throw new Error("the Worker is handed its keys again");
  const refused = await gate(step, news, []).then(
    () => "not refused",
    (error: unknown) => String(error),
  );
  return [
    /^not before (\S+),/.exec(planned?.withdraws[0]?.when ?? "")?.[1],
    /are accepted until (\S+)\. /.exec(refused)?.[1],
  ];
}

describe("the plan and the gate", () => {
  const [recorded, told] = [AGO(2 * minute), AGO(minute)];
  const later = (from: string, minutes: number) => new Date(Date.parse(from) + minutes * minute).toISOString();
  const ages = (was: number, spec: number) =>
    [{ maxTokenAgeMs: was * minute }, { maxTokenAgeMs: spec * minute }] as const;

  it.each([
    ["since it was superseded", { superseded: { [OLD]: recorded }, since: told }, ages(5, 5), later(recorded, 6)],
    ["since its successor was told to sign, where nothing is recorded", { since: told }, ages(5, 5), later(told, 6)],
    [
      "by the age of before, where that was longer",
      { superseded: { [OLD]: recorded } },
      ages(9, 1),
      later(recorded, 10),
    ],
    ["by the age of now, where that is longer", { superseded: { [OLD]: recorded } }, ages(1, 9), later(recorded, 10)],
  ])("count %s", async (_what, more, [was, spec], time) => {
    expect(await timesOf(more, was, spec)).toEqual([time, time]);
  });
});
