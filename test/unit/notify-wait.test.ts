// Proves for which changes an announced update waits: for every roll that is planned, and for no emergency, whatever else is in the
// same edit. Not proven: that it waits (test/provider/notify.test.ts).
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { waitOf } from "../../components/notify/announcement.provider";

const [A, B, C] = ["2026-08-01", "2026-11-20", "2026-11-21"];
const live = (...stamps: string[]) => stamps.join();
const wait = (
  name: string,
  was: string | undefined,
  is: string | undefined,
  more: { urgent?: string[]; single?: string[] } = {},
) =>
  waitOf(
    { stamps: was === undefined ? {} : { [name]: was } },
    { stamps: is === undefined ? {} : { [name]: is }, urgent: [], noticeMs: 300_000, ...more },
  );

it.each<[string, string, string | undefined, string | undefined]>([
  ["a roll", "key", A, live(B, A)],
  ["a roll that retires the oldest", "key", live(B, A), live(C, B)],
  ["a retirement", "key", live(B, A), B],
  ["a roll beside an adopted login", "key", live(A, "adopted"), live(B, A, "adopted")],
  ["an adopted login that goes", "key", live(B, "adopted"), B],
  ["a credential that is added", "key", undefined, A],
  ["an incident that is over", "group/production", live(B, "incident"), B],
  ["an invalidation that is taken out of config", "database/rounds", B, undefined],
])("%s waits", (_what, name, was, is) => {
  expect(wait(name, was, is)).toBe(300_000);
});

it.each<[string, string, string | undefined, string | undefined]>([
  ["an off-boarding, which keeps nothing", "key", live(B, A), C],
  ["an off-boarding that leaves an adopted login", "key", live(A, "adopted"), live(B, "adopted")],
  ["a `generation` that is replaced", "key", A, B],
  ["a roll that keeps nothing but makes two", "key", A, live(C, B)],
  ["a credential that goes", "key", A, undefined],
  ["a rollback", "key", live(B, A), live(A, B)],
  ["a rollback that retires the newer one", "key", live(B, A), A],
  ["an invalidation", "group/production", undefined, B],
  ["an invalidation again", "database/rounds", B, C],
  ["an incident", "group/production", undefined, "incident"],
  ["an incident of what was invalidated before", "group/production", B, live(B, "incident")],
])("%s does not wait", (_what, name, was, is) => {
  expect(wait(name, was, is)).toBe(0);
});

it("waits for a roll of what never keeps a previous one: it breaks at once, and nobody was kept out", () => {
  expect(wait("key", A, B, { single: ["key"] })).toBe(300_000);
  expect(wait("key", A, B, { single: ["other"] })).toBe(0);
  expect(wait("key", A, B, { single: ["key"], urgent: ["key"] })).toBe(0);
});

it("does not wait for a change of what is urgent, and waits beside one", () => {
  expect(wait("key", A, live(B, A), { urgent: ["key"] })).toBe(0);
  expect(wait("key", A, live(B, A), { urgent: ["other"] })).toBe(300_000);
});

it("does not wait longer than an hour, nor where nothing changes", () => {
  const of = (noticeMs: number, is: string) =>
    waitOf({ stamps: { key: A } }, { stamps: { key: is }, urgent: [], noticeMs });
  expect([0, 1, 3_600_000, 3_600_001].map((noticeMs) => of(noticeMs, live(B, A)))).toEqual([0, 1, 3_600_000, 0]);
  expect(of(300_000, A)).toBe(0);
});

it("no emergency waits for the sake of another change", () => {
  const lists = fc.uniqueArray(fc.constantFrom(A, B, C), { maxLength: 3 }).map((stamps) => live(...stamps));
  const stamps = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), lists);
  fc.assert(
    fc.property(stamps, stamps, (olds, news) => {
      const inputs = { urgent: [], noticeMs: 300_000 };
      const emergency = { ...news, "group/production": B };
      expect(waitOf({ stamps: olds }, { ...inputs, stamps: emergency })).toBe(0);
      expect(waitOf({ stamps: { ...olds, key: live(B, A) } }, { ...inputs, stamps: { ...news, key: C } })).toBe(0);
    }),
  );
});
