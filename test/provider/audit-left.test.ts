// Proves with a real Postgres and a local Turso that what config leaves behind (`abandon`) is recorded as left only where its
// provider left it alive, and as retired where it was found dead, though config lists it too. Workers: test/unit/audit-recorded.test.ts.
import { afterAll, beforeAll, expect, it } from "vitest";
import { leaving, newMemory, type Provider, recorded } from "../../components/audit/recorded";
import type { AuditRecord } from "../../components/audit/record";
import { postgresLogin } from "../../components/postgres/postgres-login.provider";
import type { StackModel } from "../../components/rotation/model";
import type { Kind } from "../../components/thin";
import { TursoApi } from "../../components/turso/api";
import { tursoToken } from "../../components/turso/turso-token.provider";
import { type Logins, startLogins } from "./logins";
import { startUpdates, type Updates } from "./turso-updates";

let logins: Logins;
let updates: Updates;

beforeAll(async () => {
  [logins, updates] = await Promise.all([
    startLogins(),
    startUpdates({ rounds: { group: "default" } }, ["database:rounds"]),
  ]);
});

afterAll(async () => {
  await Promise.all([logins, updates].map((one) => one.stop()));
});

/** Deletes what `props` records; how that ended, in the audit. */
async function ended(kind: Kind, provider: object, props: object): Promise<string | undefined> {
  const records: AuditRecord[] = [];
  const write = (added: readonly AuditRecord[]) => Promise.resolve(void records.push(...added));
  const { delete: remove } = recorded(kind, provider as Provider, {
    journal: { required: true, write },
    stack: { credentials: [], abandon: [] } as unknown as StackModel,
    memory: newMemory(),
    who: () => Promise.resolve({ actor: "", commit: "", update: "" }),
    warn: () => undefined,
  });
  await remove?.("1", props as Record<string, unknown>);
  const last = records.at(-1);
  return last && [last.step, last.result, last.error].join(" ").trim();
}

const LEFT = "retire failed listed under rollover:abandon: left behind, and not proven dead";
const warn = leaving(() => undefined);

it("a login that still works is left; one that is gone is retired", async () => {
  const provider = postgresLogin({ ...logins.admin(), abandon: ["rounds-db", "rounds-api"], warn });
  const login = await logins.create(logins.news());
  expect(await ended("PostgresLogin", provider, login)).toBe(LEFT);
  expect(await logins.acts(login)).toBe("rounds_owner");
  await logins.remove(login);
  expect(await ended("PostgresLogin", provider, login)).toBe("retire done");
});

it("a login that is retired without asking a Worker that is left is retired", async () => {
  const provider = postgresLogin({ ...logins.admin(), abandon: ["rounds-api"], warn });
  const login = await logins.create(logins.news());
  expect(await ended("PostgresLogin", provider, login)).toBe("retire done");
  expect(await logins.exists(login.login)).toBe(false);
});

it("a token that still works is left; one that an invalidation killed is retired", async () => {
  const token = updates.tokens["database:rounds"];
  if (!token) throw new Error("no token");
  const { turso } = updates;
  const provider = tursoToken(new TursoApi(turso, turso.platformToken, 1500), [token.credential], warn);
  expect(await ended("TursoToken", provider, token)).toBe(LEFT);
  await updates.up({ "database:rounds": "2026-11-20" });
  expect(await ended("TursoToken", provider, token)).toBe("retire done");
});
