// Proves what the report says of generations, consumers and ages where an update failed half-way: what is live and current is what
// state's resources and consumers say, not what the stack's outputs say already. Not that the engine leaves states like these.
import { describe, expect, it } from "vitest";
import type { Resource, Summary } from "../../operations/plan/shapes";
import { describeReport } from "../../operations/report/describe";
import { toHtml } from "../../operations/report/html";
import { toMarkdown } from "../../operations/report/markdown";
import { evidence } from "../../operations/report/read";
import * as make from "./plan-fixture";
import { chained, NOW, update } from "./report-fixture";

const [A, B, C] = ["2026-05-04", "2026-08-24", "2026-11-16"];
const api = "rounds-api";

interface State {
  declared: Summary;
  resources: Resource[];
  rows?: ReturnType<typeof chained>;
  name?: string;
  maxAge?: string;
}

function reportOf({ declared, resources, rows, name = "rounds-db", maxAge = "90d" }: State) {
  const report = describeReport({
    ...{ stack: "local", now: NOW, sinceMs: 365 * 86_400_000, rows },
    evidence: evidence.parse({ credentials: { [name]: { maxAge } } }),
    outputs: make.outputsOf({ [name]: declared }),
    state: { resources, pending_operations: [] },
  });
  const [one] = report.credentials;
  if (!one) throw new Error("no credential");
  const places = Object.fromEntries(one.generations.map(({ stamp, place }) => [stamp, place]));
  return { report, places, age: one.age, consumers: one.consumers, generations: one.generations };
}

const logins = (...stamps: string[]) => stamps.map((stamp) => make.login("rounds-db", stamp));
const completion = (stamps: Record<string, string>): Resource => ({
  ...make.resource("Completion", "update", { inputs: { stamps }, outputs: { stamps } }),
});

describe("a delivery that failed", () => {
  const resources = [...logins(C, B), make.consumer(api, { "rounds-db": [B] })];

  it("leaves the old generation current, whether the outputs were written or not", () => {
    for (const live of [[C, B], [B]]) {
      const { report, places, age, consumers } = reportOf({ declared: make.postgres(live), resources });
      expect(places).toEqual({ [C]: "next", [B]: "current" });
      expect(age).toMatchObject({ days: 89, due: "2026-11-22", status: "soon" });
      expect(consumers).toMatchObject([{ holds: [B], attested: true }]);
      expect(report.summary).toMatchObject({ liveGenerations: 2, notAttested: 0 });
      expect(toMarkdown(report)).toContain(`| \`rounds-db\` | \`${C}\` | made, not yet in use everywhere |`);
      expect(toHtml(report)).toContain(`<g class="bar next" role="img">`);
    }
  });

  it("to one of two consumers is one that does not attest the current one", () => {
    const two = { consumers: [api, "mailer"].map((worker) => ({ worker, as: "DATABASE_URL", attested: true })) };
    const held = [make.consumer(api, { "rounds-db": [C, B] }), make.consumer("mailer", { "rounds-db": [B] })];
    const completed = completion({ "rounds-db": B });
    for (const live of [[C, B], [B]]) {
      const given = { declared: make.postgres(live, two), resources: [...logins(C, B), ...held, completed] };
      const { report, places, consumers } = reportOf(given);
      expect(places).toEqual({ [C]: "next", [B]: "current" });
      expect(consumers).toMatchObject([{ attested: false }, { attested: true }]);
      expect(report.summary.notAttested).toBe(1);
    }
  });

  it("is not attested by what is held, where the audit knows better", () => {
    const rows = chained(
      update("u1", "2026-11-20T08:00:00Z", { credential: "rounds-db" }, [
        { step: "deliver", from: [B], to: [C, B], consumer: api, result: "failed" },
      ]),
    );
    const { consumers } = reportOf({ declared: make.postgres([C, B]), resources, rows });
    expect(consumers).toMatchObject([{ attested: false, last: { result: "failed" } }]);
  });

  it("to a file is seen by what the file was last given, or by what was completed last", () => {
    const declared = make.random([C, B], { consumers: [{ file: ".env", as: "KEY", attested: false }] });
    const file = make.envFile(".env", ["KEY"]);
    const values = [C, B].map((stamp) => make.resource("RandomPassword", `key@${stamp}`));
    const given = { declared, name: "key", resources: [...values, file, completion({ key: B })] };
    expect(reportOf(given).places).toEqual({ [C]: "next", [B]: "current" });
    const outputs = { generations: JSON.stringify({ key: [B] }) };
    const told = reportOf({ ...given, resources: [...values, { ...file, outputs }] });
    expect(told.places).toEqual({ [C]: "next", [B]: "current" });
    expect(told.consumers).toMatchObject([{ holds: [B], asked: false, attested: false }]);
  });
});

it("a login that could not be minted is not live", () => {
  const resources = [...logins(B), make.consumer(api, { "rounds-db": [B] })];
  expect(reportOf({ declared: make.postgres([C, B]), resources }).places).toEqual({ [B]: "current" });
});

it("a token that could not be minted is not live", () => {
  const tokens = [make.token("rounds-turso", C, { tag: "" }), make.token("rounds-turso", B, { place: "previous" })];
  const resources = [...tokens, make.consumer(api, { "rounds-turso": [B] })];
  expect(reportOf({ declared: make.turso([C, B]), resources, name: "rounds-turso" }).places).toEqual({
    [B]: "current",
  });
});

it("a retirement that failed leaves a generation that may still work, whatever the outputs say", () => {
  const resources = [...logins(B, A), make.consumer(api, { "rounds-db": [B] })];
  const rows = chained(
    update("u1", "2026-11-20T08:00:00Z", { credential: "rounds-db" }, [
      { step: "deliver", from: [B, A], to: [B], consumer: api },
      { step: "retire", from: [A], result: "failed" },
    ]),
  );
  const withAudit = { rows };
  for (const given of [{}, withAudit]) {
    const { report, places, age } = reportOf({ declared: make.postgres([B]), resources, ...given });
    expect(places).toEqual({ [B]: "current", [A]: "retired" });
    expect(report.debts).toMatchObject([{ name: "rounds-db" }]);
    // Hatched from its end until now, where its end is known.
    expect(toHtml(report).match(/class="tail"/g) ?? []).toHaveLength(given === withAudit ? 2 : 1);
    // Of the live ones none is too old.
    expect(age.status).toBe("soon");
  }
});

it("a rollback leaves the newer one accepted", () => {
  const resources = [...logins(B, C), make.consumer(api, { "rounds-db": [B] })];
  expect(reportOf({ declared: make.postgres([B, C]), resources }).places).toEqual({ [C]: "previous", [B]: "current" });
  // Not done yet: the consumer has the newer one, and goes on with it.
  const before = [...logins(B, C), make.consumer(api, { "rounds-db": [C, B] })];
  expect(reportOf({ declared: make.postgres([B, C]), resources: before }).places).toEqual({
    ...{ [C]: "current", [B]: "previous" },
  });
});

it("a credential that is no longer declared and still there may still work", () => {
  const rows = chained(
    update("u1", "2026-11-20T08:00:00Z", { credential: "old-db" }, [
      { step: "mint", to: [B] },
      { step: "retire", from: [B], result: "failed" },
    ]),
  );
  const resources = [make.login("old-db", B), ...logins(C), make.consumer(api, { "rounds-db": [C] })];
  const { report } = reportOf({ declared: make.postgres([C]), resources, rows });
  expect(report.credentials[1]).toMatchObject({ name: "old-db", generations: [{ stamp: B, place: "retired" }] });
});

it("a stamp in the future is overdue: nobody knows how old it is", () => {
  const ahead = "2027-03-01";
  const resources = [...logins(ahead), make.consumer(api, { "rounds-db": [ahead] })];
  const { report, age } = reportOf({ declared: make.postgres([ahead]), resources });
  expect(age).toMatchObject({ status: "overdue", inFuture: [ahead] });
  expect(report.summary.overdue).toBe(1);
  expect(toMarkdown(report)).toContain(`**overdue; in the future: ${ahead}**`);
  const tomorrow = "2026-11-22";
  const soon = [...logins(tomorrow), make.consumer(api, { "rounds-db": [tomorrow] })];
  expect(reportOf({ declared: make.postgres([tomorrow]), resources: soon }).age).toMatchObject({
    ...{ status: "fine", inFuture: [] },
  });
});
