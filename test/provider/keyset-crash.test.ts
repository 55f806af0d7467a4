// Proves, over the wire of the local cloud, that a process which dies at any change of a Worker's secrets leaves nothing that makes
// a protected token die: neither when the update is run again, nor when its edit is taken back or replaced by another one. Where the
// provider refuses, the edit that its refusal names is accepted. Not proven: the engine's own crashes (test/provider/keyset-matrix.test.ts and test/engine/crash.test.ts).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CloudflareError } from "../../components/cloudflare/api";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { Crash, DyingApi, Holder } from "./keysets";
import * as path from "node:path";

const entry = path.join(__dirname, "../fixtures/keyset-worker.ts");
const [a, b, c] = ["2026-01-01", "2026-01-02", "2026-01-03"];
let cf: LocalCloudflare;

beforeAll(async () => {
  cf = await startCloudflare({ scripts: { keyset: { entry }, dual: { entry } } });
});
afterAll(() => cf.stop());

/** What stood before, what was edited, and what else may be written when that update died. */
const edits: { name: string; before: string[][]; edit: string[]; shapes: ("keyset" | "dual")[]; others: string[][] }[] =
  [
    { name: "a roll", before: [[a]], edit: [b, a], shapes: ["keyset", "dual"], others: [[c, a]] },
    {
      name: "a roll before the last is retired",
      before: [[a], [b, a]],
      edit: [c, b, a],
      shapes: ["keyset"],
      others: [],
    },
    { name: "a rollback", before: [[a], [b, a]], edit: [a, b], shapes: ["keyset", "dual"], others: [[b]] },
  ];
/** Each of these updates makes one change or two. */
const deaths = [
  { nth: 1, when: "before" },
  { nth: 1, when: "after" },
  { nth: 2, when: "after" },
] as const;

const cases = edits.flatMap(({ name, before, edit, shapes, others }) =>
  shapes.flatMap((shape) =>
    [
      ["run again", edit],
      ["taken back", before.slice(-1).flat()],
      ...others.map((other) => [`replaced by ${other.join(", ")}`, other]),
    ].map(([what, then]) => ({
      name: `${name} in shape ${shape}, ${String(what)}`,
      shape,
      before,
      edit,
      then: then as string[],
    })),
  ),
);

describe.each(cases)("$name", ({ shape, before, edit, then }) => {
  it.each(deaths)("after a death $when change $nth", async ({ nth, when }) => {
    const holder = await new Holder(cf, { shape }, shape).through(before[0] ?? []);
    holder.watch().record();
    await holder.through(...before.slice(1));
    const api = new DyingApi(cf, { nth, when });
    // A change that the update does not make is the death after its last one: nobody records what it did.
    await holder.up(edit, { api, forgets: true }).catch((error: unknown) => {
      if (!(error instanceof Crash)) throw error;
    });
    await settle(holder, then);
    holder.expectSafe();
    expect(holder.held.at(-1)?.signs).toBe(holder.text(then[0] ?? ""));
  });
});

it("remembers a key that signed between two deaths, though the Worker signs as state says", async () => {
  const holder = await new Holder(cf, {}, "keyset").through([a], [b, a]);
  // Its tokens are dead by now, so that only what happens next can hold it.
  await new Promise((done) => setTimeout(done, 1100));
  holder.watch().record();
  for (const edit of [
    [a, b],
    [b, a],
  ]) {
    const death = holder.up(edit, { api: new DyingApi(cf, { nth: 1, when: "after" }) });
    await expect(death).rejects.toThrow(Crash);
  }
  await settle(holder, [b]);
  expect(holder.sequence().map((set) => set.replaceAll("2026-01-0", ""))).toEqual([
    ...["2<1,2", "1<1,2", "2<1,2", "2<1,2", "2<2"],
  ]);
  holder.expectSafe();
});

/** Does what an operator does: the edit, and where it is refused what the refusal says, then the edit again. */
async function settle(holder: Holder, wanted: string[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const refusal = await refusalOf(holder.up(wanted));
    if (refusal === undefined) return;
    expect(attempt, refusal).toBeLessThan(6);
    const [, list] = /Write `generations: \[(.*?)\]`/.exec(refusal) ?? [];
    if (list !== undefined) expect(await refusalOf(holder.up(list.split(", ")))).toBeUndefined();
    const [, until] = /accepted until (\S+Z)/.exec(refusal) ?? [];
    if (until !== undefined) await new Promise((done) => setTimeout(done, Date.parse(until) - Date.now() + 5));
    else expect(list, refusal).toBeDefined();
  }
}

async function refusalOf(update: Promise<unknown>): Promise<string | undefined> {
  try {
    await update;
    return undefined;
  } catch (error) {
    if (!(error instanceof CloudflareError)) throw error;
    return error.message;
  }
}
