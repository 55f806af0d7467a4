// Proves with a server that speaks the least of Postgres's protocol: a write to the audit ends within seconds where the server lets
// the login in and then goes silent, and every connection where it answers and never closes. Does not prove when a real one does so.
import { once } from "node:events";
import * as net from "node:net";
import { afterEach, expect, it } from "vitest";
import { journal, newTurns } from "../../components/audit/journal";
import { connected } from "../../components/postgres/sql";
import type { PostgresServer } from "../../components/rotation/model";
import { recordOf } from "./audits";

/** Far more than any of it may take, and less than pg's own bounds. */
const END_MS = 20_000;

const message = (type: string, body = ""): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body, "latin1")]);
};
const READY = message("Z", "I");
const LET_IN = Buffer.concat([message("R", "\0\0\0\0"), READY]);
/** To Parse, Bind, Describe, Execute and Sync: done, no rows. */
const DONE = Buffer.concat([message("1"), message("2"), message("n"), message("C", "INSERT 0 1\0"), READY]);

const servers: { server: net.Server; sockets: Set<net.Socket> }[] = [];

afterEach(async () => {
  for (const { server, sockets } of servers.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  }
});

/** Lets everybody in, answers each statement with `answer`, and never closes a connection. */
async function lettingIn(answer: Buffer): Promise<PostgresServer> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(LET_IN);
      // A statement with values comes in one piece here, ending in Sync; Terminate is not answered.
      socket.on("data", (bytes) => bytes[0] === 0x50 && socket.write(answer));
    });
  });
  servers.push({ server, sockets });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const login = { username: "audit_in", database: "audit", superuser: false };
  return { host: "127.0.0.1", port, ...login, sslmode: "disable" };
}

/** What became of it, or that it has not ended. */
async function ended(work: Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, END_MS, "has not ended");
  });
  const words = work.then(
    () => "done",
    (error: unknown) => (error as Error).message,
  );
  const found = await Promise.race([words, late]);
  clearTimeout(timer);
  return found;
}

const write = (server: PostgresServer) =>
  journal({ required: false, server }, "AuditPassw0rd0123456789", "", newTurns()).write([recordOf()]);

it("a write that is never answered fails, and says what to do", async () => {
  const server = await lettingIn(Buffer.alloc(0));
  expect(await ended(write(server))).toBe(
    `postgres 127.0.0.1:${server.port}, database audit, login audit_in: no connection (no answer within 5 s); see that the audit's database answers`,
  );
});

it("a write that is answered is done, whether or not the server closes", async () => {
  expect(await ended(write(await lettingIn(DONE)))).toBe("done");
});

it("neither does any other connection wait for a server that does not close, nor change what came of it", async () => {
  const server = await lettingIn(DONE);
  const login = { user: "admin", password: "AdminPassw0rd0123456789", database: "rounds" };
  expect(await ended(connected(server, login, (client) => client.query("SELECT $1::int", [1])))).toBe("done");
  expect(await ended(connected(server, login, () => Promise.reject(new Error("refused"))))).toMatch(/refused/);
});
