// Proves that the plan says of what `rollover:abandon` leaves behind that it works on, and asks no permission for it. Not that the
// providers do leave it behind: test/engine/off-boarding.test.ts.
import { describe, expect, it } from "vitest";
import { describePlan } from "../../operations/plan/describe";
import { toMarkdown } from "../../operations/plan/markdown";
import type { Outputs } from "../../operations/plan/shapes";
import * as make from "./plan-fixture";

const [OLD, NOW] = ["2026-08-01", "2026-11-20"];
const left = { works: true, when: "left behind by `abandon`: its login works on" };

/** One that retires the older of two logins. */
const retired = (abandoned: string[], mode = "login", more: Partial<Outputs["credentials"][string]> = {}) => {
  const old = make.login("rounds-db", OLD, {}, mode);
  return describePlan(
    make.facts(
      make.outputsOf({ "rounds-db": make.postgres([NOW, OLD], more) }),
      make.outputsOf({ "rounds-db": make.postgres([NOW], more) }, { abandoned }),
      [make.login("rounds-db", NOW, {}, mode), old],
      [make.step("delete", old)],
    ),
  );
};

describe("a login of a credential in `abandon`", () => {
  it("works on, and no text says that it stops", () => {
    const plan = retired(["rounds-db"]);
    expect(plan.credentials).toMatchObject([{ actions: ["retires"], withdraws: [{ stamp: OLD, ...left }] }]);
    expect(plan.permissions).toEqual([]);
    const text = toMarkdown(plan);
    expect(text).toContain(
      "### No longer delivered, and works on\n\n- `rounds-db` 2026-08-01: left behind by `abandon`: its login works on\n",
    );
    expect(text).not.toContain("Stops working");
    expect(text).not.toContain("its sessions are ended");
    // Another name in the list leaves it as it was.
    expect(toMarkdown(retired(["rounds-api"]))).toContain(
      "### Stops working, and cannot be undone\n\n- `rounds-db` 2026",
    );
  });

  it("works on where the whole credential is removed, and where it was there before Rollover", () => {
    const logins = [make.login("rounds-db", NOW), make.login("rounds-db", "adopted", {}, "adopted")];
    const { credentials } = describePlan(
      make.facts(
        make.outputsOf({ "rounds-db": make.postgres([NOW]) }),
        make.outputsOf({}, { abandoned: ["rounds-db"] }),
        logins,
        logins.map((one) => make.step("delete", one)),
      ),
    );
    expect(credentials).toMatchObject([
      {
        actions: ["removed"],
        withdraws: [
          { stamp: NOW, ...left },
          { stamp: "adopted", ...left },
        ],
      },
    ]);
  });

  it("does not work on where its one role is dropped or altered in place: that is the official Role's", () => {
    const [one] = retired(["rounds-db"], "inPlace", { change: "breaks at once" }).credentials;
    expect(one?.withdraws[0]).not.toHaveProperty("works");
    const gone = make.login("rounds-db", NOW, {}, "inPlace");
    const removed = describePlan(
      make.facts(
        make.outputsOf({ "rounds-db": make.postgres([NOW], { change: "breaks at once" }) }),
        make.outputsOf({}, { abandoned: ["rounds-db"] }),
        [gone],
        [make.step("delete", gone), make.step("delete", make.resource("Role", "rounds-db-login"))],
      ),
    );
    expect(removed.credentials[0]?.withdraws).toEqual([
      { stamp: NOW, when: "at the end of this update, when its one role is dropped" },
    ]);
  });
});

it("says of a Worker in `abandon` that it is left behind, and needs no token for it", () => {
  const worker = make.consumer("rounds-api", { key: [NOW] });
  const planned = (abandoned: string[]) =>
    describePlan(
      make.facts(
        make.outputsOf({ key: make.random([NOW]) }),
        make.outputsOf({ key: make.random([NOW], { consumers: [] }) }, { abandoned }),
        [worker, make.resource("RandomPassword", `key@${NOW}`)],
        [make.step("delete", worker)],
      ),
    );
  const plan = planned(["rounds-api"]);
  expect(plan.consumers).toMatchObject([{ worker: "rounds-api", change: "left behind", credentials: [] }]);
  expect(plan.permissions).toEqual([]);
  expect(toMarkdown(plan)).toContain("| `rounds-api` | left behind | yes |");
  const withdrawn = planned(["key"]);
  expect(withdrawn.consumers).toMatchObject([{ change: "withdrawn", credentials: [{ name: "key", from: NOW }] }]);
  expect(withdrawn.permissions.flatMap(({ steps }) => steps)).toEqual(["withdraw from rounds-api"]);
});
