/** What the engine tests of keysets share: a stack with one, tokens shown for real, and a load of tokens. */
import { expect } from "vitest";
import { startLoad } from "../../local/load";
import { tokenConversation } from "../../local/token-load";
import type { CloudOptions } from "../../local/cloud";
import { type Scene, startScene } from "../../local/scene";
import { meanwhile } from "./rounds";

export const NAME = "rounds-signing";
export type Shape = "keyset" | "dual";

/** What a signing keyset in the tests is, current at the first stamp; nothing of it waits long. */
export function signing(
  shape: Shape,
  generations: string[],
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  const deliver = shape === "dual" ? { worker: "rounds-api" } : { worker: "rounds-api", as: "JWT_KEYS" };
  return {
    kind: "signing-keyset",
    shape,
    maxTokenAge: "1s",
    drain: "10s",
    retireBelow: 1,
    generations,
    deliver: [deliver],
    ...more,
  };
}

/** Only a Worker and a keyset: tokens of ten minutes, so that a refusal is one of the key. */
export function startKeysets(
  credentials: Record<string, Record<string, unknown>>,
  worker: Record<string, unknown> = {},
  cloud: CloudOptions = {},
): Promise<Scene> {
  const hasBackup = Object.values(credentials).some((one) => "backup" in one);
  return startScene({
    needs: hasBackup ? ["workers", "vault"] : ["workers"],
    credentials,
    worker: { settle: "0s", answers: 3, within: "10s", ...worker },
    cloud: {
      cloudflare: { scripts: { "rounds-api": { vars: { TOKEN_TTL_SECONDS: "600" } } } },
      ...cloud,
    },
  });
}

/** A token that the Worker signs now. */
export async function newToken(scene: Pick<Scene, "cloud">, script = "rounds-api"): Promise<string> {
  const response = await fetch(`${scene.cloud.workerUrl(script)}v1/rounds/start`, { method: "POST" });
  expect(response.status).toBe(200);
  return ((await response.json()) as { token: string }).token;
}

/** What a holder of a token sees: 200, or 401 and why. */
export async function shown(scene: Pick<Scene, "cloud">, token: string, script = "rounds-api"): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${scene.cloud.workerUrl(script)}v1/rounds/next`, { method: "POST", headers });
  const { code } = (await response.json()) as { code?: string };
  return [response.status, code].filter((part) => part !== undefined).join(" ");
}

/** Does `work` while clients of each Worker show at each request the token that the last one gave them; none may be rejected. */
export async function underTokens(
  scene: Pick<Scene, "cloud">,
  work: () => Promise<unknown>,
  scripts: string[] = ["rounds-api"],
): Promise<void> {
  const loads = scripts.map((script) => {
    const url = scene.cloud.workerUrl(script);
    return startLoad({ url, clients: 4 / scripts.length, conversation: () => tokenConversation(url) });
  });
  for (const result of await meanwhile(loads, work, { before: 40, after: 80 }))
    expect(result).toMatchObject({ failed: 0, failures: [] });
}
