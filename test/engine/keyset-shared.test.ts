// Proves on the real engine: where one Worker signs and another verifies, and the isolates of both take up new secrets at random
// within 2 s, no token is rejected by either over a roll, a roll with a retirement in it and a rollback; a verifier keeps a key as
// long as the signer's tokens may be about; a signer is not delivered to where its verifier fails. Not: the spread of a real edge.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Conversation, startLoad } from "../../local/load";
import { tokenConversation } from "../../local/token-load";
import { must, type Scene } from "../../local/scene";
import { NAME, newToken, shown, signing, startKeysets } from "./keysets";
import { mustFail } from "./outside";
import { held, meanwhile } from "./rounds";

const SPREAD = { mode: "random", withinMs: 2000 } as const;
const vars = { TOKEN_TTL_SECONDS: "600" };

let scene: Scene;

beforeAll(async () => {
  const deliver = [
    { worker: "rounds-api", as: "JWT_KEYS" },
    { worker: "gateway", as: "JWT_KEYS", verifyOnly: true },
  ];
  scene = await startKeysets(
    { [NAME]: signing("keyset", ["2026-11-20"], { deliver, drain: "30s" }) },
    { settle: "2s", within: "5s" },
    { cloudflare: { scripts: { "rounds-api": { vars }, gateway: { vars } } } },
  );
  await must(scene.stack.up());
  scene.cloud.cloudflare.setPropagation(SPREAD);
});
afterAll(() => scene.end());

it("does not let the signer roll where the verifier could not be reached; then rolls: neither Worker rejects a token", async () => {
  const before = held(scene);
  scene.cloud.cloudflare.faults.set([
    { match: { method: "PATCH", path: /gateway/ }, kind: "status", status: 403, code: 10000, times: 10 },
  ]);
  scene.generations(NAME, ["2026-11-21", "2026-11-20"]);
  await mustFail(scene.stack.up());
  expect(held(scene)).toEqual(before);
  scene.cloud.cloudflare.faults.set([]);
  await rollUnderLoad(["2026-11-21", "2026-11-20"]);
});

it("rolls and retires in one update", () => rollUnderLoad(["2026-11-22", "2026-11-21"]));

it("rolls back", () => rollUnderLoad(["2026-11-21", "2026-11-22"]));

it("keeps a key at the verifier while the signer's tokens may be about", async () => {
  const token = await newToken(scene);
  scene.edit(["rollover:credentials", NAME, "maxTokenAge"], "1h");
  scene.edit(["rollover:credentials", NAME, "drain"], "0s");
  const before = [held(scene), held(scene, "gateway")];
  scene.generations(NAME, ["2026-11-21"]);
  expect(await mustFail(scene.stack.up())).toMatch(/tokens that 2026-11-22 signed are accepted until/);
  expect([held(scene), held(scene, "gateway")]).toEqual(before);
  expect(await shown(scene, token, "gateway")).toBe("200");
  scene.edit(["rollover:credentials", NAME, "maxTokenAge"], "1s");
  scene.edit(["rollover:credentials", NAME, "drain"], "30s");
  scene.generations(NAME, ["2026-11-21", "2026-11-22"]);
  await must(scene.stack.up());
});

/** Clients show each token to the one Worker and to the other, in turn. */
async function rollUnderLoad(stamps: string[]): Promise<void> {
  scene.generations(NAME, stamps);
  const [signer, verifier] = [scene.cloud.workerUrl("rounds-api"), scene.cloud.workerUrl("gateway")];
  const load = startLoad({ url: signer, conversation: () => bothWorkers(signer, verifier) });
  const [result] = await meanwhile([load], () => must(scene.stack.up()), { before: 40, after: 80 });
  expect(result?.failures).toEqual([]);
}

/** The token that the signer gives is shown to the verifier, whose own, signed though it should not, is thrown away. */
function bothWorkers(signer: string, verifier: string): Conversation {
  const signing = tokenConversation(signer);
  let shownAt: "signer" | "verifier" = "verifier";
  let last: ReturnType<Conversation["next"]> | undefined;
  return {
    next() {
      if (shownAt === "verifier" || last === undefined) {
        shownAt = "signer";
        last = signing.next();
        return last;
      }
      shownAt = "verifier";
      return { ...last, url: last.url.replace(signer, verifier) };
    },
    heard: (status: number, body: string) => (shownAt === "signer" ? signing.heard(status, body) : status === 200),
  };
}
