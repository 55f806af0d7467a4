// Proves when a canary counts as refused: by three answers in a row, whatever comes between. The database is a server of this file's.
// Not proven: when Turso's tokens die (test/provider/turso-invalidation.test.ts).
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { watch } from "../../components/turso/rotate";

/** The statuses to come, the last one again and again. */
let answers: number[] = [];
let asked = 0;
let url = "";

const accepted = JSON.stringify({
  results: [{ type: "ok", response: { result: { step_results: [{ rows: [] }], step_errors: [null] } } }],
});
const server = http.createServer((request, response) => {
  request.resume();
  const status = answers[Math.min(asked, answers.length - 1)] ?? 500;
  asked += 1;
  response.writeHead(status, { "content-type": "application/json" }).end(status === 200 ? accepted : "{}");
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

it.each<[string, number[], string, number]>([
  ["refused at once", [401], "refused", 3],
  ["refused once, as by a place that is behind", [401, 200], "works", 2],
  ["refused twice", [401, 401, 200], "works", 3],
  ["refused in the end", [401, 200, 401, 401, 401], "refused", 5],
])("a canary that is %s", async (_what, statuses, state, looks) => {
  [answers, asked] = [statuses, 0];
  const ms = state === "refused" ? 60_000 : 0;
  expect(await watch({ tag: "t", on: "database:rounds", url, jwt: "a.b.c" }, ms)).toBe(state);
  expect(asked).toBe(looks);
});
