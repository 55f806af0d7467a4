// Proves which permissions the plan names for which steps, and how it tells of announcements and hooks. Not that the steps are
// those of a real preview: plan-replaced.test.ts and plan.test.ts of test/engine show that.
import { describe, expect, it } from "vitest";
import { describePlan } from "../../operations/plan/describe";
import type { Resource, Step } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";
import { vaultKey } from "./plan-keyset-fixture";

const [OLDER, OLD, NOW] = ["2026-06-01", "2026-08-01", "2026-11-20"];

describe("permissions", () => {
  const permissions = (...steps: Step[]) => {
    const same = make.outputsOf({ "rounds-db": make.postgres([NOW]) }, { abandoned: ["left"] });
    return describePlan(make.facts(same, same, [], steps)).permissions.map(({ who, needs, steps: to }) => [
      who,
      ...needs,
      ...to,
    ]);
  };

  it("are named for what is done alone: nothing for a proof, a settings-only change, a password in place, what stays", () => {
    const worker = make.consumer("rounds-api", { "rounds-db": [NOW] });
    const kept = make.resource("Database", "rounds-db-database", { inputs: { name: "rounds" }, retainOnDelete: true });
    const quiet = [
      make.step("same", make.login("rounds-db", OLD)),
      make.step("update", make.login("rounds-db", OLD), { current: true }),
      make.step("update", worker, { settleMs: 5 }),
      make.step("create", make.login("rounds-db", NOW, {}, "inPlace")),
      make.step("delete", make.login("rounds-db", OLD, {}, "inPlace")),
      make.step("create", make.login("rounds-db", "adopted", {}, "adopted")),
      make.step("delete", make.login("left", OLD)),
      make.step("delete", kept),
      make.step("update", vaultKey("keys", OLD)),
      make.step("delete", vaultKey("keys", OLDER)),
      make.step("update", make.token("rounds", OLD), { place: "previous" }),
      make.step("delete", make.token("rounds", OLDER, { place: "retired" })),
      make.step("create", make.resource("RandomPassword", `key@${NOW}`)),
    ];
    expect(permissions(...quiet)).toEqual([]);
  });

  it("are each vendor's own words", () => {
    const made = (kind: "Role" | "Grant" | "Database", inputs: Resource["inputs"]) =>
      make.step("create", make.resource(kind, "x", { inputs }));
    expect(
      permissions(
        made("Role", { name: "rounds_owner" }),
        made("Database", { name: "rounds", owner: "rounds_owner" }),
        made("Grant", { database: "rounds", role: "public" }),
        make.step("delete", make.login("rounds-db", "adopted", {}, "adopted")),
        make.step("update", vaultKey("keys", NOW, { drift: ["is missing"] })),
      ),
    ).toEqual([
      ["the Postgres admin", "CREATEROLE", "create role rounds_owner"],
      ["the Postgres admin", "CREATEDB", "SET and INHERIT on rounds_owner", "create database rounds"],
      ["the Postgres admin", "to grant on database rounds", "create grants of public"],
      [
        "the Postgres admin",
        "CREATEROLE",
        "ADMIN and INHERIT on rounds_adopted",
        "pg_signal_backend",
        "retire rounds-db@adopted",
      ],
      ["the Vault token", "create, update and read on secret/data/rollover/keys/2026-11-20", "back up keys@2026-11-20"],
    ]);
  });

  it("are those of a replaced login, of which the preview has one step", () => {
    const old = make.login("rounds-db", NOW);
    const found = permissions(make.step("replace", old, { login: "rounds2_20261120" }));
    expect(found.map((one) => one.at(-1))).toEqual([`mint rounds-db@${NOW}`, `retire rounds-db@${NOW}`]);
  });
});

describe("an announcement", () => {
  const said = (noticeMs: number, urgent: string[], stamps: Record<string, string>, op = "update") => {
    const same = make.outputsOf({});
    const step = make.step(op, make.announcement(noticeMs, { key: OLD }, urgent), { stamps });
    return describePlan(make.facts(same, same, [], [step])).others.map(({ says }) => says);
  };

  it("is told with its wait, and without one where it does not wait", () => {
    expect(said(300_000, [], { key: `${NOW},${OLD}` })).toEqual([
      "before anything else, the update is announced, and waits 5m",
    ]);
    expect(said(0, [], { key: NOW })).toEqual(["before anything else, the update is announced"]);
    expect(said(300_000, [], { key: NOW }, "create")).toEqual(["before anything else, the update is announced"]);
    const urgent = ["before anything else, the update is announced; as an emergency it does not wait"];
    expect(said(300_000, ["key"], { key: `${NOW},${OLD}` })).toEqual(urgent);
    // Nothing that is live now stays: whoever holds it is to be kept out.
    expect(said(300_000, [], { key: NOW })).toEqual(urgent);
    expect(said(300_000, ["other"], { key: OLD, "group/production": NOW })).toEqual(urgent);
    expect(said(86_400_000, [], { key: NOW })[0]).toContain("`npm run notice` tells of it 1d ahead");
    expect(said(300_000, [], {}, "delete")).toEqual(["updates are announced no longer"]);
  });

  it("leaves nothing to say of a completion or a hook that goes", () => {
    const same = make.outputsOf({});
    const gone = [make.resource("Completion", "completion"), make.resource("Command", "key")];
    const plan = describePlan(
      make.facts(
        same,
        same,
        [],
        gone.map((one) => make.step("delete", one)),
      ),
    );
    expect(plan).toMatchObject({ outcome: "nothing", others: [] });
  });
});
