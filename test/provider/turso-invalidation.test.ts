// Proves, against the local Turso over real sockets, that an invalidation takes effect once, whatever the network does to its call:
// delayed, reset before or after its effect, unanswered, 429, 5xx; that nothing is minted before it took effect; what it finds out
// about others in both blast radii; and that blocking or unblocking which failed is tried again. Not: crashes of the real engine
// (test/engine), nor how long Turso's own rotate takes.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { askToken } from "../../components/turso/data";
import type { Fault } from "../../local/cloud/faults";
import { callTurso } from "../../local/cloud/turso/client";
import { startUpdates, type Updates } from "./turso-updates";

const rotate = { method: "POST", path: /\/auth\/rotate$/ };

describe("an invalidation", () => {
  let on: Updates;
  let counter = 0;

  beforeAll(async () => {
    const databases = { rounds: { group: "default" }, notes: { group: "default" }, other: { group: "elsewhere" } };
    on = await startUpdates(databases, ["database:rounds", "database:notes", "database:other", "group:default"]);
  });
  afterAll(() => on.stop());
  afterEach(() => {
    on.turso.faults.set([]);
    on.turso.setEffectDelay(0);
    on.turso.setBlastRadius("group");
  });

  const next = (): string => `2026-11-21.${(counter += 1) + 1}`;
  const jwts = () => Object.fromEntries(Object.entries(on.tokens).map(([key, { jwt }]) => [key, jwt]));
  const state = async (key: string, jwt = on.tokens[key]?.jwt ?? ""): Promise<unknown> =>
    askToken(on.tokens[key]?.url ?? "", jwt);
  const reached = ["database:rounds", "database:notes", "group:default"];

  /** After it: one rotate, every token of the group dead and minted again after the effect, none of another group. */
  async function invalidatedOnce(old: Record<string, string>): Promise<void> {
    const events = on.events();
    expect(events.filter((event) => event.startsWith("rotate"))).toEqual(["rotate group:default"]);
    const [rotated, effective, ...rest] = events.slice(events.indexOf("rotate group:default"));
    expect([rotated, effective]).toEqual(["rotate group:default", "effective group:default"]);
    expect(rest.filter((event) => !event.startsWith("mint "))).toEqual([]);
    for (const key of reached) expect(rest).toContain(`mint ${key}`);
    expect(on.invalidation().failures).toEqual({});
    for (const key of reached) {
      expect(await state(key, old[key])).toBe("refused");
      expect(await state(key)).toBe("works");
      expect(on.tokens[key]).toMatchObject({ proven: true, failure: "", replaced: [] });
    }
    expect(jwts()["database:other"]).toBe(old["database:other"]);
  }

  const faults: Record<string, Fault[]> = {
    "reset before it took effect": [{ match: rotate, kind: "reset-before" }],
    "reset after it took effect": [{ match: rotate, kind: "reset-after" }],
    "not answered": [{ match: rotate, kind: "hang" }],
    "answered too late": [{ match: rotate, kind: "late", ms: 2500 }],
    "answered 429 with Retry-After": [{ match: rotate, kind: "status", status: 429, retryAfter: 1 }],
    "answered 503 once": [{ match: rotate, kind: "status", status: 503 }],
  };
  it.each(Object.entries(faults))("takes effect once where its call is %s", async (_, list) => {
    const old = jwts();
    on.events();
    on.turso.faults.set(list);
    await on.up({ "group:default": next() });
    expect(on.turso.faults.fired()).toEqual(list.map(() => 1));
    await invalidatedOnce(old);
  });

  it("waits out a 429 as long as it says", async () => {
    on.turso.faults.set([{ match: rotate, kind: "status", status: 429, retryAfter: 2 }]);
    const begun = performance.now();
    await on.up({ "group:default": next() });
    expect(performance.now() - begun).toBeGreaterThan(2000);
    expect(on.invalidation().failures).toEqual({});
  });

  it("mints nothing before it took effect, 3 s after its answer", async () => {
    const old = jwts();
    on.events();
    on.turso.setEffectDelay(3000);
    const begun = performance.now();
    await on.up({ "group:default": next() });
    expect(performance.now() - begun).toBeGreaterThan(3000);
    await invalidatedOnce(old);
  });

  it("keeps the tokens where both calls are answered 500, says why, and is done by the next update", async () => {
    const [old, stamp] = [jwts(), next()];
    on.events();
    on.turso.faults.set([{ match: rotate, kind: "status", status: 500, times: 2 }]);
    await on.up({ "group:default": stamp });
    expect(on.turso.faults.fired()).toEqual([2]);
    expect(Object.keys(on.invalidation().failures)).toEqual(["group:default"]);
    expect(on.invalidation().failures["group:default"]).toMatch(
      /^group default \(rollover:turso\.groups\.default\): .*status 500: .* still works, so it was not invalidated$/,
    );
    expect(jwts()).toEqual(old);
    for (const key of reached) expect(await state(key)).toBe("works");
    await on.up({ "group:default": stamp });
    await invalidatedOnce(old);
    await on.up({ "group:default": stamp });
    expect(on.events()).toEqual([]);
  });

  it("is found to be done where the run that called was killed, and its effect comes 3 s later", async () => {
    const [old, stamp] = [jwts(), next()];
    await on.upToCanaries({ "group:default": stamp });
    on.events();
    on.turso.setEffectDelay(3000);
    expect(await callTurso(on.turso, "POST", "groups/default/auth/rotate")).toMatchObject({ status: 200 });
    await on.up({ "group:default": stamp });
    await invalidatedOnce(old);
  });

  it("of a killed run that had called nothing is called by the next", async () => {
    const [old, stamp] = [jwts(), next()];
    on.events();
    await on.upToCanaries({ "group:default": stamp });
    await on.up({ "group:default": stamp });
    await invalidatedOnce(old);
  });

  it("of a database takes the group's other tokens with it in radius group, and finds so", async () => {
    const old = jwts();
    on.events();
    await on.up({ "database:rounds": next() });
    expect(on.events().filter((event) => event.startsWith("rotate"))).toEqual(["rotate database:rounds"]);
    const { findings } = on.invalidation();
    expect(findings["database:rounds"]).toEqual({ "group:default": "refused", "database:notes": "refused" });
    for (const key of reached) {
      expect(await state(key, old[key])).toBe("refused");
      expect(on.tokens[key]).toMatchObject({ replaced: [], replacedExpire: [] });
    }
  });

  it("of a database spares the others in radius database: what it replaced is a debt until it is refused", async () => {
    const old = jwts();
    on.turso.setBlastRadius("database");
    await on.up({ "database:rounds": next() });
    const { findings } = on.invalidation();
    expect(findings["database:rounds"]).toEqual({ "group:default": "works", "database:notes": "works" });
    expect(await state("database:rounds", old["database:rounds"])).toBe("refused");
    for (const key of ["database:notes", "group:default"]) {
      expect(jwts()[key]).not.toBe(old[key]);
      expect(await state(key, old[key])).toBe("works");
      expect(on.tokens[key]?.replacedExpire).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\dT/)]);
    }
    expect(on.tokens["database:rounds"]?.replacedExpire).toEqual([]);
    await on.refresh();
    expect(on.tokens["database:notes"]?.replacedExpire).toHaveLength(1);

    await on.up({ "group:default": next() });
    await on.refresh();
    for (const key of reached) expect(on.tokens[key]).toMatchObject({ replaced: [], replacedExpire: [] });
  });

  it("of a group and of a database in it is one call, where the group's took the database's tokens too", async () => {
    const [old, stamp] = [jwts(), next()];
    on.events();
    await on.up({ "group:default": stamp, "database:rounds": stamp, "database:notes": stamp });
    await invalidatedOnce(old);
  });

  it("of two databases in radius database is two calls", async () => {
    const [old, stamp] = [jwts(), next()];
    on.events();
    on.turso.setBlastRadius("database");
    await on.up({ "database:rounds": stamp, "database:notes": stamp });
    expect(
      on
        .events()
        .filter((event) => event.startsWith("rotate"))
        .sort(),
    ).toEqual(["rotate database:notes", "rotate database:rounds"]);
    for (const key of ["database:rounds", "database:notes"]) {
      expect(await state(key, old[key])).toBe("refused");
      expect(await state(key)).toBe("works");
    }
    expect(await state("group:default")).toBe("works");
  });

  describe("of an incident", () => {
    const incident = { "database:rounds": { readOnly: "7d" } };
    const patch = { method: "PATCH", path: /databases\/rounds\/configuration$/ };
    const write = () => on.turso.query("rounds", "INSERT INTO rounds DEFAULT VALUES");
    const failure = () => on.invalidation().failures["database:rounds"];

    it("blocks and unblocks writes in the next update where it could not, and says so meanwhile", async () => {
      on.turso.faults.set([{ match: patch, kind: "status", status: 403 }]);
      await on.up(incident);
      expect(failure()).toMatch(/its tokens are invalidated, but its writes are not blocked: .* scope `db:configure`/);
      expect(on.tokens["database:rounds"]).toMatchObject({ failure: "", under: { readOnly: "7d" } });
      await write();
      await on.up(incident);
      expect(failure()).toBeUndefined();
      await expect(write()).rejects.toThrow("blocked");

      on.turso.faults.set([{ match: patch, kind: "status", status: 403 }]);
      await on.up({});
      expect(failure()).toMatch(/its writes are still blocked: .* scope `db:configure`/);
      // Its writing cannot be tried then: it is proven by reading, and delivered.
      expect(on.tokens["database:rounds"]).toMatchObject({ proven: true, failure: "", under: { readOnly: "" } });
      await expect(write()).rejects.toThrow("blocked");
      await on.up({});
      expect(failure()).toBeUndefined();
      await write();
      expect(on.tokens["database:rounds"]).toMatchObject({ proven: true, failure: "", under: { readOnly: "" } });
    });

    it("that is over leaves writes alone which somebody blocked later", async () => {
      await on.up(incident);
      await on.up({});
      await write();
      const block = (block_writes: boolean) =>
        callTurso(on.turso, "PATCH", "databases/rounds/configuration", { body: { block_writes } });
      await block(true);
      const stamp = next();
      await on.up({ "database:rounds": stamp });
      await expect(write()).rejects.toThrow("blocked");
      await block(false);
      await on.up({ "database:rounds": stamp });
      expect(on.tokens["database:rounds"]).toMatchObject({ proven: true, failure: "" });
    });
  });
});
