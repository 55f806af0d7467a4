// Proves, against the local Turso behind an API that changes what is asked of it, that a token which can do more or less than asked,
// or lasts longer, is never proven: it is kept in state as such, and nothing is handed out. Not: who would lie, and how else.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TursoCredential } from "../../components";
import { TursoApi } from "../../components/turso/api";
import { type Service, startService } from "../../local/cloud/faults";
import { type LocalTurso, startTurso } from "../../local/cloud/turso";
import { callTurso } from "../../local/cloud/turso/client";
import { tokenInputs, tokensBy } from "./turso-updates";

describe("an API that lies about what it mints", () => {
  let turso: LocalTurso;
  let liar: Service;
  let lie: (query: URLSearchParams, body: Record<string, unknown>) => void;

  beforeAll(async () => {
    turso = await startTurso();
    await turso.query("rounds", "CREATE TABLE comments (words text)");
    liar = await startService(
      async (request, url, text) => {
        const body = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
        if (request.method === "POST") lie(url.searchParams, body);
        const given = request.method === "POST" && Object.keys(body).length > 0 ? { body } : {};
        const answer = await callTurso(turso, request.method ?? "", `${url.pathname}${url.search}`, given);
        return { status: answer.status, body: answer.body };
      },
      () => ({ error: "no answer" }),
    );
  });
  afterAll(async () => {
    await liar.stop();
    await turso.stop();
  });

  const permissions: TursoCredential["permissions"] = [{ tables: ["comments"], actions: ["data_read"] }];
  const lies: [string, Partial<TursoCredential>, typeof lie, string][] = [
    [
      "full access in place of read-only",
      { authorization: "read-only" },
      (query) => {
        query.set("authorization", "full-access");
      },
      "a read-only token was not refused a write",
    ],
    [
      "read-only in place of full access",
      {},
      (query) => {
        query.set("authorization", "read-only");
      },
      "the token cannot write",
    ],
    [
      "all tables in place of one",
      { permissions },
      (_, body) => {
        delete body["fine_grained_permissions"];
      },
      "is allowed though it is not granted",
    ],
    [
      "one action more",
      { permissions },
      (_, body) => {
        body["fine_grained_permissions"] = [{ t: ["comments"], a: ["data_read", "data_delete"] }];
      },
      "data_delete on comments is allowed though it is not granted",
    ],
    [
      "a token that never expires",
      {},
      (query) => {
        query.delete("expiration");
      },
      "it never expires, though 30d was asked for",
    ],
  ];
  it.each(lies)("%s: it is refused, kept in state as not proven, and not taken again", async (_, asked, how, words) => {
    lie = how;
    const api = new TursoApi({ ...turso, apiUrl: `http://127.0.0.1:${liar.port}` }, turso.platformToken);
    const inputs = tokenInputs("database:rounds", { rounds: "default" });
    const news = { ...inputs, minting: { ...inputs.minting, ...asked } };
    const error: unknown = await tokensBy(api)
      .create(news)
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    expect(error).toMatchObject({
      message: expect.stringContaining(words) as string,
      id: "rounds-turso@2026-11-20",
      properties: { proven: false, jwt: turso.tokensMinted().at(-1) },
    });
    expect((error as Error).message).toContain("was not proven, so nothing was delivered");
    expect((error as Error).message).not.toContain(turso.tokensMinted().at(-1));
  });
});
