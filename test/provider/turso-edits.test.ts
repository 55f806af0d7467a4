// Proves, against the local Turso over real sockets, what a hostile review found and was fixed: that edits of config beside an
// invalidation or an incident, retries, refreshes and databases that go neither forget a live token, nor mint or invalidate again what
// is done, nor leave writes blocked, nor open them too early. Not proven: the engine's order (test/engine), or Turso's own behaviour.
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { askToken } from "../../components/turso/data";
import type { Fault } from "../../local/cloud/faults";
import { callTurso, claimsOf, runSql } from "../../local/cloud/turso/client";
import { setBlock, startUpdates, type Updates } from "./turso-updates";

const group = "group:default";
const rounds = "database:rounds";
const notes = "database:notes";
const days = 86_400;
let on: Updates;
let counter = 0;

beforeAll(async () => {
  on = await startUpdates({ rounds: { group: "default" }, notes: { group: "default" } }, [group, rounds, notes]);
});
afterAll(() => on.stop());
afterEach(async () => {
  on.turso.faults.set([]);
  on.turso.onCall(undefined);
  on.turso.setEffectDelay(0);
  on.turso.setBlastRadius("group");
  on.callWith(on.turso.platformToken);
  // A test that failed must not fail those after it.
  for (const name of ["rounds", "notes"]) await setBlock(on.turso, name, { block_reads: false, block_writes: false });
  await on.up({});
});

const next = (): string => `2026-11-21.${(counter += 1) + 1}`;
const jwts = () => Object.fromEntries(Object.entries(on.tokens).map(([key, { jwt }]) => [key, jwt]));
const state = (key: string, jwt = on.tokens[key]?.jwt ?? "") => askToken(on.tokens[key]?.url ?? "", jwt);
const rotations = (events: string[]) => events.filter((event) => event.startsWith("rotate"));
const posts = (path: RegExp) => ({ method: "POST", path });
const lacks = (path: RegExp, nth = 1): Fault[] => [{ match: posts(path), kind: "status", status: 403, nth, times: 99 }];

/** A second update calls nobody and changes nothing. */
async function isSettled(asked: Parameters<Updates["up"]>[0]): Promise<void> {
  const [old, before] = [jwts(), on.turso.calls.length];
  on.events();
  await on.up(asked);
  expect(on.events()).toEqual([]);
  expect(on.turso.calls.slice(before)).toEqual([]);
  expect(jwts()).toEqual(old);
}

async function writesBlocked(database: string): Promise<unknown> {
  const { body } = await callTurso(on.turso, "GET", `databases/${database}/configuration`);
  return (body as Record<string, unknown>)["block_writes"];
}

describe("an invalidation", () => {
  it("of a group whose database could not be invalidated is tried again there alone, and mints nothing meanwhile", async () => {
    const asked = { [group]: next() };
    const old = jwts();
    on.events();
    on.turso.setBlastRadius("own key");
    on.turso.faults.set(lacks(/databases\/rounds\/auth\/rotate$/));
    await on.up(asked);
    expect(rotations(on.events())).toEqual(["rotate group:default", "rotate database:notes"]);
    const failure = /tokens of the database rounds \(.*\) outlived it: .* scope `db:rotate-creds`/;
    expect(on.invalidation().failures).toEqual({ [group]: expect.stringMatching(failure) as string });
    expect(await state(rounds, old[rounds])).toBe("works");
    for (const key of [group, notes]) expect(await state(key, old[key])).toBe("refused");
    const between = jwts();

    await on.up(asked);
    expect(on.events()).toEqual([]);
    expect(jwts()).toEqual(between);
    expect(on.invalidation().failures).toEqual({ [group]: expect.stringMatching(failure) as string });

    on.turso.faults.set([]);
    await on.up(asked);
    const events = on.events();
    expect(rotations(events)).toEqual(["rotate database:rounds"]);
    const rest = events.slice(events.indexOf("effective database:rounds"));
    for (const key of [group, rounds, notes]) {
      expect(rest).toContain(`mint ${key}`);
      expect(await state(key)).toBe("works");
    }
    for (const jwt of [old[rounds], between[rounds]]) expect(await state(rounds, jwt)).toBe("refused");
    expect(on.invalidation().failures).toEqual({});
    await isSettled(asked);
  });

  it("whose call was reset and takes effect 8 s late delivers tokens that outlast its second call too", async () => {
    const asked = { [group]: next() };
    on.events();
    on.turso.faults.set([{ match: posts(/auth\/rotate$/), kind: "reset-after" }]);
    on.turso.setEffectDelay(8000);
    await on.up(asked);
    expect(on.turso.faults.fired()).toEqual([1]);
    const events = on.events();
    expect(rotations(events)).toEqual(["rotate group:default", "rotate group:default"]);
    expect(on.invalidation().failures).toEqual({});
    const until = performance.now() + 10_000;
    while (performance.now() < until) {
      const states = await Promise.all([group, rounds, notes].map((key) => state(key)));
      expect(states).toEqual(["works", "works", "works"]);
      await pause(100);
    }
    // Both calls had their effect, so nothing is on its way that could still take them.
    const all = [...events, ...on.events()];
    expect(all.filter((event) => event.startsWith("effective"))).toHaveLength(2);
    await isSettled(asked);
  });

  it("by a platform token without rights on databases says that they were not looked at", async () => {
    const old = jwts();
    on.callWith(on.turso.mintPlatform({ scopes: ["read", "group:mint-token", "group:rotate-creds"] }));
    const stamp = next();
    await on.up({ [group]: stamp });
    const unseen = expect.stringMatching(/^not looked at: .* scope `db:mint-token`/) as string;
    expect(on.invalidation()).toMatchObject({
      failures: {},
      findings: { [group]: { [rounds]: unseen, [notes]: unseen } },
    });
    expect(await state(group, old[group])).toBe("refused");
    expect(await state(group)).toBe("works");
    expect(on.tokens[rounds]?.failure).toContain("scope `db:mint-token`");
    on.callWith(on.turso.platformToken);
    await on.up({ [group]: stamp });
    expect(on.tokens[rounds]).toMatchObject({ proven: true, failure: "" });
    expect(await state(rounds)).toBe("works");
  });

  it("while writes are blocked by hand mints tokens, proves them by reading, and leaves no debt", async () => {
    await setBlock(on.turso, "rounds", { block_writes: true });
    let asked = {};
    for (const stamp of [next(), next()]) {
      const old = jwts();
      await on.up((asked = { [group]: stamp }));
      for (const key of [group, rounds, notes]) {
        expect(on.tokens[key]).toMatchObject({ proven: true, failure: "", replaced: [], replacedExpire: [] });
        expect(on.tokens[key]?.jwt).not.toBe(old[key]);
        expect(await state(key, old[key])).toBe("refused");
        expect(await state(key)).toBe("works");
      }
    }
    expect(await writesBlocked("rounds")).toBe(true);
    await setBlock(on.turso, "rounds", { block_writes: false });
    expect(await runSql(on.turso, "rounds", on.tokens[rounds]?.jwt ?? "", "INSERT INTO rounds DEFAULT VALUES")).toBe(
      200,
    );
    await isSettled(asked);
  });

  it("whose token cannot be minted says so in each update, a refresh between, until it can", async () => {
    const asked = { [rounds]: next() };
    const old = jwts();
    // The first mint of the database is the canary's.
    on.turso.faults.set(lacks(/databases\/rounds\/auth\/tokens$/, 2));
    await on.up(asked);
    expect(on.invalidation().failures).toEqual({});
    const failure = /^rounds-turso@2026-11-20: .* scope `db:mint-token`/;
    expect(on.tokens[rounds]?.failure).toMatch(failure);
    expect(await state(rounds, old[rounds])).toBe("refused");

    await on.refresh();
    on.turso.faults.set(lacks(/databases\/rounds\/auth\/tokens$/));
    await on.up(asked);
    expect(on.turso.faults.fired()).toEqual([1]);
    expect(on.tokens[rounds]?.failure).toMatch(failure);

    on.turso.faults.set([]);
    on.events();
    await on.up(asked);
    expect(on.events()).toEqual(["mint database:rounds"]);
    expect(on.tokens[rounds]).toMatchObject({ proven: true, lost: false, failure: "", replaced: [] });
    expect(await state(rounds)).toBe("works");
    await isSettled(asked);
  });

  it("is asked for by a newer stamp, and not by an older one", async () => {
    await on.up({ [group]: "2026-12-01" });
    const old = jwts();
    on.events();
    await on.up({ [group]: "2026-11-20" });
    expect(on.events()).toEqual([]);
    expect(jwts()).toEqual(old);
    for (const key of [group, rounds, notes]) expect(await state(key)).toBe("works");
    await on.up({ [group]: "2026-12-02" });
    expect(rotations(on.events())).toEqual(["rotate group:default"]);
    for (const key of [group, rounds, notes]) {
      expect(await state(key, old[key])).toBe("refused");
      expect(await state(key)).toBe("works");
    }
    await on.up({});
  });

  it("whose tokens cannot be proven keeps one that was minted, however often it is tried", async () => {
    const asked = { [rounds]: next() };
    await setBlock(on.turso, "rounds", { block_reads: true });
    on.events();
    for (let update = 0; update < 3; update++) {
      await on.up(asked);
      expect(on.tokens[rounds]?.failure).toContain("blocks reads or writes");
    }
    // The canary's, and one.
    expect(on.events().filter((event) => event === "mint database:rounds")).toHaveLength(2);
    await setBlock(on.turso, "rounds", { block_reads: false });
    await on.up(asked);
    expect(on.tokens[rounds]).toMatchObject({ proven: true, failure: "", replaced: [] });
    await isSettled(asked);
  });
});

describe("an incident", () => {
  const incident = { readOnly: "7d" };

  /** After each PATCH of the database, whether its writes are blocked. */
  function watchBlocks(database: string): unknown[] {
    const seen: unknown[] = [];
    on.turso.onCall(async ({ phase, method, path }) => {
      if (phase === "after" && method === "PATCH" && path.endsWith(`databases/${database}/configuration`))
        seen.push(await writesBlocked(database));
    });
    return seen;
  }

  it.each([
    ["a database that spreads to its group", { [rounds]: incident }, { [group]: incident }],
    ["a group that is narrowed to a database", { [group]: incident }, { [rounds]: incident }],
  ])("of %s never unblocks it, and does in the end", async (_, first, second) => {
    await setBlock(on.turso, "notes", { block_writes: true });
    await on.up(first);
    expect(await writesBlocked("rounds")).toBe(true);
    const seen = watchBlocks("rounds");
    await on.up(second);
    expect(seen).not.toContain(false);
    expect([await writesBlocked("rounds"), await writesBlocked("notes")]).toEqual([true, true]);
    await isSettled(second);
    expect(on.tokens[rounds]).toMatchObject({ proven: true, failure: "", under: { readOnly: "7d" } });
    await on.up({});
    expect(on.invalidation()).toMatchObject({ failures: {}, blocked: [] });
    expect(seen).toEqual([...seen.slice(0, -1), false]);
    // Blocked before it all, by somebody else.
    expect([await writesBlocked("rounds"), await writesBlocked("notes")]).toEqual([false, true]);
    await setBlock(on.turso, "notes", { block_writes: false });
    await isSettled({});
  });

  describe.each(["auth/rotate", "the writes are blocked"])("that is killed after %s", (point) => {
    /** What the killed run did, and did not record. */
    async function killed(): Promise<string> {
      const old = on.tokens[rounds]?.jwt ?? "";
      await on.upToCanaries({ [group]: incident });
      on.events();
      expect(await callTurso(on.turso, "POST", "groups/default/auth/rotate")).toMatchObject({ status: 200 });
      if (point !== "auth/rotate")
        for (const name of ["rounds", "notes"]) await setBlock(on.turso, name, { block_writes: true });
      return old;
    }

    it("is in place after the next update, with one call; it ends, and everything writes again", async () => {
      const old = await killed();
      await on.up({ [group]: incident });
      expect(await state(rounds, old)).toBe("refused");
      expect(rotations(on.events())).toHaveLength(1);
      expect([await writesBlocked("rounds"), await writesBlocked("notes")]).toEqual([true, true]);
      expect(on.tokens[rounds]).toMatchObject({ proven: true, failure: "", under: { readOnly: "7d" } });
      await isSettled({ [group]: incident });
      await on.up({});
      expect(await runSql(on.turso, "rounds", on.tokens[rounds]?.jwt ?? "", "INSERT INTO rounds DEFAULT VALUES")).toBe(
        200,
      );
    });

    it("and taken back has everything write again, with one call", async () => {
      const old = await killed();
      await on.up({});
      expect(await state(rounds, old)).toBe("refused");
      expect(rotations(on.events())).toHaveLength(1);
      expect([await writesBlocked("rounds"), await writesBlocked("notes")]).toEqual([false, false]);
      expect(await runSql(on.turso, "rounds", on.tokens[rounds]?.jwt ?? "", "INSERT INTO rounds DEFAULT VALUES")).toBe(
        200,
      );
      await isSettled({});
    });
  });

  it("on a database whose entry leaves the config with it blocks it no more", async () => {
    await on.up({ [rounds]: incident });
    expect(await writesBlocked("rounds")).toBe(true);
    // Its token leaves too, last of all, and is refused: it works on.
    await expect(on.up({}, ["rounds"])).rejects.toThrow("still works, until");
    expect(on.invalidation()).toMatchObject({ failures: {}, blocked: [] });
    expect(await writesBlocked("rounds")).toBe(false);
    await on.up({});
    expect(on.tokens[rounds]).toMatchObject({ proven: true, failure: "", under: { readOnly: "" } });
  });

  it("that is deleted with all of its organisation gives back what was there before", async () => {
    await setBlock(on.turso, "notes", { block_writes: true });
    await on.up({ [group]: incident });
    expect([await writesBlocked("rounds"), await writesBlocked("notes")]).toEqual([true, true]);
    await on.remove();
    expect([await writesBlocked("rounds"), await writesBlocked("notes")]).toEqual([false, true]);
    await setBlock(on.turso, "notes", { block_writes: false });
    await on.up({});
    expect(on.tokens[rounds]).toMatchObject({ proven: true, failure: "", under: { readOnly: "" } });
  });

  it("ends without a failure where a database that it blocked was destroyed", async () => {
    await on.turso.createDatabase("doomed", { group: "default" });
    await on.up({ [group]: incident });
    expect(await writesBlocked("doomed")).toBe(true);
    await on.turso.destroyDatabase("doomed");
    await on.up({});
    expect(on.invalidation()).toMatchObject({ failures: {}, blocked: [] });
    expect(await writesBlocked("rounds")).toBe(false);
    await isSettled({});
  });

  it("whose tokens are to work for fewer days mints another of so many, and invalidates nothing", async () => {
    const lasts = () => {
      const { iat, exp, p } = claimsOf(on.tokens[rounds]?.jwt ?? "");
      expect(Object.keys(p as object)).toEqual(["ro"]);
      return (Number(exp) - Number(iat)) / days;
    };
    await on.up({ [rounds]: incident });
    expect(lasts()).toBe(7);
    const old = on.tokens[rounds]?.jwt;
    on.events();
    await on.up({ [rounds]: { readOnly: "3d" } });
    expect(on.events()).toEqual(["mint database:rounds"]);
    expect(lasts()).toBe(3);
    expect(on.tokens[rounds]).toMatchObject({ proven: true, failure: "", replaced: [{ jwt: old }] });
    expect(await writesBlocked("rounds")).toBe(true);
    await on.up({});
    expect(await writesBlocked("rounds")).toBe(false);
  });
});
