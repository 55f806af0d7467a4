// Proves, with tokens that are signed and verified all the while, that none is refused over roll, roll, rollback and retirement while
// isolates pick up a change at random, or pool by pool; and that the same load does refuse tokens where the key is swapped in one step.
// The figures of a whole rehearsal are in test/engine. Not proven: that Cloudflare's edge spreads a change as the local cloud does.
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keySetText } from "../../components/rotation/key-texts";
import { type LocalCloudflare, type Propagation, startCloudflare } from "../../local/cloud/cloudflare";
import { DyingApi, Holder } from "./keysets";

const entry = path.join(__dirname, "../fixtures/keyset-worker.ts");
const [a, b, c, d] = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"];
const MAX_AGE = 1500;
const SPREAD = 700;
const vantages = ["london", "tokyo", "lima"];
let cf: LocalCloudflare;

interface Refused {
  ageMs: number;
  why: string;
}

beforeAll(async () => {
  cf = await startCloudflare({ scripts: { keyset: { entry }, dual: { entry } } });
});
afterAll(() => cf.stop());

const spreads: [string, (withinMs: number) => Propagation][] = [
  ["at random", (withinMs) => ({ mode: "random", withinMs })],
  [
    "pool by pool",
    (withinMs) => ({ mode: "sticky", withinMs, pools: 4, delaysMs: [0, 0.3, 0.6, 1].map((part) => part * withinMs) }),
  ],
];

describe.each(spreads)("isolates that change %s", (_name, propagation) => {
  it.each(["keyset", "dual"] as const)("refuse no token of a keyset of shape %s", async (shape) => {
    cf.setPropagation({ mode: "instant" });
    const spec = { shape, maxTokenAgeMs: MAX_AGE, settleMs: SPREAD + 100, drainMs: 60_000 };
    const holder = await new Holder(cf, spec, shape).through([a]);
    cf.setPropagation(propagation(SPREAD));
    const { verified, refused } = await underLoad(shape, async () => {
      if (shape === "keyset") await holder.through([b, a], [c, b, a], [b, c, a], [b], [d, b]);
      else await holder.through([b, a], [a, b], [a], [c, a]);
    });
    expect(refused).toEqual([]);
    expect(verified).toBeGreaterThan(100);
  });

  it("refuse tokens where the key is swapped in one step", async () => {
    cf.setPropagation({ mode: "instant" });
    const holder = await new Holder(cf, {}, "keyset").through([a]);
    // Some isolates change soon and some much later, whatever is drawn and however slow the machine is.
    cf.setPropagation(propagation(20_000));
    const swapped = keySetText("signing-keyset", [holder.key(b), holder.key(a)], b);
    const { refused } = await underLoad("keyset", async (soFar) => {
      await new DyingApi(cf).changeSecrets("keyset", { JWT_KEYS: swapped }, () => Promise.resolve(false));
      await expect.poll(() => soFar.length).toBeGreaterThan(0);
    });
    expect(new Set(refused.map(({ why }) => why))).toEqual(new Set(["401 unknown-key"]));
  });
});

/** Meanwhile signs at one place, and verifies at once at another and once more shortly before the token is too old. */
async function underLoad(script: string, work: (refused: readonly Refused[]) => Promise<void>) {
  const url = cf.workerUrl(script);
  const refused: Refused[] = [];
  const later: Promise<void>[] = [];
  let [verified, asked] = [0, 0];
  let stopping = false;

  const ask = async (where: string, headers: Record<string, string> = {}) => {
    const vantage = vantages[asked++ % vantages.length] ?? "";
    const response = await fetch(`${url}${where}`, { headers: { "x-vantage": vantage, ...headers } });
    return { status: response.status, text: await response.text() };
  };
  const verify = async (token: string, signedAt: number) => {
    const { status, text } = await ask("/verify", { "x-token": token });
    const ageMs = Date.now() - signedAt;
    // Slower than its life on a busy machine: nobody has promised anything then.
    if (status === 200) verified += 1;
    else if (ageMs < MAX_AGE) refused.push({ ageMs, why: `${status} ${text}` });
  };
  const holder = async () => {
    while (!stopping) {
      const signedAt = Date.now();
      const { status, text: token } = await ask("/sign");
      if (status !== 200) refused.push({ ageMs: 0, why: `${status} ${token}` });
      await verify(token, signedAt);
      later.push(pause(MAX_AGE - 300).then(() => verify(token, signedAt)));
      await pause(30);
    }
  };
  const holders = Promise.all(Array.from({ length: 3 }, holder));
  try {
    await work(refused);
  } finally {
    stopping = true;
    await holders;
    await Promise.all(later);
  }
  return { verified, refused };
}
