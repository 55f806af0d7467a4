// Proves to which server the plan gives the admin's password when it asks for sessions: the one that state has for the login that
// goes, and never another that a stack file names. Not what Postgres answers: test/engine/operate.test.ts.
import * as net from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type PostgresServer } from "../../components/rotation/model";
import { readSessions, type Retiring } from "../../operations/plan/sessions";

let listener: net.Server;
let server: PostgresServer;
let connections = 0;
let asked = 0;

beforeEach(async () => {
  [connections, asked] = [0, 0];
  listener = net.createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as net.AddressInfo;
  const login = { database: "postgres", username: "admin", sslmode: "disable", superuser: false } as const;
  server = { host: "127.0.0.1", port, ...login };
});
afterEach(() => new Promise((resolve) => listener.close(resolve)));

const password = () => {
  asked++;
  return Promise.resolve("hunter2-of-the-admin");
};
const retiring = (name: string, at: string): Retiring => ({
  name,
  stamp: "2026-08-01",
  login: `${name}_1`,
  server: at,
});

it("is nobody's where state has another one: nothing is opened, and the password is not even read", async () => {
  const found = await readSessions([retiring("rounds", "db.example.com:5432"), retiring("old", "")], server, password);
  const here = `127.0.0.1:${server.port}`;
  expect(found).toEqual([
    {
      name: "rounds",
      stamp: "2026-08-01",
      login: "rounds_1",
      unknown: `it is on db.example.com:5432, and rollover:postgres names ${here}`,
    },
    {
      name: "old",
      stamp: "2026-08-01",
      login: "old_1",
      unknown: `state does not say where it is, and rollover:postgres names ${here}`,
    },
  ]);
  expect([connections, asked]).toEqual([0, 0]);
});

it("is that one where it is the same, asked for its own logins alone", async () => {
  const here = `127.0.0.1:${server.port}`;
  const found = await readSessions(
    [retiring("here", here), retiring("there", "db.example.com:5432")],
    server,
    password,
  );
  expect(connections).toBeGreaterThan(0);
  expect(found.map(({ name, unknown }) => [name, unknown?.split(",")[0]])).toEqual([
    ["here", `postgres ${here}`],
    ["there", "it is on db.example.com:5432"],
  ]);
});
