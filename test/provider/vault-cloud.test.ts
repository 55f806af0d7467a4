// Proves that the local Vault answers, and refuses, as Vault's pages say of the KV engine of version 2, and that the local cloud starts
// one and names it in a stack's config. Not proven here: that HashiCorp's Vault or OpenBao does the same.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCloud } from "../../local/cloud";
import { type LocalVault, startVault } from "../../local/cloud/vault";

describe("the local Vault", () => {
  let vault: LocalVault;
  let dir: string;

  beforeAll(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "rollover-vault-"));
    vault = await startVault({ logDir: dir });
  });
  afterAll(async () => {
    await vault.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  /** Status and body of one call; a text is sent as it is. */
  async function call(method: string, at: string, body?: unknown, token = vault.token) {
    const response = await fetch(`${vault.address}/v1/${at}`, {
      method,
      headers: { "x-vault-token": token },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const parsed = (text === "" ? {} : JSON.parse(text)) as { errors?: string[]; data?: Record<string, unknown> };
    return { status: response.status, ...parsed };
  }
  const write = (at: string, value: string, cas?: unknown) =>
    call("POST", `secret/data/${at}`, { ...(cas === undefined ? {} : { options: { cas } }), data: { value } });

  it("keeps versions, and shows which are deleted and which destroyed", async () => {
    for (const value of ["one", "two", "three"]) expect((await write("a", value)).status).toBe(200);
    expect(await call("DELETE", "secret/data/a")).toEqual({ status: 204 });
    const gone = await call("GET", "secret/data/a");
    expect(gone).toMatchObject({ status: 404, data: { data: null, metadata: { version: 3, destroyed: false } } });
    expect((await call("GET", "secret/data/a?version=2")).data).toMatchObject({ data: { value: "two" } });
    expect(await call("POST", "secret/undelete/a", { versions: [3] })).toEqual({ status: 204 });
    expect(await call("POST", "secret/delete/a", { versions: [2] })).toEqual({ status: 204 });
    expect(await call("PUT", "secret/destroy/a", { versions: [1] })).toEqual({ status: 204 });
    expect((await call("GET", "secret/data/a")).data).toMatchObject({ data: { value: "three" } });
    expect((await call("GET", "secret/metadata/a")).data).toMatchObject({
      current_version: 3,
      versions: {
        1: { destroyed: true },
        2: { destroyed: false, deletion_time: expect.stringMatching(/^20/) as string },
        3: { destroyed: false, deletion_time: "" },
      },
    });
    expect(await call("POST", "secret/undelete/a", { versions: [1] })).toEqual({ status: 204 });
    expect((await call("GET", "secret/data/a?version=1")).status).toBe(404);
    expect(await call("DELETE", "secret/metadata/a")).toEqual({ status: 204 });
    expect(await call("GET", "secret/data/a")).toEqual({ status: 404, errors: [] });
    expect((await write("a", "anew", 0)).data).toMatchObject({ version: 1 });
  });

  it("keeps the ten newest versions", async () => {
    for (let at = 1; at <= 12; at++) await write("many", String(at));
    expect(vault.get("secret/many").map(({ version }) => version)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it("refuses what Vault refuses", async () => {
    await write("b", "kept", 0);
    const mismatch = ["check-and-set parameter did not match the current version"];
    for (const cas of [0, 2]) expect(await write("b", "other", cas)).toEqual({ status: 400, errors: mismatch });
    expect((await write("b", "other", "one")).errors).toEqual(["error parsing check-and-set parameter"]);
    for (const body of [{}, { data: [] }, { data: "text" }])
      expect(await call("POST", "secret/data/b", body)).toEqual({ status: 400, errors: ["no data provided"] });
    expect((await call("POST", "secret/data/b", "{")).errors).toEqual(["failed to parse JSON input"]);
    expect((await call("POST", "secret/destroy/b", {})).errors).toEqual(["No version number provided"]);
    expect((await call("PATCH", "secret/data/b", {})).status).toBe(405);
    expect((await call("GET", "kv/data/b")).errors).toEqual([
      'no handler for route "kv/data/b". route entry not found.',
    ]);
    expect(vault.get("secret/b").map(({ data }) => data)).toEqual([{ value: "kept" }]);
  });

  it("lets a token do what it was made for, below its path, until it is revoked", async () => {
    await write("team/c", "kept", 0);
    const denied = { status: 403, errors: ["permission denied"] };
    const token = vault.mintToken(["read", "create"], "secret/data/team");
    expect((await call("GET", "secret/data/team/c", undefined, token)).status).toBe(200);
    expect((await call("POST", "secret/data/team/d", { data: {} }, token)).status).toBe(200);
    expect(await call("POST", "secret/data/team/c", { data: {} }, token)).toEqual(denied);
    expect(await call("DELETE", "secret/data/team/c", undefined, token)).toEqual(denied);
    expect(await call("GET", "secret/data/b", undefined, token)).toEqual(denied);
    vault.revokeToken(token);
    expect(await call("GET", "secret/data/team/c", undefined, token)).toEqual(denied);
    expect(await call("GET", "secret/data/team/c", undefined, "")).toEqual(denied);
  });

  it("answers nothing but 503 while it is sealed", async () => {
    vault.seal(true);
    expect(await call("GET", "secret/data/b")).toEqual({ status: 503, errors: ["Vault is sealed"] });
    vault.seal(false);
    expect((await call("GET", "secret/data/b")).status).toBe(200);
  });

  it("logs operation, path and status, no query, no header and no value", async () => {
    const before = vault.log().length;
    await write("logged", "value-for-the-log");
    await call("GET", "secret/data/logged?version=1");
    const text = fs.readFileSync(vault.logFile ?? "", "utf8");
    expect(text.trimEnd().split("\n")).toEqual(vault.log());
    expect(vault.log().slice(before)).toEqual(
      ["POST", "GET"].map(
        (method) => `{"type":"response","method":"${method}","path":"/v1/secret/data/logged","status":200}`,
      ),
    );
    for (const secret of ["value-for-the-log", vault.token]) expect(text).not.toContain(secret);
  });
});

describe("the local cloud", { timeout: 60_000 }, () => {
  it("starts a Vault and names it in what a stack needs, or leaves it out", async () => {
    for (const needs of [["vault"], []] as const) {
      const cloud = await startCloud({ needs });
      try {
        const { vault, secrets } = cloud.config();
        if (needs.length === 0) {
          expect([vault, secrets.vaultToken]).toEqual([undefined, undefined]);
          expect(() => cloud.vault).toThrow("this local cloud was started without vault");
        } else {
          expect(vault).toEqual({ address: cloud.vault.address });
          const answer = await fetch(`${vault?.address ?? ""}/v1/secret/data/nothing`, {
            headers: { "x-vault-token": secrets.vaultToken ?? "" },
          });
          expect([answer.status, await answer.json()]).toEqual([404, { errors: [] }]);
        }
      } finally {
        await cloud.stop();
      }
    }
  });
});
