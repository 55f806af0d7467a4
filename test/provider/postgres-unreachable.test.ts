// Proves what is said of a Postgres server that cannot be reached or never answers, and that it is said in the end. Not proven: a
// server that stops answering in the middle of a statement (bounded to 35 s; the audit's by audit-deadline.test.ts).
import * as net from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { connected } from "../../components/postgres/sql";
import { startPostgresProxy } from "../../local/crash-proxy";
import { type Logins, startLogins } from "./logins";

let on: Logins;

beforeAll(async () => {
  on = await startLogins();
});
afterAll(() => on.stop());

it("says which server cannot be reached, and as whom", async () => {
  const closed = await startPostgresProxy(on.postgres, () => Promise.resolve("pass"));
  await closed.stop();
  const error = await on.failure(on.provider(closed.port).create(on.news()));
  expect(error.message).toBe(
    `postgres 127.0.0.1:${closed.port}, database postgres, login rollover_admin: no connection (ECONNREFUSED)`,
  );
});

it("says that a server which accepts and never answers did not answer", async () => {
  const sockets: net.Socket[] = [];
  const mute = net.createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  const { port } = mute.address() as net.AddressInfo;
  const { server, login } = on.admin(port);
  const begun = performance.now();
  const error = await on.failure(connected(server, login, (client) => client.query("SELECT 1")));
  expect(error.message).toBe(
    `postgres 127.0.0.1:${port}, database postgres, login rollover_admin: no connection (timeout expired)`,
  );
  expect(performance.now() - begun).toBeLessThan(20_000);
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => mute.close(resolve));
});
