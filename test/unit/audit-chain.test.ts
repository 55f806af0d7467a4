// Proves: any change, swap, removal or addition within a chain of audit rows is found, and the first broken row named. Does not
// prove that rows removed at the end are found: they cannot be, and the head that is returned tells them apart.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BEGINNING, hashOf, noRecord, tornLine, verifyChain } from "../../components/audit/chain";
import type { AuditRecord, AuditRow } from "../../components/audit/record";

function recordOf(over: Partial<AuditRecord> = {}): AuditRecord {
  return {
    ...{ time: "2026-11-20T09:30:00.000Z", stack: "prod", credential: "rounds-db", step: "deliver", result: "done" },
    ...{
      from: ["2026-08-01"],
      to: ["2026-11-20", "2026-08-01"],
      consumer: "rounds-api",
      attested: true,
      proven: false,
    },
    ...{ expires: "", error: "", actor: "a@example.com", reason: "quarterly", ticket: "OPS-12", commit: "abc" },
    update: "1",
    ...over,
  };
}

function chainOf(records: AuditRecord[]): AuditRow[] {
  let previous = BEGINNING;
  return records.map((record, index) => {
    const [seq, at] = [index + 1, "2026-11-20T09:30:00.123456Z"];
    const row = { seq, at, record, previous, hash: hashOf(previous, seq, at, JSON.stringify(record)) };
    previous = row.hash;
    return row;
  });
}

const text = fc.string({ unit: "binary", maxLength: 20 });
const chains = fc
  .array(fc.record({ credential: text, error: text, actor: text, reason: text, stack: text }), {
    minLength: 3,
    maxLength: 8,
  })
  .map((parts) => chainOf(parts.map(recordOf)));
/** A chain and a place in it that has rows before and after it. */
const places = chains.chain((rows) => fc.tuple(fc.constant(rows), fc.integer({ min: 1, max: rows.length - 2 })));

describe("a chain of audit rows", () => {
  it("is whole as it was written, and its head is the hash of the last row", () => {
    fc.assert(
      fc.property(chains, (rows) => {
        expect(verifyChain(rows)).toEqual({ ok: true, head: rows.at(-1)?.hash });
      }),
    );
    expect(verifyChain([])).toEqual({ ok: true, head: BEGINNING });
  });

  it("names the row in which anything is changed", () => {
    const edits: ((row: AuditRow) => AuditRow)[] = [
      ...(Object.keys(recordOf()) as (keyof AuditRecord)[]).map((key) => (row: AuditRow) => {
        const value = row.record[key];
        const other = typeof value === "boolean" ? !value : typeof value === "string" ? `${value}x` : [...value, "x"];
        return { ...row, record: { ...row.record, [key]: other } };
      }),
      (row) => ({ ...row, at: "2026-11-20T09:30:00.123457Z" }),
      (row) => ({ ...row, seq: row.seq + 1 }),
      (row) => ({ ...row, previous: BEGINNING.replace("0", "1") }),
      (row) => ({ ...row, hash: BEGINNING }),
      (row) => ({ ...row, hash: "" }),
    ];
    fc.assert(
      fc.property(places, fc.constantFrom(...edits), ([rows, at], edit) => {
        const found = verifyChain(rows.map((row, index) => (index === at ? edit(row) : row)));
        expect(found).toMatchObject({ ok: false, seq: at + 1 });
      }),
      { numRuns: 500 },
    );
  });

  it("names the row after one whose text and hash were both rewritten", () => {
    fc.assert(
      fc.property(places, ([rows, at]) => {
        const forged = rows.map((row, index) => {
          if (index !== at) return row;
          const record = { ...row.record, actor: "somebody else" };
          return { ...row, record, hash: hashOf(row.previous, row.seq, row.at, JSON.stringify(record)) };
        });
        const isSame = rows[at]?.record.actor === "somebody else";
        expect(verifyChain(forged)).toMatchObject(isSame ? { ok: true } : { ok: false, seq: at + 2 });
      }),
    );
  });

  it("names the first place where rows were taken out, moved or put in", () => {
    fc.assert(
      fc.property(places, ([rows, at]) => {
        const [before, row, after] = [rows.slice(0, at), rows.slice(at, at + 1), rows.slice(at + 1)];
        const broken = { ok: false, seq: at + 1 };
        expect(verifyChain([...before, ...after])).toMatchObject(broken);
        expect(verifyChain([...before, ...after.slice(0, 1), ...row, ...after.slice(1)])).toMatchObject(broken);
        expect(verifyChain([...before, ...row, ...row, ...after])).toMatchObject({ ok: false, seq: at + 2 });
        expect(verifyChain(rows.slice(at))).toMatchObject({ ok: false, seq: 1 });
      }),
    );
  });

  it("goes on behind each break and lists them all", () => {
    const rows = chainOf(Array.from({ length: 12 }, (_, at) => recordOf({ reason: String(at) })));
    const broken = rows.map((row) => {
      if (row.seq === 2) return { ...row, record: recordOf({ reason: "forged" }) };
      return row.seq === 5 || row.seq === 6 ? tornLine(row.seq) : row;
    });
    expect(verifyChain(broken.filter(({ seq }) => seq !== 9))).toEqual({
      ...{ ok: false, seq: 2, why: expect.stringContaining("row 2 is not what was written") as string },
      head: rows[11]?.hash,
      more: [
        { seq: 5, why: "line 5 holds no row: a row was changed there" },
        { seq: 6, why: "line 6 holds no row: a row was changed there" },
        { seq: 9, why: expect.stringContaining("row 10 stands where row 9 belongs") as string },
      ],
    });
  });

  it("takes a row behind a line that is none for the next of either, and tells the two apart", () => {
    const [first, second, third] = chainOf([recordOf(), recordOf({ reason: "b" }), recordOf({ reason: "c" })]);
    if (!first || !second || !third) throw new Error("no rows");
    const torn = tornLine(2);
    const only = { ok: false, seq: 2, more: [] };
    // A torn line, behind which the next writer went on from the row before it; and one that was a row once.
    expect(verifyChain([first, torn, second])).toMatchObject({ ...only, stray: true, head: second.hash });
    expect(verifyChain([first, torn, third])).toMatchObject({ ...only, head: third.hash });
    expect(verifyChain([first, torn, third])).not.toHaveProperty("stray");
    expect(verifyChain([first, torn])).toMatchObject({ ...only, stray: true, head: first.hash });
    expect(verifyChain([torn, third])).toMatchObject({ ok: false, seq: 1, more: [{ seq: 2 }] });
    expect(verifyChain([first, torn, { ...second, previous: BEGINNING }])).toMatchObject({ more: [{ seq: 3 }] });
  });

  it("keeps the place of a row that holds no record: what is broken beside it or in it is named all the same", () => {
    const rows = chainOf([recordOf(), recordOf(), recordOf({ reason: "c" }), recordOf()]).map((row) =>
      row.seq === 3 ? { ...row, record: noRecord("row 3 is none"), text: JSON.stringify(row.record) } : row,
    );
    const [first, second, third, fourth] = rows;
    if (!first || !second || !third || !fourth) throw new Error("no rows");
    const stray = { seq: 3, why: "row 3 is none", stray: true };
    expect(verifyChain(rows)).toEqual({ ok: false, ...stray, more: [], head: fourth.hash });
    const edited = { ...second, record: recordOf({ actor: "nobody" }) };
    expect(verifyChain([first, edited, third, fourth])).toMatchObject({ seq: 2, more: [stray] });
    expect(verifyChain([first, third, fourth])).toMatchObject({ ok: false, seq: 2, more: [] });
    expect(verifyChain([first, second, { ...third, text: "{}" }, fourth])).toEqual({
      ...{ ok: false, seq: 3, why: expect.stringContaining("row 3 is not what was written") as string, more: [] },
      head: fourth.hash,
    });
  });

  it("covers the text of a record as it was read, where that is known", () => {
    const record = recordOf();
    const text = JSON.stringify(record).replaceAll(":", ": ");
    const row = { seq: 1, at: "2026-11-20T09:30:00.123456Z", record, previous: BEGINNING, text };
    const hash = hashOf(BEGINNING, 1, row.at, text);
    expect(verifyChain([{ ...row, hash }])).toEqual({ ok: true, head: hash });
    expect(verifyChain([{ ...row, hash, text: JSON.stringify(record) }])).toMatchObject({ ok: false, seq: 1 });
  });

  it("does not see what is missing at the end, except by the head", () => {
    const rows = chainOf([recordOf(), recordOf(), recordOf()]);
    expect(verifyChain(rows.slice(0, 2))).toEqual({ ok: true, head: rows[1]?.hash });
    expect(rows[1]?.hash).not.toBe(rows[2]?.hash);
  });
});
