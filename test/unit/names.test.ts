// Proves that a name which every object answers to, such as `constructor`, is one like any other to messages, deliveries, env
// files and the report. Not to the plan, nor that config accepts it (test/unit/config.test.ts says which names it does).
import { describe, expect, it } from "vitest";
import { describe as said, type Report } from "../../components/cloudflare/attest";
import { reports } from "../../components/cloudflare/deliver";
import { heldBy, type KeysetInputs, type KeysetOutputs, stepsOf } from "../../components/cloudflare/keyset-step";
import type { Inputs } from "../../components/cloudflare/worker-secret-set.provider";
import { edited } from "../../components/file/env-lines";
import { changesOf } from "../../components/notify/changes";
import { describeReport } from "../../operations/report/describe";
import * as make from "./plan-fixture";
import { chained, roll, year } from "./report-fixture";

const NEW = "2026-11-20";
const NAME = "constructor";
const why = () => ({});

describe("a credential named constructor", () => {
  it("is announced when it comes, and when it goes", () => {
    const [without, stamps] = [{ key: NEW }, { key: NEW, [NAME]: NEW }];
    expect(changesOf(without, stamps, why)).toEqual([{ credential: NAME, from: [], to: [NEW] }]);
    expect(changesOf(stamps, without, why)).toEqual([{ credential: NAME, from: [NEW], to: [] }]);
  });

  it("is not held by a Worker that does not say so", () => {
    const report: Report = { generations: { key: [] } };
    const generations = JSON.stringify({ [NAME]: [{ stamp: NEW, tag: "t" }] });
    expect(reports({ generations } as Inputs)(report)).toBe(false);
    expect(said(report, NAME)).toBe("nothing");
    expect(heldBy(report, NAME)).toEqual([]);
  });

  it("is no keyset of the delivery before it came", () => {
    const olds = { keysets: {}, activations: {}, generations: "{}" } as KeysetOutputs;
    const news = { keysets: { [NAME]: {} }, generations: "{}" } as unknown as KeysetInputs;
    expect(stepsOf(news, olds)).toEqual([]);
  });

  it("is in the report, before consumers hold it and when the audit alone knows it", () => {
    const facts = year();
    const outputs = make.outputsOf({ [NAME]: make.random([NEW]), key: make.random([NEW]) });
    const resources = [make.consumer("rounds-api", { key: [NEW] })];
    const added = describeReport({ ...facts, outputs, state: { resources, pending_operations: [] } });
    expect(added.credentials[0]).toMatchObject({ name: NAME, kind: "random", age: { status: "unlimited" } });
    const rows = chained(roll("u1", `${NEW}T08:00:00Z`, NAME, ["2026-11-16"], [NEW]));
    const gone = describeReport({ ...facts, rows }).credentials.find(({ name }) => name === NAME);
    expect(gone).toMatchObject({ kind: "no longer declared" });
  });
});

it.each(["constructor", "toString", "__proto__"])("a line %s of somebody's own stays in an env file", (name) => {
  const text = `${name}=theirs\nKEY=old\n`;
  expect(edited(text, { KEY: "new" }, {})).toBe(`${name}=theirs\nKEY=new\n`);
});
