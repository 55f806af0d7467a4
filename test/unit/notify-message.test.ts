// Proves: the texts of messages, what each says of every stamp, and that nothing in them can begin a header or a line of its own.
// Not proven: that they arrive (test/provider/notify.test.ts).
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changesOf, whyIn } from "../../components/notify/changes";
import { bodyOf, subjectOf } from "../../components/notify/message";
import type { Change, Message } from "../../components/notify/notifier";

const roll: Change = {
  credential: "rounds-db",
  from: ["2026-08-01"],
  to: ["2026-11-20", "2026-08-01"],
  reason: "somebody left",
  ticket: "OPS-12",
};
const message = (more: Partial<Message>): Message => ({ event: "begin", stack: "prod", changes: [roll], ...more });

describe("a message", () => {
  it("announces a roll: when, what, why, and what becomes of each stamp", () => {
    expect(subjectOf(message({ noticeMs: 300_000 }))).toBe("Rollover prod: an update begins in 5m: rounds-db");
    expect(bodyOf(message({ noticeMs: 300_000 }))).toBe(
      [
        "Stack prod: an update begins in 5m.",
        "- rounds-db: 2026-08-01 -> 2026-11-20, 2026-08-01",
        "  2026-11-20 is current",
        "  2026-08-01 still accepted; 2026-08-01 is retired next",
        "  reason: somebody left",
        "  ticket: OPS-12",
      ].join("\n"),
    );
    expect(subjectOf(message({ noticeMs: 0 }))).toBe("Rollover prod: an update begins: rounds-db");
  });

  it.each([
    [1, "1 credential"],
    [12, "12 credentials"],
  ])("says in one line that a stack of %i is watched from now on", (watched, counted) => {
    const first = message({ changes: [], watched });
    expect(subjectOf(first)).toBe(`Rollover prod: is watched from now on: ${counted}`);
    expect(bodyOf(first)).toBe(`Stack prod: is watched from now on: ${counted}.`);
  });

  it.each<[string, Partial<Change>, string]>([
    ["a login", { kind: "postgres" }, "retired at the end of this update"],
    ["a Turso token", { kind: "turso" }, "no longer delivered; works until it expires or is invalidated"],
    [
      "a login whose password is changed in place",
      { kind: "postgres", inPlace: true },
      "stops working at once, before the new one is delivered",
    ],
    [
      "what config declares no longer, which may be a token",
      {},
      "withdrawn at the end of this update, where that is possible",
    ],
    ["a login that config abandons", { kind: "postgres", abandoned: true }, "left behind, and may still work"],
    ["a Turso token that config abandons", { kind: "turso", abandoned: true }, "left behind, and may still work"],
  ])("says what becomes of %s that config lists no longer", (_what, more, fate) => {
    const lines = bodyOf(message({ changes: [{ ...roll, ...more, to: ["2026-11-20"] }] })).split("\n");
    expect(lines.slice(2, 4)).toEqual(["  2026-11-20 is current", `  2026-08-01 ${fate}`]);
  });

  it.each<[string, string[], string[], string, string[]]>([
    [
      "a retirement",
      ["2026-11-20", "2026-08-01"],
      ["2026-11-20"],
      "rounds-db",
      ["2026-11-20 is current", "2026-08-01 retired at the end of this update"],
    ],
    [
      "a rollback",
      ["2026-11-20", "2026-08-01"],
      ["2026-08-01", "2026-11-20"],
      "rounds-db",
      ["2026-08-01 is current again", "2026-11-20 still accepted; 2026-11-20 is retired next"],
    ],
    ["a first generation", [], ["2026-11-20"], "rounds-db", ["2026-11-20 is current"]],
    [
      "a credential that goes",
      ["2026-11-20"],
      [],
      "rounds-turso",
      ["2026-11-20 withdrawn at the end of this update, where that is possible"],
    ],
    ["an invalidation", [], ["2026-11-20"], "group/production", ["every token that it had stops working at once"]],
    [
      "an invalidation again",
      ["2026-11-20"],
      ["2026-11-20.2"],
      "database/rounds",
      ["every token that it had stops working at once"],
    ],
    [
      "an incident of what was invalidated before",
      ["2026-11-20"],
      ["2026-11-20", "incident"],
      "group/production",
      [
        "every token that it had stops working at once",
        "an incident: writes are blocked, and read-only tokens are delivered",
      ],
    ],
    [
      "the end of an incident",
      ["incident"],
      [],
      "group/production",
      ["the incident is over: tokens are delivered as config declares them"],
    ],
    [
      "an adopted login that goes",
      ["2026-11-20", "adopted"],
      ["2026-11-20"],
      "rounds-db",
      ["2026-11-20 is current", "adopted retired at the end of this update"],
    ],
    ["an invalidation taken out of config", ["2026-11-20"], [], "database/rounds", []],
  ])("says what %s does", (_what, from, to, credential, expected) => {
    // Config knows the kind of what it declares.
    const kind = to.length > 0 && !credential.includes("/") ? { kind: "postgres" as const } : {};
    const lines = bodyOf(message({ event: "done", changes: [{ credential, from, to, ...kind }] })).split("\n");
    expect(lines.slice(2)).toEqual(expected.map((line) => `  ${line}`));
    expect(lines[0]).toBe("Stack prod: an update is done.");
  });

  it("tells of a failure by its step and error, and of a debt", () => {
    const failed = message({ event: "failed", step: "deliver", text: "the Worker rounds-api did not attest" });
    expect(subjectOf(failed)).toBe("Rollover prod: an update failed at step deliver: rounds-db");
    expect(bodyOf(failed).split("\n")).toEqual([
      "Stack prod: an update failed at step deliver.",
      "the Worker rounds-api did not attest",
      "- rounds-db: 2026-08-01 -> 2026-11-20, 2026-08-01",
      "  reason: somebody left",
      "  ticket: OPS-12",
      "Correct the cause and run `pulumi up` again: it does only what is missing.",
    ]);
    const debt = message({
      event: "debt",
      stack: "",
      changes: [{ credential: "a", from: [], to: [] }],
      text: "a: 2026",
    });
    expect(subjectOf(debt)).toBe("Rollover: something is owed: a");
    expect(bodyOf(debt)).toBe(
      "Stack (unknown): an old credential may still work, and is still to be revoked.\na: 2026\n- a",
    );
  });

  it("counts what it has no room to name", () => {
    const changes = ["a", "b", "c", "d", "e"].map((credential) => ({ ...roll, credential }));
    expect(subjectOf(message({ event: "done", changes }))).toBe("Rollover prod: an update is done: a, b, c and 2 more");
  });

  it("has one line a fact, whatever config holds", () => {
    const text = fc.string({ unit: "binary", maxLength: 300 });
    fc.assert(
      fc.property(text, text, text, text, fc.constantFrom("begin", "done", "failed", "debt"), (a, b, c, d, event) => {
        const hostile = message({
          event,
          stack: a,
          changes: [{ credential: b, from: [], to: ["2026-11-20"], reason: `${c}\r\nBcc: x@example.com`, ticket: d }],
          text: `${d}\nSubject: other`,
        });
        expect(subjectOf(hostile)).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,150}$/u);
        const plain = message({
          event,
          stack: "prod",
          changes: [
            { credential: b.includes("/") ? "a/b" : "ab", from: [], to: ["2026-11-20"], reason: "r", ticket: "t" },
          ],
          text: "d",
        });
        expect(bodyOf(hostile).split("\n")).toHaveLength(bodyOf(plain).split("\n").length);
        expect(bodyOf(hostile)).not.toMatch(/[\p{Cf}\p{Zl}\p{Zp}\r]/u);
      }),
    );
  });
});

describe("what changed", () => {
  it("is each name whose stamps differ, with the reason that config gives", () => {
    const why = whyIn({
      credentials: [
        {
          kind: "random",
          name: "key",
          length: 40,
          generations: [],
          deliver: [],
          output: false,
          reason: "left",
          ticket: "A-1",
        },
      ],
      turso: {
        ...{ organization: "acme", apiUrl: "" },
        groups: [{ name: "production", settings: {}, reason: "leak" }],
        databases: [{ name: "rounds", group: "production", settings: {} }],
      },
      abandon: ["gone", "key", "rounds-api"],
    });
    const olds = { key: "2026-08-01", same: "2026-01-01", gone: "2026-02-01" };
    const news = { same: "2026-01-01", key: "2026-11-20,2026-08-01", "group/production": "2026-11-20" };
    expect(changesOf(olds, news, why)).toEqual([
      { credential: "gone", from: ["2026-02-01"], to: [], abandoned: true },
      { credential: "group/production", from: [], to: ["2026-11-20"], reason: "leak" },
      {
        ...{ credential: "key", from: ["2026-08-01"], to: ["2026-11-20", "2026-08-01"], reason: "left", ticket: "A-1" },
        // A random text is accepted by nobody that could leave it behind.
        kind: "random",
      },
    ]);
    expect(changesOf(news, news, why)).toEqual([]);
  });

  it("is left behind where config abandons what somebody else accepts", () => {
    const base = { generations: [], deliver: [], output: false };
    const login = { ...base, kind: "postgres", database: "d", owner: "o", existing: false, login: "l" } as const;
    const more = { checks: [], grants: [], url: "", quietMs: 0, dropOnDestroy: false };
    const token = {
      ...base,
      kind: "turso",
      target: { kind: "database", name: "d" },
      authorization: "read-only",
    } as const;
    const why = whyIn({
      credentials: [
        { ...login, ...more, name: "login", inPlace: false },
        { ...login, ...more, name: "same", inPlace: true },
        { ...token, name: "token", expiration: "90d", permissions: [], attach: [], retired: [] },
        { ...login, ...more, name: "kept", inPlace: false },
      ],
      abandon: ["login", "same", "token"],
    });
    expect(["login", "same", "token", "kept"].map((name) => why(name))).toEqual([
      { kind: "postgres", abandoned: true },
      // Its one role goes on with another password: there is nothing to leave.
      { kind: "postgres", inPlace: true },
      { kind: "turso", abandoned: true },
      { kind: "postgres" },
    ]);
  });
});
