// Proves what the texts inside of a config mean: how a template is filled in, which host is loopback, and which check is one
// statement that ends no transaction and changes no role. Not that PostgreSQL or a driver reads them alike, nor that parseStack
// asks (bad-configs.test.ts).
import { describe, expect, it } from "vitest";
import { checkProblem } from "../../components/rotation/sql";
import { fillTemplate, isLoopbackHost } from "../../components/rotation/url";

describe("templates and addresses", () => {
  it("encode what is filled in", () => {
    const parts = { user: "a b", password: "p/w", host: "::1", port: 5433, database: "x$y" };
    expect(fillTemplate("postgresql://{user}:{password}@{host}:{port}/{database}", parts)).toBe(
      "postgresql://a%20b:p%2Fw@[::1]:5433/x%24y",
    );
  });

  it.each(["127.0.0.1", "127.9.8.7", "localhost", "::1", "[::1]", "LOCALHOST"])("%s is loopback", (host) => {
    expect(isLoopbackHost(host)).toBe(true);
  });

  it.each(["127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "127.0.0.256", "0.0.0.0", ""])(
    "%s is not loopback",
    (host) => {
      expect(isLoopbackHost(host)).toBe(false);
    },
  );
});

describe("checks", () => {
  it.each([
    ...[
      "SELECT 1",
      "select 1;",
      "SELECT ';' ;",
      "SELECT $a$;COMMIT;$a$",
      'SELECT ";"',
      "/* ; /* ; */ ; */ SELECT 1 -- ;",
    ],
    ...["SELECT E'\\';'", "SELECT 'a\\'", "SELECT a$1 FROM t", "UPDATE rounds SET n = 1", "SELECT date'2026-01-01\\'"],
  ])("%s is one statement", (sql) => {
    expect(checkProblem(sql)).toBeUndefined();
  });

  it.each([
    ...[
      "COMMIT",
      "-- x\nROLLBACK",
      "begin;",
      "START TRANSACTION",
      "END",
      "abort",
      "SAVEPOINT a",
      "PREPARE TRANSACTION 'a'",
    ],
    ...[
      "SET ROLE admin",
      "set local role admin",
      "RESET ROLE",
      "SET SESSION AUTHORIZATION x",
      "SELECT 1; SELECT 2",
      ";",
      "",
    ],
    ...[
      "SELECT 'open",
      "SELECT /* open",
      "SELECT $a$ open $b$",
      "SELECT E'\\'",
      "COPY t FROM STDIN",
      "SELECT '\\'; COMMIT",
    ],
  ])("%s is refused", (sql) => {
    expect(checkProblem(sql)).toBeTypeOf("string");
  });
});
