// Proves, against the local Turso over real sockets, what a hostile review found of single tokens and was fixed: one that lives is not
// taken for dead, forgotten, minted over and over, or judged by what config says today. Not proven: the engine's order, or Turso's own
// behaviour.
import { once } from "node:events";
import * as http from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { TursoApi } from "../../components/turso/api";
import { askToken } from "../../components/turso/data";
import type { Inputs, Outputs } from "../../components/turso/turso-token.provider";
import { close } from "../../local/cloud/faults";
import { callTurso } from "../../local/cloud/turso/client";
import { oneResource } from "../support/one-resource";
import { must, setBlock, startUpdates, tokenInputs, tokensBy, type Updates } from "./turso-updates";

const rounds = "database:rounds";
let on: Updates;

beforeAll(async () => {
  on = await startUpdates({ rounds: { group: "default" }, notes: { group: "default" } }, [rounds]);
});
afterAll(() => on.stop());
// A test that failed must not fail those after it.
afterEach(() => setBlock(on.turso, "rounds", { block_reads: false, block_writes: false }));

describe("a token", () => {
  const api = (organization = "acme") => new TursoApi({ ...on.turso, organization }, on.turso.platformToken, 1500);
  const create = async (inputs: Inputs) => (await tokensBy(api()).create(inputs)).outs as Outputs;
  const remove = (props: Outputs, by = api()) => must(tokensBy(by).delete)("id", props);
  const inputsOf = (key: string) => tokenInputs(key, { rounds: "default", notes: "default" });

  it.each([
    ["where Turso's list says", ""],
    ["where config says", "first"],
  ])("of a group, proven %s, is neither lost nor let go with that database alone", async (_, proveOn) => {
    on.turso.createGroup(`pair${proveOn}`);
    const databases = Object.fromEntries(["first", "second"].map((name) => [name, `pair${proveOn}`]));
    for (const [name, of] of Object.entries(databases)) await on.turso.createDatabase(name, { group: of });
    const token = await create({ ...tokenInputs(`group:pair${proveOn}`, databases), proveOn });
    expect(token.url).toBe(on.turso.hostOf("first"));
    await on.turso.destroyDatabase("first");
    const gone = await startGone(token.url);
    try {
      expect(await askToken(token.url, token.jwt)).toBe("refused");
      expect(await askToken(on.turso.hostOf("second"), token.jwt)).toBe("works");
      expect((await must(tokensBy(api()).read)("id", token)).props).toMatchObject({ lost: false, jwt: token.jwt });
      await expect(remove({ ...token, place: "retired" })).rejects.toThrow("still works, until");
      // Nor where Turso cannot be asked which databases are left.
      const blind = new TursoApi(on.turso, "no platform token", 1500);
      await expect(must(tokensBy(blind).delete)("id", token)).rejects.toThrow("could not be asked whether it works");
      expect((await must(tokensBy(blind).read)("id", token)).props).toMatchObject({ lost: false });
    } finally {
      await on.turso.destroyDatabase("second");
      await close(gone);
    }
  });

  it("that could not be proven, however often it was tried, is one token; and one more after an invalidation", async () => {
    await setBlock(on.turso, "rounds", { block_reads: true });
    const token = oneResource<Inputs, Outputs>(() => tokensBy(api()));
    const [inputs, before] = [inputsOf(rounds), on.turso.tokensMinted().length];
    const tryThrice = async (news: Inputs): Promise<void> => {
      for (let update = 0; update < 3; update++) {
        await expect(token.up(news)).rejects.toThrow("blocks reads or writes");
        expect(token.kept()).toMatchObject({ proven: false, jwt: on.turso.tokensMinted().at(-1) });
        await token.refresh();
      }
    };
    await tryThrice(inputs);
    expect(on.turso.tokensMinted()).toHaveLength(before + 1);

    expect(await callTurso(on.turso, "POST", "databases/rounds/auth/rotate")).toMatchObject({ status: 200 });
    const news = { ...inputs, mark: "after it" };
    await tryThrice(news);
    expect(on.turso.tokensMinted()).toHaveLength(before + 2);
    await setBlock(on.turso, "rounds", { block_reads: false });
    const { jwt } = token.kept();
    expect(await token.up(news)).toMatchObject({ proven: true, jwt, replaced: [] });
    expect(on.turso.tokensMinted()).toHaveLength(before + 2);
  });

  it("is not let go because another organisation has no such database", async () => {
    await on.turso.createDatabase("brief", { group: "default" });
    const token = await create({ ...inputsOf("database:brief"), place: "current" });
    await expect(remove(token, api("globex"))).rejects.toThrow("still works, until");
    // Gone, and so cannot be asked: only its own organisation can tell.
    await on.turso.destroyDatabase("brief");
    await expect(remove(token, api("globex"))).rejects.toThrow("could not be asked whether it works");
    await remove(token);
  });

  it("that becomes current again is proven with what it was minted with, not with what config says by now", async () => {
    const token = oneResource<Inputs, Outputs>(() => tokensBy(api()));
    const minted = await token.up(inputsOf(rounds));
    const { minting } = minted;
    const narrowed: Inputs = { ...inputsOf(rounds), minting: { ...minting, authorization: "read-only" } };
    await token.up({ ...narrowed, place: "previous" });
    on.events();
    const again = await token.up(narrowed);
    expect(again).toMatchObject({ place: "current", proven: true, failure: "", jwt: minted.jwt, tag: minted.tag });
    expect(on.events()).toEqual([]);
  });
});

/** At the address of a database that is gone: answers as Turso's edge does for a name that it does not know. */
async function startGone(url: string): Promise<http.Server> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: "Namespace doesn't exist" }));
  });
  server.listen(Number(new URL(url).port), "127.0.0.1");
  await once(server, "listening");
  return server;
}
