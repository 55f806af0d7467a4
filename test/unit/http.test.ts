// Proves how often a call to a vendor is made, how long it pauses, and when it looks, over a real socket and with a clock of this file's.
// Not proven: what each vendor's client makes of an answer (test/provider).
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { causeOf, request } from "../../components/http";

const pauses: number[] = [];
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) => {
    pauses.push(ms);
    return Promise.resolve();
  },
}));

/** Status and headers to come, the last ones again and again. */
let answers: [number, http.OutgoingHttpHeaders?][] = [];
let asked = 0;
let url = "";
const server = http.createServer((incoming, response) => {
  incoming.resume();
  const [status, headers] = answers[Math.min(asked, answers.length - 1)] ?? [500];
  asked += 1;
  response.writeHead(status, headers).end(JSON.stringify({ secret: "of the vendor" }));
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());
beforeEach(() => {
  [asked, pauses.length] = [0, 0];
});

/** The result, or the error's text. */
function call(given: typeof answers, more: { once?: boolean; settled?: () => Promise<string | undefined> } = {}) {
  answers = given;
  const faultOf = (status: number) => (status === 429 ? "rate-limited" : status >= 500 ? "unavailable" : "rejected");
  return request<string, "rejected">({
    ...{ method: "POST", url, headers: {}, timeoutMs: 10_000, longestPauseMs: 3000, ...more },
    read: ({ ok }) => (ok ? "done" : undefined),
    refusal: ({ status }) => ({ fault: faultOf(status), text: `status ${status}` }),
    error: ({ fault, text }) => new Error(`${fault}: ${text}`),
  }).catch((error: unknown) => (error as Error).message);
}

it("that fails for now is made four times at most, with pauses that grow", async () => {
  expect(await call([[503], [200]])).toBe("done");
  expect(asked).toBe(2);
  asked = 0;
  pauses.length = 0;
  expect(await call([[503]])).toBe("unavailable: status 503");
  expect(asked).toBe(4);
  expect(pauses).toEqual([500, 1000, 2000]);
});

it("that came too often waits as long as the vendor says, and no longer than its bound", async () => {
  expect(await call([[429, { "retry-after": "2" }], [429, { "retry-after": "86400" }], [429], [200]])).toBe("done");
  expect(pauses).toEqual([2000, 3000, 2000]);
});

it("that came too often waits until the date that the vendor says, by the vendor's own clock", async () => {
  const date = "Tue, 01 Dec 2026 08:00:00 GMT";
  const until = { date, "retry-after": "Tue, 01 Dec 2026 08:00:02 GMT" };
  const past = { date, "retry-after": "Tue, 01 Dec 2026 07:00:00 GMT" };
  expect(await call([[429, until], [429, past], [429, { "retry-after": "soon" }], [200]])).toBe("done");
  expect(pauses).toEqual([2000, 1000, 2000]);
});

it("that is refused is made once", async () => {
  expect(await call([[403], [200]])).toBe("rejected: status 403");
  expect([asked, pauses]).toEqual([1, []]);
});

it("whose effect is open is settled by looking, and made again where the look finds nothing", async () => {
  const looks = [undefined, "found"];
  expect(await call([[500]], { settled: () => Promise.resolve(looks.shift()) })).toBe("found");
  expect(asked).toBe(2);
});

it("that is made once is not repeated where its effect is open, and is where there was none", async () => {
  expect(await call([[500], [200]], { once: true })).toBe("unavailable: status 500");
  expect(asked).toBe(1);
  asked = 0;
  expect(await call([[429], [200]], { once: true })).toBe("done");
  expect(asked).toBe(2);
});

it("follows no redirect, which would carry its token elsewhere", async () => {
  expect(await call([[307, { location: `${url}/elsewhere` }], [200]])).toBe("done");
  // Asked again where it was meant to, after a pause: not where it was led.
  expect([asked, pauses]).toEqual([2, [500]]);
});

it.each([
  ["ENOTFOUND", "unknown host, ENOTFOUND"],
  ["EAI_AGAIN", "unknown host, EAI_AGAIN"],
  ["ECONNRESET", "the connection broke, ECONNRESET"],
  ["UND_ERR_CONNECT_TIMEOUT", "no way to the host, UND_ERR_CONNECT_TIMEOUT"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "its certificate is not accepted, SELF_SIGNED_CERT_IN_CHAIN"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "its certificate is not accepted, UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "its certificate is not accepted, ERR_TLS_CERT_ALTNAME_INVALID"],
  ["HPE_INVALID_CONSTANT", "its answer is not HTTP, HPE_INVALID_CONSTANT"],
  ["EMFILE", "EMFILE"],
])("that fails with %s is told as such, without the error's own text", (code, words) => {
  const cause = Object.assign(new Error("https://user:hunter2@example.com"), { code });
  expect(causeOf(new TypeError("fetch failed", { cause }))).toBe(words);
});
