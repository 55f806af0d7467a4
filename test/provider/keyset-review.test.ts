// Proves, over the wire of the local cloud, what a review of the keysets found and had changed: what reaches a Worker beside a keyset
// that waits or is refused, and when a key that a Worker, its verifiers or its state know little of may sign or be dropped. All failed
// before but the control that raises maxTokenAge. Not proven: the rest of a keyset's life (keyset.test.ts), the engine (test/engine).
import * as http from "node:http";
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Inputs } from "../../components/cloudflare/worker-secret-set.provider";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { close, listen } from "../../local/cloud/faults";
import { credential, Holder, keysIn, refusal } from "./keysets";

const entry = path.join(__dirname, "../fixtures/keyset-worker.ts");
const [a, b, c] = ["2026-01-01", "2026-01-02", "2026-01-03"];
const LONG = 3_600_000;
let cf: LocalCloudflare;

/** Of the tokens that the Worker `keyset` verified lately, the share of each key: what its probe says through `counting`. */
let shares: Record<string, number> = {};
let counting = "";
const server = http.createServer((request, response) => {
  const headers = { authorization: request.headers.authorization ?? "" };
  fetch(`${cf.workerUrl("keyset")}/.well-known/rollover`, { headers })
    .then(async (answer) => {
      const text = await answer.text();
      response.writeHead(answer.status);
      if (!answer.ok) return response.end(text);
      return response.end(JSON.stringify({ ...(JSON.parse(text) as object), signedWith: { [credential]: shares } }));
    })
    .catch(() => response.destroy());
});

beforeAll(async () => {
  cf = await startCloudflare({ scripts: { keyset: { entry }, verifier: { entry }, changed: { entry } } });
  counting = `http://127.0.0.1:${await listen(server)}/`;
});
afterAll(async () => {
  await close(server);
  await cf.stop();
});

const holds = (spec: ConstructorParameters<typeof Holder>[1] = {}, script = "keyset", change: Partial<Inputs> = {}) =>
  new Holder(cf, spec, script, change);

/** The time that a refusal names, in ms since 1970. */
function until(text: string): number {
  const [, time] = /are accepted until (\S+Z)\. .* Run the update again after that time/.exec(text) ?? [];
  if (time === undefined) throw new Error(`no time in: ${text}`);
  return Date.parse(time);
}

const short = (sequence: string[]) => sequence.map((set) => set.replaceAll("2026-01-0", ""));

describe("the URL of a database that changes beside a keyset", () => {
  /** One update that delivers these generations, and this URL. */
  async function withUrl(holder: Holder, stamps: string[], url: string, forgets = false): Promise<void> {
    const { secrets, generations } = holder.inputs(stamps);
    const held = { ...(JSON.parse(generations) as object), "rounds-db": [{ stamp: a, tag: `tag-${url}` }] };
    const change = { secrets: { ...secrets, DATABASE_URL: url }, generations: JSON.stringify(held) };
    await holder.up(stamps, { change, forgets });
  }

  /** What the Worker has: its URL and the one that the probe is to report, and all of the keyset. */
  function has(script = "keyset") {
    const { DATABASE_URL: url, JWT_KEYS: keys, ROLLOVER_GENERATIONS: text = "" } = cf.state(script).secrets;
    const { "rounds-db": database, [credential]: keyset } = JSON.parse(text) as Record<string, { tag: string }[]>;
    return { url, reported: database?.[0]?.tag, keyset: { keys, entries: keyset } };
  }

  it("is there before the wait for a key that may go soon", async () => {
    const holder = holds({ maxTokenAgeMs: 2000, drainMs: 10_000 });
    await withUrl(holder, [a], "old");
    await withUrl(holder, [b, a], "old");
    const end = Date.parse(holder.olds?.activations[credential]?.superseded[holder.key(a).tag] ?? "") + 2000;
    const sets: { at: number; url: string | undefined; keys: number }[] = [];
    cf.onCall(({ phase, method }) => {
      const { secrets } = cf.state("keyset");
      if (phase === "after" && method === "PATCH")
        sets.push({ at: Date.now(), url: secrets["DATABASE_URL"], keys: keysIn(secrets).verifies.length });
    });
    await withUrl(holder, [b], "new");
    expect(sets.map(({ url, keys }) => ({ url, keys }))).toEqual([
      { url: "new", keys: 2 },
      { url: "new", keys: 1 },
    ]);
    expect(sets[0]?.at).toBeLessThan(end);
    expect(sets[1]?.at).toBeGreaterThanOrEqual(end);
  });

  it("is there though the keyset is refused for its time, and that one is as it was", async () => {
    const holder = holds({ maxTokenAgeMs: LONG });
    await withUrl(holder, [a], "old");
    await withUrl(holder, [b, a], "old");
    const { keyset } = has();
    expect(until(await refusal(withUrl(holder, [b], "new")))).toBeGreaterThan(Date.now());
    expect(has()).toEqual({ url: "new", reported: "tag-new", keyset });
  });

  it("is there though the keyset is refused for its share", async () => {
    const holder = holds({ maxTokenAgeMs: 1 }, "keyset", { probe: counting });
    shares = { [a]: 0.3, [b]: 0.7 };
    await withUrl(holder, [a], "old");
    await withUrl(holder, [b, a], "old");
    const { keyset } = has();
    expect(await refusal(withUrl(holder, [b], "new"))).toContain("30 % of the tokens");
    expect(has()).toEqual({ url: "new", reported: "tag-new", keyset });
  });

  it("is there, and no key of the Worker is lost, where it signs with another than state knows", async () => {
    const holder = holds({ maxTokenAgeMs: 1 });
    await withUrl(holder, [a], "old");
    await withUrl(holder, [b, a], "old", true);
    const { keyset } = has();
    expect(await refusal(withUrl(holder, [c, a], "new"))).toContain(`reports that it signs with ${b}`);
    expect(has()).toEqual({ url: "new", reported: "tag-new", keyset });
    expect(await refusal(withUrl(holder, [b], "newer"))).toContain(`signs with ${a} until this update`);
    expect(has()).toEqual({ url: "newer", reported: "tag-newer", keyset });
  });
});

describe("a previous key is not dropped at once", () => {
  it("where state has nothing of when it signed last", async () => {
    // As after a Worker got another script name: the first delivery has both keys.
    const holder = holds({ maxTokenAgeMs: LONG });
    const begun = Date.now();
    await holder.up([b, a]);
    holder.watch();
    expect(until(await refusal(holder.up([b])))).toBeGreaterThanOrEqual(begun + LONG);
    expect(holder.held).toEqual([]);
  });

  it("where the update that drops it lowers `maxTokenAge`: what was signed lives as long as was written then", async () => {
    const holder = await holds({ maxTokenAgeMs: LONG }).through([a], [b, a]);
    const { superseded } = holder.olds?.activations[credential] ?? {};
    holder.watch();
    const time = until(await refusal(holder.up([b], { spec: { maxTokenAgeMs: 1 } })));
    expect(time).toBe(Date.parse(superseded?.[holder.key(a).tag] ?? "") + LONG);
    expect(holder.held).toEqual([]);
  });

  it("where it is raised, for the new age", async () => {
    const holder = await holds({ maxTokenAgeMs: 1 }).through([a], [b, a]);
    const { superseded } = holder.olds?.activations[credential] ?? {};
    const time = until(await refusal(holder.up([b], { spec: { maxTokenAgeMs: LONG } })));
    expect(time).toBe(Date.parse(superseded?.[holder.key(a).tag] ?? "") + LONG);
  });

  it("by a verifier that has become the signer: the other Worker signed with it until then", async () => {
    const holder = await holds({ maxTokenAgeMs: LONG, verifyOnly: true }, "verifier").through([a], [b, a]);
    const signs = { spec: { verifyOnly: false } };
    // What a verifier has recorded is this much older than the change.
    await pause(300);
    const begun = Date.now();
    await holder.up([b, a], { ...signs, intent: "begins to sign" });
    const { since, superseded } = holder.olds?.activations[credential] ?? {};
    expect(Date.parse(since ?? "")).toBeGreaterThanOrEqual(begun);
    expect(Date.parse(superseded?.[holder.key(a).tag] ?? "")).toBeGreaterThanOrEqual(begun);
    holder.watch();
    expect(until(await refusal(holder.up([b], signs)))).toBeGreaterThanOrEqual(begun + LONG);
    expect(holder.held).toEqual([]);
  });
});

describe("a new key does not sign", () => {
  it("unannounced, where it came with the first delivery just before", async () => {
    const holder = await holds({ settleMs: 500 }).through([a, b]);
    holder.watch().record();
    await holder.up([b, a]);
    // Told again who signs, waited for, and only then swapped.
    expect(short(holder.sequence())).toEqual(["1<1,2", "1<1,2", "2<1,2"]);
    const [, announced, activated] = holder.held.map(({ at }) => at);
    expect((activated ?? 0) - (announced ?? Infinity)).toBeGreaterThanOrEqual(500);
  });

  it("before the Worker that verifies holds it, as with --target: tokens go on to be accepted", async () => {
    const signer = holds({ maxTokenAgeMs: 1 });
    for (const stamp of [a, b]) signer.key(stamp);
    const verifier = holds({ maxTokenAgeMs: 1, verifyOnly: true }, "verifier").sharing(signer);
    const signers = { change: { signers: { [credential]: signer.consumer } } };
    const verifiers = { change: { verifiers: { [credential]: [verifier.consumer] } } };
    await verifier.up([a], signers);
    await signer.up([a], verifiers);
    signer.watch();
    const text = await signer.up([b, a], verifiers).then(
      () => "not refused",
      (error: unknown) => (error as Error).message,
    );
    expect(await shown()).toBe("200 ok");
    expect(text).toContain(
      `was not changed: the Worker verifier, which verifies, does not hold ${b}. No key was changed`,
    );
    expect(text).toContain("Run the update again without --target");
    expect(signer.held).toEqual([]);
    // As the text says.
    await verifier.up([b, a], signers);
    await signer.up([b, a], verifiers);
    expect(short(signer.sequence())).toEqual(["1<1,2", "2<1,2"]);
    expect(await shown()).toBe("200 ok");
  });

  /** What the verifier says of a token that the signer makes now. */
  async function shown(): Promise<string> {
    const token = await (await fetch(`${cf.workerUrl("keyset")}/sign`)).text();
    const answer = await fetch(`${cf.workerUrl("verifier")}/verify`, { headers: { "x-token": token } });
    return `${answer.status} ${await answer.text()}`;
  }
});

describe("a refusal names a way out, and that one goes", () => {
  it("where another credential takes over the name of a keyset's secret", async () => {
    const holder = await holds({ maxTokenAgeMs: LONG }).through([a]);
    const rename = (atOnce: boolean): Partial<Inputs> => {
      const { keysets, generations } = holder.inputs([c], {}, { atOnce });
      const renamed = (by: Record<string, unknown>) => ({ "other-signing": by[credential] });
      return {
        keysets: renamed(keysets) as Inputs["keysets"],
        generations: JSON.stringify(renamed(JSON.parse(generations) as Record<string, unknown>)),
      };
    };
    holder.watch();
    expect(await refusal(holder.up([c], { change: rename(false) }))).toBe(
      `JWT_KEYS of the Worker keyset holds the keys of ${credential}, and would get those of other-signing: every token that was signed so far would be refused. ` +
        `Nothing was changed. Keep the name ${credential}, or deliver other-signing under another name; in an emergency write \`generation\` in place of \`generations\`.`,
    );
    expect(holder.held).toEqual([]);
    await holder.up([c], { change: rename(true) });
    expect(short(holder.sequence())).toEqual(["3<3"]);
  });

  it("where a keyset changes its shape: a second credential beside it, or an emergency", async () => {
    const holder = await holds({ maxTokenAgeMs: LONG }, "changed").through([a], [b, a]);
    const dual = { shape: "dual", as: "JWT_SECRET", alsoAs: "JWT_SECRET_NEW" } as const;
    holder.watch();
    const text = await refusal(holder.up([b, a], { spec: dual }));
    expect(text).toBe(
      `${credential} was not changed: its keys mean something else as signing-keyset of shape dual than as signing-keyset of shape keyset. No key was changed. ` +
        `Write them as they were, and declare a second credential for the other; in an emergency \`generation: ${b}\` drops it at once, and every token that it signed.`,
    );
    expect(holder.held).toEqual([]);
    const { secrets, keysets, generations } = holder.inputs([b, a]);
    const second = holds(dual, "changed").inputs([c]);
    const both = (one: string, other: string) =>
      JSON.stringify({ ...(JSON.parse(one) as object), second: (JSON.parse(other) as Inputs["keysets"])[credential] });
    const change = {
      secrets: { ...secrets, ...second.secrets },
      keysets: { ...keysets, second: { ...second.keysets[credential], ...dual } } as Inputs["keysets"],
      generations: both(generations, second.generations),
    };
    await holder.up([b, a], { change });
    expect(short(holder.sequence())).toEqual(["2<1,2"]);
    expect(cf.state("changed").secrets).toMatchObject(second.secrets);
    await holder.up([b], { spec: { ...dual, atOnce: true } });
    expect(cf.state("changed").secrets).toMatchObject({ JWT_SECRET: holder.key(b).hex });
    expect(cf.state("changed").secrets).not.toHaveProperty("JWT_KEYS");
  });

  it("where too many tokens of a key are about: to wait until they are fewer", async () => {
    const holder = await holds({ maxTokenAgeMs: 1 }, "keyset", { probe: counting }).through([a], [b, a]);
    shares = { [a]: 0.3, [b]: 0.7 };
    holder.watch();
    const text = await refusal(holder.up([b]));
    expect(text).toContain("Run the update again when fewer are");
    // The list that it would tell to write is the one that is there.
    expect(text).not.toContain("generations: [");
    expect(holder.held).toEqual([]);
    shares = { [a]: 0.05, [b]: 0.95 };
    await holder.up([b]);
    expect(short(holder.sequence())).toEqual(["2<2"]);
  });
});
