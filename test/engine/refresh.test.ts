// Proves that a refresh changes nothing where nothing changed; that it sees a login dropped or blocked by hand, a secret deleted
// by hand and a Worker rolled back by hand; that the next update repairs each; and that a stranger's login is listed as debt.
// Not proven here: a value overwritten by hand under its own name, which no vendor lets anybody see.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callApi } from "../../local/cloud/client";
import { must, resource, type Scene, startScene } from "../../local/scene";
import { deployUsual, mustFail } from "./outside";
import { secretOf, servedAs, tryLogin, usualCredentials } from "./rounds";

describe("refresh", () => {
  let scene: Scene;
  /** The URL that the Worker was given last. */
  let url: string;
  /** The one before, of the generation that is still accepted. */
  let previous: string;

  beforeAll(async () => {
    const usual = usualCredentials("2026-11-20");
    scene = await startScene({
      needs: ["postgres", "workers"],
      credentials: {
        ...usual,
        "rounds-db": { ...usual["rounds-db"], generations: ["2026-11-19"] },
        // Of another owner, so that its debt is its own.
        "accounts-db": {
          ...usual["rounds-db"],
          database: "accounts",
          owner: "accounts_owner",
          login: "accounts",
          deliver: [],
        },
      },
    });
    await must(scene.stack.up());
    previous = secretOf(scene, "DATABASE_URL");
    scene.generations("rounds-db", ["2026-11-20", "2026-11-19"]);
    await must(scene.stack.up());
    await scene.cloud.seedDatabase({ owner: "rounds_owner", database: "rounds" });
    url = secretOf(scene, "DATABASE_URL");
  });
  afterAll(async () => {
    await scene.end();
  });

  it("changes nothing where nothing changed", async () => {
    const before = await everything();
    await must(scene.stack.refresh(["--expect-no-changes"]));
    expect(await everything()).toEqual(before);
  });

  it("sees logins dropped and blocked, a secret deleted and a stranger's login; the next update gives each back, and lists the debt", async () => {
    const { postgres, cloudflare } = scene.cloud;
    await postgres.query("DROP ROLE rounds_20261120");
    await postgres.query("ALTER ROLE rounds_20261119 NOLOGIN");
    for (const one of [url, previous]) expect(await tryLogin(one)).toMatch(/^28/);
    const path = "rounds-api/secrets/DATABASE_URL";
    expect((await callApi(cloudflare, { method: "DELETE", path })).status).toBe(200);
    expect((await fetch(scene.cloud.workerUrl("rounds-api"))).status).toBe(500);
    await postgres.query("CREATE ROLE stranger LOGIN IN ROLE accounts_owner");

    const text = await refreshed();
    for (const stamp of ["2026-11-20", "2026-11-19"])
      expect(text).toMatch(new RegExp(` - +\\S+:PostgresLogin rounds-db@${stamp} deleted`));
    expect(text).toMatch(/ ~ +\S+:WorkerSecretSet rounds-api updated/);
    expect(await drift()).toEqual(["DATABASE_URL is missing"]);
    expect((await resource(scene.stack, "PostgresLogin", "accounts-db@2026-11-20")).outputs).toMatchObject({
      debts: ["stranger"],
    });
    await mustFail(scene.stack.preview(["--expect-no-changes"]));

    await repaired("rounds_20261120", ["stranger"]);
    expect(await tryLogin(previous)).toBe("rounds_20261119 as rounds_owner");
    expect(secretOf(scene, "DATABASE_URL")).toBe(url);
  });

  it("sees a Worker that was rolled back by hand; the next update names both versions, then repairs", async () => {
    await scene.cloud.postgres.query("DROP ROLE stranger");
    const old = scene.cloud.cloudflare.state("rounds-api");
    for (const credential of ["rounds-db", "session-key"]) scene.generations(credential, ["2026-11-21"]);
    await must(scene.stack.up());
    url = secretOf(scene, "DATABASE_URL");
    const [newest = ""] = scene.cloud.cloudflare.state("rounds-api").versionIds;

    await scene.cloud.cloudflare.deploy("rounds-api", old.liveVersionId);
    expect((await fetch(scene.cloud.workerUrl("rounds-api"))).status).toBe(500);
    expect(await refreshed()).toMatch(/ ~ +\S+:WorkerSecretSet rounds-api updated/);
    expect(await drift()).toEqual(["the probe reports other generations"]);
    // An edit of secrets would deploy the newest code, from which somebody rolled back: that is for them to decide.
    const refusal = await mustFail(scene.stack.up());
    expect(refusal).toContain(`is ${newest}, but ${old.liveVersionId} is deployed`);
    await scene.cloud.cloudflare.deploy("rounds-api", newest);
    // The stranger is gone since, as the refresh has seen.
    await repaired("rounds_20261121");

    await deployUsual(scene, old.secrets);
    expect((await fetch(scene.cloud.workerUrl("rounds-api"))).status).toBe(500);
    await refreshed();
    expect(await drift()).toEqual(["the probe reports other generations"]);
    await repaired("rounds_20261121");
  });

  /** What a refresh printed. */
  async function refreshed(): Promise<string> {
    return (await must(scene.stack.refresh())).stdout;
  }

  /** The next update leaves everything as declared. */
  async function repaired(login: string, debt: string[] = []): Promise<void> {
    await must(scene.stack.up());
    expect(await tryLogin(url)).toBe(`${login} as rounds_owner`);
    expect(await servedAs(scene)).toBe(login);
    expect(await drift()).toEqual([]);
    expect(await debts()).toEqual({ "rounds-db": [], "accounts-db": debt });
  }

  async function drift(): Promise<unknown> {
    return (await resource(scene.stack, "WorkerSecretSet", "rounds-api")).outputs?.["drift"];
  }

  async function debts(): Promise<unknown> {
    return (await scene.stack.outputs())["debts"];
  }

  /** State, logins with their verifiers, and the Worker's live version. Each export encrypts anew, so ciphertext is left out. */
  async function everything(): Promise<unknown> {
    const { deployment } = await scene.stack.exportState();
    const resources = (deployment.resources ?? []).map(({ urn, id, inputs, outputs }) => ({
      urn,
      id,
      inputs,
      outputs,
    }));
    const { rows } = await scene.cloud.postgres.query(
      "SELECT rolname, rolcanlogin, rolpassword FROM pg_authid ORDER BY 1",
    );
    const { liveVersionId } = scene.cloud.cloudflare.state("rounds-api");
    const state: unknown = JSON.parse(JSON.stringify(resources), (key, value: unknown) =>
      key === "ciphertext" ? "" : value,
    );
    return { state, rows, liveVersionId };
  }
});
