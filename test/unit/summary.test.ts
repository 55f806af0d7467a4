// Proves which stamps an update is announced by: credentials, adopted logins, invalidations and incidents of Turso. Does not
// prove that an update is announced.
import { describe, expect, it } from "vitest";
import { parseStack } from "../../components/rotation/config";
import { policyOf, singleIn, stampsOf, summariesOf, urgentIn } from "../../components/rotation/summary";
import { changed } from "./config-fixture";

describe("what an update is announced by", () => {
  it("names live stamps by credential, and an invalidation by its target", () => {
    expect(stampsOf(parseStack(changed({})))).toEqual({
      "session-key": "2026-11-20,2026-08-01",
      "rounds-db": "2026-11-20",
      "rounds-turso": "2026-11-20",
      "all-turso": "2026-11-20",
      "group/production": "2026-11-20",
    });
  });

  it("differs when an adopted login is taken out, and when an incident begins without a stamp", () => {
    const adopted = { "credentials/rounds-db/existing": true, "credentials/rounds-db/adopted": "app, old" };
    const incident = { reason: "a token in a log", readOnly: "7d" };
    const stamps = stampsOf(
      parseStack(changed({ set: { ...adopted, "turso/databases/sandbox": { group: "staging", incident } } })),
    );
    expect(stamps["rounds-db"]).toBe("2026-11-20,adopted");
    expect(stamps["database/sandbox"]).toBe("incident");
  });

  it("calls a keyset that drops what it signed urgent, and says the policy in words", () => {
    const signing = {
      kind: "signing-keyset",
      maxTokenAge: "120s",
      deliver: [{ worker: "rounds-api", as: "JWT_KEYS" }],
    };
    const policy = { maxAge: { default: "90d", signingKeys: "180d" }, warnBefore: "10d", overlap: "2d" };
    const stack = parseStack(
      changed({
        set: {
          "credentials/emergency": { ...signing, generation: "2026-11-20", holders: ["a@example.com"] },
          "credentials/rounds-db/inPlace": true,
          "credentials/rounds-turso/expiration": "180d",
          "credentials/all-turso/expiration": "180d",
          policy,
        },
      }),
    );
    expect(urgentIn(stack)).toEqual(["emergency"]);
    expect(singleIn(stack)).toEqual(["rounds-db", "emergency"]);
    expect(policyOf(stack)).toEqual({ warnBefore: "10d", overlap: "2d", enforce: false, freeze: [] });
    expect(summariesOf(stack)["emergency"]).toMatchObject({
      maxAge: "180d",
      change: "breaks at once",
      holders: ["a@example.com"],
    });
    expect(summariesOf(stack)["rounds-db"]).toMatchObject({ maxAge: "90d", change: "breaks at once" });
  });
});
